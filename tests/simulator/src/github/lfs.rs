//! Git LFS: the batch API of a repository, and a storage beside GitHub that takes no token of GitHub's.
//! Source: git-lfs/docs/api. Called by `mod`, beside `git_http`.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::auth::{Access, Caller, authorize};
use super::permissions::permit;
use super::state::{Repository, State};
use super::{GitHub, Refused};
use crate::core::{self, Body};

const LFS_JSON: &str = "application/vnd.git-lfs+json";
/// Objects of one batch.
const MAX_OBJECTS: usize = 100;

/// The objects of one repository.
#[derive(Default)]
pub(super) struct Storage {
    /// Content of each object that has arrived, by its id.
    pub(super) arrived: BTreeMap<String, Bytes>,
    /// Those of them that were verified.
    pub(super) verified: Vec<String>,
    /// What the batch API answers instead of its answer.
    pub(super) refuses: Option<(u16, String)>,
}

/// Which of the three calls a path is; `None`: it is none of git LFS.
pub(super) fn endpoint(method: &Method, path: &str) -> Option<&'static str> {
    match *method {
        Method::POST if path.ends_with(".git/info/lfs/objects/batch") => Some("POST lfs/objects/batch"),
        Method::POST if path.ends_with(".git/info/lfs/verify") => Some("POST lfs/verify"),
        Method::PUT if path.starts_with("/lfs-storage/") => Some("PUT lfs/storage"),
        _ => None,
    }
}

/// Answers one of the three calls.
pub(super) fn serve(state: &mut State, caller: &Caller, parts: &Parts, body: &Bytes) -> Response<Body> {
    let path = parts.uri.path().to_owned();
    let answer = if let Some(rest) = path.strip_prefix("/lfs-storage/") {
        store(state, rest, parts, body)
    } else {
        let repository = path.trim_start_matches('/').split_once(".git/").map_or("", |(name, _)| name);
        about(state, repository, caller, parts, body, path.ends_with("/verify"))
    };
    let (status, value) = answer.unwrap_or_else(|(status, message)| (status, json!({ "message": message })));
    let mut response = core::json(status, &value);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(LFS_JSON));
    response
}

type Refusal = (StatusCode, String);

fn refused<T>(status: StatusCode, message: &str) -> Result<T, Refusal> {
    Err((status, message.to_owned()))
}

fn may_upload(caller: &Caller, repository: &Repository) -> bool {
    authorize(caller, repository, Access::Write).is_ok()
        && permit(caller, repository, "contents=write").is_ok()
}

fn about(
    state: &mut State,
    full_name: &str,
    caller: &Caller,
    parts: &Parts,
    body: &Bytes,
    verifies: bool,
) -> Result<(StatusCode, Value), Refusal> {
    let is_lfs = |name| parts.headers.get(name).is_some_and(|value| value == LFS_JSON);
    if !is_lfs(header::ACCEPT) || !is_lfs(header::CONTENT_TYPE) {
        return refused(StatusCode::NOT_ACCEPTABLE, "Not Acceptable");
    }
    let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
    let Some(at) = state.find(owner, name) else { return refused(StatusCode::NOT_FOUND, "Not Found") };
    if !verifies && !may_upload(caller, &state.repositories[at]) {
        return refused(StatusCode::NOT_FOUND, "Not Found");
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let url = state.host.clone();
    let storage = &mut state.repositories[at].lfs;
    if verifies {
        let oid = body["oid"].as_str().unwrap_or_default().to_owned();
        let Some(content) = storage.arrived.get(&oid) else {
            return refused(StatusCode::NOT_FOUND, "Not Found");
        };
        if body["size"] != content.len() {
            return refused(StatusCode::UNPROCESSABLE_ENTITY, "size does not match");
        }
        storage.verified.push(oid);
        return Ok((StatusCode::OK, json!({})));
    }
    if let Some((status, message)) = &storage.refuses {
        return Err((StatusCode::from_u16(*status).unwrap_or(StatusCode::NOT_IMPLEMENTED), message.clone()));
    }
    let objects = body["objects"].as_array().cloned().unwrap_or_default();
    if body["operation"] != "upload" || objects.is_empty() || objects.len() > MAX_OBJECTS {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, "Invalid batch");
    }
    let view = |object: &Value| {
        let (oid, size) = (object["oid"].as_str().unwrap_or_default(), &object["size"]);
        if oid.len() != 64 || !size.is_u64() {
            return json!({"oid": oid, "size": size, "error": {"code": 422, "message": "Validation Error"}});
        }
        if storage.verified.iter().any(|known| known == oid) {
            return json!({"oid": oid, "size": size, "authenticated": true});
        }
        let link = format!("{url}/lfs-storage/{owner}/{name}/{oid}");
        let verify = format!("{url}/{owner}/{name}.git/info/lfs/verify");
        json!({"oid": oid, "size": size, "authenticated": true, "actions": {
            "upload": {"href": link, "header": {"x-amz-date": "20261129T000000Z", "x-signature": oid}, "expires_in": 900},
            "verify": {"href": verify, "header": {"Accept": LFS_JSON}},
        }})
    };
    Ok((
        StatusCode::OK,
        json!({"transfer": "basic", "objects": objects.iter().map(view).collect::<Vec<_>>()}),
    ))
}

fn store(state: &mut State, rest: &str, parts: &Parts, body: &Bytes) -> Result<(StatusCode, Value), Refusal> {
    // S3 takes one kind of authentication only, the one in the link.
    if parts.headers.contains_key(header::AUTHORIZATION) {
        return refused(StatusCode::BAD_REQUEST, "Only one auth mechanism allowed");
    }
    if !parts.headers.contains_key(header::CONTENT_LENGTH) {
        return refused(StatusCode::LENGTH_REQUIRED, "MissingContentLength");
    }
    let parts_of: Vec<&str> = rest.split('/').collect();
    let [owner, name, oid] = parts_of[..] else { return refused(StatusCode::NOT_FOUND, "NoSuchKey") };
    if parts.headers.get("x-signature").is_none_or(|signature| signature != oid) {
        return refused(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
    }
    if hex::encode(Sha256::digest(body)) != oid {
        return refused(StatusCode::BAD_REQUEST, "BadDigest");
    }
    let Some(at) = state.find(owner, name) else { return refused(StatusCode::NOT_FOUND, "NoSuchBucket") };
    state.repositories[at].lfs.arrived.insert(oid.to_owned(), body.clone());
    Ok((StatusCode::OK, json!({})))
}

impl GitHub {
    /// The content of an object that has arrived and was verified.
    pub fn lfs_object(&self, full_name: &str, oid: &str) -> Result<Option<Bytes>, Refused> {
        self.with_repository(full_name, |state, at| {
            let storage = &state.repositories[at].lfs;
            storage
                .verified
                .iter()
                .find(|known| *known == oid)
                .and_then(|oid| storage.arrived.get(oid).cloned())
        })
    }

    /// Makes the batch API of a repository answer this, for good.
    pub fn refuse_lfs(&self, full_name: &str, status: u16, message: &str) -> Result<(), Refused> {
        let refusal = Some((status, message.to_owned()));
        self.with_repository(full_name, |state, at| state.repositories[at].lfs.refuses = refusal)
    }
}
