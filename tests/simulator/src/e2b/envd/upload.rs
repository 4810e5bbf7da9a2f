//! `POST /files`: writes files as they come, from a raw body or from a form. One that breaks off leaves what came of it.
//! `files` is the counterpart that reads; errors are in envd's words.

use std::io;
use std::path::Path;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyDataStream, BodyExt as _};
use jiff::Timestamp;
use multer::Multipart;
use nix::fcntl::OFlag;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::super::query::Query;
use super::super::sandbox::users::User;
use super::filesystem::{ensure_directories, failed};
use super::{Envd, Failure, paths};
use crate::core::serve::BoxError;
use crate::core::{Body, full};

pub(super) async fn post(envd: &Envd, now: Timestamp, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let mut body = body.into_data_stream();
    let written = write_all(envd, now, &query, &parts.headers, &mut body).await;
    // Who is still sending would find the connection closed before it looks for an answer.
    while matches!(body.try_next().await, Ok(Some(_))) {}
    match written {
        Ok(entries) => {
            let mut response = Response::new(full(Value::Array(entries).to_string()));
            // Not JSON by its header; clients are used to that.
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(VARY, HeaderValue::from_static("Origin"));
            response
        }
        Err(failure) => failure.into(),
    }
}

async fn write_all(
    envd: &Envd,
    now: Timestamp,
    query: &Query,
    headers: &HeaderMap,
    body: &mut BodyDataStream<Body>,
) -> Result<Vec<Value>, Failure> {
    envd.authorize_file(now, headers, query, "write")?;
    let encoding = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    if let Some(encoding) = encoding.filter(|encoding| *encoding != "identity") {
        return Err(bad(format!("error decompressing request body: unsupported encoding: {encoding}")));
    }
    let user = envd.file_user(query)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/octet-stream" {
        let path = query.get("path");
        let path =
            path.ok_or_else(|| bad("path query parameter is required for raw body upload".to_owned()))?;
        return Ok(vec![write(envd, path, &user, body).await?]);
    }
    if !kind.starts_with("multipart/") {
        let expected = "expected multipart/form-data or application/octet-stream";
        return Err(bad(format!("unsupported content type: {content_type}, {expected}")));
    }
    let boundary = multer::parse_boundary(content_type).map_err(|error| form(&error))?;
    let mut parts = Multipart::new(body, boundary);
    let mut entries: Vec<Value> = Vec::new();
    while let Some(mut part) = parts.next_field().await.map_err(|error| form(&error))? {
        if part.name() != Some("file") {
            continue;
        }
        let Some(path) = query.get("path").or(part.file_name()).map(str::to_owned) else {
            return Err(bad("error getting multipart custom part file name: filename not found".to_owned()));
        };
        let shown = paths::expand(&path, &user);
        if entries.iter().any(|entry| entry["path"] == json!(shown.to_string_lossy())) {
            return Err(bad(format!(
                "you cannot upload multiple files to the same path '{}' in one upload request, \
                 only the first specified file was uploaded",
                shown.display()
            )));
        }
        entries.push(write(envd, &path, &user, &mut part).await?);
    }
    Ok(entries)
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, message)
}

fn internal(message: String) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// The form can't be taken apart: what Go's `mime/multipart` says.
fn form(error: &multer::Error) -> Failure {
    let message = match error {
        multer::Error::NoMultipart | multer::Error::NoBoundary => {
            "no multipart boundary param in Content-Type"
        }
        multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders => "multipart: NextPart: EOF",
        _ => "malformed MIME header",
    };
    internal(format!("error parsing multipart form: {message}"))
}

async fn write<E: Into<BoxError>>(
    envd: &Envd,
    path: &str,
    user: &User,
    content: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<Value, Failure> {
    let path = paths::expand(path, user);
    let (at, envd, owner) = (path.clone(), envd.clone(), user.clone());
    // Opening a FIFO waits for its reader.
    let opened = tokio::task::spawn_blocking(move || open(&envd, &at, &owner)).await;
    let mut file = opened.map_err(|error| internal(error.to_string()))??;
    fill(&mut file, content).await.map_err(|(error, bytes)| match error.kind() {
        io::ErrorKind::StorageFull => {
            let message = format!("attempted to write {bytes} bytes: not enough disk space available");
            Failure::new(StatusCode::INSUFFICIENT_STORAGE, message)
        }
        _ => internal(format!("error writing file: {}", failed("write", &path, &error))),
    })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(json!({ "name": name, "path": path.to_string_lossy(), "type": "file" }))
}

fn open(envd: &Envd, path: &Path, user: &User) -> Result<File, Failure> {
    let view = &envd.sandbox.view;
    ensure_directories(envd, path.parent().unwrap_or(Path::new("/")), user)
        .map_err(|message| internal(format!("error ensuring directories: {message}")))?;
    match view.stat(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(bad(format!("path is a directory: {}", path.display())));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(internal(format!("error getting file info: {}", failed("stat", path, &error))));
        }
        _ => {}
    }
    let file = view
        .open(path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC, 0o644)
        .map_err(|error| internal(format!("error opening file: {}", failed("open", path, &error))))?;
    view.give(&file, user.uid, user.gid).map_err(|error| {
        internal(format!("error changing file ownership: {}", failed("chown", path, &error)))
    })?;
    Ok(File::from_std(file.into()))
}

/// Writes what comes. The error is with the number of bytes that were to be written until then.
async fn fill<E: Into<BoxError>>(
    file: &mut File,
    mut content: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<(), (io::Error, usize)> {
    let mut bytes = 0;
    let written: io::Result<()> = async {
        while let Some(piece) = content.try_next().await.map_err(io::Error::other)? {
            bytes += piece.len();
            file.write_all(&piece).await?;
        }
        file.flush().await
    }
    .await;
    written.map_err(|error| (error, bytes))
}
