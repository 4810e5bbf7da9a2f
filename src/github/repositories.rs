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
        self.look_up(repository, format!("/repos/{repository}")).await
    }

    /// The repository with this id, whatever its name is by now.
    pub async fn get_repository_by_id(&self, id: u64) -> Result<Option<Repository>, Error> {
        self.look_up(&RepositoryName::new("repositories", id.to_string()), format!("/repositories/{id}"))
            .await
    }

    async fn look_up(&self, repository: &RepositoryName, path: String) -> Result<Option<Repository>, Error> {
        let call = Call::get(Operation::GetRepository, path).about(repository);
        match self.send_unless_known(call).await? {
            Reply::Success(success) => success.json(Operation::GetRepository).map(Some),
            Reply::State(State::Moved { id: Some(id) }) => Box::pin(self.get_repository_by_id(id)).await,
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
        let call = Call::get(operation, format!("/users/{}", repository.owner)).about(repository);
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

    /// Creates the repository below the token's own user or an organisation, whichever `owner` is. One that exists
    /// already (another replica, an answer that was lost) is returned as it is.
    pub async fn create_repository(
        &self,
        repository: &RepositoryName,
        create: &CreateRepository,
    ) -> Result<Repository, Error> {
        let operation = Operation::CreateRepository;
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
            Reply::State(State::AlreadyExists) => match self.get_repository(repository).await? {
                Some(existing) => Ok(existing),
                None => Err(State::AlreadyExists.unexpected(operation)),
            },
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}
