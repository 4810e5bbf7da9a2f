//! From a list of files to their contents in the spool: in batches, and again what changed while it was read.
//! Between `controllers::task::files` and the two ways of reading, `files::archive` and `files::single`.

use super::intake::Intake;
use super::listing::Found;
use super::{archive, blocking::unblocked, error::FilesError, reading::Reading, single};
use crate::e2b::Envd;
use std::collections::HashSet;
use std::time::Duration;

/// Number of times a file is read that changes each time.
pub(super) const READS: usize = 3;
/// Pause before changed files are read again: whoever writes them may finish.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Names in the arguments of one command (bytes): Linux allows 2 MiB with the environment, 128 KiB each.
const BATCH_NAMES: usize = 64 << 10;

pub(super) async fn transfer(
    envd: &Envd,
    base: &str,
    has_tar: bool,
    selected: &[Found],
    mut intake: Intake,
) -> Result<Intake, FilesError> {
    let most = if has_tar { archive::BATCH_BYTES } else { u64::MAX };
    for batch in batches(selected, most) {
        intake = transfer_batch(envd, base, has_tar, batch, intake).await?;
    }
    Ok(intake)
}

async fn transfer_batch(
    envd: &Envd,
    base: &str,
    has_tar: bool,
    batch: &[Found],
    mut intake: Intake,
) -> Result<Intake, FilesError> {
    let mut wanted = batch.to_vec();
    for _ in 1..READS {
        let reading = read(envd, base, has_tar, &wanted, intake).await?;
        intake = reading.intake;
        if reading.changed.is_empty() {
            return Ok(intake);
        }
        wanted = reading.changed.iter().filter_map(|n| wanted.get(*n).cloned()).collect();
        let paths: HashSet<Vec<u8>> = wanted.iter().map(|file| file.path.clone()).collect();
        intake = unblocked(move || intake.without(&paths)).await?;
        tokio::time::sleep(PAUSE).await;
    }
    let reading = read(envd, base, has_tar, &wanted, intake).await?;
    let mut changed = reading.changed.iter().filter_map(|n| wanted.get(*n));
    match changed.next() {
        None => Ok(reading.intake),
        Some(first) => Err(keeps_changing(&first.path, changed.count())),
    }
}

async fn read(
    envd: &Envd,
    base: &str,
    has_tar: bool,
    batch: &[Found],
    intake: Intake,
) -> Result<Reading, FilesError> {
    if has_tar {
        archive::read(envd, base, batch, intake).await
    } else {
        single::read(envd, base, batch, intake).await
    }
}

pub(super) fn keeps_changing(path: &[u8], others: usize) -> FilesError {
    let path: String = String::from_utf8_lossy(path).chars().take(200).collect();
    let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
    FilesError::KeepsChanging(format!(
        "{path:?}{more} has changed each of the {READS} times that it was read: end what writes it, or leave it out by \
         spec.source.exclude"
    ))
}

/// `files` in pieces whose names fit one command and whose content is at most `bytes`, unless one file has more.
fn batches(files: &[Found], bytes: u64) -> impl Iterator<Item = &[Found]> {
    in_pieces(files, bytes, |file| (file.path.len(), file.size))
}

/// `items` in pieces whose names fit one command and whose content is at most `bytes`, unless one item has more.
/// `weigh` tells the bytes of an item's name and those of its content.
pub(super) fn in_pieces<T>(
    items: &[T],
    bytes: u64,
    weigh: impl Fn(&T) -> (usize, u64),
) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let (mut names, mut content) = (0, 0_u64);
        let fits = |item: &&T| {
            let (name, bytes_of_it) = weigh(item);
            // Names stand after `./`, and before a NUL.
            names += name + 3;
            content = content.saturating_add(bytes_of_it);
            names <= BATCH_NAMES && content <= bytes
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (piece, after) = rest.split_at(count);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::super::listing::Kind;
    use super::*;

    fn file(name: &str, size: u64) -> Found {
        Found { path: name.as_bytes().to_vec(), kind: Kind::Regular { executable: false }, size }
    }

    #[test]
    fn batches_keep_order_and_bounds() {
        let files: Vec<_> =
            [3, 3, 9, 1, 1].iter().enumerate().map(|(n, s)| file(&n.to_string(), *s)).collect();
        let sizes: Vec<Vec<u64>> =
            batches(&files, 6).map(|batch| batch.iter().map(|file| file.size).collect()).collect();
        assert_eq!(sizes, [vec![3, 3], vec![9], vec![1, 1]]);
        let long: Vec<_> = (0..3).map(|_| file(&"n".repeat(30_000), 0)).collect();
        assert_eq!(batches(&long, 6).map(<[_]>::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(batches(&[], 6).count(), 0);
    }
}
