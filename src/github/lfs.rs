//! Git LFS at GitHub: which objects it lacks, and their upload to wherever it says.
//! Source: git-lfs/docs/api/batch.md and basic-transfers.md. Neighbour of `git`, whose trees have the pointers.

use super::{
    Client, Error,
    call::{Call, Reply},
    name::RepositoryName,
    operation::Operation,
    session::beside_api,
    token::Token,
};
use crate::domain::git::Pointer;
use http::{HeaderName, HeaderValue, Method, header};
use octocrab::OctoBody;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::Path};
use tokio_util::io::ReaderStream;

/// Media type of the batch API.
const LFS_JSON: &str = "application/vnd.git-lfs+json";
/// Part of an object that is held in memory at a time (bytes).
const PIECE: usize = 64 << 10;

/// One object of a batch, as GitHub sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct LfsAnswer {
    pub oid: String,
    pub size: u64,
    /// Absent, or without `upload`: GitHub has it.
    #[serde(default)]
    pub actions: LfsActions,
    #[serde(default)]
    pub error: Option<LfsError>,
}

/// What is to be done to an object.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LfsActions {
    pub upload: Option<LfsAction>,
    pub verify: Option<LfsAction>,
}

/// A call that an object needs, at some server of GitHub's choice.
#[derive(Clone, Deserialize)]
pub struct LfsAction {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

/// Without what would let anybody do it: the URL is signed, and a header may be a credential.
impl fmt::Debug for LfsAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.header.keys().collect();
        f.debug_struct("LfsAction").field("header", &names).finish_non_exhaustive()
    }
}

/// Refusal of one object.
#[derive(Debug, Clone, Deserialize)]
pub struct LfsError {
    #[serde(default)]
    pub message: String,
}

impl Client {
    /// Asks which of these objects GitHub lacks, and how they get there; at most a hundred at a time.
    pub async fn lfs_batch(
        &self,
        repository: &RepositoryName,
        objects: &[Pointer],
    ) -> Result<Vec<LfsAnswer>, Error> {
        #[derive(Serialize)]
        struct Object<'a> {
            oid: &'a str,
            size: u64,
        }
        #[derive(Deserialize)]
        struct Answer {
            objects: Vec<LfsAnswer>,
        }
        let objects: Vec<_> = objects.iter().map(|one| Object { oid: &one.oid, size: one.size }).collect();
        let body = serde_json::json!({
            "operation": "upload", "transfers": ["basic"], "hash_algo": "sha256", "objects": objects,
        });
        let path = format!("/{repository}.git/info/lfs/objects/batch");
        let call = Call::post(Operation::LfsBatch, path, &body).about(repository);
        let make = |call: &Call<'_>, token: &Token| {
            beside_api(Method::POST, &format!("{}{}", self.server(), call.path))
                .header(header::AUTHORIZATION, call.authorization(token.basic())?)
                .header(header::ACCEPT, LFS_JSON)
                .header(header::CONTENT_TYPE, LFS_JSON)
                .body(OctoBody::from(body.to_string()))
                .map_err(|_| unsendable(Operation::LfsBatch))
        };
        let reply = self.send_as(&call, make).await?;
        Ok(success::<Answer>(reply, Operation::LfsBatch)?.objects)
    }

    /// Sends the content of an object, `size` bytes, to where `action` says. The token of this client stays here.
    pub async fn lfs_upload(
        &self,
        repository: &RepositoryName,
        action: &LfsAction,
        content: &Path,
        size: u64,
    ) -> Result<(), Error> {
        let operation = Operation::LfsUpload;
        let file = tokio::fs::File::open(content).await.map_err(|_| unsendable(operation))?;
        let content = reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, PIECE));
        let request =
            request_of(Method::PUT, action).header(header::CONTENT_LENGTH, size).body(OctoBody::new(content));
        self.act(operation, repository, request).await
    }

    /// Tells GitHub that an object has arrived, where it wants to be told.
    pub async fn lfs_verify(
        &self,
        repository: &RepositoryName,
        action: &LfsAction,
        object: &Pointer,
    ) -> Result<(), Error> {
        let body = serde_json::json!({ "oid": object.oid, "size": object.size });
        let request = request_of(Method::POST, action)
            .header(header::ACCEPT, LFS_JSON)
            .header(header::CONTENT_TYPE, LFS_JSON)
            .body(OctoBody::from(body.to_string()));
        self.act(Operation::LfsVerify, repository, request).await
    }

    async fn act(
        &self,
        operation: Operation,
        repository: &RepositoryName,
        request: Result<http::Request<OctoBody>, http::Error>,
    ) -> Result<(), Error> {
        let call = Call::post_text(operation, String::new(), String::new()).about(repository);
        match self.send_without_token(&call, request.map_err(|_| unsendable(operation))?).await? {
            Reply::Success(_) => Ok(()),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}

/// The request of an action, with the headers that it names.
fn request_of(method: Method, action: &LfsAction) -> http::request::Builder {
    let mut request = beside_api(method, &action.href);
    for (name, value) in &action.header {
        if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            value.set_sensitive(true);
            request = request.header(name, value);
        }
    }
    request
}

fn success<T: serde::de::DeserializeOwned>(reply: Reply, operation: Operation) -> Result<T, Error> {
    match reply {
        Reply::Success(success) => success.json(operation),
        Reply::State(other) => Err(other.unexpected(operation)),
    }
}

fn unsendable(operation: Operation) -> Error {
    Error {
        operation: operation.name(),
        class: crate::domain::failure::Class::Transient,
        reason: crate::api::conditions::reason::LFS_REFUSED,
        message: format!(
            "{} can't be sent: GitHub named no usable URL, or the spooled file is gone",
            operation.name()
        ),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_action_is_made_with_is_not_printed() {
        let action = serde_json::json!({
            "upload": {"href": "https://storage.example/o?signature=sesame", "header": {"Authorization": "Basic sesame"}},
        });
        let actions: LfsActions = serde_json::from_value(action).expect("an action");
        let told = format!("{actions:?}");
        assert!(told.contains("Authorization") && !told.contains("sesame"), "{told}");
    }
}
