//! A commit with its files, as the pack that git's smart HTTP protocol sends: one request, passed on as it comes, never held.
//! Neighbour of `git`, whose API has no way to many files at once; the Task controller brings the pack into a sandbox.
//!
//! Source: gitprotocol-v2(5), "fetch", and gitprotocol-common(5), "pkt-line Format".

use super::{
    Client, Error,
    call::{Call, refusal},
    classify::{RefusedCall, Verdict, classify},
    lost::lost,
    name::RepositoryName,
    operation::Operation,
    session::{AnswerBody, beside_api},
    token::Token,
};
use crate::{
    api::conditions::reason,
    domain::{failure::Class, git::is_id},
};
use bytes::{Buf as _, Bytes, BytesMut};
use gix_packetline::{
    Channel, PacketLineRef,
    blocking_io::encode::{delim_to_write, flush_to_write, text_to_write},
    decode::{self, Stream},
};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use octocrab::OctoBody;
use std::{io, time::Duration};
use tokio::time::Instant;

const OPERATION: Operation = Operation::FetchPack;
/// GitHub says every few seconds that it is still at work.
const IDLE: Duration = Duration::from_secs(30);
/// Time limit of a whole pack, which may be passed on slowly.
const WHOLE: Duration = Duration::from_mins(10);
/// Longest word of GitHub's that is kept (bytes).
const MAX_WORDS: usize = 1000;
/// Commits without their parents that an answer may name.
const MAX_SHALLOW: usize = 10_000;

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct WantedPack<'a> {
    /// Any commit that a branch leads to.
    pub commit: &'a str,
    /// Number of commits, counted from that one back.
    pub depth: u32,
}

/// A pack on its way.
pub struct Pack {
    lines: Lines,
    shallow: Vec<String>,
}

impl Client {
    /// The repository's URL for git, without credentials.
    pub fn git_url(&self, repository: &RepositoryName) -> String {
        format!("{}/{repository}.git", self.server())
    }

    /// Asks for a pack that stands alone. Returns when it begins to come.
    pub async fn fetch_pack(
        &self,
        repository: &RepositoryName,
        wanted: WantedPack<'_>,
    ) -> Result<Pack, Error> {
        let call = Call::get(OPERATION, format!("/{repository}.git/git-upload-pack")).about(repository);
        let make = |call: &Call<'_>, token: &Token| {
            beside_api(Method::POST, &format!("{}{}", self.server(), call.path))
                .header(header::AUTHORIZATION, call.authorization(token.basic())?)
                .header(header::CONTENT_TYPE, "application/x-git-upload-pack-request")
                .header(header::ACCEPT, "application/x-git-upload-pack-result")
                .header("git-protocol", "version=2")
                .body(OctoBody::from(request(wanted)))
                .map_err(|_| odd("owner and name do not form a URL"))
        };
        let until = Instant::now() + WHOLE;
        let mut lines = Lines { body: self.open(&call, make).await?, buffer: BytesMut::new(), until };
        let mut shallow = Vec::new();
        let mut section = String::new();
        loop {
            let line = lines.next().await?.ok_or_else(|| odd("it ended before the pack"))?;
            let Line::Text(text) = line else { continue };
            if let Some(words) = text.strip_prefix("ERR ") {
                return Err(refused(repository, words));
            }
            match (section.as_str(), text.as_str()) {
                (_, "packfile") => return Ok(Pack { lines, shallow }),
                ("", "shallow-info") => section = text,
                ("shallow-info", line) => {
                    let id =
                        line.strip_prefix("shallow ").filter(|id| is_id(id) && shallow.len() < MAX_SHALLOW);
                    shallow.push(id.ok_or_else(|| odd("a line of shallow-info can't be read"))?.to_owned());
                }
                _ => return Err(odd("it has a section that nobody asked for")),
            }
        }
    }
}

