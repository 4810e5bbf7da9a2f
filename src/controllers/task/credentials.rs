//! Secrets that a Task's calls need: the token of its Repository, the E2B key of its Sandbox, its command's variables.
//! Part of the Task controller; values stay in their types from here on.

use super::TaskController;
use crate::{
    api::{Repository, Task, common::EnvVar, conditions::reason},
    domain::failure::{Class, Failure, operation},
};
use kube::ResourceExt;
use secrecy::SecretString;

impl TaskController {
    /// The text under one key of a Secret in the Task's namespace.
    async fn text(&self, task: &Task, secret: &str, key: &str) -> Result<Option<SecretString>, Failure> {
        let namespace = task.namespace().unwrap_or_default();
        let values = self.secrets.get(&namespace, secret).await;
        let values = values.map_err(|error| error.during(operation::GET_SECRET))?;
        Ok(values.and_then(|values| values.text(key)))
    }

    pub(super) async fn github_token(
        &self,
        task: &Task,
        repository: &Repository,
    ) -> Result<SecretString, Failure> {
        let secret = &repository.spec.credentials_secret_ref.name;
        self.text(task, secret, "token").await?.ok_or_else(|| {
            let message = format!(
                "Secret {secret} is missing or has no text under the key token: create it with a GitHub token there"
            );
            gone(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message)
        })
    }

    pub(super) async fn api_key(&self, task: &Task) -> Result<SecretString, Failure> {
        let sandbox = self.sandbox(task);
        let reference = sandbox.as_ref().and_then(|sandbox| sandbox.spec.credentials_secret_ref.clone());
        let Some(reference) = reference else {
            return self.operator_key.clone().ok_or_else(|| {
                let message =
                    "the operator has no E2B_API_KEY: set credentialsSecretRef on the Sandbox".to_owned();
                gone(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message)
            });
        };
        self.text(task, &reference.name, "apiKey").await?.ok_or_else(|| {
            let message = format!(
                "Secret {} is missing or has no text under the key apiKey: create it with an E2B API key there",
                reference.name
            );
            gone(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message)
        })
    }

    /// The command's own variables with their values. One whose Secret is missing holds the start back: none is dropped.
    pub(super) async fn env(&self, task: &Task) -> Result<Vec<(String, SecretString)>, Failure> {
        let mut env = Vec::new();
        for variable in task.spec.generate.iter().flat_map(|generate| &generate.env) {
            env.push((variable.name.clone(), self.value_of(task, variable).await?));
        }
        Ok(env)
    }

    async fn value_of(&self, task: &Task, variable: &EnvVar) -> Result<SecretString, Failure> {
        let Some(source) = &variable.value_from else {
            return Ok(variable.value.clone().unwrap_or_default().into());
        };
        let (name, key) = (&source.secret_key_ref.name, &source.secret_key_ref.key);
        self.text(task, name, key).await?.ok_or_else(|| {
            let message = format!(
                "Secret {name} with key {key} does not exist: create it, or correct {} in generate.env",
                variable.name
            );
            gone(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message)
        })
    }
}

/// Reports that an object which others make is not there.
pub(super) fn gone(operation: &'static str, reason: &'static str, message: String) -> Failure {
    Failure { operation, class: Class::NotFound, reason, message }
}
