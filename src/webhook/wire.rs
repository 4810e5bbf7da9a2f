//! Looks at the bytes of a connection for what the HTTP parser does not pass on: a length that is told in two ways.
//! Between the socket and `server`'s HTTP loop; tells the connection's place.

use super::connections::Place;
use memchr::memchr;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longer of the two names, with its colon.
const LONGEST: usize = "transfer-encoding:".len();

/// A connection whose headers are looked at.
///
/// hyper follows `Transfer-Encoding` and drops `Content-Length` from such a request, as RFC 9112, section 6.1 allows. What
/// is in front of the receiver may have followed the other, so that the two see different requests: it is refused.
pub(super) struct Wire<S> {
    stream: S,
    place: Place,
    header: Header,
    /// Answers that had been given when `header` began.
    answers: u64,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, place: Place) -> Self {
        Self { stream, place, header: Header::default(), answers: 0 }
    }

    fn look_at(&mut self, bytes: &[u8]) {
        let answers = self.place.answers();
        if answers != self.answers {
            (self.header, self.answers) = (Header::default(), answers);
        }
        if self.header.is_ambiguous(bytes) {
            self.place.set_ambiguous();
        }
    }
}

/// The part of a request's header that has come.
#[derive(Default)]
struct Header {
    /// The beginning of the line that has not ended yet.
    line: Vec<u8>,
    stage: Stage,
    length: bool,
    encoding: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Stage {
    /// Empty lines before a request are skipped.
    #[default]
    Before,
    Lines,
    Ended,
}

impl Header {
    /// Goes on with `bytes`; returns whether both ways to tell a length have been seen.
    fn is_ambiguous(&mut self, mut bytes: &[u8]) -> bool {
        while self.stage != Stage::Ended && !bytes.is_empty() {
            let end = memchr(b'\n', bytes);
            let (more, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if end.is_some() && self.line.is_empty() {
                self.look_at(more);
            } else {
                let missing = LONGEST.saturating_sub(self.line.len()).min(more.len());
                self.line.extend_from_slice(&more[..missing]);
                if end.is_some() {
                    let line = std::mem::take(&mut self.line);
                    self.look_at(&line);
                }
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.length && self.encoding
    }

    /// A line has ended.
    fn look_at(&mut self, line: &[u8]) {
        match line {
            [] | [b'\r'] if self.stage == Stage::Lines => self.stage = Stage::Ended,
            [] | [b'\r'] => {}
            _ => self.stage = Stage::Lines,
        }
        let is = |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        self.length |= is(b"content-length:");
        self.encoding |= is(b"transfer-encoding:");
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.place.waits(read.is_pending());
        ready!(read)?;
        self.look_at(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `request` is ambiguous, in pieces of any size alike.
    fn is_ambiguous(request: &str) -> bool {
        let of = |size: usize| {
            let mut header = Header::default();
            request.as_bytes().chunks(size).fold(false, |found, piece| header.is_ambiguous(piece) | found)
        };
        let whole = of(request.len());
        for size in 1..40 {
            assert_eq!(of(size), whole, "{size} {request:?}");
        }
        whole
    }

    #[test]
    fn both_ways_to_tell_a_length_are_seen_in_any_order_and_case() {
        for (headers, ambiguous) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", true),
            ("transfer-encoding: chunked\r\nHost: a\r\nCONTENT-LENGTH:5", true),
            ("Transfer-Encoding: identity\nContent-Length: 5", true),
            ("Content-Length: 5", false),
            ("Transfer-Encoding: chunked", false),
            ("X-Content-Length: 5\r\nTransfer-Encoding: chunked", false),
            ("Content-Length: 5\r\nX: Transfer-Encoding: chunked", false),
            ("Content-Length: 5\r\n\r\nTransfer-Encoding: chunked", false),
        ] {
            for before in ["", "\r\n\r\n", "\n"] {
                let request = format!("{before}POST / HTTP/1.1\r\n{headers}\r\n\r\nbody\r\n");
                assert_eq!(is_ambiguous(&request), ambiguous, "{request:?}");
            }
        }
    }
}
