//! The E2B key of a Task's Sandbox. That to GitHub comes from `controllers::credentials`, where the Repository controller has it too.
//! Part of the Task controller; values stay in their types from here on.

use super::TaskController;
use crate::{
    api::{Task, conditions::reason},
    cluster::Age,
    domain::{
        demand,
        failure::{Class, Failure, operation},
    },
};
use secrecy::SecretString;

impl TaskController {
    pub(super) async fn api_key(&self, task: &Task) -> Result<SecretString, Failure> {
        let sandbox = self.sandbox(task).ok_or_else(|| {
            let name = demand::sandbox_name(task);
            let message = format!("Sandbox {name} does not exist in this namespace: create it");
            gone(operation::FIND_SANDBOX, reason::SANDBOX_NOT_FOUND, message)
        })?;
        Ok(self.secrets.e2b_key(&sandbox, self.operator_key.as_ref(), Age::Cached).await?)
    }
}

/// Reports that an object which others make is not there.
pub(super) fn gone(operation: &'static str, reason: &'static str, message: String) -> Failure {
    Failure { operation, class: Class::NotFound, reason, message }
}
