//! Commits: read, listed, compared and created. Object ids are SHA-1 in hex.
//! Source: GitHub REST API, "Git commits" and "Commits"; neighbour of `git`.

use super::{
    Client, Error,
    call::{Call, Reply, encode, encode_query},
    git::{PAGE, Sha},
    name::RepositoryName,
    operation::Operation,
    recent::Made,
};
use crate::domain::git::FileChange;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A commit without its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub sha: String,
    pub tree: String,
    pub parents: Vec<String>,
    pub message: String,
    /// GitHub has checked its signature, or has signed it.
    pub verified: bool,
    /// GitHub itself has made and signed it, at its pages or for an App.
    pub by_github: bool,
}

/// Author of a commit. Author and committer are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Author {
    pub name: String,
    pub email: String,
}

impl Default for Author {
    /// Whose commits are where nobody is named.
    fn default() -> Self {
        Self { name: "Slipway".to_owned(), email: "slipway@users.noreply.github.com".to_owned() }
    }
}

/// A commit to create. The same values give the same id, whoever creates it when; but for those that GitHub makes its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    pub message: String,
    pub tree: String,
    pub parents: Vec<String>,
    /// `None`: nobody is named. GitHub then makes the commit of an App the App's own, dates it and signs it.
    pub author: Option<Author>,
    /// Second resolution.
    pub date: Timestamp,
}

#[derive(Deserialize)]
struct CommitAnswer {
    sha: String,
    tree: Sha,
    #[serde(default)]
    parents: Vec<Sha>,
    #[serde(default)]
    message: String,
    committer: Option<Committer>,
    #[serde(default)]
    verification: Verification,
}

#[derive(Deserialize)]
struct Committer {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

impl Committer {
    /// Anybody can write this name, but what is verified with it GitHub has signed.
    fn is_github(&self) -> bool {
        self.name == "GitHub" && self.email == "noreply@github.com"
    }
}

#[derive(Deserialize, Default)]
struct Verification {
    #[serde(default)]
    verified: bool,
}

impl From<CommitAnswer> for Commit {
    fn from(answer: CommitAnswer) -> Self {
        let parents = answer.parents.into_iter().map(|p| p.sha).collect();
        let verified = answer.verification.verified;
        let by_github = verified && answer.committer.is_some_and(|committer| committer.is_github());
        Self { sha: answer.sha, tree: answer.tree.sha, parents, message: answer.message, verified, by_github }
    }
}

/// Commits of a pull request that are looked at.
pub const MAX_SINCE: usize = 500;
/// Files that GitHub shows of a comparison. Source: GitHub REST API, "Compare two commits".
const MAX_FILES: usize = 300;

impl Client {
    /// The commit with this id; `None` when GitHub does not have it.
    pub async fn get_commit(&self, repository: &RepositoryName, sha: &str) -> Result<Option<Commit>, Error> {
        let path = format!("/repos/{repository}/git/commits/{sha}");
        let call = Call::get(Operation::GetCommit, path).about(repository).needs(Made::Commit(sha.into()));
        Ok(self.find::<CommitAnswer>(call).await?.map(Commit::from))
    }

