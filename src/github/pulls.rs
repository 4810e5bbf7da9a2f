//! Pull requests: find by head, get, create, merge, and the list of those that changed.
//! Source: GitHub REST API, "Pull requests".

use super::{
    Client, Error,
    call::{Call, Reply, encode_query},
    classify::State,
    name::RepositoryName,
    operation::Operation,
    recent::Made,
    repositories::{Owner, Repository},
};
use crate::domain::pull_request::{ObservedPullRequest, marker_in, state_of};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A pull request, from any of GitHub's answers that carry one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "PullAnswer")]
pub struct Pull {
    pub number: u64,
    pub node_id: String,
    /// For people (`html_url`).
    pub url: String,
    pub state: PullState,
    pub draft: bool,
    pub merged: bool,
    pub merged_at: Option<Timestamp>,
    /// The merge's commit once merged; before that GitHub's test merge.
    pub merge_commit_sha: Option<String>,
    pub head: PullHead,
    /// GitHub's id of the repository that the pull request is in.
    pub base_repository_id: Option<u64>,
    /// The branch that it goes to.
    pub base_branch: Option<String>,
    /// That repository as it is now, where the answer describes it.
    pub base_repository: Option<Box<Repository>>,
    pub body: String,
    pub updated_at: Timestamp,
    /// `clean`, `blocked`, `behind`, `dirty`, `unstable`, `draft`, `unknown`; only a single GET has it.
    pub mergeable_state: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    Open,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullHead {
    /// The branch's name.
    pub branch: String,
    pub sha: String,
    /// Absent when the head's repository is gone.
    pub repository_id: Option<u64>,
}

#[derive(Deserialize)]
struct PullAnswer {
    number: u64,
    node_id: String,
    html_url: String,
    state: PullState,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    merged: Option<bool>,
    merged_at: Option<Timestamp>,
    merge_commit_sha: Option<String>,
    head: SideAnswer,
    base: BaseAnswer,
    body: Option<String>,
    updated_at: Timestamp,
    mergeable_state: Option<String>,
}

#[derive(Deserialize)]
struct SideAnswer {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo: Option<RepoAnswer>,
}

#[derive(Deserialize)]
struct BaseAnswer {
    #[serde(rename = "ref")]
    branch: Option<String>,
    repo: Option<BaseRepoAnswer>,
}

/// Without its id it is nothing; without the rest it is only not described.
#[derive(Deserialize)]
struct BaseRepoAnswer {
    id: u64,
    name: Option<String>,
    full_name: Option<String>,
    owner: Option<Owner>,
    html_url: Option<String>,
    default_branch: Option<String>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    archived: bool,
}

impl BaseRepoAnswer {
    fn described(self) -> Option<Box<Repository>> {
        Some(Box::new(Repository {
            id: self.id,
            name: self.name?,
            full_name: self.full_name?,
            owner: self.owner?,
            html_url: self.html_url?,
            default_branch: self.default_branch?,
            private: self.private,
            archived: self.archived,
        }))
    }
}

#[derive(Deserialize)]
struct RepoAnswer {
    id: u64,
}

impl From<PullAnswer> for Pull {
    fn from(answer: PullAnswer) -> Self {
        Self {
            number: answer.number,
            node_id: answer.node_id,
            url: answer.html_url,
            state: answer.state,
            draft: answer.draft,
            // Lists leave `merged` out.
            merged: answer.merged.unwrap_or(answer.merged_at.is_some()),
            merged_at: answer.merged_at,
            merge_commit_sha: answer.merge_commit_sha,
            head: PullHead {
                branch: answer.head.branch,
                sha: answer.head.sha,
                repository_id: answer.head.repo.map(|repo| repo.id),
            },
            base_repository_id: answer.base.repo.as_ref().map(|repo| repo.id),
            base_branch: answer.base.branch,
            base_repository: answer.base.repo.and_then(BaseRepoAnswer::described),
            body: answer.body.unwrap_or_default(),
            updated_at: answer.updated_at,
            mergeable_state: answer.mergeable_state,
        }
    }
}

/// As the decisions see it: the same for lists, single reads and answers to writes. Whether the head stands on a Task's
/// commit takes another question, so it is not said here.
impl From<&Pull> for ObservedPullRequest {
    fn from(pull: &Pull) -> Self {
        let signed = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
        Self {
            number: signed(pull.number),
            state: state_of(pull.state == PullState::Open, pull.merged),
            draft: Some(pull.draft),
            branch: Some(pull.head.branch.clone()),
            head_repository_id: pull.head.repository_id.map(signed),
            base_repository_id: pull.base_repository_id.map(signed),
            node_id: Some(pull.node_id.clone()),
            url: Some(pull.url.clone()),
            head_sha: Some(pull.head.sha.clone()),
            stands_on_commit: false,
            marker: marker_in(&pull.body).map(Box::from),
            merge_sha: pull.merge_commit_sha.clone().filter(|_| pull.merged),
            merged_at: pull.merged_at,
            updated_at: Some(pull.updated_at),
        }
    }
}

/// A pull request to create, between two branches of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewPull {
    pub title: String,
    pub head: String,
    pub base: String,
    pub body: String,
    pub draft: bool,
}

