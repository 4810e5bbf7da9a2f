//! Bodies as they arrive: bounded in time between two pieces, checked against the announced length.
//! Below `e2b::connect` and every read of a file.

use super::Result;
use super::call::{Call, root_cause};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use std::time::Duration;

/// Longest silence within a body; envd is asked to break a longer one by keep-alives.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// The pieces of one body.
pub struct Chunks {
    call: Call,
    body: reqwest::Body,
    length: Option<u64>,
    seen: u64,
}

impl Chunks {
    pub(super) fn new(call: Call, headers: &http::HeaderMap, body: reqwest::Body) -> Self {
        let length = headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        Self { call, body, length, seen: 0 }
    }

    pub(super) fn call(&self) -> Call {
        self.call
    }

    /// The announced length in bytes.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next piece; `None` after the last. A body that is cut, stalls or is shorter than announced is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(IDLE, self.body.frame())
                .await
                .map_err(|_| self.call.lost(&format!("silent for {} s", IDLE.as_secs())))?;
            match frame {
                None => return self.check_length().map(|()| None),
                Some(Err(error)) => return Err(self.call.lost(&root_cause(&error.into()))),
                Some(Ok(frame)) => {
                    // Trailers carry nothing of E2B's.
                    let Ok(data) = frame.into_data() else { continue };
                    self.seen += data.len() as u64;
                    if !data.is_empty() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    fn check_length(&self) -> Result<()> {
        match self.length {
            Some(length) if length != self.seen => Err(self.call.lost("the body ended early")),
            _ => Ok(()),
        }
    }

    /// The rest of the body, at most `max` bytes.
    pub(super) async fn read_all(&mut self, max: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > max {
                return Err(self.call.invalid(&format!("the answer is longer than {max} bytes")));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}
