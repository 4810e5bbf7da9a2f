//! Creates the tree in as few calls as GitHub's limits on a request allow: what goes, then the files. Each call builds on the
//! tree of the one before.

use super::{
    answers::mismatch,
    blobs::{MAX_INLINE_FILE, text},
    content::content,
    pass::{End, Pass},
};
use crate::{
    domain::git::{Put, Removal},
    github::{TreeContent, TreeEntry},
};

/// Bytes of inline content per call.
const MAX_INLINE: u64 = 1 << 20;
/// Entries per call.
const MAX_ENTRIES: usize = 1000;

impl Pass<'_> {
    /// The id of the whole tree. With files left at the deadline the pass ends; what was sent by then counts as accepted.
    pub(super) async fn create_trees(&mut self, base_id: &str) -> Result<String, End> {
        let changes = self.changes;
        let mut tree = Some(base_id.to_owned());
        let mut removals = changes.remove.as_slice();
        if changes.removes_all {
            // An empty tree is not a base: the new files are then all there is.
            (tree, removals) = (None, &[]);
        }
        // One call can't take a file away and put another where its directory was, or below it.
        let alone = changes.replaces_by_kind();
        let mut rest = changes.put.as_slice();
        while !rest.is_empty() || !removals.is_empty() {
            let (now, later) = removals.split_at(removals.len().min(MAX_ENTRIES));
            removals = later;
            let mut entries: Vec<TreeEntry> = now.iter().map(removal).collect();
            let mut sent = Vec::new();
            if entries.is_empty() || !(alone || entries.len() == MAX_ENTRIES) {
                let (files, ids, taken) = self.next_entries(rest, MAX_ENTRIES - entries.len()).await?;
                rest = &rest[taken..];
                entries.extend(files);
                sent = ids;
            }
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
    async fn next_entries(
        &self,
        puts: &[Put<'_>],
        most: usize,
    ) -> Result<(Vec<TreeEntry>, Vec<String>, usize), End> {
        let (mut entries, mut sent, mut bytes) = (Vec::new(), Vec::new(), 0);
        for put in puts.iter().take(most) {
            let inline = match put.file {
                Some(file) if !self.ledger.has(&file.blob) && file.size <= MAX_INLINE_FILE => {
                    text(content(file).await?)
                }
                _ => None,
            };
            let content = match inline {
                None => TreeContent::Object(put.id.clone()),
                Some(text) => {
                    bytes += text.len() as u64;
                    if bytes > MAX_INLINE {
                        break;
                    }
                    sent.push(put.id.clone());
                    TreeContent::Inline(text)
                }
            };
            entries.push(TreeEntry { path: put.path.clone(), mode: put.mode.clone(), content });
        }
        let taken = entries.len();
        Ok((entries, sent, taken))
    }
}

fn removal(removal: &Removal) -> TreeEntry {
    TreeEntry { path: removal.path.clone(), mode: removal.mode.clone(), content: TreeContent::Delete }
}
