//! Connect's streaming envelopes: a flag byte, a big-endian length, JSON.
//! Between the body of an answer (`e2b::body`) and the events of a process (`e2b::process`).
//! Protocol: <https://connectrpc.com/docs/protocol#streaming-rpcs>.

use super::Result;
use super::answers::Answer;
use super::body::Chunks;
use super::call::Call;
use super::wire::EndOfStream;
use bytes::{Buf as _, Bytes, BytesMut};

const HEADER: usize = 5;
const FLAG_END: u8 = 0x02;
/// Longest message taken (bytes); envd's own pieces are some 44 KiB.
const MAX_MESSAGE: usize = 8 << 20;

/// One message of a request, in its envelope.
pub(super) fn envelope(json: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(json.len()).ok()?;
    let mut framed = Vec::with_capacity(HEADER + json.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(json);
    Some(framed)
}

/// The messages of one answer.
pub(super) struct Frames {
    chunks: Chunks,
    buffer: BytesMut,
    ended: bool,
}

impl Frames {
    pub(super) fn new(chunks: Chunks) -> Self {
        Self { chunks, buffer: BytesMut::new(), ended: false }
    }

    pub(super) fn call(&self) -> Call {
        self.chunks.call()
    }

    /// The next message; `None` after the end-of-stream frame. A stream without one is lost; an error in it is an
    /// error of the call.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            if let Some((flags, message)) = self.next_frame()? {
                return match flags {
                    0 => Ok(Some(message)),
                    FLAG_END => self.end(&message).map(|()| None),
                    _ => Err(self.call().lost("a stream frame with flags that were not offered")),
                };
            }
            match self.chunks.next().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Err(self.call().lost("the stream stopped without an end")),
            }
        }
    }

    fn next_frame(&mut self) -> Result<Option<(u8, Bytes)>> {
        let &[flags, a, b, c, d, ..] = &self.buffer[..] else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MAX_MESSAGE {
            return Err(self.call().lost("a stream frame longer than any of envd's"));
        }
        if self.buffer.len() < HEADER + length {
            self.buffer.reserve(HEADER + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some((flags, self.buffer.split_to(length).freeze())))
    }

    fn end(&mut self, message: &[u8]) -> Result<()> {
        self.ended = true;
        let end: EndOfStream = serde_json::from_slice(message)
            .map_err(|_| self.call().lost("an end of stream that can't be read"))?;
        let Some(error) = end.error else { return Ok(()) };
        Err(self.call().said_no(&Answer {
            status: 200,
            error_code: Some(&error.code),
            message: &error.message,
            ..Answer::default()
        }))
    }
}
