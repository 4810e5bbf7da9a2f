//! `GET /files`: one file as it is, whole or a range of it, streamed.
//! `upload` is its counterpart; errors are in envd's words.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue,
    LAST_MODIFIED, RANGE, VARY,
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::super::query::Query;
use super::filesystem::failed;
use super::{Envd, Failure, paths};
use crate::core::serve::BoxError;
use crate::core::{Body, full};

/// How much of a file is in memory at a time.
const CHUNK: usize = 64 * 1024;

pub(super) async fn get(envd: &Envd, now: Timestamp, request: &Request<Bytes>) -> Response<Body> {
    match open(envd, now, request) {
        Ok(Some((file, name))) => serve(file, &name, request).unwrap_or_else(|error| {
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("error opening file: {error}")).into()
        }),
        // As a real envd: whoever reads a FIFO waits for its writer.
        Ok(None) => std::future::pending().await,
        Err(failure) => failure.into(),
    }
}

/// The file and its name; `None` for a FIFO.
fn open(envd: &Envd, now: Timestamp, request: &Request<Bytes>) -> Result<Option<(File, String)>, Failure> {
    let query = Query::parse(request.uri().query().unwrap_or(""));
    envd.authorize_file(now, request.headers(), &query, "read")?;
    let user = envd.file_user(&query)?;
    let path = paths::expand(query.get("path").unwrap_or(""), &user);
    let shown = path.display();
    let metadata = envd.sandbox.view.stat(&path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return Failure::new(StatusCode::NOT_FOUND, format!("path '{shown}' does not exist"));
        }
        let cause = failed("stat", &path, &error);
        let message = format!("error checking if path exists '{shown}': {cause}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })?;
    if metadata.is_dir() {
        return Err(Failure::new(StatusCode::BAD_REQUEST, format!("path '{shown}' is a directory")));
    }
    if metadata.file_type().is_fifo() {
        return Ok(None);
    }
    let file = envd.sandbox.view.read(&path).map_err(|error| {
        let message = format!("error opening file '{shown}': {}", failed("open", &path, &error));
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Some((file, name)))
}

fn serve(mut file: File, name: &str, request: &Request<Bytes>) -> io::Result<Response<Body>> {
    let metadata = file.metadata()?;
    let size = metadata.size();
    let kind = content_type(name, &mut file);
    let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
    let (status, first, length) = match range.map(|range| parse_range(range, size)) {
        Some(Range::Part(first, length)) => (StatusCode::PARTIAL_CONTENT, first, length),
        Some(Range::Unsatisfiable) => return Ok(unsatisfiable(size)),
        Some(Range::Ignored) | None => (StatusCode::OK, 0, size),
    };
    file.seek(SeekFrom::Start(first))?;
    let chunks = ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(length), CHUNK);
    let frames = futures::StreamExt::map(chunks, |chunk| chunk.map(Frame::data).map_err(BoxError::from));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_DISPOSITION, disposition(name));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(CONTENT_RANGE, value(&format!("bytes {first}-{}/{size}", first + length - 1)));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(modified) = Timestamp::from_second(metadata.mtime()) {
        headers.insert(LAST_MODIFIED, value(&modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    }
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

enum Range {
    /// First byte and number of bytes.
    Part(u64, u64),
    Unsatisfiable,
    /// Not a single range of bytes: the whole file is sent, as HTTP allows.
    Ignored,
}

fn parse_range(range: &str, size: u64) -> Range {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Ignored;
    };
    let (first, last) = (first.trim(), last.trim());
    let (first, end) = if first.is_empty() {
        let Ok(suffix) = last.parse::<u64>() else { return Range::Ignored };
        (size.saturating_sub(suffix), size)
    } else {
        let Ok(first) = first.parse::<u64>() else { return Range::Ignored };
        let end =
            if last.is_empty() { Ok(size) } else { last.parse::<u64>().map(|last| last.saturating_add(1)) };
        let Ok(end) = end else { return Range::Ignored };
        (first, end.min(size))
    };
    if first >= end { Range::Unsatisfiable } else { Range::Part(first, end - first) }
}

fn unsatisfiable(size: u64) -> Response<Body> {
    let mut response = Response::new(full("invalid range: failed to overlap\n"));
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    response.headers_mut().insert(CONTENT_RANGE, value(&format!("bytes */{size}")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// By extension; without a known one by looking at the beginning, as Go's `http.ServeContent`.
fn content_type(name: &str, file: &mut File) -> &'static str {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "txt" => return "text/plain; charset=utf-8",
        "htm" | "html" => return "text/html; charset=utf-8",
        "css" => return "text/css; charset=utf-8",
        "js" | "mjs" => return "text/javascript; charset=utf-8",
        "json" => return "application/json",
        "xml" => return "text/xml; charset=utf-8",
        "svg" => return "image/svg+xml",
        "png" => return "image/png",
        "gif" => return "image/gif",
        "jpg" | "jpeg" => return "image/jpeg",
        "pdf" => return "application/pdf",
        "gz" => return "application/gzip",
        _ => {}
    }
    let mut beginning = [0; 512];
    let length = file.read(&mut beginning).unwrap_or(0);
    let binary =
        beginning[..length].iter().any(|byte| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f));
    if binary { "application/octet-stream" } else { "text/plain; charset=utf-8" }
}

/// Like Go's `mime.FormatMediaType("inline", {"filename": name})`.
fn disposition(name: &str) -> HeaderValue {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let text = if !name.is_empty() && name.chars().all(token) {
        format!("inline; filename={name}")
    } else if name.chars().all(|c| c.is_ascii() && !c.is_ascii_control()) {
        format!("inline; filename=\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        let escaped = name.bytes().fold(String::new(), |mut escaped, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                escaped.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
            escaped
        });
        format!("inline; filename*=utf-8''{escaped}")
    };
    value(&text)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_file() {
        let part = |range: &str| match parse_range(range, 6) {
            Range::Part(first, length) => format!("{first}+{length}"),
            Range::Unsatisfiable => "unsatisfiable".to_owned(),
            Range::Ignored => "ignored".to_owned(),
        };
        assert_eq!(part("bytes=1-3"), "1+3");
        assert_eq!(part("bytes=4-"), "4+2");
        assert_eq!(part("bytes=-2"), "4+2");
        assert_eq!(part("bytes=2-99"), "2+4");
        assert_eq!(part("bytes=6-"), "unsatisfiable");
        assert_eq!(part("lines=1-2"), "ignored");
    }
}
