//! Contents out of the sandbox's git, in one stream: each id is computed again, and nothing is read that was not asked for.
//! Part of `worktree`; unpacked into `files::intake`.
//!
//! Source: git-cat-file(1), "Batch output".

use super::script::{command, directory, git_failed};
use crate::{
    controllers::task::files::{
        blob::{self, CopyError},
        blocking::unblocked,
        error::FilesError,
        intake::Intake,
        stdout::{Pieces, Pumped, pieces, pump},
        transfer::in_pieces,
    },
    domain::files::Mode,
    e2b::Envd,
};
use std::io::{self, BufRead as _, BufReader, Read as _};

const BLOBS: &str = include_str!("blobs.sh");
/// Content of one stream, unless a single file is larger (bytes).
const BATCH_BYTES: u64 = 64 << 20;
/// Length to which git's complaints are kept (bytes).
const MAX_WORDS: usize = 4 << 10;
/// Longest line before a content (bytes).
const MAX_LINE: u64 = 128;

/// A changed file, as git has told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Wanted {
    pub path: String,
    pub mode: Mode,
    pub blob: String,
    /// Bytes.
    pub size: u64,
    /// The content that it takes the place of.
    pub replaces: Option<String>,
}

/// Reads the contents of `wanted` into the spool.
pub(in super::super) async fn read(
    envd: &Envd,
    path: &str,
    id: &str,
    wanted: &[Wanted],
    mut intake: Intake,
) -> Result<Intake, FilesError> {
    for batch in in_pieces(wanted, BATCH_BYTES, |file| (file.blob.len(), file.size)) {
        intake = read_batch(envd, path, id, batch, intake).await?;
    }
    Ok(intake)
}

async fn read_batch(
    envd: &Envd,
    path: &str,
    id: &str,
    batch: &[Wanted],
    intake: Intake,
) -> Result<Intake, FilesError> {
    let ids = batch.iter().map(|file| file.blob.clone());
    let arguments = [path.to_owned(), directory(id)].into_iter().chain(ids);
    let process = envd.open(command("readBlobs", BLOBS, arguments)).await?;
    let longest = batch.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size + MAX_LINE));
    let (sender, stdout) = pieces(longest);
    let files = batch.to_vec();
    let unpacking = unblocked(move || unpack(stdout, files, intake));
    let (pumped, unpacked) = tokio::join!(pump(process, sender, MAX_WORDS), unpacking);
    match (pumped?, unpacked) {
        (Pumped::Ended { exit_code: Some(0), .. }, unpacked) | (Pumped::Unwanted, unpacked @ Err(_)) => {
            unpacked
        }
        // Our own bounds come before git's complaints about what followed from them.
        (_, Err(error)) if !matches!(error, FilesError::Interrupted(_)) => Err(error),
        (Pumped::Ended { words, .. }, _) => Err(git_failed(&words)),
        (Pumped::Unwanted, Ok(_)) => Err(odd("it goes on after its end")),
    }
}

fn unpack(stdout: Pieces, files: Vec<Wanted>, mut intake: Intake) -> Result<Intake, FilesError> {
    let mut stdout = BufReader::new(stdout);
    for file in files {
        let mut line = Vec::new();
        (&mut stdout).take(MAX_LINE).read_until(b'\n', &mut line).map_err(broken)?;
        if line != format!("{} blob {}\n", file.blob, file.size).as_bytes() {
            return Err(odd(&format!("it has another line before the content of {:?}", file.path)));
        }
        let place = intake.admit(&file.path, file.size)?;
        let id = blob::store(&mut stdout, file.size, &place.path).map_err(|error| match error {
            CopyError::Source(error) => broken(error),
            CopyError::Disk(error) => Intake::disk_error(&place.path, &error),
        })?;
        if id != file.blob {
            return Err(odd(&format!("the content of {:?} has another id", file.path)));
        }
        let mut end = [0];
        stdout.read_exact(&mut end).map_err(broken)?;
        if end != *b"\n" {
            return Err(odd(&format!("something follows the content of {:?}", file.path)));
        }
        intake.add(file.path, file.mode, file.size, file.blob, place);
        intake.replaces(file.replaces);
    }
    match stdout.read(&mut [0]).map_err(broken)? {
        0 => Ok(intake),
        _ => Err(odd("it goes on after its end")),
    }
}

#[allow(clippy::needless_pass_by_value)] // Fits `map_err`.
fn broken(error: io::Error) -> FilesError {
    FilesError::Interrupted(format!("the sandbox's git broke off: {error}"))
}

fn odd(what: &str) -> FilesError {
    FilesError::Interrupted(format!("the sandbox's git did not print what it was asked for: {what}"))
}
