//! Takes in the files of one transfer: each is checked against the caps and the room before a byte is written.
//! Filled by `files::archive` or `files::single`; ends as a snapshot in `files::spool`.

use super::error::FilesError;
use super::listing::{Found, Kind};
use super::spool::{Collected, Staging, failed};
use crate::domain::files::{Caps, File, Mode, Snapshot, WorkTree};
use crate::domain::output::Output;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Intake {
    staging: Staging,
    caps: Caps,
    files: Vec<File>,
    bytes: u64,
    /// Number of places that were given out: their names.
    places: usize,
    output: Output,
}

/// A place for one file: its content's name and where that is.
pub(super) struct Place {
    pub name: PathBuf,
    pub path: PathBuf,
}

impl Intake {
    pub(super) fn new(staging: Staging, caps: Caps) -> Self {
        Self { staging, caps, files: Vec::new(), bytes: 0, places: 0, output: Output::default() }
    }

    /// The same with what the command has left beside its files.
    pub(super) fn beside(self, output: &Output) -> Self {
        Self { output: output.clone(), ..self }
    }

    /// Files that have arrived so far.
    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// Lets a file of `size` bytes in, or says which bound it breaks. Sizes are those that are delivered: a file may
    /// have grown since it was listed.
    pub(super) fn admit(&mut self, path: &str, size: u64) -> Result<Place, FilesError> {
        check_file(self.caps, path, size)?;
        self.bytes = self.bytes.saturating_add(size);
        check_total(self.caps, self.bytes)?;
        let held = self.staging.reservation().bytes();
        if self.bytes > held && !self.staging.reservation().grow(self.bytes - held) {
            return Err(FilesError::WaitingForSpool { needed: self.bytes });
        }
        let name = PathBuf::from(self.places.to_string());
        self.places += 1;
        let path = self.staging.dir().join(&name);
        Ok(Place { name, path })
    }

    pub(super) fn add(&mut self, path: String, mode: Mode, size: u64, blob: String, place: Place) {
        self.files.push(File { path, mode, size, blob, content: place.name, replaces: None, object: None });
    }

    /// Notes which content the file that was added last takes the place of.
    pub(super) fn replaces(&mut self, blob: Option<String>) {
        if let Some(file) = self.files.last_mut() {
            file.replaces = blob;
        }
    }

    /// The files that have arrived, to be changed.
    pub(super) fn files_mut(&mut self) -> &mut Vec<File> {
        &mut self.files
    }

    /// Where a content lies that has arrived.
    pub(super) fn place_of(&self, content: &Path) -> PathBuf {
        self.staging.dir().join(content)
    }

    /// Forgets the files at `paths`: they come again.
    pub(super) fn without(mut self, paths: &HashSet<Vec<u8>>) -> Result<Self, FilesError> {
        let (again, files) = self.files.into_iter().partition(|file| paths.contains(file.path.as_bytes()));
        self.files = files;
        let again: Vec<File> = again;
        for file in again {
            let content = self.staging.dir().join(&file.content);
            std::fs::remove_file(&content).map_err(|e| Self::disk_error(&content, &e))?;
            self.bytes -= file.size;
        }
        Ok(self)
    }

    /// Ends as a snapshot of all that was added, below `destination`.
    pub(super) fn keep_at(
        mut self,
        destination: Option<&str>,
        unchanged: usize,
    ) -> Result<Collected, FilesError> {
        if let Some(destination) = destination {
            for file in &mut self.files {
                file.path = format!("{destination}/{}", file.path);
            }
        }
        self.keep_as(Snapshot { unchanged, ..Snapshot::default() })
    }

    /// Ends as a snapshot of all that was added; `work_tree` says what else a work tree has changed.
    pub(super) fn keep(self, work_tree: WorkTree) -> Result<Collected, FilesError> {
        self.keep_as(Snapshot { work_tree: Some(work_tree), ..Snapshot::default() })
    }

    fn keep_as(mut self, snapshot: Snapshot) -> Result<Collected, FilesError> {
        self.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let snapshot = Snapshot { files: self.files, output: self.output, ..snapshot };
        let digest = digest(&snapshot);
        self.staging.keep(snapshot, digest)?.ok_or_else(|| {
            FilesError::Interrupted("the round was given up while its files were read".to_owned())
        })
    }

    pub(super) fn disk_error(path: &Path, error: &io::Error) -> FilesError {
        failed(path, error).into()
    }
}

/// The caps on what was listed, before anything is transferred; returns the sum of sizes (bytes).
pub(super) fn check_listed(caps: Caps, found: &[Found]) -> Result<u64, FilesError> {
    if found.len() > caps.max_files {
        return Err(FilesError::TooLarge(format!(
            "{} files are selected, SLIPWAY_MAX_FILES allows {}: narrow spec.source",
            found.len(),
            caps.max_files
        )));
    }
    let paths: Vec<_> = found.iter().map(|file| (String::from_utf8_lossy(&file.path), file.size)).collect();
    check_sizes(caps, paths.iter().map(|(path, size)| (path.as_ref(), *size)))
}

/// The caps on sizes, of files as (path, bytes); returns the sum (bytes).
pub(super) fn check_sizes<'a>(
    caps: Caps,
    files: impl Iterator<Item = (&'a str, u64)>,
) -> Result<u64, FilesError> {
    let mut total = 0_u64;
    for (path, size) in files {
        check_file(caps, path, size)?;
        total = total.saturating_add(size);
    }
    check_total(caps, total)?;
    Ok(total)
}

fn check_file(caps: Caps, path: &str, size: u64) -> Result<(), FilesError> {
    if size <= caps.max_file_bytes {
        return Ok(());
    }
    let shown: String = path.chars().take(200).collect();
    Err(FilesError::TooLarge(format!(
        "{shown:?} has {size} bytes, SLIPWAY_MAX_FILE_BYTES allows {}: leave it out by spec.source.exclude",
        caps.max_file_bytes
    )))
}

fn check_total(caps: Caps, total: u64) -> Result<(), FilesError> {
    if total <= caps.max_total_bytes {
        return Ok(());
    }
    Err(FilesError::TooLarge(format!(
        "the selected files have more bytes together than SLIPWAY_MAX_TOTAL_BYTES allows ({}): narrow spec.source",
        caps.max_total_bytes
    )))
}

/// Over mode, id and path of every file, as `git ls-tree -z` would print them; then of all else that a work tree has changed.
fn digest(snapshot: &Snapshot) -> String {
    let mut hash = Sha256::new();
    for file in &snapshot.files {
        hash.update(format!("{} {}\t{}\0", file.mode.as_str(), file.blob, file.path));
    }
    for change in snapshot.work_tree.iter().flat_map(|tree| &tree.others) {
        let (mode, id) = change.after.as_ref().map_or(("000000", ""), |entry| (entry.mode(), entry.id()));
        hash.update(format!("{mode} {id}\t{}\0", change.path));
    }
    hex::encode(hash.finalize())
}

impl From<Kind> for Mode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Regular { executable: false } => Self::Regular,
            Kind::Regular { executable: true } => Self::Executable,
            Kind::Symlink => Self::Symlink,
        }
    }
}