impl Pack {
    /// The commits whose parents are left out.
    pub fn shallow(&self) -> &[String] {
        &self.shallow
    }

    /// The next piece; `None` after the last. A pack that is cut short is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.lines.next().await? {
                Some(Line::Band(Channel::Data, piece)) if !piece.is_empty() => return Ok(Some(piece)),
                Some(Line::Band(Channel::Error, words)) => {
                    let words =
                        String::from_utf8_lossy(&words).trim().chars().take(MAX_WORDS).collect::<String>();
                    return Err(odd(&format!("GitHub gave up: {words}")));
                }
                Some(Line::Band(..)) => {}
                Some(Line::End) => return Ok(None),
                Some(Line::Text(_) | Line::Delimiter) => {
                    return Err(odd("it has a line of no band in the pack"));
                }
                None => return Err(odd("the pack is cut short")),
            }
        }
    }
}

/// The one request: version 2 keeps nothing between two, and all that has to be known is known.
fn request(wanted: WantedPack<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    let text = |line: &str, lines: &mut Vec<u8>| text_to_write(line.as_bytes(), lines);
    let written: io::Result<()> = (|| {
        text("command=fetch", &mut lines)?;
        text(concat!("agent=slipway/", env!("CARGO_PKG_VERSION")), &mut lines)?;
        text("object-format=sha1", &mut lines)?;
        delim_to_write(&mut lines)?;
        for argument in ["ofs-delta", "no-progress"] {
            text(argument, &mut lines)?;
        }
        text(&format!("deepen {}", wanted.depth), &mut lines)?;
        text(&format!("want {}", wanted.commit), &mut lines)?;
        text("done", &mut lines)?;
        flush_to_write(&mut lines).map(drop)
    })();
    written.expect("lines are short, and a Vec takes all of them");
    lines
}

/// One line of the answer.
#[derive(Debug, PartialEq)]
enum Line {
    /// Without its line feed.
    Text(String),
    Band(Channel, Bytes),
    Delimiter,
    End,
}

/// The lines of an answer, as they come.
struct Lines {
    body: AnswerBody,
    buffer: BytesMut,
    until: Instant,
}