/// Result of creating a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedPull {
    Created(Box<Pull>),
    /// There is an open one for this head and base: list it.
    AlreadyExists,
}

/// GitHub's ways to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}

/// Result of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    Merged {
        sha: String,
    },
    /// 405: conflicts, missing checks or reviews, a draft, a method that is not allowed. GitHub's words.
    NotMergeable {
        message: String,
    },
    /// 409: the head is not the commit that was asked for any more.
    HeadChanged,
    /// 405: it is in the merge queue.
    InQueue,
}

/// One page of the pull requests that changed, newest change first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullsPage {
    pub pulls: Vec<Pull>,
    pub etag: Option<String>,
    /// The next page's number, if there is one.
    pub next: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdatedPulls {
    /// The page is as it was when its `ETag` was given; the call cost no rate limit.
    NotModified,
    Page(PullsPage),
}

impl Client {
    /// All pull requests, of any state, whose head is this branch of this repository.
    pub async fn list_pulls_by_head(
        &self,
        repository: &RepositoryName,
        branch: &str,
    ) -> Result<Vec<Pull>, Error> {
        let head = encode_query(&format!("{}:{branch}", repository.owner));
        let path = format!("/repos/{repository}/pulls?head={head}&state=all&per_page=100");
        self.read(Call::get(Operation::ListPulls, path).about(repository)).await
    }

    /// The pull request with this number; `None` when there is none that the token may see. Unchanged since the last call:
    /// costs no rate limit (`ETag`).
    pub async fn get_pull(&self, repository: &RepositoryName, number: u64) -> Result<Option<Pull>, Error> {
        let path = format!("/repos/{repository}/pulls/{number}");
        self.find(Call::get(Operation::GetPull, path).about(repository).needs(Made::Pull(number))).await
    }

    /// Opens a pull request.
    pub async fn create_pull(
        &self,
        repository: &RepositoryName,
        pull: &NewPull,
    ) -> Result<CreatedPull, Error> {
        let operation = Operation::CreatePull;
        let call = Call::post(operation, format!("/repos/{repository}/pulls"), pull)
            .about(repository)
            .needs(Made::Branch(pull.head.clone()));
        match self.send(call).await? {
            Reply::Success(success) => {
                let created: Pull = success.json(operation)?;
                self.just_made(repository, Made::Pull(created.number));
                self.just_made(repository, Made::Node(created.node_id.clone()));
                Ok(CreatedPull::Created(Box::new(created)))
            }
            Reply::State(State::AlreadyExists) => Ok(CreatedPull::AlreadyExists),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// Merges a pull request if its head is still `sha`.
    pub async fn merge_pull(
        &self,
        repository: &RepositoryName,
        number: u64,
        sha: &str,
        method: MergeMethod,
    ) -> Result<Merged, Error> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
        }
        let operation = Operation::MergePull;
        let body = serde_json::json!({ "sha": sha, "merge_method": method });
        let path = format!("/repos/{repository}/pulls/{number}/merge");
        let call = Call::put(operation, path, &body).about(repository).needs(Made::Pull(number));
        match self.send(call).await? {
            Reply::Success(success) => Ok(Merged::Merged { sha: success.json::<Answer>(operation)?.sha }),
            Reply::State(State::NotMergeable { message }) => Ok(Merged::NotMergeable { message }),
            Reply::State(State::HeadChanged) => Ok(Merged::HeadChanged),
            Reply::State(State::AlreadyExists) => Ok(Merged::InQueue),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// Pull requests of any state, the one that changed last first. `page` counts from 1; `etag` is what the same page
    /// was answered with before.
    pub async fn list_pulls_updated(
        &self,
        repository: &RepositoryName,
        page: u32,
        etag: Option<&str>,
    ) -> Result<UpdatedPulls, Error> {
        let operation = Operation::SyncPulls;
        let path = format!(
            "/repos/{repository}/pulls?state=all&sort=updated&direction=desc&per_page=100&page={page}"
        );
        match self.send(Call::get(operation, path).about(repository).etag(etag.map(str::to_owned))).await? {
            Reply::Success(success) => {
                let pulls = success.json(operation)?;
                Ok(UpdatedPulls::Page(PullsPage { pulls, etag: success.etag, next: success.next_page }))
            }
            Reply::State(State::NotModified) => Ok(UpdatedPulls::NotModified),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}
