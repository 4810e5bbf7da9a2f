//! The scripts' common part: how git is called in a work tree, and how a failure of it is told.
//! Used by every module of this folder.

use crate::{
    api::conditions::reason,
    controllers::task::files::{error::FilesError, listing::SANDBOX_USER},
    e2b::Command,
};
use std::time::Duration;

const GIT: &str = include_str!("git.sh");
/// Time limit of one command: git may have to read every file of a large tree.
pub(super) const TIMEOUT: Duration = Duration::from_mins(10);
/// Where they lie in the sandbox.
const DIRECTORIES: &str = "/var/tmp/slipway";
/// Characters of git's own words in a message.
const MAX_WORDS: usize = 300;

/// The index and the objects of one difference, in the sandbox.
pub(super) fn directory(id: &str) -> String {
    format!("{DIRECTORIES}/{id}.git")
}

/// How the directories of all differences of the same Task begin: `id` is its uid, a round, an attempt and a publication.
pub(super) fn directories(id: &str) -> String {
    let uid = id.rsplitn(4, '-').nth(3).unwrap_or(id);
    format!("{DIRECTORIES}/{uid}-")
}

/// A script in the work tree that is its first argument.
pub(in crate::controllers::task) fn command(
    operation: &'static str,
    script: &str,
    arguments: impl IntoIterator<Item = String>,
) -> Command {
    let mut command = Command::sh(operation, &format!("{GIT}{script}"), arguments);
    command.timeout = Some(TIMEOUT);
    command.user = Some(SANDBOX_USER);
    command
}

/// What a disk without room is told by; the last are git's words, which leave the cause out.
pub(super) const FULL: [&str; 5] = [
    "No space left on device",
    "Disk quota exceeded",
    "disk quota exceeded",
    "unable to write",
    "write error",
];

/// Returns whether these words say that the sandbox's disk has no room.
pub(in crate::controllers::task) fn is_full(words: &str) -> bool {
    FULL.iter().any(|full| words.contains(full))
}

/// The sandbox's disk is full, or git failed at something that may work the next time: a file that vanished, say.
pub(super) fn git_failed(words: &str) -> FilesError {
    if is_full(words) {
        return FilesError::Unfit {
            reason: reason::SANDBOX_DISK_FULL,
            message: format!(
                "the sandbox's disk has no room for git to read what has changed: free room in the sandbox, or take a template \
                 with a larger disk ({})",
                cut(words)
            ),
        };
    }
    FilesError::Interrupted(format!("git failed in the sandbox: {}", cut(words)))
}

/// The beginning of what git said.
pub(in crate::controllers::task) fn cut(words: &str) -> String {
    words.trim().chars().take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_readings_of_a_task_have_left_is_told_from_what_belongs_to_others() {
        let uid = "0b9d6c1e-5a8f-4a53-9c55-3f6f6f0b1a2c";
        for id in [format!("{uid}-1-2-sha256abc"), format!("{uid}-3-0-")] {
            assert_eq!(directories(&id), format!("/var/tmp/slipway/{uid}-"));
        }
        assert_eq!(directories("x"), "/var/tmp/slipway/x-");
    }

    #[test]
    fn a_full_disk_is_told_from_what_may_pass() {
        for (words, reason) in [
            ("cp: error writing 'index': No space left on device", reason::SANDBOX_DISK_FULL),
            ("error: unable to write file objects/ab/c", reason::SANDBOX_DISK_FULL),
            ("fatal: unable to stat 'x': No such file or directory", reason::TRANSFER_INTERRUPTED),
            ("", reason::TRANSFER_INTERRUPTED),
        ] {
            assert_eq!(git_failed(words).reason(), reason, "{words}");
        }
    }
}