impl Lines {
    /// The next line; `None` where the body ends.
    async fn next(&mut self) -> Result<Option<Line>, Error> {
        loop {
            if let Some(line) = take_line(&mut self.buffer)? {
                return Ok(Some(line));
            }
            if self.until <= Instant::now() {
                return Err(odd("it has not come within 10 minutes"));
            }
            let frame = tokio::time::timeout(IDLE, self.body.frame());
            match frame.await.map_err(|_| odd("nothing came for half a minute"))? {
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(odd("the pack is cut short")),
                Some(Err(error)) => return Err(lost(OPERATION, &error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// Takes the first line out of what has come, if it is whole.
fn take_line(buffer: &mut BytesMut) -> Result<Option<Line>, Error> {
    let (consumed, kind) = match decode::streaming(buffer).map_err(|_| odd("it is not in git's lines"))? {
        Stream::Incomplete { .. } => return Ok(None),
        Stream::Complete { line, bytes_consumed } => {
            let kind = match line {
                PacketLineRef::Data([band @ 1..=3, ..]) => Some(*band),
                PacketLineRef::Data(text) => {
                    let text = String::from_utf8_lossy(text.strip_suffix(b"\n").unwrap_or(text)).into_owned();
                    buffer.advance(bytes_consumed);
                    return Ok(Some(Line::Text(text)));
                }
                PacketLineRef::Delimiter => None,
                PacketLineRef::Flush | PacketLineRef::ResponseEnd => {
                    buffer.advance(bytes_consumed);
                    return Ok(Some(Line::End));
                }
            };
            (bytes_consumed, kind)
        }
    };
    let whole = buffer.split_to(consumed).freeze();
    Ok(Some(match kind {
        None => Line::Delimiter,
        Some(band) => {
            let channel = [Channel::Data, Channel::Progress, Channel::Error][usize::from(band) - 1];
            Line::Band(channel, whole.slice(LENGTH + 1..))
        }
    }))
}

/// Bytes of a line's length before it.
const LENGTH: usize = 4;

/// What GitHub means by a refusal in git's own way, which comes with status 200.
fn refused(repository: &RepositoryName, words: &str) -> Error {
    let about = repository.to_string();
    let words: String = words.chars().take(MAX_WORDS).collect();
    let refusal = refusal(StatusCode::OK, &HeaderMap::new(), words.as_bytes(), Timestamp::UNIX_EPOCH);
    match classify(RefusedCall::new(OPERATION, &about), &refusal) {
        Verdict::Failed { class, reason, message } => {
            Error { operation: OPERATION.name(), class, reason, message, status: Some(200) }
        }
        Verdict::State(_) | Verdict::Limited(_) => odd(&words),
    }
}

/// The answer is not what git sends: it is asked for again.
fn odd(what: &str) -> Error {
    Error {
        operation: OPERATION.name(),
        class: Class::Transient,
        reason: reason::GITHUB_UNAVAILABLE,
        message: format!("no whole answer from GitHub to {}: {what}", OPERATION.name()),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut buffer = BytesMut::from(bytes);
        std::iter::from_fn(|| take_line(&mut buffer).expect("lines")).collect()
    }

    #[test]
    fn the_request_is_what_git_sends() {
        let commit = "61780798228d17af2d34fce4cfbdf35556832472";
        let text = String::from_utf8(request(WantedPack { commit, depth: 1 })).expect("ASCII");
        assert!(text.starts_with("0012command=fetch\n"), "{text}");
        let rest = text.split_once("0001").expect("a delimiter").1;
        let expected =
            format!("000eofs-delta\n0010no-progress\n000ddeepen 1\n0032want {commit}\n0009done\n0000");
        assert_eq!(rest, expected);
    }

    /// Takes lines of a body that brings one byte after each pause; how long that went well, and the end of it.
    async fn dribbled(pause: Duration) -> (Duration, Error) {
        let body = futures::stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            let frame = hyper::body::Frame::data(Bytes::from_static(b"0005x"));
            Some((Ok::<_, octocrab::Error>(frame), ()))
        });
        let body = http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(body));
        let begun = Instant::now();
        let mut lines = Lines { body, buffer: BytesMut::new(), until: begun + WHOLE };
        loop {
            if let Err(error) = lines.next().await {
                return (begun.elapsed(), error);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pack_may_neither_stand_still_nor_dribble_for_ever() {
        let (lasted, error) = dribbled(Duration::from_secs(40)).await;
        assert_eq!((lasted.as_secs(), error.class), (30, Class::Transient));
        let (lasted, error) = dribbled(Duration::from_secs(25)).await;
        assert_eq!((lasted.as_secs(), error.class), (600, Class::Transient));
        assert!(error.message.contains("10 minutes"), "{}", error.message);
    }

    #[test]
    fn lines_are_taken_as_they_come() {
        let answer = b"0011shallow-info\n00010006\x01P0007\x02no0000";
        let whole = lines(answer);
        assert_eq!(
            whole,
            [
                Line::Text("shallow-info".into()),
                Line::Delimiter,
                Line::Band(Channel::Data, Bytes::from_static(b"P")),
                Line::Band(Channel::Progress, Bytes::from_static(b"no")),
                Line::End,
            ]
        );
        let mut buffer = BytesMut::new();
        let mut piecewise = Vec::new();
        for byte in answer {
            buffer.extend_from_slice(&[*byte]);
            piecewise.extend(take_line(&mut buffer).expect("lines"));
        }
        assert_eq!(piecewise, whole);
        for odd in [b"0003".as_slice(), b"zzzz", b"<htm"] {
            assert!(take_line(&mut BytesMut::from(odd)).is_err(), "{odd:?}");
        }
    }
}
