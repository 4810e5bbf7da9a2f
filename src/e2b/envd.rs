//! envd, the daemon inside every sandbox: how it is reached, and its files.
//! Called by the Task controller through `controllers::task`; processes are in `e2b::process`.

use super::call::{Api, Call};
use super::endpoints::{ENVD_PORT, join};
use super::http::{MAX_ERROR_BODY, Reply};
use super::{Access, Chunks, E2b, Result};
use http::{HeaderValue, Method, StatusCode};
use reqwest::Url;
use secrecy::ExposeSecret as _;

/// The envd of one sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Envd {
    pub(super) e2b: E2b,
    pub(super) access: Access,
}

impl Envd {
    pub(super) fn new(e2b: E2b, access: Access) -> Self {
        Self { e2b, access }
    }

    /// The file's bytes as they come; links are followed. `None`: no such file.
    pub async fn read_file(&self, path: &str) -> Result<Option<Chunks>> {
        let call = envd("readFile", false);
        let url = self.file_url(call, path)?;
        let request = self.request(Method::GET, &url);
        let (status, headers, mut chunks) = call.send(&self.e2b, request, "").await?;
        if status == StatusCode::OK {
            return Ok(Some(chunks));
        }
        let body = chunks.read_all(MAX_ERROR_BODY).await?;
        let reply = Reply { status, headers, body: body.into() };
        if reply.is_definite_not_found() { Ok(None) } else { Err(call.refused(&reply)) }
    }

    /// The whole file, if it is no longer than `max` bytes; a longer one is an error. `None`: no such file.
    pub async fn read_small(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>> {
        match self.read_file(path).await? {
            Some(mut file) => file.read_all(max).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn url(&self, call: Call, segments: &[&str]) -> Result<Url> {
        let base = self.e2b.endpoints.envd_url(&self.access);
        let base = base.ok_or_else(|| call.invalid("the sandbox's domain makes no URL"))?;
        Ok(join(&base, segments))
    }

    /// Where the file at `path` is read and written.
    pub(super) fn file_url(&self, call: Call, path: &str) -> Result<Url> {
        let mut url = self.url(call, &["files"])?;
        url.query_pairs_mut().append_pair("path", path);
        if let Some(user) = self.access.default_user() {
            url.query_pairs_mut().append_pair("username", user);
        }
        Ok(url)
    }

    pub(super) fn request(&self, method: Method, url: &Url) -> http::request::Builder {
        let request = http::Request::builder()
            .method(method)
            .uri(url.as_str())
            .header("e2b-sandbox-id", self.access.sandbox_id.as_str())
            .header("e2b-sandbox-port", ENVD_PORT);
        match self.access.token.as_ref().map(|t| HeaderValue::from_str(t.expose_secret())) {
            Some(Ok(mut token)) => {
                token.set_sensitive(true);
                request.header("x-access-token", token)
            }
            _ => request,
        }
    }
}

fn envd(operation: &'static str, write: bool) -> Call {
    Call { api: Api::Envd, operation, write }
}
