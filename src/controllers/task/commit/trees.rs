//! Creates the tree in as few calls as GitHub's limits on a request allow: what goes, then the files. Each call builds on the
//! tree of the one before.

use super::{
    answers::mismatch,
    blobs::{MAX_INLINE_FILE, text},
    content::content,
    pass::{End, Pass},
};
use crate::{
    api::conditions::reason,
    domain::git::{Put, Removal},
    github::{TreeContent, TreeEntry},
};
use sha2::{Digest as _, Sha256};

/// Bytes of inline content per call.
const MAX_INLINE: u64 = 1 << 20;
/// Entries of a call that took GitHub too long are halved, down to this many.
const FEWEST_ENTRIES: usize = 50;

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
            let most = self.ledger.most_entries();
            let (now, later) = removals.split_at(removals.len().min(most));
            let mut entries: Vec<TreeEntry> = now.iter().map(removal).collect();
            let (mut sent, mut taken) = (Vec::new(), 0);
            if entries.is_empty() || !(alone || entries.len() == most) {
                let files;
                (files, sent, taken) = self.next_entries(rest, most - entries.len()).await?;
                entries.extend(files);
            }
            let what = digest(tree.as_deref(), now, &rest[..taken]);
            match self.make_tree(&what, tree.as_deref(), &entries).await {
                Ok(made) => tree = Some(made),
                Err(End::Failed(failure))
                    if failure.reason == reason::TREE_TIMED_OUT && most > FEWEST_ENTRIES =>
                {
                    self.ledger.set_most_entries((most / 2).max(FEWEST_ENTRIES)).await;
                    self.in_time()?;
                    continue;
                }
                Err(end) => return Err(end),
            }
            (removals, rest) = (later, &rest[taken..]);
            let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
            self.accepted(&sent).await;
            if !rest.is_empty() {
                self.in_time()?;
            }
        }
        tree.ok_or_else(|| mismatch("createTree", "no tree at all").into())
    }

    /// The tree of these entries; one that this process has made is not made again.
    async fn make_tree(
        &mut self,
        what: &str,
        base: Option<&str>,
        entries: &[TreeEntry],
    ) -> Result<String, End> {
        if let Some(tree) = self.ledger.tree(what) {
            return Ok(tree.to_owned());
        }
        let tree = self.github.create_tree(self.request.repository, base, entries).await?;
        self.ledger.add_tree(what, &tree).await;
        Ok(tree)
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

/// What a tree is of, whether contents are sent with it or known by their ids.
fn digest(base: Option<&str>, removals: &[Removal], puts: &[Put<'_>]) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    };
    add(base.unwrap_or_default());
    for removal in removals {
        [removal.path.as_str(), removal.mode.as_str(), ""].into_iter().for_each(&mut add);
    }
    for put in puts {
        [put.path.as_str(), put.mode.as_str(), put.id.as_str()].into_iter().for_each(&mut add);
    }
    hex::encode(hash.finalize())
}

fn removal(removal: &Removal) -> TreeEntry {
    TreeEntry { path: removal.path.clone(), mode: removal.mode.clone(), content: TreeContent::Delete }
}
