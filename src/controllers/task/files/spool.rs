//! The spool: files of generations on the operator's disk until they are committed.
//! Filled by `controllers::task::files`, reopened after a restart, bounded by `SLIPWAY_SPOOL_BYTES`.
//!
//! `<dir>/<id>/` holds one whole snapshot: `snapshot.json`, the contents, and `accepted` (blob ids GitHub has taken).
//! It gets its name only when it is whole; until then it is `<id>.partial`. All calls block for as long as the disk does.

use super::Collected;
use crate::domain::files::{File, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SNAPSHOT: &str = "snapshot.json";
const ACCEPTED: &str = "accepted";
const PARTIAL: &str = ".partial";

/// The directory of all snapshots and the room in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    capacity: u64,
    room: Mutex<Room>,
}

/// Who holds how many bytes.
#[derive(Debug, Default)]
struct Room {
    reserved: u64,
    kept: HashMap<String, u64>,
}

/// The spool's disk failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the spool failed at {path}: {cause}; check SLIPWAY_SPOOL_DIR and the room on its disk")]
pub struct SpoolError {
    pub path: String,
    pub cause: String,
}

/// Room held for one transfer; given back when dropped, unless the snapshot was kept.
#[derive(Debug)]
pub struct Reservation {
    spool: Spool,
    bytes: u64,
}

/// A snapshot that is being written. Dropped before [`Staging::keep`], nothing of it stays.
#[derive(Debug)]
pub(super) struct Staging {
    id: String,
    dir: PathBuf,
    reservation: Reservation,
    kept: bool,
}

/// `snapshot.json`: contents are named relative to its directory.
#[derive(Serialize, Deserialize)]
struct Record {
    digest: String,
    snapshot: Snapshot,
}

impl Spool {
    /// Opens (creates) the directory `dir`; at most `bytes` are spooled at a time.
    pub fn new(dir: PathBuf, bytes: u64) -> Result<Self, SpoolError> {
        fs::create_dir_all(&dir).map_err(|e| failed(&dir, &e))?;
        Ok(Self { inner: Arc::new(Inner { dir, capacity: bytes, room: Mutex::default() }) })
    }

    /// All the room there can ever be (bytes).
    pub fn capacity(&self) -> u64 {
        self.inner.capacity
    }

    /// Removes what none of `owned` names, and what is not whole; counts the rest. At start, before the first
    /// transfer.
    pub fn sweep(&self, owned: &HashSet<String>) -> Result<(), SpoolError> {
        let dir = &self.inner.dir;
        for entry in fs::read_dir(dir).map_err(|e| failed(dir, &e))? {
            let entry = entry.map_err(|e| failed(dir, &e))?;
            let id = entry.file_name().to_string_lossy().into_owned();
            let whole = owned.contains(&id) && self.open(&id)?.is_some();
            if !whole {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The snapshot kept under `id`, if it is whole.
    pub fn open(&self, id: &str) -> Result<Option<Collected>, SpoolError> {
        let dir = self.path(id)?;
        let path = dir.join(SNAPSHOT);
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(&path, &e)),
        };
        let Ok(Record { digest, mut snapshot }) = serde_json::from_slice(&json) else { return Ok(None) };
        for file in &mut snapshot.files {
            file.content = dir.join(&file.content);
            if fs::metadata(&file.content).map(|m| m.len()).ok() != Some(file.size) {
                return Ok(None);
            }
        }
        self.room().kept.insert(id.to_owned(), total(&snapshot.files));
        Ok(Some(Collected { snapshot, digest }))
    }

    /// Forgets `id` and frees its room. Nothing there is no error.
    pub fn remove(&self, id: &str) -> Result<(), SpoolError> {
        remove(&self.path(id)?)?;
        self.room().kept.remove(id);
        Ok(())
    }

    /// The file beside the snapshot of `id` that notes what GitHub has accepted of it.
    pub fn ledger(&self, id: &str) -> PathBuf {
        self.inner.dir.join(id).join(ACCEPTED)
    }

    /// Room for `bytes`; `None`: not now.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation { spool: self.clone(), bytes: 0 };
        reservation.grow(bytes).then_some(reservation)
    }

    /// An empty place for a new snapshot of `id`. The old one, if any, stands until the new one is kept.
    pub(super) fn begin(&self, id: &str, reservation: Reservation) -> Result<Staging, SpoolError> {
        let dir = self.path(&format!("{id}{PARTIAL}"))?;
        remove(&dir)?;
        fs::create_dir(&dir).map_err(|e| failed(&dir, &e))?;
        Ok(Staging { id: id.to_owned(), dir, reservation, kept: false })
    }

