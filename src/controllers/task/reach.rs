//! How a Task reaches the two outside worlds: GitHub under its Repository's token, envd of its sandbox.
//! Part of the Task controller; secrets are read here and stay in their types.

use super::TaskController;
use crate::{
    api::{Repository, Task, common::EnvVar, conditions::reason},
    domain::{
        failure::{Class, Failure, operation},
        git,
        pull_request::ObservedPullRequest,
        sandbox::Life,
        task::SeenPull,
    },
    e2b::Envd,
    github::{Author, Client, Pull, RepositoryName},
};
use kube::ResourceExt;
use secrecy::SecretString;

/// GitHub under the Repository's token, and the repository's name there.
pub(super) struct AtGitHub {
    pub client: Client,
    pub name: RepositoryName,
}

impl TaskController {
    /// GitHub as the Task's Repository sees it.
    pub(super) async fn at_github(&self, task: &Task) -> Result<AtGitHub, Failure> {
        let repository = self.repository(task).ok_or_else(|| {
            let message = format!(
                "Repository {} does not exist in this namespace: create it",
                task.spec.repository_ref.name
            );
            gone(operation::FIND_REPOSITORY, reason::REPOSITORY_NOT_FOUND, message)
        })?;
        let namespace = task.namespace().unwrap_or_default();
        let secret = &repository.spec.credentials_secret_ref.name;
        let values =
            self.secrets.get(&namespace, secret).await.map_err(|e| e.during(operation::GET_SECRET))?;
        let token = values.and_then(|values| values.text("token")).ok_or_else(|| {
            let message = format!(
                "Secret {secret} is missing or has no text under the key token: create it with a GitHub token there"
            );
            gone(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message)
        })?;
        Ok(AtGitHub { client: self.github.client(&token), name: name_of(&repository) })
    }

    /// The daemon in the Task's sandbox, `id` being the one the round works in.
    pub(super) async fn envd(&self, task: &Task, id: &str) -> Result<Envd, Failure> {
        let key = self.api_key(task).await?;
        let account = self.e2b.account(key);
        let known = self.memory().access.get(id).cloned();
        if let Some(access) = known {
            return Ok(account.envd(&access));
        }
        let detail = account.get(id).await?;
        let Some(detail) = detail.filter(|detail| detail.seen.life == Life::Running) else {
            return Err(Failure {
                operation: "getSandbox",
                class: Class::Transient,
                reason: reason::SANDBOX_UNREACHABLE,
                message: "E2B says that the sandbox does not run".into(),
            });
        };
        let mut memory = self.memory();
        // Sandboxes come and go; a token that is needed again is fetched again.
        if memory.access.len() >= 10_000 {
            memory.access.clear();
        }
        memory.access.insert(id.to_owned(), detail.access.clone());
        drop(memory);
        Ok(account.envd(&detail.access))
    }

    async fn api_key(&self, task: &Task) -> Result<SecretString, Failure> {
        let sandbox = self.sandbox(task);
        let reference = sandbox.as_ref().and_then(|sandbox| sandbox.spec.credentials_secret_ref.clone());
        let Some(reference) = reference else {
            return self.operator_key.clone().ok_or_else(|| {
                let message =
                    "the operator has no E2B_API_KEY: set credentialsSecretRef on the Sandbox".to_owned();
                gone(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message)
            });
        };
        let namespace = task.namespace().unwrap_or_default();
        let values = self
            .secrets
            .get(&namespace, &reference.name)
            .await
            .map_err(|e| e.during(operation::GET_SECRET))?;
        values.and_then(|values| values.text("apiKey")).ok_or_else(|| {
            let message = format!(
                "Secret {} is missing or has no text under the key apiKey: create it with an E2B API key there",
                reference.name
            );
            gone(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message)
        })
    }

    /// The command's own variables with their values; `Ok(Err)` names what is missing.
    pub(super) async fn env(
        &self,
        task: &Task,
    ) -> Result<Result<Vec<(String, SecretString)>, String>, Failure> {
        let mut env = Vec::new();
        for variable in task.spec.generate.iter().flat_map(|generate| &generate.env) {
            match self.value_of(task, variable).await? {
                Ok(value) => env.push((variable.name.clone(), value)),
                Err(missing) => return Ok(Err(missing)),
            }
        }
        Ok(Ok(env))
    }

    async fn value_of(
        &self,
        task: &Task,
        variable: &EnvVar,
    ) -> Result<Result<SecretString, String>, Failure> {
        let Some(source) = &variable.value_from else {
            return Ok(Ok(variable.value.clone().unwrap_or_default().into()));
        };
        let (name, key) = (&source.secret_key_ref.name, &source.secret_key_ref.key);
        let namespace = task.namespace().unwrap_or_default();
        let values = self.secrets.get(&namespace, name).await.map_err(|e| e.during(operation::GET_SECRET))?;
        Ok(values.and_then(|values| values.text(key)).ok_or_else(|| {
            format!(
                "Secret {name} with key {key} does not exist: create it, or correct {} in generate.env",
                variable.name
            )
        }))
    }
}

/// `owner/name` as GitHub spells it today, or as the spec does.
fn name_of(repository: &Repository) -> RepositoryName {
    let full = repository.status.as_ref().and_then(|status| status.full_name.as_deref());
    full.and_then(RepositoryName::parse)
        .unwrap_or_else(|| RepositoryName::new(&repository.spec.owner, &repository.spec.name))
}

/// The whole message of the Task's commit.
pub(super) fn commit_message(task: &Task) -> String {
    let uid = task.uid().unwrap_or_default();
    match task.spec.commit.as_ref().and_then(|commit| commit.message.as_ref()) {
        Some(message) => git::with_trailer(message, &uid),
        None => {
            git::commit_message(&task.spec.title, task.spec.description.as_deref().unwrap_or_default(), &uid)
        }
    }
}

/// Author and committer of the Task's commit.
pub(super) fn author(task: &Task) -> Author {
    let commit = task.spec.commit.clone().unwrap_or_default();
    Author {
        name: commit.author_name.unwrap_or_else(|| "Slipway".into()),
        email: commit.author_email.unwrap_or_else(|| "slipway@users.noreply.github.com".into()),
    }
}

/// A pull request as the decisions see it.
pub(super) fn seen_pull(pull: &Pull) -> SeenPull {
    SeenPull {
        observed: ObservedPullRequest::from(pull),
        body: pull.body.clone(),
        mergeable_state: pull.mergeable_state.clone(),
    }
}

fn gone(operation: &'static str, reason: &'static str, message: String) -> Failure {
    Failure { operation, class: Class::NotFound, reason, message }
}
