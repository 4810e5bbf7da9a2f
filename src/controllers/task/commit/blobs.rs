//! Uploads the contents that can't travel inside a tree: large or binary files, one blob at a time.
//! Asks `ledger` what GitHub has; used by `commit` only.

use super::{
    answers::mismatch,
    content::content,
    pass::{End, Pass},
};
use crate::domain::files::File;
use std::collections::HashSet;

/// Bytes. A larger text goes as a blob, so that one file does not fill a tree call.
pub(super) const MAX_INLINE_FILE: u64 = 128 << 10;

impl Pass<'_> {
    /// Every content that needs a blob of its own and that GitHub has not accepted yet.
    pub(super) async fn upload_blobs(&mut self) -> Result<(), End> {
        let mut seen = HashSet::new();
        for file in self.changes.put.iter().filter_map(|put| put.file) {
            if self.ledger.has(&file.blob) || !seen.insert(&file.blob) {
                continue;
            }
            if file.size <= MAX_INLINE_FILE && text(content(file).await?).is_some() {
                continue;
            }
            self.in_time()?;
            self.upload(file).await?;
        }
        Ok(())
    }

    async fn upload(&mut self, file: &File) -> Result<(), End> {
        // A process before this one had it accepted: asking is a read, which waits for nobody's turn.
        if self.ledger.had(&file.blob) && self.github.blob_exists(self.request.repository, &file.blob).await?
        {
            self.accepted(&[&file.blob]).await;
            return Ok(());
        }
        let content = content(file).await?;
        let id = self.github.create_blob(self.request.repository, &file.path, &content).await?;
        if id != file.blob {
            return Err(mismatch("createBlob", "another id than the content has").into());
        }
        self.accepted(&[&file.blob]).await;
        Ok(())
    }
}

/// The content as text that JSON carries unchanged. A NUL would survive JSON, but marks binary files everywhere.
pub(super) fn text(content: Vec<u8>) -> Option<String> {
    String::from_utf8(content).ok().filter(|text| !text.contains('\0'))
}