    /// Ids become names of directories: nothing else may be reached by one.
    fn path(&self, id: &str) -> Result<PathBuf, SpoolError> {
        let fits =
            id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && !id.starts_with('.');
        if !fits || id.is_empty() {
            return Err(failed(Path::new(id), &io::ErrorKind::InvalidInput.into()));
        }
        Ok(self.inner.dir.join(id))
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        // Numbers only: they are right even if a holder panicked between two changes.
        self.inner.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Takes `bytes` more; `false`: they are not there, and nothing changed.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let mut room = self.spool.room();
        let kept: u64 = room.kept.values().sum();
        let fits = kept.saturating_add(room.reserved).saturating_add(bytes) <= self.spool.inner.capacity;
        if fits {
            room.reserved += bytes;
            self.bytes += bytes;
        }
        fits
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.spool.room().reserved -= self.bytes;
    }
}

impl Staging {
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn reservation(&mut self) -> &mut Reservation {
        &mut self.reservation
    }

    /// Gives the whole snapshot its name. `files` name their contents relative to [`Staging::dir`].
    pub(super) fn keep(mut self, files: Vec<File>, digest: String) -> Result<Collected, SpoolError> {
        let spool = self.reservation.spool.clone();
        let bytes = total(&files);
        let record = Record { digest, snapshot: Snapshot { files } };
        let path = self.dir.join(SNAPSHOT);
        let json = serde_json::to_vec(&record).map_err(|e| failed(&path, &e.into()))?;
        fs::write(&path, json).map_err(|e| failed(&path, &e))?;
        let place = spool.path(&self.id)?;
        remove(&place)?;
        fs::rename(&self.dir, &place).map_err(|e| failed(&place, &e))?;
        self.kept = true;
        spool.room().kept.insert(self.id.clone(), bytes);
        let Record { digest, mut snapshot } = record;
        for file in &mut snapshot.files {
            file.content = place.join(&file.content);
        }
        Ok(Collected { snapshot, digest })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be removed now goes with the next transfer of this id, or with the sweep at start.
            let _ = remove(&self.dir);
        }
    }
}

fn total(files: &[File]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

fn remove(path: &Path) -> Result<(), SpoolError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(path, &e)),
        _ => Ok(()),
    }
}

pub(super) fn failed(path: &Path, error: &io::Error) -> SpoolError {
    SpoolError { path: path.display().to_string(), cause: error.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;
    use crate::domain::files::Mode;

    fn kept(spool: &Spool, id: &str, content: &str) -> Collected {
        let staging = spool.begin(id, spool.reserve(content.len() as u64).unwrap()).unwrap();
        fs::write(staging.dir().join("0"), content).unwrap();
        let size = content.len() as u64;
        let file = File {
            path: "a".into(),
            mode: Mode::Regular,
            size,
            blob: "b".repeat(40),
            content: PathBuf::from("0"),
        };
        staging.keep(vec![file], "digest".into()).unwrap()
    }

    #[test]
    fn a_snapshot_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().join("a/b"), 100).unwrap();
        assert!(spool.open("u-1-1").unwrap().is_none());
        let collected = kept(&spool, "u-1-1", "12345");
        assert_eq!(fs::read_to_string(&collected.snapshot.files[0].content).unwrap(), "12345");
        let spool = Spool::new(dir.path().join("a/b"), 100).unwrap();
        let opened = spool.open("u-1-1").unwrap().unwrap();
        assert_eq!((&opened.snapshot, &opened.digest), (&collected.snapshot, &collected.digest));
        let replaced = kept(&spool, "u-1-1", "123");
        assert_eq!(spool.open("u-1-1").unwrap().unwrap().snapshot, replaced.snapshot);
        assert!(spool.reserve(98).is_none() && spool.reserve(97).is_some());
    }

    #[test]
    fn a_snapshot_that_lacks_something_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().to_owned(), 100).unwrap();
        let content = kept(&spool, "u", "12345").snapshot.files[0].content.clone();
        fs::write(&content, "1234").unwrap();
        assert!(spool.open("u").unwrap().is_none(), "another length");
        fs::remove_file(&content).unwrap();
        assert!(spool.open("u").unwrap().is_none(), "no content");
        fs::write(dir.path().join("u").join(SNAPSHOT), "{").unwrap();
        assert!(spool.open("u").unwrap().is_none(), "no record");
        spool.remove("u").unwrap();
        spool.remove("u").unwrap();
    }

    #[test]
    fn the_sweep_keeps_what_is_owned_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().to_owned(), 100).unwrap();
        for id in ["owned", "others", "broken"] {
            kept(&spool, id, "1");
        }
        fs::remove_file(dir.path().join("broken").join("0")).unwrap();
        fs::create_dir(dir.path().join("owned.partial")).unwrap();
        fs::write(dir.path().join("stray"), "").unwrap();
        let spool = Spool::new(dir.path().to_owned(), 100).unwrap();
        spool.sweep(&HashSet::from(["owned".to_owned(), "broken".to_owned()])).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["owned"]);
        assert!(spool.reserve(100).is_none() && spool.reserve(99).is_some());
    }

    #[test]
    fn ids_reach_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().to_owned(), 100).unwrap();
        for id in ["", "..", "a/b", "/etc", ".hidden"] {
            assert!(spool.open(id).is_err() && spool.remove(id).is_err(), "{id:?}");
        }
    }
}
