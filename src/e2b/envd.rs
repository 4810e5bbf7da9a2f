//! envd, the daemon inside every sandbox: files, directories, signals.
//! Called by the Task controller through `controllers::task`; processes are in `e2b::process`.

use super::endpoints::{ENVD_PORT, join};
use super::http::{Api, Call, MAX_ERROR_BODY, Reply};
use super::wire::{WireEntries, WireStat};
use super::{Access, Download, E2b, Result};
use http::{HeaderValue, Method, StatusCode};
use reqwest::Url;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The envd of one sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Envd {
    pub(super) e2b: E2b,
    pub(super) access: Access,
}

/// What a directory entry is. A link shows its target's kind, so [`Entry::is_symlink`] comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryType {
    File,
    Directory,
    /// Pipe, socket, device, or a link whose target is none of the two or is missing.
    Other,
}

/// One entry as envd lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub entry_type: EntryType,
    /// A link. envd's word about where it leads is not to be trusted (a broken link names itself).
    pub is_symlink: bool,
    /// Bytes; of a link: of the link itself.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// The signals envd can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Term,
    Kill,
}

impl Signal {
    fn as_str(self) -> &'static str {
        match self {
            Self::Term => "SIGNAL_SIGTERM",
            Self::Kill => "SIGNAL_SIGKILL",
        }
    }
}

impl Envd {
    pub(super) fn new(e2b: E2b, access: Access) -> Self {
        Self { e2b, access }
    }

    /// The file's bytes as they come; links are followed. `None`: no such file.
    pub async fn read_file(&self, path: &str) -> Result<Option<Download>> {
        let call = envd("readFile", false);
        let mut url = self.url(call, &["files"])?;
        url.query_pairs_mut().append_pair("path", path);
        let request = self.request(Method::GET, &url);
        let (status, headers, mut chunks) = call.send(&self.e2b, request, "").await?;
        if status == StatusCode::OK {
            return Ok(Some(Download { chunks }));
        }
        let body = chunks.read_all(MAX_ERROR_BODY).await?;
        let reply = Reply { status, headers, body: body.into() };
        if reply.is_definite_not_found() { Ok(None) } else { Err(call.refused(&reply)) }
    }

    /// The whole file, if it is no longer than `max` bytes; a longer one is an error. `None`: no such file.
    pub async fn read_small(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>> {
        match self.read_file(path).await? {
            Some(mut file) => file.chunks.read_all(max).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is below `path`, flat, `depth` levels deep; links are not descended. `None`: no such directory.
    pub async fn list_dir(&self, path: &str, depth: u32) -> Result<Option<Vec<Entry>>> {
        let call = envd("listDirectory", false);
        let body = json!({ "path": path, "depth": depth });
        let found: Option<WireEntries> = self.unary(call, "filesystem.Filesystem", "ListDir", &body).await?;
        Ok(found.map(|list| list.entries.into_iter().map(Entry::from).collect()))
    }

    /// One entry. `None`: no such file.
    pub async fn stat(&self, path: &str) -> Result<Option<Entry>> {
        let call = envd("statFile", false);
        let body = json!({ "path": path });
        let found: Option<WireStat> = self.unary(call, "filesystem.Filesystem", "Stat", &body).await?;
        Ok(found.map(|stat| stat.entry.into()))
    }

    /// Signals one process that envd started. `false`: envd knows no such process.
    pub async fn signal(&self, pid: u32, signal: Signal) -> Result<bool> {
        let call = envd("signalProcess", true);
        let body = json!({ "process": { "pid": pid }, "signal": signal.as_str() });
        match self.unary::<Value>(call, "process.Process", "SendSignal", &body).await {
            Ok(sent) => Ok(sent.is_some()),
            // envd remembers a process for 30 s after its end and passes on what Go says to a signal then.
            Err(error) if error.message.contains("process already finished") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A Connect call with one message each way. `None`: `not_found`.
    async fn unary<T: DeserializeOwned>(
        &self,
        call: Call,
        service: &str,
        method: &str,
        body: &Value,
    ) -> Result<Option<T>> {
        let url = self.url(call, &[service, method])?;
        let request = self
            .request(Method::POST, &url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header("connect-protocol-version", "1");
        let reply = call.exchange(&self.e2b, request, body.to_string()).await?;
        if reply.status == StatusCode::OK {
            let decoded = serde_json::from_slice(&reply.body);
            return decoded.map(Some).map_err(|e| call.unexpected(reply.status, &e.to_string()));
        }
        if reply.is_definite_not_found() { Ok(None) } else { Err(call.refused(&reply)) }
    }

    pub(super) fn url(&self, call: Call, segments: &[&str]) -> Result<Url> {
        let base = self.e2b.endpoints.envd_url(&self.access);
        let base = base.ok_or_else(|| call.invalid("the sandbox's domain makes no URL"))?;
        Ok(join(&base, segments))
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
