//! The spool: files of generations on the operator's disk until they are committed.
//! Filled by `controllers::task::files`, reopened after a restart, bounded by `SLIPWAY_SPOOL_BYTES`.

use super::Collected;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The directory of all snapshots and the room in it. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<PathBuf>,
}

/// The spool's disk failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("spool {path}: {cause}")]
pub struct SpoolError {
    pub path: String,
    pub cause: String,
}

/// Room held for one transfer; given back when dropped, unless the snapshot was kept.
pub struct Reservation {}

impl Spool {
    /// Opens (creates) the directory `dir`; at most `bytes` are spooled at a time.
    pub fn new(dir: PathBuf, bytes: u64) -> Result<Self, SpoolError> {
        let _ = bytes;
        Ok(Self { inner: Arc::new(dir) })
    }

    /// Removes what none of `owned` names, counts the rest. At start, before the first transfer.
    pub fn sweep(&self, owned: &HashSet<String>) -> Result<(), SpoolError> {
        let _ = (owned, &self.inner);
        todo!()
    }

    /// The snapshot kept under `id`, if it is whole.
    pub fn open(&self, id: &str) -> Result<Option<Collected>, SpoolError> {
        let _ = id;
        todo!()
    }

    /// Forgets `id` and frees its room. Nothing there is no error.
    pub fn remove(&self, id: &str) -> Result<(), SpoolError> {
        let _ = id;
        todo!()
    }

    /// Room for `bytes`; `None`: not now.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let _ = bytes;
        todo!()
    }

    /// The blob ids that GitHub has accepted of `id` so far.
    pub fn accepted(&self, id: &str) -> Result<HashSet<String>, SpoolError> {
        let _ = id;
        todo!()
    }

    /// Notes that GitHub has accepted `blob`.
    pub fn accept(&self, id: &str, blob: &str) -> Result<(), SpoolError> {
        let _ = (id, blob);
        todo!()
    }
}
