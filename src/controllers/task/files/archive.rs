//! Transfer by `tar`: the selected files come as archives on a command's stdout and are unpacked as they arrive.
//! The way of `controllers::task::files` where the sandbox has tar; nothing is written inside the sandbox.
//!
//! An archive is hostile input: only names that were asked for count, each once; nothing is ever created by the name an
//! entry carries; its length is bounded before it is read.

use super::blob::{self, CopyError};
use super::intake::Intake;
use super::listing::{Found, SANDBOX_USER};
use super::reading::{Reading, changed, vanished};
use super::stdout::{Pumped, pieces, pump};
use super::{blocking::unblocked, error::FilesError};
use crate::domain::files::Mode;
use crate::e2b::{Command, Envd};
use std::collections::HashSet;
use std::io::{self, Read};
use std::time::Duration;
use tar::{Archive, Entry, EntryType};

const ARCHIVE: &str = include_str!("archive.sh");
/// Time limit of one archive.
const TIMEOUT: Duration = Duration::from_mins(10);
/// Content of one archive, unless a single file is larger (bytes). Bounds what a hostile archive can make us hold.
pub(super) const BATCH_BYTES: u64 = 16 << 20;
/// By how much the files of one archive may have grown since they were listed (bytes).
const GROWTH: u64 = 8 << 20;
/// Length to which tar's complaints are kept (bytes).
const MAX_WORDS: usize = 4 << 10;
/// Room for the facts about one file, before and after (bytes).
const FACTS: usize = 2 * 160;

pub(super) async fn read(
    envd: &Envd,
    base: &str,
    batch: &[Found],
    intake: Intake,
) -> Result<Reading, FilesError> {
    let names = batch.iter().map(|file| format!("./{}", String::from_utf8_lossy(&file.path)));
    let mut command = Command::sh("readArchive", ARCHIVE, std::iter::once(base.to_owned()).chain(names));
    command.timeout = Some(TIMEOUT);
    command.user = Some(SANDBOX_USER);
    let process = envd.open(command).await?;

    let (sender, pieces) = pieces(longest(batch));
    let wanted: HashSet<Vec<u8>> = batch.iter().map(|file| file.path.clone()).collect();
    let unpacking = unblocked(move || unpack(pieces, wanted, intake));
    let (pumped, unpacked) = tokio::join!(pump(process, sender, MAX_WORDS + batch.len() * FACTS), unpacking);
    match (pumped?, unpacked) {
        // Our own bounds come before tar's complaints about what followed from them.
        (
            _,
            Err(
                error @ (FilesError::TooLarge(_) | FilesError::WaitingForSpool { .. } | FilesError::Spool(_)),
            ),
        ) => Err(error),
        // 1 is GNU tar's for a file that changed under it; whole is what comes all the same.
        (Pumped::Ended { exit_code: Some(0 | 1), words }, Ok(intake)) => {
            let changed = changes(&words, batch.len()).ok_or_else(vanished)?;
            Ok(Reading { intake, changed })
        }
        (Pumped::Ended { exit_code: Some(0), .. } | Pumped::Unwanted, Err(error)) => Err(error),
        (Pumped::Ended { words, .. }, _) => {
            let words = words.rsplit("words\n").next().unwrap_or_default().trim().chars().take(300);
            let words: String = words.collect();
            Err(FilesError::Interrupted(format!("tar failed in the sandbox: {words}")))
        }
        (Pumped::Unwanted, Ok(_)) => {
            Err(FilesError::Interrupted("the archive goes on after its end".to_owned()))
        }
    }
}

