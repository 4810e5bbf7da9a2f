//! A Task's way to the two outside worlds: GitHub under its Repository's credentials, envd of its sandbox.
//! Part of the Task controller; the key of a sandbox comes from `keys`.

use super::{TaskController, keys::gone};
use crate::{
    api::{Repository, Task, conditions::reason},
    cluster::Age,
    controllers::credentials,
    domain::{
        asker::Asker,
        failure::{Class, Failure, operation},
        git,
        output::Output,
        pull_request::ObservedPullRequest,
        sandbox::Life,
        task::{Checks, SeenPull},
    },
    e2b::Envd,
    github::{Author, Check, CheckState, Client, Pull, RepositoryName},
};
use jiff::Timestamp;
use kube::ResourceExt;

/// GitHub under the Repository's credentials, and the repository's name there.
pub(super) struct AtGitHub {
    pub client: Client,
    pub name: RepositoryName,
}

impl TaskController {
    /// Returns GitHub as the Task's Repository sees it.
    pub(super) async fn at_github(&self, task: &Task) -> Result<AtGitHub, Failure> {
        let repository = self.repository(task).ok_or_else(|| {
            let message = format!(
                "Repository {} does not exist in this namespace: create it",
                task.spec.repository_ref.name
            );
            gone(operation::FIND_REPOSITORY, reason::REPOSITORY_NOT_FOUND, message)
        })?;
        let client = credentials::client(&self.github, &self.secrets, &repository, Age::Cached).await?;
        let client = client.on_behalf_of(&Asker::of(task).id(), since(task));
        Ok(AtGitHub { client, name: name_of(&repository) })
    }

    /// Returns the daemon in the Task's sandbox, `id` being the one the round works in.
    pub(super) async fn envd(&self, task: &Task, id: &str) -> Result<Envd, Failure> {
        let account = self.e2b.account(self.api_key(task).await?);
        // By key too: what one key may reach says nothing of another's.
        let known = (account.fingerprint().to_owned(), id.to_owned());
        if let Some(access) = self.memory().access(&known) {
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
        self.memory().remember_access(known, detail.access.clone());
        Ok(account.envd(&detail.access))
    }
}

/// `owner/name` as GitHub spells it today, or as the spec does.
pub(super) fn name_of(repository: &Repository) -> RepositoryName {
    let full = repository.status.as_ref().and_then(|status| status.full_name.as_deref());
    full.and_then(RepositoryName::parse)
        .unwrap_or_else(|| RepositoryName::new(&repository.spec.owner, &repository.spec.name))
}

/// The whole message of the Task's commit: what the spec says, else what the command has left, else what the Task is.
pub(super) fn commit_message(task: &Task, output: &Output) -> String {
    let uid = task.uid().unwrap_or_default();
    let given = task.spec.commit.as_ref().and_then(|commit| commit.message.as_ref());
    match given.or(output.message.as_ref()) {
        Some(message) => git::with_trailer(message, &uid),
        None => {
            git::commit_message(&task.spec.title, task.spec.description.as_deref().unwrap_or_default(), &uid)
        }
    }
}

/// Author and committer of the Task's commit, where the spec names one.
pub(super) fn author(task: &Task) -> Option<Author> {
    let commit = task.spec.commit.clone().unwrap_or_default();
    if commit.author_name.is_none() && commit.author_email.is_none() {
        return None;
    }
    let default = Author::default();
    Some(Author {
        name: commit.author_name.unwrap_or(default.name),
        email: commit.author_email.unwrap_or(default.email),
    })
}

/// A pull request as the decisions see it.
pub(super) fn seen_pull(pull: &Pull) -> SeenPull {
    SeenPull {
        observed: ObservedPullRequest::from(pull),
        body: pull.body.clone(),
        mergeable_state: pull.mergeable_state.clone(),
        checks: None,
        rules: None,
        view: None,
        updated: false,
    }
}

/// The checks of a commit as the decisions see them.
pub(super) fn seen_checks(checks: Vec<Check>) -> Checks {
    let mut seen = Checks::default();
    for check in checks {
        match check.state {
            CheckState::Passed => seen.passed += 1,
            CheckState::Running => seen.running.push(check.name),
            CheckState::Failed => seen.failed.push(check.name),
        }
    }
    seen
}

/// Since when the Task's round has been under way: of two that wait for GitHub the older goes first.
fn since(task: &Task) -> Timestamp {
    let round = task.status.as_ref().and_then(|status| status.round_started_at.as_ref());
    round.or(task.metadata.creation_timestamp.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