    /// The ids of the newest commits of a branch, a hundred at a time from page 1; whether there are more.
    pub async fn list_commits(
        &self,
        repository: &RepositoryName,
        branch: &str,
        page: u32,
    ) -> Result<(Vec<String>, bool), Error> {
        let operation = Operation::ListCommits;
        let branch = encode_query(branch);
        let path = format!("/repos/{repository}/commits?sha={branch}&per_page={PAGE}&page={page}");
        let call = Call::get(operation, path).about(repository);
        match self.send(call).await? {
            Reply::Success(success) => {
                let commits: Vec<Sha> = success.json(operation)?;
                Ok((commits.into_iter().map(|commit| commit.sha).collect(), success.next_page.is_some()))
            }
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// The commits that `head` contains and `base` does not, parents before their children; at most 500 of them.
    /// `None`: GitHub does not have both.
    pub async fn commits_since(
        &self,
        repository: &RepositoryName,
        base: &str,
        head: &str,
    ) -> Result<Option<Vec<Commit>>, Error> {
        #[derive(Deserialize)]
        struct Listed {
            sha: String,
            commit: Inner,
            #[serde(default)]
            parents: Vec<Sha>,
        }
        #[derive(Deserialize)]
        struct Inner {
            message: String,
            tree: Sha,
            committer: Option<Committer>,
            #[serde(default)]
            verification: Verification,
        }
        #[derive(Deserialize)]
        struct Comparison {
            commits: Vec<Listed>,
        }
        let mut commits = Vec::new();
        for page in 1.. {
            let path = format!("/repos/{repository}/compare/{base}...{head}?per_page={PAGE}&page={page}");
            let call = Call::get(Operation::Compare, path).about(repository).needs(Made::Commit(head.into()));
            let Some(found) = self.find::<Comparison>(call).await? else { return Ok(None) };
            let is_last = found.commits.len() < PAGE;
            commits.extend(found.commits.into_iter().map(|one| {
                Commit::from(CommitAnswer {
                    sha: one.sha,
                    tree: one.commit.tree,
                    parents: one.parents,
                    message: one.commit.message,
                    committer: one.commit.committer,
                    verification: one.commit.verification,
                })
            }));
            if is_last || commits.len() >= MAX_SINCE {
                break;
            }
        }
        Ok(Some(commits))
    }

    /// The files that `head` has changed since it left `base`. `None`: GitHub does not have both, or does not show all of them.
    pub async fn changed_files(
        &self,
        repository: &RepositoryName,
        base: &str,
        head: &str,
    ) -> Result<Option<Vec<FileChange>>, Error> {
        #[derive(Deserialize)]
        struct Comparison {
            files: Vec<FileChange>,
        }
        let path = format!("/repos/{repository}/compare/{base}...{head}?per_page=1");
        let call = Call::get(Operation::Compare, path).about(repository).needs(Made::Commit(head.into()));
        let found = self.find::<Comparison>(call).await?;
        Ok(found.map(|found| found.files).filter(|files| files.len() < MAX_FILES))
    }

    /// Asks whether `head` (a commit or a branch) contains `commit`; false also when either is gone.
    pub async fn contains(
        &self,
        repository: &RepositoryName,
        head: &str,
        commit: &str,
    ) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Comparison {
            status: String,
        }
        let path = format!("/repos/{repository}/compare/{commit}...{}?per_page=1", encode(head));
        let call = Call::get(Operation::Compare, path)
            .about(repository)
            .needs(Made::Commit(commit.into()))
            .needs(Made::Branch(head.into()));
        let found = self.find::<Comparison>(call).await?;
        Ok(found.is_some_and(|found| matches!(found.status.as_str(), "identical" | "ahead")))
    }

    /// Creates a commit and returns it as GitHub has it.
    pub async fn create_commit(
        &self,
        repository: &RepositoryName,
        commit: &NewCommit,
    ) -> Result<Commit, Error> {
        let date = commit.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut body = serde_json::json!({
            "message": commit.message,
            "tree": commit.tree,
            "parents": commit.parents,
        });
        let author = commit.author.clone().or_else(|| self.app_id().is_none().then(Author::default));
        if let Some(Author { name, email }) = author {
            let person = serde_json::json!({ "name": name, "email": email, "date": date });
            body["author"] = person.clone();
            body["committer"] = person;
        }
        let path = format!("/repos/{repository}/git/commits");
        let call = Call::post(Operation::CreateCommit, path, &body)
            .about(repository)
            .needs(Made::Tree(commit.tree.clone()));
        let created: Commit = self.read::<CommitAnswer>(call).await?.into();
        self.just_made(repository, Made::Commit(created.sha.clone()));
        Ok(created)
    }
}
