//! Git object ids: SHA-1 over a header and the content.
//! Source: Pro Git, "Git Internals - Git Objects".

use sha1::{Digest as _, Sha1};

/// Git's id of a blob, for content that comes in pieces.
#[derive(Debug, Clone)]
pub struct BlobHasher {
    sha: Sha1,
    left: Option<u64>,
}

impl BlobHasher {
    /// The size in bytes stands before the content, so it has to be known first.
    pub fn new(size: u64) -> Self {
        let mut sha = Sha1::new();
        sha.update(format!("blob {size}\0"));
        Self { sha, left: Some(size) }
    }

    pub fn update(&mut self, piece: &[u8]) {
        self.sha.update(piece);
        self.left = self.left.and_then(|left| left.checked_sub(piece.len() as u64));
    }

    /// The id in hex; `None` when the content had another size than announced: the file changed while it was read.
    pub fn finish(self) -> Option<String> {
        (self.left == Some(0)).then(|| hex::encode(self.sha.finalize()))
    }
}

/// Git's id of a blob that is in memory.
pub fn blob_id(content: &[u8]) -> String {
    object_id("blob", content)
}

/// Git's id of any object.
pub(super) fn object_id(kind: &str, content: &[u8]) -> String {
    let mut sha = Sha1::new();
    sha.update(format!("{kind} {}\0", content.len()));
    sha.update(content);
    hex::encode(sha.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_gits() {
        // `git hash-object` of the empty file and of `what is up, doc?` (Pro Git).
        assert_eq!(blob_id(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_id(b"what is up, doc?"), "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
        assert_eq!(object_id("tree", b""), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    #[test]
    fn pieces_give_the_same_id_as_the_whole() {
        let content: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        for piece in [1, 7, 4096, 10_000] {
            let mut hasher = BlobHasher::new(10_000);
            content.chunks(piece).for_each(|p| hasher.update(p));
            assert_eq!(hasher.finish(), Some(blob_id(&content)));
        }
    }

    #[test]
    fn a_size_that_was_wrong_gives_no_id() {
        let hash = |size, content: &[u8]| {
            let mut hasher = BlobHasher::new(size);
            hasher.update(content);
            hasher.finish()
        };
        assert_eq!(hash(3, b"ab"), None);
        assert_eq!(hash(3, b"abcd"), None);
        assert_eq!(hash(0, b""), Some(blob_id(b"")));
    }
}
