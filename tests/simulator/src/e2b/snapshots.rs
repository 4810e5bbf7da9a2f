//! Files as a snapshot keeps them, and a sandbox that comes back with them: E2B shows older content under the same id.
//! Switches of `E2b`, for tests and `control`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::E2b;

/// What of a sandbox's files lies at the host.
const DIRECTORIES: [&str; 4] = ["/home", "/root", "/tmp", "/var/tmp"];

impl E2b {
    /// Keeps the files of a sandbox as they are now; a later call replaces them.
    pub fn keep_files(&self, id: &str) -> anyhow::Result<()> {
        let kept = TempDir::with_prefix("slipway-kept-")?;
        for (number, directory) in DIRECTORIES.iter().enumerate() {
            let files = self.host_path(id, directory).with_context(|| format!("sandbox {id}"))?;
            let to = kept.path().join(number.to_string());
            std::fs::create_dir(&to)?;
            copy(&files, &to)?;
        }
        self.service.store().kept_files.insert(id.to_owned(), kept);
        Ok(())
    }

    /// Pauses a sandbox if it runs, and gives it the files back that were kept.
    pub async fn roll_back(&self, id: &str) -> anyhow::Result<()> {
        self.pause(id).await;
        let store = self.service.store();
        let kept = store
            .kept_files
            .get(id)
            .with_context(|| format!("no files of {id} were kept"))?
            .path()
            .to_owned();
        drop(store);
        for (number, directory) in DIRECTORIES.iter().enumerate() {
            let files = self.host_path(id, directory).with_context(|| format!("sandbox {id}"))?;
            for entry in std::fs::read_dir(&files)? {
                let path = entry?.path();
                if path.is_dir() && !path.is_symlink() {
                    std::fs::remove_dir_all(&path)?;
                } else {
                    std::fs::remove_file(&path)?;
                }
            }
            copy(&kept.join(number.to_string()), &files)?;
        }
        Ok(())
    }
}

/// Copies what is in a directory, with owners, modes and links.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().context("cp")?;
    ensure!(status.success(), "cp -a {} {}", from.display(), to.display());
    Ok(())
}
