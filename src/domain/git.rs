//! Git without git: object ids, tree differences, branch names and commit messages. Pure.
//! Used by the Task controller, which reads and writes the objects through `github`.

mod attributes;
mod branch;
mod changes;
mod difference;
mod ids;
mod lfs;
mod message;
mod path;
mod tree;
mod update;

pub use attributes::{ATTRIBUTES_FILE, Attributes, attribute_directories};
pub use branch::default_branch_name;
pub use changes::{Changes, Put, Removal, Wanted};
pub use difference::{Difference, OddDifference, is_id, judge_links, parse_raw};
pub use ids::{BlobHasher, blob_id};
pub use lfs::{MAX_POINTER, Pointer, is_server_of};
pub use message::{TRAILER, commit_message, task_of, with_trailer};
pub use path::tree_path;
pub use tree::{BaseEntry, BaseTree, EntryKind};
pub use update::{FileChange, is_same_change};
