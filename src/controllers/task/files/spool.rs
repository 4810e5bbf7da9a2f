//! The spool: files of generations on the operator's disk until they are committed.
//! Filled by `controllers::task::files`, reopened after a restart, bounded by `SLIPWAY_SPOOL_BYTES`.
//!
//! `<dir>/<id>/` holds one whole snapshot: `snapshot.json`, the contents, and `accepted` (blob ids GitHub has taken).
//! Its id begins with the Task's uid and a dash. It gets its name only when it is whole, and loses it before it is
//! deleted. Room is that of the contents. Calls that touch the disk block for as long as the disk does.

mod room;
#[cfg(test)]
mod tests;

use crate::domain::files::{File, Snapshot};
use room::{Room, is_of};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

const SNAPSHOT: &str = "snapshot.json";
const ACCEPTED: &str = "accepted";

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

/// The result of a transfer, spooled.
#[derive(Debug, Clone)]
pub struct Collected {
    pub snapshot: Snapshot,
    /// `filesDigest`: SHA-256 over mode, path and id of every file, and of what else a work tree has changed, hex.
    pub digest: String,
}

/// A snapshot that is being written. Dropped before [`Staging::keep`], nothing of it stays.
#[derive(Debug)]
pub(super) struct Staging {
    id: String,
    name: String,
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
        // What a former process has left under a name of ours must not be in the way of this one's names.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let room = Mutex::new(Room::new(u64::try_from(now).unwrap_or_default()));
        Ok(Self { inner: Arc::new(Inner { dir, capacity: bytes, room }) })
    }

    /// All the room there can ever be (bytes).
    pub fn capacity(&self) -> u64 {
        self.inner.capacity
    }

    /// Removes what none of `owned` names, and what is not whole; counts the rest, and nothing else. Before the first
    /// transfer, and whenever others may have gone on with the Tasks meanwhile.
    pub fn sweep(&self, owned: &HashSet<String>) -> Result<(), SpoolError> {
        let dir = &self.inner.dir;
        self.room().give_up(|id| !owned.contains(id));
        for entry in fs::read_dir(dir).map_err(|e| failed(dir, &e))? {
            let entry = entry.map_err(|e| failed(dir, &e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let (filled, known) = {
                let room = self.room();
                (room.is_filled(&name), room.holds(&name))
            };
            // A transfer that winds down deletes its own directory.
            if filled || (owned.contains(&name) && self.open(&name)?.is_some()) {
                continue;
            }
            if known {
                self.discard([name])?;
            } else {
                remove(&entry.path())?;
                self.room().gone(&name);
            }
        }
        let mut room = self.room();
        for id in room.all_kept() {
            if !dir.join(&id).exists() {
                room.forget(&id);
            }
        }
        drop(room);
        self.delete_leaving("")
    }

    /// The snapshot kept under `id`. One that is damaged is removed.
    pub fn open(&self, id: &str) -> Result<Option<Collected>, SpoolError> {
        let dir = self.path(id)?;
        let serial = self.room().serial_of(id);
        let found = read(&dir)?;
        let mut room = self.room();
        let Some(collected) = found else {
            // Otherwise another one was kept while this one was read.
            if room.serial_of(id) == serial {
                self.set_aside(&mut room, id)?;
            }
            drop(room);
            self.delete_leaving(&format!("{id}."))?;
            return Ok(None);
        };
        if !room.holds(id) {
            // Removed while it was read, or from a former process and not counted yet.
            if !dir.join(SNAPSHOT).exists() {
                return Ok(None);
            }
            room.keep(id, total(&collected.snapshot.files));
        }
        Ok(Some(collected))
    }

    /// Returns whether there is a whole snapshot under `id`, as far as is known without looking: the disk is not touched.
    /// Right once [`Spool::sweep`] has run; what turns out to be damaged on [`Spool::open`] is no longer complete.
    pub fn complete(&self, id: &str) -> bool {
        self.room().holds(id)
    }

    /// Forgets `id` and gives its room back; a transfer of `id` that is under way keeps nothing. Nothing there is no
    /// error.
    pub fn remove(&self, id: &str) -> Result<(), SpoolError> {
        self.path(id)?;
        self.room().give_up(|other| other == id);
        self.discard([id.to_owned()])
    }

    /// Forgets every snapshot of the Task `task_uid` but `keep`, and gives their room back; transfers of the others that
    /// are under way keep nothing. Touches the disk only where there is something to delete, so that every pass may ask.
    pub fn retain(&self, task_uid: &str, keep: Option<&str>) -> Result<(), SpoolError> {
        self.path(task_uid)?;
        let mut room = self.room();
        room.give_up(|id| is_of(id, task_uid) && Some(id) != keep);
        let others: Vec<_> =
            room.of_task(task_uid).into_iter().filter(|id| Some(id.as_str()) != keep).collect();
        drop(room);
        self.discard(others)?;
        self.delete_leaving(&format!("{task_uid}-"))
    }

    /// Returns the file next to the snapshot of `id` that notes what GitHub has accepted of it.
    pub fn ledger(&self, id: &str) -> PathBuf {
        self.inner.dir.join(id).join(ACCEPTED)
    }

    /// Room for `bytes`; `None`: not now.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation { spool: self.clone(), bytes: 0 };
        if reservation.grow(bytes) {
            return Some(reservation);
        }
        // What could not be deleted when its time had come may be deleted by now.
        self.delete_leaving("").ok()?;
        reservation.grow(bytes).then_some(reservation)
    }

    /// An empty place for a new snapshot of `id`. The old one, if any, stands until the new one is kept. An earlier
    /// transfer of `id` keeps nothing any more.
    pub(super) fn begin(&self, id: &str, reservation: Reservation) -> Result<Staging, SpoolError> {
        self.path(id)?;
        let name = self.room().begin(id);
        let dir = self.inner.dir.join(&name);
        let staging = Staging { id: id.to_owned(), name, dir, reservation, kept: false };
        fs::create_dir(&staging.dir).map_err(|e| failed(&staging.dir, &e))?;
        Ok(staging)
    }

    /// Takes the names of `ids` away at once, and then deletes what had them.
    fn discard(&self, ids: impl IntoIterator<Item = String>) -> Result<(), SpoolError> {
        for id in ids {
            self.set_aside(&mut self.room(), &id)?;
            self.delete_leaving(&format!("{id}."))?;
        }
        Ok(())
    }

    /// Renames what has the name `id` to one that says it is leaving. Under the lock: a transfer that keeps a new one waits.
    fn set_aside(&self, room: &mut Room, id: &str) -> Result<(), SpoolError> {
        let (place, name) = (self.inner.dir.join(id), room.leaving_name(id));
        match fs::rename(&place, self.inner.dir.join(&name)) {
            Ok(()) => room.leave(id, &name),
            Err(e) if e.kind() == io::ErrorKind::NotFound => room.forget(id),
            Err(e) => return Err(failed(&place, &e)),
        }
        Ok(())
    }

    /// Deletes what is leaving of all ids that begin with `prefix`. What can't be deleted stays counted, for the next.
    fn delete_leaving(&self, prefix: &str) -> Result<(), SpoolError> {
        let names = self.room().all_leaving(prefix);
        for name in names {
            remove(&self.inner.dir.join(&name))?;
            self.room().gone(&name);
        }
        Ok(())
    }

    /// Ids become names of directories: nothing else may be reached by one, and none may look like a name of ours.
    fn path(&self, id: &str) -> Result<PathBuf, SpoolError> {
        let fits = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !fits || id.is_empty() {
            return Err(failed(Path::new(id), &io::ErrorKind::InvalidInput.into()));
        }
        Ok(self.inner.dir.join(id))
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        // Numbers and names only: they are right even if a holder panicked between two changes.
        self.inner.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Takes `bytes` more; `false`: they are not there, and nothing changed.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let mut room = self.spool.room();
        let fits = room.used().saturating_add(bytes) <= self.spool.inner.capacity;
        if fits {
            room.reserve(bytes);
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
        self.spool.room().give_back(self.bytes);
    }
}

impl Staging {
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn reservation(&mut self) -> &mut Reservation {
        &mut self.reservation
    }

    /// Gives the whole snapshot its name; its room is that of its contents from then on. The files name their contents
    /// relative to [`Staging::dir`]. `None`: somebody has removed this id or begun it anew, and nothing was kept.
    pub(super) fn keep(
        mut self,
        snapshot: Snapshot,
        digest: String,
    ) -> Result<Option<Collected>, SpoolError> {
        let spool = self.reservation.spool.clone();
        let bytes = total(&snapshot.files);
        let record = Record { digest, snapshot };
        let path = self.dir.join(SNAPSHOT);
        let json = serde_json::to_vec(&record).map_err(|e| failed(&path, &e.into()))?;
        fs::write(&path, json).map_err(|e| failed(&path, &e))?;
        let place = spool.path(&self.id)?;
        let mut room = spool.room();
        if !room.may_keep(&self.name) {
            drop(room);
            return Ok(None);
        }
        spool.set_aside(&mut room, &self.id)?;
        let renamed = fs::rename(&self.dir, &place);
        if renamed.is_ok() {
            room.give_back(std::mem::take(&mut self.reservation.bytes));
            room.end(&self.name, None);
            room.keep(&self.id, bytes);
            self.kept = true;
        }
        drop(room);
        // The one before: what can't be deleted now goes with a later call.
        let _ = spool.delete_leaving(&format!("{}.", self.id));
        renamed.map_err(|e| failed(&place, &e))?;
        Ok(Some(record.placed(&place)))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be deleted now stays counted, and goes with a later call.
            let left = remove(&self.dir).is_err().then_some(self.reservation.bytes);
            self.reservation.spool.room().end(&self.name, left);
        }
    }
}

