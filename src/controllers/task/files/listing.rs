//! What lies below `source.path`, as the sandbox's own `find` and `stat` see it; links are never followed.
//! First step of `controllers::task::files`: nothing is transferred yet.

use super::{FilesError, SANDBOX_USER};
use crate::e2b::{Command, Envd, Output};
use std::time::Duration;

const LIST: &str = include_str!("list.sh");
/// A listing may walk a large tree of files that stay behind (dependencies, caches).
const TIMEOUT: Duration = Duration::from_mins(5);
/// Some 400,000 entries (bytes).
const MAX_LISTING: usize = 32 << 20;

/// Exit codes of the script.
const MISSING: i32 = 3;
const NOT_A_DIRECTORY: i32 = 4;

/// What git can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular { executable: bool },
    Symlink,
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

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub has_tar: bool,
    /// Files and links; pipes, sockets and devices are passed over.
    pub found: Vec<Found>,
}

pub(super) async fn list(envd: &Envd, path: &str) -> Result<Listing, FilesError> {
    let mut command = Command::sh("listFiles", LIST, [path.to_owned()]);
    command.timeout = Some(TIMEOUT);
    command.user = Some(SANDBOX_USER);
    let output = envd.run(command.clone(), MAX_LISTING).await?;
    match output.exit_code {
        Some(MISSING) => {
            Err(FilesError::NoFiles(format!("spec.source.path {path} does not exist in the sandbox")))
        }
        Some(NOT_A_DIRECTORY) => {
            Err(FilesError::NoFiles(format!("spec.source.path {path} is not a directory of the sandbox")))
        }
        Some(0) if output.truncated => Err(FilesError::TooLarge(format!(
            "the names of the files below {path} take more than {} MiB: choose a deeper spec.source.path",
            MAX_LISTING >> 20
        ))),
        Some(0) => parse(&output).ok_or_else(|| changed(path)),
        // find and stat complain about what vanished under them, but so does a shell without them.
        Some(1) => Err(FilesError::Interrupted(format!("listing {path} failed: {}", words(&output)))),
        _ => Err(command.unexpected_output(&output).into()),
    }
}

fn changed(path: &str) -> FilesError {
    FilesError::Interrupted(format!("the files below {path} changed while they were listed"))
}

/// What a tool said on stderr, short.
pub(super) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect()
}

fn parse(output: &Output) -> Option<Listing> {
    let (head, mut rest) = split(&output.stdout, b'\n')?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (count, after) = split(rest, b'\n')?;
        let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
        rest = after;
        // Every entry takes at least four bytes: a count beyond that is a lie.
        let mut facts = Vec::with_capacity(count.min(rest.len() / 4));
        for _ in 0..count {
            let (line, after) = split(rest, b'\n')?;
            facts.push(parse_facts(line)?);
            rest = after;
        }
        for (mode, size) in facts {
            let (path, after) = split(rest, 0)?;
            rest = after;
            let path = path.strip_prefix(b"./")?.to_vec();
            found.extend(kind(mode).map(|kind| Found { path, kind, size }));
        }
    }
    Some(Listing { has_tar: head == b"tar", found })
}

fn parse_facts(line: &[u8]) -> Option<(u32, u64)> {
    let (mode, size) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    Some((u32::from_str_radix(mode, 16).ok()?, size.parse().ok()?))
}

/// By the type bits of `st_mode` (inode(7)).
fn kind(mode: u32) -> Option<Kind> {
    match mode & 0o170_000 {
        0o100_000 => Some(Kind::Regular { executable: mode & 0o100 != 0 }),
        0o120_000 => Some(Kind::Symlink),
        _ => None,
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == at)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(stdout: &[u8]) -> Option<Listing> {
        parse(&Output { stdout: stdout.to_vec(), ..Output::default() })
    }

    fn found(path: &[u8], kind: Kind, size: u64) -> Found {
        Found { path: path.to_vec(), kind, size }
    }

    #[test]
    fn reads_batches_with_odd_names() {
        let listing = parsed(b"tar\n3\n81a4 5\n81ed 0\na1ff 3\n./a\nb\0./-x\0./l\0\x31\n11b6 0\n./fifo\0");
        let expected = [
            found(b"a\nb", Kind::Regular { executable: false }, 5),
            found(b"-x", Kind::Regular { executable: true }, 0),
            found(b"l", Kind::Symlink, 3),
        ];
        assert_eq!(listing, Some(Listing { has_tar: true, found: expected.to_vec() }));
        assert_eq!(parsed(b"none\n"), Some(Listing { has_tar: false, found: Vec::new() }));
    }

    #[test]
    fn a_listing_that_lacks_something_is_none() {
        for partial in
            ["", "tar\n2\n81a4 5\n./a\0", "tar\n1\n81a4 5\n./a", "tar\n1\n", "tar\n99999999999\n81a4 1\n"]
        {
            assert_eq!(parsed(partial.as_bytes()), None, "{partial:?}");
        }
        assert_eq!(parsed(b"tar\n1\n81a4 5\n/etc/passwd\0"), None, "only what lies below");
    }
}
