//! Files as a snapshot keeps them, and a sandbox that comes back with them: E2B shows older content under the same id.
//! Each pause of a sandbox that its time-out kills leaves such a snapshot; `store` finds it when the time is over.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use jiff::Timestamp;

use super::E2b;
use super::machine::Machine;

/// What of a sandbox's files lies at the host.
const DIRECTORIES: [&str; 4] = ["/home", "/root", "/tmp", "/var/tmp"];

/// A sandbox's files as they were.
pub struct Snapshot {
    files: TempDir,
    pub taken_at: Timestamp,
}

impl Snapshot {
    pub fn take(machine: &Machine, now: Timestamp) -> anyhow::Result<Self> {
        let files = TempDir::with_prefix("slipway-snapshot-")?;
        for (number, directory) in DIRECTORIES.iter().enumerate() {
            let from = machine.host_path(directory).with_context(|| format!("no {directory}"))?;
            let to = files.path().join(number.to_string());
            std::fs::create_dir(&to)?;
            copy(&from, &to)?;
        }
        Ok(Self { files, taken_at: now })
    }

    /// Gives the files back to a machine that does not run.
    pub fn restore(&self, machine: &Machine) -> anyhow::Result<()> {
        for (number, directory) in DIRECTORIES.iter().enumerate() {
            let files = machine.host_path(directory).with_context(|| format!("no {directory}"))?;
            for entry in std::fs::read_dir(&files)? {
                let path = entry?.path();
                if path.is_dir() && !path.is_symlink() {
                    std::fs::remove_dir_all(&path)?;
                } else {
                    std::fs::remove_file(&path)?;
                }
            }
            copy(&self.files.path().join(number.to_string()), &files)?;
        }
        Ok(())
    }
}

impl E2b {
    /// Keeps the files of a sandbox as they are now; a later snapshot replaces them.
    pub fn keep_files(&self, id: &str) -> anyhow::Result<()> {
        let machine = self.service.store().sandboxes.get(id).map(|record| Arc::clone(&record.machine));
        let snapshot =
            Snapshot::take(&*machine.with_context(|| format!("sandbox {id}"))?, self.service.now())?;
        self.service.store().snapshots.insert(id.to_owned(), Arc::new(snapshot));
        Ok(())
    }

    /// Pauses a sandbox if it runs, and gives it the files back that were kept.
    pub async fn roll_back(&self, id: &str) -> anyhow::Result<()> {
        self.pause(id).await;
        let store = self.service.store();
        let machine = store.sandboxes.get(id).map(|record| Arc::clone(&record.machine));
        let snapshot = store.snapshots.get(id).cloned();
        drop(store);
        let snapshot = snapshot.with_context(|| format!("no files of {id} were kept"))?;
        snapshot.restore(&*machine.with_context(|| format!("sandbox {id}"))?)
    }
}

/// Copies what is in a directory, with owners, modes and links.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().context("cp")?;
    ensure!(status.success(), "cp -a {} {}", from.display(), to.display());
    Ok(())
}
