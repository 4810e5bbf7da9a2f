//! The scripts' common part: how git is called in a work tree, and how a failure of it is told.
//! Used by every module of this folder.

use crate::{
    controllers::task::files::{error::FilesError, listing::SANDBOX_USER},
    e2b::Command,
};
use std::time::Duration;

const GIT: &str = include_str!("git.sh");
/// Time limit of one command: git may have to read every file of a large tree.
pub(super) const TIMEOUT: Duration = Duration::from_mins(10);
/// Characters of git's own words in a message.
const MAX_WORDS: usize = 300;

/// The index and the objects of one difference, in the sandbox.
pub(super) fn directory(id: &str) -> String {
    format!("/var/tmp/slipway/{id}.git")
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

/// git failed at something that may work the next time: no room, a file that vanished.
pub(super) fn git_failed(words: &str) -> FilesError {
    FilesError::Interrupted(format!("git failed in the sandbox: {}", cut(words)))
}

/// The beginning of what git said.
pub(in crate::controllers::task) fn cut(words: &str) -> String {
    words.trim().chars().take(MAX_WORDS).collect()
}
