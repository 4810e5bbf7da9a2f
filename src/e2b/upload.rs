//! Files into a sandbox, as they come: the counterpart of what `envd` reads.
//! As a form, which daemons of every age take; a raw body only those of late 2025 on.

use super::call::{Api, Call};
use super::{Envd, Result};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{Method, StatusCode, header};
use std::io;

impl Envd {
    /// Writes the file at `path`, and the directories above it, as the sandbox's default user. An error of `content` breaks the
    /// call off, and leaves a part of the file. `boundary` must not occur in the content.
    ///
    /// Source: the recorded uploads of the official SDKs.
    pub async fn write_file(
        &self,
        operation: &'static str,
        path: &str,
        boundary: &str,
        content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<()> {
        let call = Call { api: Api::Envd, operation, write: true };
        let url = self.file_url(call, path)?;
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let piece = |text: String| futures::stream::once(async { Ok(Bytes::from(text)) });
        let body = piece(head).chain(content).chain(piece(tail));
        let request = self
            .request(Method::POST, &url)
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"));
        let reply = call.exchange(&self.e2b, request, reqwest::Body::wrap_stream(body)).await?;
        if reply.status == StatusCode::OK { Ok(()) } else { Err(call.refused(&reply)) }
    }
}
