//! Git without git: object ids, tree differences, branch names and commit messages. Pure.
//! Used by the Task controller, which reads and writes the objects through `github`.

mod branch;
mod ids;
mod message;
mod tree;

pub use branch::default_branch_name;
pub use ids::{BlobHasher, blob_id};
pub use message::{TRAILER, commit_message, task_of, with_trailer};
pub use tree::{BaseEntry, BaseTree, Changes, EntryKind, Put};
