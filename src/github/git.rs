//! Git data: references, trees and blobs; `commits` has the rest. Object ids are SHA-1 in hex.
//! Source: GitHub REST API, "Git database".

use super::{
    Client, Error,
    call::{Call, Reply, encode},
    classify::{State, is_workflow},
    name::RepositoryName,
    operation::Operation,
    recent::Made,
};
use crate::api::conditions::reason;
use crate::domain::{failure::Class, git::BaseEntry};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// A tree as it was listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tree {
    /// The id the tree was asked for or its own: good as `base_tree`.
    pub sha: String,
    #[serde(rename = "tree")]
    pub entries: Vec<BaseEntry>,
    /// GitHub left entries out (more than 100,000 or 7 MB): walk it directory by directory.
    #[serde(default)]
    pub truncated: bool,
}

/// One change of a tree that is created on top of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub path: String,
    /// `100644`, `100755` or `120000`; `160000` of a submodule's link.
    pub mode: String,
    pub content: TreeContent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeContent {
    /// The content itself.
    Inline(String),
    /// The id of a blob GitHub has, or the commit that a submodule's link leads to.
    Object(String),
    /// Remove the path. It must be there.
    Delete,
}

impl Serialize for TreeEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut entry = serializer.serialize_struct("TreeEntry", 4)?;
        entry.serialize_field("path", &self.path)?;
        entry.serialize_field("mode", &self.mode)?;
        entry.serialize_field("type", if self.mode == "160000" { "commit" } else { "blob" })?;
        match &self.content {
            TreeContent::Inline(text) => entry.serialize_field("content", text)?,
            TreeContent::Object(sha) => entry.serialize_field("sha", sha)?,
            TreeContent::Delete => entry.serialize_field("sha", &None::<String>)?,
        }
        entry.end()
    }
}

/// Result of creating a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedRef {
    Created,
    /// A reference of this name is there already, at whatever commit.
    AlreadyExists,
}

/// Result of moving a reference forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdatedRef {
    Updated,
    /// The reference has commits the new one does not contain.
    NotFastForward,
    Missing,
}

#[derive(Deserialize)]
pub(super) struct Sha {
    pub(super) sha: String,
}

#[derive(Deserialize)]
struct RefAnswer {
    #[serde(rename = "ref")]
    name: String,
    object: Sha,
}

/// GitHub answers up to this many entries per page.
pub(super) const PAGE: usize = 100;
/// A prefix with more references than this many pages is none of ours.
const MAX_PAGES: u32 = 20;

impl Client {
    /// The commit a branch stands at; `None` when there is no such branch.
    pub async fn get_branch_sha(
        &self,
        repository: &RepositoryName,
        branch: &str,
    ) -> Result<Option<String>, Error> {
        let reference = format!("heads/{branch}");
        let path = format!("/repos/{repository}/git/ref/{}", encode(&reference));
        let call = Call::get(Operation::GetRef, path).about(repository).needs(Made::Branch(branch.into()));
        Ok(self.find::<RefAnswer>(call).await?.map(|found| found.object.sha))
    }

