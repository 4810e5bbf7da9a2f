//! Files out of the sandbox, into the spool: list, select, check the caps, transfer as one archive, hash.
//! Called by the Task controller; what it returns goes to `github` as a tree.

mod archive;
mod blob;
mod blocking;
mod collect;
mod error;
mod intake;
mod listing;
mod permits;
mod reading;
mod select;
mod single;
mod spool;
mod transfer;

pub use collect::collect;
pub use error::FilesError;
pub use permits::{Permit, Transfers};
pub use spool::{Collected, Reservation, Spool, SpoolError};
