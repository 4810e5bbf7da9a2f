//! Creates the tree: removals first, then the files, in as few calls as GitHub's limits on a request allow. Each call builds
//! on the tree of the one before.

use super::{
    base::Base,
    blobs::{MAX_INLINE_FILE, text},
    content::content,
    pass::{End, Pass},
    request::mismatch,
};
use crate::{
    domain::git::Put,
    github::{TreeContent, TreeEntry},
};

/// Bytes of inline content per call.
const MAX_INLINE: u64 = 1 << 20;
/// Entries per call.
const MAX_ENTRIES: usize = 1000;

impl Pass<'_> {
    /// The id of the whole tree. With files left at the deadline the pass ends; what was sent by then counts as accepted.
    pub(super) async fn create_trees(&mut self, base: &Base) -> Result<String, End> {
        let changes = self.changes;
        let mut tree = Some(base.id.clone());
        if changes.removes_all {
            // An empty tree is not a base: the new files are then all there is.
            tree = None;
        } else {
            for paths in changes.remove.chunks(MAX_ENTRIES) {
                let entries: Vec<TreeEntry> = paths.iter().map(|path| removal(path)).collect();
                tree =
                    Some(self.github.create_tree(self.request.repository, tree.as_deref(), &entries).await?);
            }
        }
        let mut rest = changes.put.as_slice();
        while !rest.is_empty() {
            let (entries, sent, taken) = self.next_entries(rest).await?;
            rest = &rest[taken..];
            tree = Some(self.github.create_tree(self.request.repository, tree.as_deref(), &entries).await?);
            let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
            self.accepted(&sent).await;
            if !rest.is_empty() {
                self.in_time()?;
            }
        }
        tree.ok_or_else(|| mismatch("createTree", "no tree at all").into())
    }

    /// The entries of the next call, the ids of the contents inside them, and how many files they are.
    async fn next_entries(&self, puts: &[Put<'_>]) -> Result<(Vec<TreeEntry>, Vec<String>, usize), End> {
        let (mut entries, mut sent, mut bytes) = (Vec::new(), Vec::new(), 0);
        for put in puts.iter().take(MAX_ENTRIES) {
            let file = put.file;
            let accepted = put.known || self.ledger.has(&file.blob) || file.size > MAX_INLINE_FILE;
            let inline = if accepted { None } else { text(content(file).await?) };
            let content = match inline {
                None => TreeContent::Blob(file.blob.clone()),
                Some(text) => {
                    bytes += file.size;
                    if bytes > MAX_INLINE {
                        break;
                    }
                    sent.push(file.blob.clone());
                    TreeContent::Inline(text)
                }
            };
            entries.push(TreeEntry { path: file.path.clone(), mode: file.mode.as_str(), content });
        }
        let taken = entries.len();
        Ok((entries, sent, taken))
    }
}

fn removal(path: &str) -> TreeEntry {
    TreeEntry { path: path.to_owned(), mode: "100644", content: TreeContent::Delete }
}