    /// Branches whose name begins with `prefix`, as (name, commit); empty when there are none.
    pub async fn matching_branches(
        &self,
        repository: &RepositoryName,
        prefix: &str,
    ) -> Result<Vec<(String, String)>, Error> {
        let operation = Operation::MatchingRefs;
        let mut found = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!(
                "/repos/{repository}/git/matching-refs/{}?per_page={PAGE}&page={page}",
                encode(&format!("heads/{prefix}"))
            );
            let success = match self.send(Call::get(operation, path).about(repository)).await? {
                Reply::Success(success) => success,
                Reply::State(other) => return Err(other.unexpected(operation)),
            };
            let refs: Vec<RefAnswer> = success.json(operation)?;
            found.extend(
                refs.into_iter()
                    .filter_map(|r| Some((r.name.strip_prefix("refs/heads/")?.to_owned(), r.object.sha))),
            );
            if success.next_page.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The entries of a tree (or of a commit's tree). Recursive: with paths from its root, possibly truncated.
    pub async fn get_tree(
        &self,
        repository: &RepositoryName,
        sha: &str,
        recursive: bool,
    ) -> Result<Tree, Error> {
        let path =
            format!("/repos/{repository}/git/trees/{sha}{}", if recursive { "?recursive=1" } else { "" });
        let call = Call::get(Operation::GetTree, path).about(repository).needs(Made::Tree(sha.into()));
        self.read(call).await
    }

    /// Uploads the content of the file at `path` and returns the id GitHub gave it. The path is for messages alone.
    pub async fn create_blob(
        &self,
        repository: &RepositoryName,
        path: &str,
        content: &[u8],
    ) -> Result<String, Error> {
        let body = format!(r#"{{"encoding":"base64","content":"{}"}}"#, BASE64_STANDARD.encode(content));
        let url = format!("/repos/{repository}/git/blobs");
        let call = Call::post_text(Operation::CreateBlob, url, body).about(repository).file(Some(path));
        Ok(self.read::<Sha>(call).await?.sha)
    }

    /// The content of a blob that is there.
    pub async fn get_blob(&self, repository: &RepositoryName, sha: &str) -> Result<Vec<u8>, Error> {
        #[derive(Deserialize)]
        struct Blob {
            content: String,
        }
        let path = format!("/repos/{repository}/git/blobs/{sha}");
        let blob: Blob = self.read(Call::get(Operation::GetBlob, path).about(repository)).await?;
        // GitHub breaks the lines.
        let content: String = blob.content.split_ascii_whitespace().collect();
        BASE64_STANDARD.decode(content).map_err(|error| Error {
            operation: Operation::GetBlob.name(),
            class: Class::Transient,
            reason: reason::UNREADABLE_ANSWER,
            message: format!("GitHub's answer to {} could not be read: {error}", Operation::GetBlob.name()),
            status: None,
        })
    }

    /// Asks whether GitHub has the blob: for the head of the answer only, never for the content.
    pub async fn blob_exists(&self, repository: &RepositoryName, sha: &str) -> Result<bool, Error> {
        let operation = Operation::BlobExists;
        match self
            .send(Call::head(operation, format!("/repos/{repository}/git/blobs/{sha}")).about(repository))
            .await?
        {
            Reply::Success(_) => Ok(true),
            Reply::State(State::Absent) => Ok(false),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// Creates a tree: `entries` on top of `base_tree` (a tree's or a commit's id), or of nothing. Returns its id.
    pub async fn create_tree(
        &self,
        repository: &RepositoryName,
        base_tree: Option<&str>,
        entries: &[TreeEntry],
    ) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            base_tree: Option<&'a str>,
            tree: &'a [TreeEntry],
        }
        let body = Body { base_tree, tree: entries };
        let path = format!("/repos/{repository}/git/trees");
        let workflow = entries.iter().map(|entry| entry.path.as_str()).find(|path| is_workflow(path));
        let call = Call::post(Operation::CreateTree, path, &body).about(repository).file(workflow);
        let tree = self.read::<Sha>(call).await?.sha;
        self.just_made(repository, Made::Tree(tree.clone()));
        Ok(tree)
    }

    /// Creates a branch at a commit GitHub has.
    pub async fn create_ref(
        &self,
        repository: &RepositoryName,
        branch: &str,
        sha: &str,
    ) -> Result<CreatedRef, Error> {
        let operation = Operation::CreateRef;
        let body = serde_json::json!({ "ref": format!("refs/heads/{branch}"), "sha": sha });
        let call = Call::post(operation, format!("/repos/{repository}/git/refs"), &body)
            .about(repository)
            .needs(Made::Commit(sha.into()));
        match self.send(call).await? {
            Reply::Success(_) => {
                self.just_made(repository, Made::Branch(branch.into()));
                Ok(CreatedRef::Created)
            }
            Reply::State(State::AlreadyExists) => Ok(CreatedRef::AlreadyExists),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// Moves a branch forward. Never forces.
    pub async fn update_ref(
        &self,
        repository: &RepositoryName,
        branch: &str,
        sha: &str,
    ) -> Result<UpdatedRef, Error> {
        let operation = Operation::UpdateRef;
        let reference = format!("heads/{branch}");
        let path = format!("/repos/{repository}/git/refs/{}", encode(&reference));
        let body = serde_json::json!({ "sha": sha, "force": false });
        let call = Call::patch(operation, path, &body)
            .about(repository)
            .needs(Made::Branch(branch.into()))
            .needs(Made::Commit(sha.into()));
        match self.send(call).await? {
            Reply::Success(_) => {
                self.just_made(repository, Made::Branch(branch.into()));
                Ok(UpdatedRef::Updated)
            }
            Reply::State(State::NotFastForward) => Ok(UpdatedRef::NotFastForward),
            Reply::State(State::Absent) => Ok(UpdatedRef::Missing),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}
