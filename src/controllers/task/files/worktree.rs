//! Reads what a git work tree in the sandbox has changed: the sandbox's own git says it, and nothing it says is believed
//! unchecked. Called by `files::collect`; the Task controller finds the commit in between, and checks out by the same git.

mod blobs;
mod difference;
mod history;
mod lfs;
mod script;

pub(super) use blobs::{Wanted, read as read_blobs};
pub(super) use difference::{FILTER_FAILED, Sections, clean, difference};
pub use history::{Commits, History, history};
pub(super) use lfs::{Kept, read as read_lfs};
pub(in super::super) use script::{command as git_command, cut, is_full};