/// Finds which of `count` files have changed while they were read, by what the script says; `None`: it can't be told.
fn changes(words: &str, count: usize) -> Option<Vec<usize>> {
    let Some(facts) = words.strip_prefix("before\n") else {
        return words.starts_with("words\n").then(Vec::new);
    };
    let (before, rest) = facts.split_once("\nafter\n")?;
    let (after, _) = rest.split_once("\nwords\n")?;
    changed(before, after, count)
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
        unpack_entry(&mut entry.map_err(broken)?, &mut wanted, &mut intake)?;
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

fn unpack_entry<R: Read>(
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

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;
    use crate::{controllers::task::files::Spool, domain::files::Caps};
    use std::path::Path;
    use tar::{Builder, Header};

    const CAPS: Caps =
        Caps { max_files: 9, max_file_bytes: 100, max_total_bytes: 150, max_checkout_bytes: 0 };

    fn entry(name: &[u8], entry_type: EntryType, content: &[u8], link: &str) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(entry_type);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_link_name_literal(link).unwrap();
        header.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap()[..512 + content.len().div_ceil(512) * 512].to_vec()
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        entry(name.as_bytes(), EntryType::Regular, content, "")
    }

    /// Unpacks an archive of `entries` when `wanted` was asked for.
    fn unpacked(
        entries: &[Vec<u8>],
        wanted: &[&str],
        dir: &Path,
    ) -> Result<Vec<(String, Mode, u64)>, FilesError> {
        let archive = [&entries.concat()[..], &[0; 1024]].concat();
        let spool = Spool::new(dir.to_owned(), 1000).unwrap();
        let staging = spool.begin("u", spool.reserve(0).unwrap()).unwrap();
        let wanted = wanted.iter().map(|name| name.as_bytes().to_vec()).collect();
        let intake = unpack(&archive[..], wanted, Intake::new(staging, CAPS))?;
        Ok(intake.files().iter().map(|f| (f.path.clone(), f.mode, f.size)).collect())
    }

    #[test]
    fn takes_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let entries = [
            file("./a", b"12"),
            entry(b"./l", EntryType::Symlink, b"", "../../etc"),
            entry(b"./h", EntryType::Link, b"", "./a"),
        ];
        let got = unpacked(&entries, &["a", "l", "h"], dir.path()).unwrap();
        let expected = [("a", Mode::Regular, 2), ("l", Mode::Symlink, 9), ("h", Mode::Regular, 2)]
            .map(|(n, m, s)| (n.to_owned(), m, s));
        assert_eq!(got, expected);
    }

    #[test]
    fn refuses_everything_else() {
        let table: [(&str, Vec<Vec<u8>>); 10] = [
            ("a name that was not asked for", vec![file("./a", b""), file("./b", b"")]),
            ("an absolute name", vec![file("/a", b"")]),
            ("a way out", vec![file("./../a", b"")]),
            ("a name twice", vec![file("./a", b""), file("./a", b"")]),
            ("a missing file", vec![]),
            ("a directory", vec![entry(b"./a", EntryType::Directory, b"", "")]),
            ("a device", vec![entry(b"./a", EntryType::Char, b"", "")]),
            ("a pipe", vec![entry(b"./a", EntryType::Fifo, b"", "")]),
            ("another name of what did not come", vec![entry(b"./a", EntryType::Link, b"", "/etc/passwd")]),
            ("another name of itself", vec![entry(b"./a", EntryType::Link, b"", "./a")]),
        ];
        for (what, entries) in table {
            let dir = tempfile::tempdir().unwrap();
            let error = unpacked(&entries, &["a"], dir.path()).map(|_| ()).unwrap_err();
            assert_eq!(error.reason(), "TransferInterrupted", "{what}: {error}");
            assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "{what} leaves nothing");
        }
    }

    #[test]
    fn an_archive_that_ends_early_is_broken() {
        let whole = [file("./a", &[1; 60]), file("./b", b"")].concat();
        for length in [0, 100, 511, 512, 530, 600, 1024, 1100] {
            let dir = tempfile::tempdir().unwrap();
            let spool = Spool::new(dir.path().to_owned(), 1000).unwrap();
            let staging = spool.begin("u", spool.reserve(0).unwrap()).unwrap();
            let wanted = ["a", "b"].map(|name| name.as_bytes().to_vec()).into();
            let error = unpack(&whole[..length], wanted, Intake::new(staging, CAPS)).unwrap_err();
            assert_eq!(error.reason(), "TransferInterrupted", "{length} bytes: {error}");
        }
    }

    #[test]
    fn caps_hold_for_what_is_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let error = unpacked(&[file("./a", &[1; 101])], &["a"], dir.path()).unwrap_err();
        assert_eq!(error.reason(), "TooLarge");
        let error =
            unpacked(&[file("./a", &[1; 80]), file("./b", &[1; 80])], &["a", "b"], dir.path()).unwrap_err();
        assert_eq!(error.reason(), "TooLarge");
    }

    #[test]
    fn reads_what_has_changed() {
        assert_eq!(changes("words\ntar: a: odd\n", 2), Some(Vec::new()));
        assert_eq!(changes("before\n1 x\n2 y\nafter\n1 x\n2 z\nwords\n\n", 2), Some(vec![1]));
        for unreadable in
            ["", "tar: odd\n", "before\n1 x\n", "before\n1\nafter\n1\n2\nwords\n", "before\n1\n2"]
        {
            assert_eq!(changes(unreadable, 2), None, "{unreadable:?}");
        }
    }
}