impl Record {
    fn placed(self, dir: &Path) -> Collected {
        let Self { digest, mut snapshot } = self;
        for file in &mut snapshot.files {
            file.content = dir.join(&file.content);
            if let Some(content) = file.object.as_mut().and_then(|object| object.content.as_mut()) {
                *content = dir.join(&content);
            }
        }
        Collected { snapshot, digest }
    }
}

/// The snapshot in `dir`, if it is whole.
fn read(dir: &Path) -> Result<Option<Collected>, SpoolError> {
    let path = dir.join(SNAPSHOT);
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(failed(&path, &e)),
    };
    let Ok(record) = serde_json::from_slice::<Record>(&json) else { return Ok(None) };
    let collected = record.placed(dir);
    let has = |content: &Path, size| fs::metadata(content).map(|m| m.len()).ok() == Some(size);
    let whole = |file: &File| {
        let object =
            file.object.iter().filter_map(|object| Some((object.content.as_ref()?, object.pointer.size)));
        has(&file.content, file.size) && object.into_iter().all(|(content, size)| has(content, size))
    };
    Ok(collected.snapshot.files.iter().all(whole).then_some(collected))
}

fn total(files: &[File]) -> u64 {
    let object = |file: &File| {
        file.object.as_ref().filter(|one| one.content.is_some()).map_or(0, |one| one.pointer.size)
    };
    files.iter().map(|file| file.size + object(file)).sum()
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
