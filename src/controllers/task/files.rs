//! Files out of the sandbox, into the spool: of a plain directory listed, selected, transferred as archives; of a git work
//! tree those that git says have changed.
//! Called by the Task controller; what it returns goes to `github` as a tree.

mod archive;
mod blob;
mod blocking;
mod changed;
mod collect;
mod collection;
mod digests;
mod error;
mod intake;
mod listing;
mod permits;
mod reading;
mod select;
mod single;
mod spool;
mod stdout;
mod transfer;
mod worktree;

pub use blob::sha256_file;
pub use collect::{Selected, collect, collect_work_tree, leave_out_unchanged, select};
pub use collection::Collection;
pub use error::FilesError;
pub use permits::{Permit, Transfers};
pub use spool::{Collected, Reservation, Spool, SpoolError};
pub use worktree::{Commits, History, history};
pub(super) use {
    listing::SANDBOX_USER,
    worktree::{cut, git_command, is_full},
};
