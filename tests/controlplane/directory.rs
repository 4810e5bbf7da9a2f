//! The directory of one control plane, removed when it is dropped or, if its owner was killed, by the next start.
//! Neighbours: `servers` and `users` write into it; etcd keeps its data in it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

const OWNER: &str = "owner.lock";
const PREFIX: &str = "run-";

/// A directory that is ours as long as we hold the lock on its `owner.lock`; the kernel lets go of it when we die.
pub struct RunDirectory {
    path: PathBuf,
    _owner: File,
}

impl RunDirectory {
    /// Removes what dead owners left, then makes a new one.
    pub fn create() -> Result<Self> {
        let root = root()?;
        // Held while directories come and go, so that nobody removes one whose owner has not locked it yet.
        let guard = File::create(root.join("lock"))?;
        guard.lock()?;
        remove_abandoned(&root)?;
        let path = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&root)?.keep();
        let owner = File::create(path.join(OWNER))?;
        owner.lock()?;
        Ok(Self { path, _owner: owner })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The control plane's logs are in {} until the next one starts.", self.path.display());
            return;
        }
        // What can't be removed now is removed by the next start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// `$TMPDIR/slipway-controlplane-<uid>`: one per user, because nobody else may remove or read what is in it.
fn root() -> Result<PathBuf> {
    let uid = fs::metadata("/proc/self").context("this harness needs Linux with /proc")?.uid();
    let root = std::env::temp_dir().join(format!("slipway-controlplane-{uid}"));
    DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
    ensure!(fs::symlink_metadata(&root)?.uid() == uid, "{} belongs to somebody else", root.display());
    Ok(root)
}

fn remove_abandoned(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let alive = match File::open(entry.path().join(OWNER)).map(|owner| owner.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => true,
            // Locked by us now, or without a lock file: killed before it had one.
            _ => false,
        };
        if !alive {
            // A process that dies just now may still write into it: then it goes with the next start.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}
