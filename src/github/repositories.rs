//! Repositories: look up by name or id, create. Field names are GitHub's, reduced to what Slipway needs.
//! Source: GitHub REST API, "Repositories".

use super::{
    Client, Error,
    call::{Call, Reply},
    classify::State,
    name::RepositoryName,
    operation::Operation,
};
use crate::{api::conditions::reason, domain::failure::Class};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A repository as GitHub describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// Survives a rename.
    pub id: u64,
    pub name: String,
    pub full_name: String,
    pub owner: Owner,
    pub html_url: String,
    pub default_branch: String,
    #[serde(default)]
    pub private: bool,
    #[serde(default)]
    pub archived: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Owner {
    pub id: u64,
}

/// Settings of a repository to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CreateRepository {
    pub private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Makes GitHub create a first commit with a README. Without it there is no branch to work from.
    pub auto_init: bool,
}

#[derive(Serialize)]
struct CreateBody<'a> {
    name: &'a str,
    #[serde(flatten)]
    create: &'a CreateRepository,
}

#[derive(Deserialize)]
struct OwnerAnswer {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

impl Client {
    /// The repository under this name; `None` when there is none that the token may see. A renamed repository is
    /// followed by its id, and its new name is in the answer. Unchanged since the last call: costs no rate limit (`ETag`).
    pub async fn get_repository(&self, repository: &RepositoryName) -> Result<Option<Repository>, Error> {
        let found = self.look_up(repository, format!("/repos/{repository}"), false).await?;
        let is_other = |id: u64| found.as_ref().is_none_or(|found| found.id != id);
        match self.bought_for().await? {
            Some((id, new_token)) if is_other(id) => {
                Err(of_another_account(repository, new_token && found.is_none()))
            }
            _ => Ok(found),
        }
    }

    /// The repository with this id, whatever its name is by now.
    pub async fn get_repository_by_id(&self, id: u64) -> Result<Option<Repository>, Error> {
        self.look_up_by_id(id, false).await
    }

    async fn look_up_by_id(&self, id: u64, in_account: bool) -> Result<Option<Repository>, Error> {
        let name = RepositoryName::new("repositories", id.to_string());
        self.look_up(&name, format!("/repositories/{id}"), in_account).await
    }

    /// `in_account`: an App asks with a token for all that its installation has.
    async fn look_up(
        &self,
        repository: &RepositoryName,
        path: String,
        in_account: bool,
    ) -> Result<Option<Repository>, Error> {
        let call = Call::get(Operation::GetRepository, path).about(repository).in_account(in_account);
        match self.send_unless_known(call).await? {
            Reply::Success(success) => {
                let found: Repository = success.json(Operation::GetRepository)?;
                self.saw(found.id, &found.full_name);
                Ok(Some(found))
            }
            Reply::State(State::Moved { id: Some(id) }) => Box::pin(self.look_up_by_id(id, in_account)).await,
            Reply::State(State::Absent) => Ok(None),
            Reply::State(other) => Err(other.unexpected(Operation::GetRepository)),
        }
    }

    async fn place_for_user(&self, repository: &RepositoryName) -> Result<String, Error> {
        let user: User = self.read(Call::get(Operation::GetUser, "/user".to_owned())).await?;
        Ok(if user.login.eq_ignore_ascii_case(&repository.owner) {
            "/user/repos".to_owned()
        } else {
            format!("/orgs/{}/repos", repository.owner)
        })
    }

    /// An App is nobody's user, and may create below organisations alone.
    async fn place_for_app(&self, repository: &RepositoryName) -> Result<String, Error> {
        let operation = Operation::GetOwner;
        let path = format!("/users/{}", repository.owner);
        let call = Call::get(operation, path).about(repository).in_account(true);
        let owner: Option<OwnerAnswer> = self.find(call).await?;
        if owner.is_some_and(|owner| owner.kind == "Organization") {
            return Ok(format!("/orgs/{}/repos", repository.owner));
        }
        Err(Error {
            operation: Operation::CreateRepository.name(),
            class: Class::Denied,
            reason: reason::OWNER_NOT_USABLE,
            message: format!(
                "{} is not an organization, and a GitHub App can create repositories in organizations alone: create {repository} by \
                 hand and give the App's installation access to it, or use a token of its owner",
                repository.owner
            ),
            status: None,
        })
    }

    /// An App's token for one repository is bought by the name of today. GitHub shows one that was renamed by its redirect, which
    /// another of the old name would end for ever.
    async fn renamed(&self, repository: &RepositoryName) -> Result<Option<Repository>, Error> {
        match self.app_id() {
            Some(_) => self.look_up(repository, format!("/repos/{repository}"), true).await,
            None => Ok(None),
        }
    }

    /// Creates the repository below the token's own user or an organisation, whichever `owner` is. One that exists
    /// already (renamed, another replica, an answer that was lost) is returned as it is.
    pub async fn create_repository(
        &self,
        repository: &RepositoryName,
        create: &CreateRepository,
    ) -> Result<Repository, Error> {
        let operation = Operation::CreateRepository;
        if let Some(renamed) = self.renamed(repository).await? {
            return Ok(renamed);
        }
        let path = match self.app_id() {
            Some(_) => self.place_for_app(repository).await?,
            None => self.place_for_user(repository).await?,
        };
        let call =
            Call::post(operation, path, &CreateBody { name: &repository.name, create }).about(repository);
        match self.send(call).await? {
            Reply::Success(success) => {
                let created: Repository = success.json(operation)?;
                self.recent().created(repository, None, Instant::now());
                Ok(created)
            }
            Reply::State(State::AlreadyExists) => self.existing(repository).await,
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// One that GitHub does not create because it is there.
    async fn existing(&self, repository: &RepositoryName) -> Result<Repository, Error> {
        match self.get_repository(repository).await {
            Ok(Some(existing)) => Ok(existing),
            Ok(None) => Err(State::AlreadyExists.unexpected(Operation::CreateRepository)),
            Err(refused) if refused.reason == reason::REPOSITORY_NOT_IN_INSTALLATION => Err(Error {
                operation: Operation::CreateRepository.name(),
                class: Class::Denied,
                reason: reason::EXISTS_BUT_NOT_VISIBLE,
                message: format!(
                    "{repository} exists already, and the App's installation has no access to it: give the installation access \
                     (GitHub: Settings, GitHub Apps, Configure)"
                ),
                status: None,
            }),
            Err(refused) => Err(refused),
        }
    }
}

/// A token is bought by the repository's name alone, which an installation on any account may have.
fn of_another_account(repository: &RepositoryName, may_lag: bool) -> Error {
    let (class, reason) = if may_lag {
        (Class::Transient, reason::NOT_VISIBLE_YET)
    } else {
        (Class::Denied, reason::INSTALLATION_NOT_FOUND)
    };
    Error {
        operation: Operation::GetRepository.name(),
        class,
        reason,
        message: format!(
            "the installation that installationID names has another repository of this name and not {repository}: it is that of \
             another account, so put the number of the App's installation on {} into the Secret that credentialsSecretRef names",
            repository.owner
        ),
        status: None,
    }
}
