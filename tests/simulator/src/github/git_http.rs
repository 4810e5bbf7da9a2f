//! `git clone` and `git fetch` over HTTP, through git's own `http-backend`.
//! Pushing is refused: it would move branches past the stand-in's pull requests and hooks.

use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use futures::StreamExt as _;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::io::ReaderStream;

use super::answer::Answer;
use super::auth::{self, Caller};
use super::state::State;
use crate::core::serve::BoxError;
use crate::core::{self, Body};

/// How much of an answer is in memory at a time.
const CHUNK: usize = 64 * 1024;

/// Splits `/{owner}/{repo}.git/{rest}`.
pub(super) fn split(path: &str) -> Option<(&str, &str, &str)> {
    let (repository, rest) = path.strip_prefix('/')?.split_once(".git/")?;
    let (owner, name) = repository.split_once('/')?;
    (!owner.is_empty() && !name.is_empty() && !name.contains('/')).then_some((owner, name, rest))
}

pub(super) fn refuse(refusal: &Answer) -> Response<Body> {
    // Git asks for a password only after a 401; a private repository is hidden behind the same answer.
    let status =
        if refusal.status == StatusCode::NOT_FOUND { StatusCode::UNAUTHORIZED } else { refusal.status };
    let mut response = Response::new(core::full("Repository not found.\n"));
    *response.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        let realm = http::HeaderValue::from_static("Basic realm=\"GitHub\"");
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, realm);
    }
    response
}

/// The redirect from a renamed repository's old name to its new one; the address has no id.
pub(super) fn moved(state: &State, caller: &Caller, parts: &Parts) -> Option<Response<Body>> {
    let (owner, name, rest) = split(parts.uri.path())?;
    let repository = state.renamed(owner, name).filter(|_| state.find(owner, name).is_none())?;
    auth::authorize(caller, repository, auth::Access::Read).ok()?;
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("{}/{}.git/{rest}{query}", state.host, repository.full_name());
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "");
    response.headers_mut().insert(http::header::LOCATION, http::HeaderValue::from_str(&location).ok()?);
    Some(response)
}

/// Runs `git http-backend` (CGI, RFC 3875) for one request.
pub(super) async fn serve(git_dir: &Path, rest: &str, parts: &Parts, body: Bytes) -> Response<Body> {
    let query = parts.uri.query().unwrap_or_default();
    if rest == "git-receive-pack" || query.contains("git-receive-pack") {
        return plain(StatusCode::FORBIDDEN, "stand-in: push through the API or the control side\n");
    }
    match backend(git_dir, rest, query, parts, body).await {
        Ok(response) => response,
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("stand-in: {error:#}\n")),
    }
}

async fn backend(
    git_dir: &Path,
    rest: &str,
    query: &str,
    parts: &Parts,
    body: Bytes,
) -> anyhow::Result<Response<Body>> {
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut child = tokio::process::Command::new("git")
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", git_dir)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{rest}"))
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| anyhow::anyhow!("git http-backend without stdin"))?;
    let stdout = child.stdout.take().ok_or_else(|| anyhow::anyhow!("git http-backend without stdout"))?;
    let mut stdout = BufReader::with_capacity(CHUNK, stdout);
    tokio::spawn(async move {
        // The backend may answer without reading all of it.
        let _ = stdin.write_all(&body).await;
    });
    let mut builder = Response::builder().status(StatusCode::OK);
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            anyhow::bail!("git http-backend gave no CGI headers");
        }
        if line.trim_end().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("status") {
            builder = builder.status(value.trim().split(' ').next().unwrap_or("500"));
        } else {
            builder = builder.header(name, value.trim());
        }
    }
    let chunks = ReaderStream::with_capacity(stdout, CHUNK).map(|chunk| chunk.map_err(BoxError::from));
    // The process lives as long as the answer; one that fails has not sent all of it.
    let end =
        futures::stream::once(async move { child.wait().await }).filter_map(async |ended| match ended {
            Ok(status) if status.success() => None,
            Ok(status) => Some(Err(BoxError::from(format!("git http-backend: {status}")))),
            Err(error) => Some(Err(error.into())),
        });
    let frames = chunks.chain(end).map(|chunk| chunk.map(Frame::data));
    Ok(builder.body(StreamBody::new(frames).boxed_unsync())?)
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(core::full(text.to_owned()));
    *response.status_mut() = status;
    response
}
