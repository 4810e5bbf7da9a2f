//! What envd says about one file: `EntryInfo` of its filesystem service.
//! Used by `filesystem`; the rules for links are those of envd's `shared/pkg/filesystem`.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::sandbox::Sandbox;

/// Describes the file at `at`, showing it as `shown`. A link shows its target's type and mode; defaults are omitted.
pub fn describe(sandbox: &Sandbox, at: &Path, shown: &Path) -> io::Result<Value> {
    let view = &sandbox.view;
    let metadata = view.lstat(at)?;
    let mut entry = Map::new();
    let name = shown.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy());
    entry.insert("name".to_owned(), json!(name));
    let (kind, mode, target) = if metadata.is_symlink() {
        // A link that leads nowhere names itself.
        let target = view.resolve(at).unwrap_or_else(|_| shown.to_owned());
        match view.stat(at) {
            Ok(followed) => (file_type(&followed), followed.mode() & 0o777, Some(target)),
            Err(_) => (None, 0, Some(target)),
        }
    } else {
        (file_type(&metadata), metadata.mode() & 0o777, None)
    };
    if let Some(kind) = kind {
        entry.insert("type".to_owned(), json!(kind));
    }
    entry.insert("path".to_owned(), json!(shown.to_string_lossy()));
    if metadata.size() != 0 {
        // 64-bit numbers are strings in protobuf's JSON.
        entry.insert("size".to_owned(), json!(metadata.size().to_string()));
    }
    if mode != 0 {
        entry.insert("mode".to_owned(), json!(mode));
    }
    let (uid, gid) = view.ids(&metadata);
    entry.insert("permissions".to_owned(), json!(permissions(&metadata)));
    entry.insert("owner".to_owned(), json!(sandbox.users.owner(uid)));
    entry.insert("group".to_owned(), json!(sandbox.users.group_name(gid)));
    entry.insert("modifiedTime".to_owned(), json!(modified(&metadata)));
    if let Some(target) = target {
        entry.insert("symlinkTarget".to_owned(), json!(target.to_string_lossy()));
    }
    Ok(Value::Object(entry))
}

fn file_type(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_file() {
        Some("FILE_TYPE_FILE")
    } else if metadata.is_dir() {
        Some("FILE_TYPE_DIRECTORY")
    } else {
        None
    }
}

/// Like Go's `FileMode.String`.
fn permissions(metadata: &Metadata) -> String {
    let mode = metadata.mode();
    let kind = metadata.file_type();
    let flags = [
        (kind.is_dir(), 'd'),
        (kind.is_symlink(), 'L'),
        (kind.is_block_device() || kind.is_char_device(), 'D'),
        (kind.is_fifo(), 'p'),
        (kind.is_socket(), 'S'),
        (mode & 0o4000 != 0, 'u'),
        (mode & 0o2000 != 0, 'g'),
        (kind.is_char_device(), 'c'),
        (mode & 0o1000 != 0, 't'),
    ];
    let mut text: String = flags.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect();
    if text.is_empty() {
        text.push('-');
    }
    for (bit, letter) in (0..9).rev().zip("rwxrwxrwx".chars()) {
        text.push(if mode & (1 << bit) == 0 { '-' } else { letter });
    }
    text
}

/// Protobuf's JSON form of a time: no fraction, or one of 3, 6 or 9 digits.
fn modified(metadata: &Metadata) -> String {
    let nanoseconds = i32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    let time = Timestamp::new(metadata.mtime(), nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let precision = match nanoseconds {
        0 => 0,
        n if n % 1_000_000 == 0 => 3,
        n if n % 1000 == 0 => 6,
        _ => 9,
    };
    format!("{time:.precision$}")
}
