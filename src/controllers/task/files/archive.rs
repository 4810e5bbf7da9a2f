//! Transfer by `tar`: the selected files come as archives on a command's stdout and are unpacked as they arrive.
//! The way of `controllers::task::files` where the sandbox has tar; nothing is written inside the sandbox.
//!
//! An archive is hostile input: only names that were asked for count, each once; nothing is ever created by the name an
//! entry carries; its length is bounded before it is read.

use super::blob::{self, CopyError};
use super::intake::Intake;
use super::listing::Found;
use super::{FilesError, SANDBOX_USER, batches};
use crate::domain::files::Mode;
use crate::e2b::{Command, Envd, Event, Process};
use bytes::{Buf as _, Bytes};
use std::collections::HashSet;
use std::io::{self, Read};
use std::time::Duration;
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc;

const ARCHIVE: &str = include_str!("archive.sh");
/// What one archive may take.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Content of one archive, unless a single file is larger (bytes). Bounds what a hostile archive can make us hold.
const BATCH_BYTES: u64 = 16 << 20;
/// By how much the files of one archive may have grown since they were listed (bytes).
const GROWTH: u64 = 8 << 20;
/// Pieces on their way from the stream to the disk; envd's are 32 KiB.
const PIECES: usize = 16;
/// What is kept of tar's complaints (bytes).
const MAX_WORDS: usize = 4 << 10;

/// How the stream of one archive ended.
enum Pumped {
    Ended {
        success: bool,
        words: String,
    },
    /// The unpacking side wants no more: it knows why.
    Unwanted,
}

pub(super) async fn transfer(
    envd: &Envd,
    base: &str,
    selected: &[Found],
    mut intake: Intake,
) -> Result<Intake, FilesError> {
    for batch in batches(selected, BATCH_BYTES) {
        intake = transfer_batch(envd, base, batch, intake).await?;
    }
    Ok(intake)
}

async fn transfer_batch(
    envd: &Envd,
    base: &str,
    batch: &[Found],
    intake: Intake,
) -> Result<Intake, FilesError> {
    let names = batch.iter().map(|file| format!("./{}", String::from_utf8_lossy(&file.path)));
    let mut command = Command::sh("readArchive", ARCHIVE, std::iter::once(base.to_owned()).chain(names));
    command.timeout = Some(TIMEOUT);
    command.user = Some(SANDBOX_USER);
    let process = envd.open(command).await?;

    let (sender, receiver) = mpsc::channel(PIECES);
    let pieces = Pieces { receiver, current: Bytes::new(), left: longest(batch) };
    let wanted: HashSet<Vec<u8>> = batch.iter().map(|file| file.path.clone()).collect();
    let unpacking = tokio::task::spawn_blocking(move || unpack(pieces, wanted, intake));
    let pumped = pump(process, sender).await;
    let unpacked = match unpacking.await {
        Ok(unpacked) => unpacked,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => return Err(FilesError::Interrupted("the operator is stopping".to_owned())),
    };
    match (pumped?, unpacked) {
        // Our own bounds come before tar's complaints about what followed from them.
        (
            _,
            Err(
                error @ (FilesError::TooLarge(_) | FilesError::WaitingForSpool { .. } | FilesError::Spool(_)),
            ),
        ) => Err(error),
        (Pumped::Ended { success: false, words }, _) => {
            Err(FilesError::Interrupted(format!("tar failed in the sandbox: {words}")))
        }
        (_, unpacked) => unpacked,
    }
}

/// From the stream to the unpacking thread, at the pace of the slower.
async fn pump(mut process: Process, sender: mpsc::Sender<Bytes>) -> Result<Pumped, FilesError> {
    let mut words = Vec::new();
    let mut success = None;
    while let Some(event) = process.next().await? {
        match event {
            Event::Stdout(piece) => {
                if sender.send(piece).await.is_err() {
                    return Ok(Pumped::Unwanted);
                }
            }
            Event::Stderr(piece) => {
                let room = MAX_WORDS.saturating_sub(words.len()).min(piece.len());
                words.extend_from_slice(&piece[..room]);
            }
            Event::Ended { exit_code, .. } => success = Some(exit_code == Some(0)),
            Event::Started { .. } => {}
        }
    }
    let words = String::from_utf8_lossy(&words).trim().chars().take(300).collect();
    Ok(Pumped::Ended { success: success.unwrap_or(false), words })
}

