//! Transfer one by one: for sandboxes without tar. Files by envd's own download, links by `readlink`.
//! The other way of `controllers::task::files`.

use super::blob;
use super::error::FilesError;
use super::intake::Intake;
use super::listing::{Found, Kind, SANDBOX_USER, words};
use super::reading::{Reading, changed, vanished};
use crate::domain::files::Mode;
use crate::e2b::{Command, Envd, Output};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const READLINK: &str = include_str!("readlink.sh");
const FACTS: &str = include_str!("facts.sh");
const TIMEOUT: Duration = Duration::from_mins(1);
/// Targets are at most 4 KiB each, and a batch of names 64 KiB (bytes).
const MAX_TARGETS: usize = 64 << 20;
/// Some 120 bytes for each name of a batch (bytes).
const MAX_FACTS: usize = 4 << 20;

pub(super) async fn read(
    envd: &Envd,
    base: &str,
    batch: &[Found],
    mut intake: Intake,
) -> Result<Reading, FilesError> {
    let before = facts(envd, base, batch).await?;
    let (links, files): (Vec<&Found>, Vec<&Found>) = batch.iter().partition(|f| f.kind == Kind::Symlink);
    for file in files {
        download(envd, base, file, &mut intake).await?;
    }
    if !links.is_empty() {
        read_links(envd, base, &links, &mut intake).await?;
    }
    let changed = changed(&before, &facts(envd, base, batch).await?, batch.len()).ok_or_else(vanished)?;
    Ok(Reading { intake, changed })
}

/// Asks the sandbox about the files of `batch`, a line each.
async fn facts(envd: &Envd, base: &str, batch: &[Found]) -> Result<String, FilesError> {
    let output = run(envd, "readFacts", FACTS, base, batch, MAX_FACTS).await?;
    if output.truncated {
        return Err(FilesError::Interrupted("stat said more than it was asked for".to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn run<'a>(
    envd: &Envd,
    operation: &'static str,
    script: &str,
    base: &str,
    batch: impl IntoIterator<Item = &'a Found>,
    most: usize,
) -> Result<Output, FilesError> {
    let names = batch.into_iter().map(|file| format!("./{}", String::from_utf8_lossy(&file.path)));
    let mut command = Command::sh(operation, script, std::iter::once(base.to_owned()).chain(names));
    command.timeout = Some(TIMEOUT);
    command.user = Some(SANDBOX_USER);
    Ok(envd.run(command, most).await?)
}

async fn download(envd: &Envd, base: &str, file: &Found, intake: &mut Intake) -> Result<(), FilesError> {
    let path = String::from_utf8_lossy(&file.path).into_owned();
    let whole = format!("{}/{path}", base.trim_end_matches('/'));
    let gone = || FilesError::Interrupted(format!("{path:?} vanished before it was read"));
    let mut body = envd.read_file(&whole).await?.ok_or_else(gone)?;
    // The length that is announced is the one that the body is checked against.
    let size = body.length().unwrap_or(file.size);
    let place = intake.admit(&path, size)?;
    let on_disk = |error: &std::io::Error| Intake::disk_error(&place.path, error);
    let mut spooled = tokio::fs::File::create_new(&place.path).await.map_err(|e| on_disk(&e))?;
    let mut written = 0;
    while let Some(piece) = body.next().await? {
        written += piece.len() as u64;
        if written > size {
            return Err(FilesError::Interrupted(format!("{path:?} grew while it was read")));
        }
        spooled.write_all(&piece).await.map_err(|e| on_disk(&e))?;
    }
    spooled.flush().await.map_err(|e| on_disk(&e))?;
    drop(spooled);
    let content = place.path.clone();
    let hashed = tokio::task::spawn_blocking(move || blob::hash_file(&content)).await;
    let (blob, size) = hashed.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(|e| on_disk(&e))?;
    intake.add(path, file.kind.into(), size, blob, place);
    Ok(())
}

async fn read_links(
    envd: &Envd,
    base: &str,
    batch: &[&Found],
    intake: &mut Intake,
) -> Result<(), FilesError> {
    let output = run(envd, "readLinks", READLINK, base, batch.iter().copied(), MAX_TARGETS).await?;
    if output.exit_code != Some(0) || output.truncated {
        return Err(FilesError::Interrupted(format!("reading links failed: {}", words(&output))));
    }
    let targets: Vec<&[u8]> = output.stdout.split(|b| *b == 0).collect();
    if targets.len() != batch.len() + 1 {
        return Err(FilesError::Interrupted("reading links gave another number of targets".to_owned()));
    }
    for (link, target) in batch.iter().zip(targets) {
        let path = String::from_utf8_lossy(&link.path).into_owned();
        // readlink ends its answer with one line feed; all before it is the target's.
        let target = target.strip_suffix(b"\n").unwrap_or(target);
        let size = target.len() as u64;
        let place = intake.admit(&path, size)?;
        let blob = blob::store(&mut &*target, size, &place.path).map_err(|error| match error {
            blob::CopyError::Source(e) | blob::CopyError::Disk(e) => Intake::disk_error(&place.path, &e),
        })?;
        intake.add(path, Mode::Symlink, size, blob, place);
    }
    Ok(())
}
