//! Lists what lies below `source.path`, as the sandbox's own `find` and `stat` see it; links are never followed.
//! Asked by `files::select`, which says of every entry whether it wants more: nothing is transferred yet.

mod parser;

use super::error::FilesError;
use crate::e2b::{self, Command, Envd, Event, Output};
use futures::{Stream, StreamExt as _, stream};
use parser::{Facts, Parser, Stop};
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

/// User that reads the files: whatever the generation made, root can read it. E2B's templates all have it.
pub(in crate::controllers::task) const SANDBOX_USER: &str = "root";

const LIST: &str = include_str!("list.sh");
/// A listing may walk a large tree of files that stay behind (dependencies, caches).
const TIMEOUT: Duration = Duration::from_mins(5);
/// Length to which complaints are kept (bytes).
const MAX_WORDS: usize = 4 << 10;

/// Kinds of files that git can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular { executable: bool },
    Symlink,
}

/// Kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(Kind),
    Directory,
    /// Pipes, sockets and devices.
    Other,
}

/// One entry that could travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Relative to `source.path`, without `./`.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Bytes; of a link: of its target's name.
    pub size: u64,
}

/// End of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listing {
    Whole {
        has_tar: bool,
    },
    /// Whoever took the entries had enough.
    Stopped,
}

/// Lists everything below `base` that is not a directory; with `directories`: all that lies in these. Every entry goes to
/// `take`, as it comes, until that wants no more: nothing of the rest is read then.
pub(super) async fn list(
    envd: &Envd,
    base: &str,
    directories: impl IntoIterator<Item = String> + Send,
    mut take: impl FnMut(&[u8], Node, u64) -> ControlFlow<()> + Send,
) -> Result<Listing, FilesError> {
    let mut command = Command::sh("listFiles", LIST, std::iter::once(base.to_owned()).chain(directories));
    command.timeout = Some(TIMEOUT);
    command.user = Some(SANDBOX_USER);
    let process = envd.open(command.clone()).await?;
    let events = stream::try_unfold(process, |mut process| async {
        Ok::<_, e2b::Error>(process.next().await?.map(|event| (event, process)))
    });
    let mut take = |path: &[u8], facts: Facts| take(path, node(facts.mode), facts.size);
    let consumed = tokio::time::timeout(TIMEOUT, consume(events, &mut take)).await;
    let (parser, output) = match consumed {
        Ok(Ok(consumed)) => consumed,
        Ok(Err(Ended::Lost(error))) => return Err(error.into()),
        Ok(Err(Ended::Stopped(Stop::Enough))) => return Ok(Listing::Stopped),
        Ok(Err(Ended::Stopped(Stop::Odd))) => return Err(changed(base)),
        Err(_) => return Err(FilesError::Interrupted(format!("listing {base} took too long"))),
    };
    if let Some(error) = FilesError::no_directory(output.exit_code, base) {
        return Err(error);
    }
    match output.exit_code {
        Some(0) => parser.finish().map(|has_tar| Listing::Whole { has_tar }).ok_or_else(|| changed(base)),
        // find and stat complain about what vanished under them, but so does a shell without them.
        Some(1) => Err(FilesError::Interrupted(format!("listing {base} failed: {}", words(&output)))),
        _ => Err(command.unexpected_output(&output).into()),
    }
}

/// Reason why a listing was not read to its end.
enum Ended {
    Lost(e2b::Error),
    Stopped(Stop),
}

/// Reads `events` to their end, or until `take` wants no more.
async fn consume(
    events: impl Stream<Item = Result<Event, e2b::Error>>,
    take: &mut impl FnMut(&[u8], Facts) -> ControlFlow<()>,
) -> Result<(Parser, Output), Ended> {
    let (mut parser, mut output) = (Parser::default(), Output::default());
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event.map_err(Ended::Lost)? {
            Event::Stdout(piece) => parser.feed(&piece, take).map_err(Ended::Stopped)?,
            Event::Stderr(piece) => {
                let room = MAX_WORDS.saturating_sub(output.stderr.len()).min(piece.len());
                output.stderr.extend_from_slice(&piece[..room]);
            }
            Event::Ended { exit_code, signal } => (output.exit_code, output.signal) = (exit_code, signal),
            Event::Started { .. } => {}
        }
    }
    Ok((parser, output))
}

fn changed(path: &str) -> FilesError {
    FilesError::Interrupted(format!("the files below {path} changed while they were listed"))
}

/// Shortens what a tool said on stderr.
pub(super) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect()
}

/// By the type bits of `st_mode` (inode(7)).
fn node(mode: u32) -> Node {
    match mode & 0o170_000 {
        0o100_000 => Node::File(Kind::Regular { executable: mode & 0o100 != 0 }),
        0o120_000 => Node::File(Kind::Symlink),
        0o040_000 => Node::Directory,
        _ => Node::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn an_endless_listing_is_read_no_further_than_it_is_wanted() {
        let batch = Bytes::from_static(b"2\n81a4 1\n41ed 0\n./a\0./d\0");
        let pieces = stream::once(async { Bytes::from_static(b"tar\n") }).chain(stream::repeat(batch));
        let mut taken = 0;
        let mut take = |_: &[u8], _| {
            taken += 1;
            if taken < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let consumed = consume(pieces.map(|piece| Ok(Event::Stdout(piece))), &mut take).await;
        assert!(matches!(consumed, Err(Ended::Stopped(Stop::Enough))));
        assert_eq!(taken, 1000);
    }

    #[test]
    fn tells_entries_apart() {
        let table = [
            (0x81a4, Node::File(Kind::Regular { executable: false })),
            (0x81ed, Node::File(Kind::Regular { executable: true })),
            (0xa1ff, Node::File(Kind::Symlink)),
            (0x41ed, Node::Directory),
            (0x11b6, Node::Other),
        ];
        for (mode, expected) in table {
            assert_eq!(node(mode), expected, "{mode:x}");
        }
    }
}
