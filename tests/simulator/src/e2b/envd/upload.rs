//! `POST /files`: writes files, from a raw body or from a form.
//! `multipart` takes forms apart; `files` is the counterpart that reads.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use nix::fcntl::OFlag;
use serde_json::{Value, json};

use super::super::query::Query;
use super::super::sandbox::users::User;
use super::filesystem::{ensure_directories, failed};
use super::{Envd, Failure, multipart, paths};
use crate::core::{Body, full};

pub(super) async fn post(envd: &Envd, now: Timestamp, request: Request<Bytes>) -> Response<Body> {
    let envd = envd.clone();
    // Files may be large: writing them must not hold up other requests.
    let written = tokio::task::spawn_blocking(move || write_all(&envd, now, &request)).await;
    match written {
        Ok(Ok(entries)) => {
            let mut response = Response::new(full(Value::Array(entries).to_string()));
            // Not JSON by its header; clients are used to that.
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(VARY, HeaderValue::from_static("Origin"));
            response
        }
        Ok(Err(failure)) => failure.into(),
        Err(error) => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into(),
    }
}

fn write_all(envd: &Envd, now: Timestamp, request: &Request<Bytes>) -> Result<Vec<Value>, Failure> {
    let query = Query::parse(request.uri().query().unwrap_or(""));
    envd.authorize_file(now, request.headers(), &query, "write")?;
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, message);
    let encoding = request.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    if let Some(encoding) = encoding.filter(|encoding| *encoding != "identity") {
        return Err(bad(format!("error decompressing request body: unsupported encoding: {encoding}")));
    }
    let user = envd.file_user(&query)?;
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/octet-stream" {
        let path = query.get("path");
        let path =
            path.ok_or_else(|| bad("path query parameter is required for raw body upload".to_owned()))?;
        return Ok(vec![write(envd, path, &user, request.body())?]);
    }
    if !kind.starts_with("multipart/") {
        let expected = "expected multipart/form-data or application/octet-stream";
        return Err(bad(format!("unsupported content type: {content_type}, {expected}")));
    }
    let parts = multipart::parts(content_type, request.body()).map_err(|message| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("error parsing multipart form: {message}"))
    })?;
    let mut entries: Vec<Value> = Vec::new();
    for part in parts.iter().filter(|part| part.name == "file") {
        let Some(path) = query.get("path").or(part.filename.as_deref()) else {
            return Err(bad("error getting multipart custom part file name: filename not found".to_owned()));
        };
        let shown = paths::expand(path, &user);
        if entries.iter().any(|entry| entry["path"] == json!(shown.to_string_lossy())) {
            return Err(bad(format!(
                "you cannot upload multiple files to the same path '{}' in one upload request, \
                 only the first specified file was uploaded",
                shown.display()
            )));
        }
        entries.push(write(envd, path, &user, part.body)?);
    }
    Ok(entries)
}

fn write(envd: &Envd, path: &str, user: &User, content: &[u8]) -> Result<Value, Failure> {
    let path = paths::expand(path, user);
    let internal = |message: String| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message);
    let view = &envd.sandbox.view;
    ensure_directories(envd, path.parent().unwrap_or(Path::new("/")), user)
        .map_err(|message| internal(format!("error ensuring directories: {message}")))?;
    match view.stat(&path) {
        Ok(metadata) if metadata.is_dir() => {
            let message = format!("path is a directory: {}", path.display());
            return Err(Failure::new(StatusCode::BAD_REQUEST, message));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(internal(format!("error getting file info: {}", failed("stat", &path, &error))));
        }
        _ => {}
    }
    let file = view
        .open(&path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC, 0o644)
        .map_err(|error| internal(format!("error opening file: {}", failed("open", &path, &error))))?;
    view.give(&file, user.uid, user.gid).map_err(|error| {
        internal(format!("error changing file ownership: {}", failed("chown", &path, &error)))
    })?;
    File::from(file).write_all(content).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => {
            let message =
                format!("attempted to write {} bytes: not enough disk space available", content.len());
            Failure::new(StatusCode::INSUFFICIENT_STORAGE, message)
        }
        _ => internal(format!("error writing file: {}", failed("write", &path, &error))),
    })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(json!({ "name": name, "path": path.to_string_lossy(), "type": "file" }))
}
