//! Content on its way to the spool: written, measured and hashed as a git blob in one go.
//! Used by both ways of transfer, `files::archive` and `files::single`.

use crate::domain::git::BlobHasher;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Part of a file that is held in memory at a time (bytes).
const BUFFER: usize = 64 << 10;

/// The side of a copy that failed.
#[derive(Debug)]
pub(super) enum CopyError {
    /// The source ended before its size, or broke.
    Source(io::Error),
    Disk(io::Error),
}

/// Copies exactly `size` bytes of `source` to a new file at `path`; returns git's blob id, hex.
pub(super) fn store(source: &mut impl Read, size: u64, path: &Path) -> Result<String, CopyError> {
    let mut file = File::create_new(path).map_err(CopyError::Disk)?;
    let mut hash = BlobHasher::new(size);
    let mut buffer = vec![0; BUFFER];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = source.read(&mut buffer[..most]).map_err(CopyError::Source)?;
        if read == 0 {
            return Err(CopyError::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(CopyError::Disk)?;
        left -= read as u64;
    }
    hash.finish().ok_or_else(|| CopyError::Source(io::ErrorKind::InvalidData.into()))
}

/// Git's blob id of the file at `path`, and its size.
pub(super) fn hash_file(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut hash = BlobHasher::new(size);
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hash.finish().ok_or(io::ErrorKind::InvalidData)?, size)),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// SHA-256 of the file at `path`, hex: git LFS's name for its content.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    #[test]
    fn hashes_as_git_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let id = store(&mut &b"hello\nrest"[..], 6, &path).unwrap();
        assert_eq!(id, "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(std::fs::read(&path).unwrap(), b"hello\n");
        assert_eq!(hash_file(&path).unwrap(), (id, 6));
        let empty = store(&mut &b""[..], 0, &dir.path().join("e")).unwrap();
        assert_eq!(empty, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        let short = store(&mut &b"abc"[..], 4, &dir.path().join("s")).unwrap_err();
        assert!(matches!(short, CopyError::Source(e) if e.kind() == io::ErrorKind::UnexpectedEof));
    }
}
