//! One HTTP exchange with E2B: the request on its way, the answer read to its end.
//! Below `e2b::lifecycle`, `e2b::envd` and `e2b::process`; above the call layer of `telemetry`.

use super::answers::{Answer, CONNECT, CREATE, KILL, Means, PAUSE};
use super::body::Chunks;
use super::call::{Api, Call, WRITE_PACK};
use super::error::{Error, ErrorBody};
use super::{E2b, Result};
use crate::telemetry::CallMeta;
use bytes::Bytes;
use std::time::Duration;
use tower::ServiceExt as _;

/// E2B's own deadline for a request is 70 s; giving up before it loses the answers of calls that change something.
const CHANGE_DEADLINE: Duration = Duration::from_secs(90);
/// The other calls are quick, and made again soon: one that hangs must not outlast the life of a sandbox.
const LIFECYCLE_DEADLINE: Duration = Duration::from_secs(15);
/// Operations that start, stop or end a machine.
const CHANGES: [&str; 4] = [CREATE, CONNECT, PAUSE, KILL];
const ENVD_DEADLINE: Duration = Duration::from_secs(30);
/// envd answers when it has the whole file: whoever sends it sees that it moves on.
const UPLOAD_DEADLINE: Duration = Duration::from_mins(15);

/// Longest answer that is read into memory as a whole (bytes).
const MAX_ANSWER: usize = 32 << 20;
/// As much of an error's body as is looked at (bytes).
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

/// An answer that was read to its end.
pub(super) struct Reply {
    pub status: http::StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// Sends the request and returns the answer's head with the body still to be read.
    pub(super) async fn send(
        self,
        e2b: &E2b,
        request: http::request::Builder,
        body: impl Into<reqwest::Body>,
    ) -> Result<(http::StatusCode, http::HeaderMap, Chunks)> {
        let (service, deadline) = match self.api {
            Api::Lifecycle if CHANGES.contains(&self.operation) => (&e2b.lifecycle, CHANGE_DEADLINE),
            Api::Lifecycle => (&e2b.lifecycle, LIFECYCLE_DEADLINE),
            Api::Envd if self.operation == WRITE_PACK => (&e2b.envd, UPLOAD_DEADLINE),
            Api::Envd => (&e2b.envd, ENVD_DEADLINE),
        };
        let meta = CallMeta { operation: self.operation, deadline, write: self.write };
        let request = request
            .extension(meta)
            .body(body.into())
            .map_err(|e| self.invalid(&format!("no request: {e}")))?;
        let response = service.clone().oneshot(request).await.map_err(|e| self.not_answered(&e))?;
        let (head, body) = response.into_parts();
        Ok((head.status, head.headers.clone(), Chunks::new(self, &head.headers, body)))
    }

    /// Sends the request and reads the whole answer, whatever its status.
    pub(super) async fn exchange(
        self,
        e2b: &E2b,
        request: http::request::Builder,
        body: impl Into<reqwest::Body>,
    ) -> Result<Reply> {
        let (status, headers, mut chunks) = self.send(e2b, request, body).await?;
        let max = if status.is_success() { MAX_ANSWER } else { MAX_ERROR_BODY };
        match chunks.read_all(max).await {
            Ok(body) => Ok(Reply { status, headers, body: body.into() }),
            Err(error) => Err(Error { status: Some(status.as_u16()), ..error }),
        }
    }

    /// An answer that says no.
    pub(super) fn refused(self, reply: &Reply) -> Error {
        self.said_no(&reply.answer(&ErrorBody::parse(&reply.body)))
    }

    /// What the table says of an answer.
    pub(super) fn means(self, reply: &Reply) -> Means {
        let success = reply.status.is_success();
        let body = if success { ErrorBody::default() } else { ErrorBody::parse(&reply.body) };
        self.row(&reply.answer(&body)).means
    }
}

impl Reply {
    fn answer<'a>(&'a self, body: &'a ErrorBody) -> Answer<'a> {
        Answer {
            status: self.status.as_u16(),
            own: body.code == Some(self.status.as_u16().into()),
            error_code: body.error_code.as_deref(),
            message: &body.message,
            retry_after: self.headers.get("retry-after").and_then(|v| v.to_str().ok()),
        }
    }

    /// Returns whether this is a 404 of envd itself: a proxy answers 404 too, without its body.
    pub(super) fn is_definite_not_found(&self) -> bool {
        self.status == http::StatusCode::NOT_FOUND && ErrorBody::parse(&self.body).says_not_found
    }
}
