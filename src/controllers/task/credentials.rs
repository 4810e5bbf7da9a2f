//! The keys to the two outside worlds that a Task's calls need: the token of its Repository, the E2B key of its Sandbox.
//! Part of the Task controller; values stay in their types from here on.

use super::TaskController;
use crate::{
    api::{Repository, Task, conditions::reason},
    cluster::{Age, SecretKey},
    domain::{
        demand,
        failure::{Class, Failure, operation},
    },
};
use kube::ResourceExt;
use secrecy::SecretString;

impl TaskController {
    pub(super) async fn github_token(
        &self,
        task: &Task,
        repository: &Repository,
    ) -> Result<SecretString, Failure> {
        let namespace = task.namespace().unwrap_or_default();
        let secret = &repository.spec.credentials_secret_ref.name;
        let key = SecretKey { namespace: &namespace, secret, key: "token", purpose: "a GitHub token" };
        Ok(self.secrets.credential(key, Age::Cached).await?.value)
    }

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