/// An archive as a reader, for a thread that may block.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
    left: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(piece) = self.receiver.blocking_recv() else { return Ok(0) };
            self.left = self
                .left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| io::Error::other("it is longer than its files"))?;
            self.current = piece;
        }
        let read = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

/// No honest archive of `batch` is longer (bytes): content in blocks of 512, headers and long names, padding.
fn longest(batch: &[Found]) -> u64 {
    let entries = batch.iter().map(|file| file.size + 2 * file.path.len() as u64 + 8 * 512);
    entries.fold(GROWTH, u64::saturating_add)
}

/// Takes every wanted file out of the archive; all of them must be there.
fn unpack(reader: impl Read, mut wanted: HashSet<Vec<u8>>, mut intake: Intake) -> Result<Intake, FilesError> {
    let mut archive = Archive::new(reader);
    for entry in archive.entries().map_err(broken)? {
        take(&mut entry.map_err(broken)?, &mut wanted, &mut intake)?;
    }
    if let Some(missing) = wanted.iter().min() {
        return Err(FilesError::Interrupted(format!(
            "the archive ended without {:?}",
            String::from_utf8_lossy(missing)
        )));
    }
    // The padding, so that the stream is seen to its end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    Ok(intake)
}

fn take<R: Read>(
    entry: &mut Entry<'_, R>,
    wanted: &mut HashSet<Vec<u8>>,
    intake: &mut Intake,
) -> Result<(), FilesError> {
    let name = entry.path_bytes();
    let name = name.strip_prefix(b"./").unwrap_or(&name).to_vec();
    if !wanted.remove(&name) {
        return Err(refused(&name, "was not asked for"));
    }
    // What was asked for was checked to be UTF-8.
    let path = String::from_utf8(name).map_err(|e| refused(e.as_bytes(), "is no UTF-8"))?;
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let size = entry.size();
            let executable = entry.header().mode().map_err(broken)? & 0o100 != 0;
            let mode = if executable { Mode::Executable } else { Mode::Regular };
            put(intake, path, mode, size, entry)
        }
        EntryType::Symlink => {
            let target = entry.link_name_bytes().ok_or_else(|| refused(path.as_bytes(), "leads nowhere"))?;
            put(intake, path, Mode::Symlink, target.len() as u64, &mut &*target)
        }
        EntryType::Link => {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = target.strip_prefix(b"./").unwrap_or(&target);
            repeat(intake, path, target)
        }
        _ => Err(refused(path.as_bytes(), "is no file any more")),
    }
}

fn put(
    intake: &mut Intake,
    path: String,
    mode: Mode,
    size: u64,
    content: &mut impl Read,
) -> Result<(), FilesError> {
    let place = intake.admit(&path, size)?;
    let blob = blob::store(content, size, &place.path).map_err(|error| match error {
        CopyError::Source(error) => broken(error),
        CopyError::Disk(error) => Intake::disk_error(&place.path, &error),
    })?;
    intake.add(path, mode, size, blob, place);
    Ok(())
}

/// A second name of a file that came before in the same archive: its content is copied. Never a link of ours.
fn repeat(intake: &mut Intake, path: String, target: &[u8]) -> Result<(), FilesError> {
    let first =
        intake.files().iter().rfind(|file| file.path.as_bytes() == target && file.mode != Mode::Symlink);
    let first =
        first.ok_or_else(|| refused(path.as_bytes(), "is another name of a file that did not come"))?;
    let (mode, size, content) = (first.mode, first.size, first.content.clone());
    let place = intake.admit(&path, size)?;
    let source = place.path.with_file_name(content);
    let mut source = std::fs::File::open(&source).map_err(|e| Intake::disk_error(&source, &e))?;
    let blob = blob::store(&mut source, size, &place.path).map_err(|error| match error {
        CopyError::Source(error) | CopyError::Disk(error) => Intake::disk_error(&place.path, &error),
    })?;
    intake.add(path, mode, size, blob, place);
    Ok(())
}

#[allow(clippy::needless_pass_by_value)] // Fits `map_err`.
fn broken(error: io::Error) -> FilesError {
    FilesError::Interrupted(format!("the archive is broken: {error}"))
}

fn refused(name: &[u8], why: &str) -> FilesError {
    let name: String = String::from_utf8_lossy(name).chars().take(200).collect();
    FilesError::Interrupted(format!("the archive has an entry {name:?} that {why}"))
}
