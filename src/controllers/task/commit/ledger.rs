//! Notes which contents and trees GitHub has, in a file next to the spooled ones, so that no later pass sends them again.
//! An id is believed in the process that saw it accepted; a later process asks GitHub first.

use crate::github::RepositoryName;
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tokio::io::AsyncWriteExt as _;

/// Entries of a tree that are sent in one call, until GitHub is too slow for them.
const MAX_ENTRIES: usize = 1000;

/// One line per accepted blob, `<process> <owner/name> <blob id>`, and per tree, `<process> <owner/name> <what it is of> <tree id>`;
/// `<process> <owner/name> entries <number>` where GitHub takes no more in one call.
#[derive(Debug)]
pub(super) struct Ledger {
    path: Option<PathBuf>,
    repository: String,
    accepted: HashSet<String>,
    earlier: HashSet<String>,
    /// Trees that this process has had made, by what they are of.
    trees: HashMap<String, String>,
    most_entries: usize,
    /// The file ends in the middle of a line.
    torn: bool,
}

impl Ledger {
    /// Reads what is there. A missing file is an empty ledger; a line cut off by a crash is skipped.
    pub(super) async fn open(path: Option<&Path>, repository: &RepositoryName) -> Self {
        let repository = repository.to_string().to_lowercase();
        let text = match path {
            Some(path) => tokio::fs::read_to_string(path).await.unwrap_or_default(),
            None => String::new(),
        };
        let (mut accepted, mut earlier, mut trees) = (HashSet::new(), HashSet::new(), HashMap::new());
        let mut most_entries = MAX_ENTRIES;
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            match fields[..] {
                [by, of, blob] if of == repository && blob.len() == 40 => {
                    let known = if by == process() { &mut accepted } else { &mut earlier };
                    known.insert(blob.to_owned());
                }
                [by, of, what, tree] if of == repository && by == process() && tree.len() == 40 => {
                    trees.insert(what.to_owned(), tree.to_owned());
                }
                [_, of, "entries", most] if of == repository => {
                    most_entries = most.parse().map_or(most_entries, |most| most_entries.min(most).max(1));
                }
                _ => {}
            }
        }
        let torn = !text.is_empty() && !text.ends_with('\n');
        let path = path.map(Path::to_owned);
        Self { path, repository, accepted, earlier, trees, most_entries, torn }
    }

    /// Returns whether this process saw the blob accepted.
    pub(super) fn has(&self, blob: &str) -> bool {
        self.accepted.contains(blob)
    }

    /// Returns whether an earlier process noted the blob: GitHub probably has it.
    pub(super) fn had(&self, blob: &str) -> bool {
        self.earlier.contains(blob)
    }

    /// GitHub does not find what it had accepted: everything is sent again.
    pub(super) async fn forget(&self) {
        if let Some(path) = &self.path
            && let Err(error) = tokio::fs::remove_file(path).await
        {
            tracing::warn!(path = %path.display(), %error, "the list of uploaded files could not be removed");
        }
    }

    /// Notes accepted blobs. A ledger that can't be written costs only uploads after a restart, so the pass goes on.
    pub(super) async fn add(&mut self, blobs: &[&str]) {
        if blobs.is_empty() {
            return;
        }
        self.note(blobs).await;
        self.accepted.extend(blobs.iter().map(|blob| (*blob).to_owned()));
    }

    /// The tree that this process has had made of the same.
    pub(super) fn tree(&self, what: &str) -> Option<&str> {
        self.trees.get(what).map(String::as_str)
    }

    /// Notes a tree: a pass whose next write has to wait for its turn goes on from there.
    pub(super) async fn add_tree(&mut self, what: &str, tree: &str) {
        self.note(&[&format!("{what} {tree}")]).await;
        self.trees.insert(what.to_owned(), tree.to_owned());
    }

    /// How many entries of a tree are sent in one call.
    pub(super) fn most_entries(&self) -> usize {
        self.most_entries
    }

    /// Notes that GitHub takes no more in one call.
    pub(super) async fn set_most_entries(&mut self, most: usize) {
        self.note(&[&format!("entries {most}")]).await;
        self.most_entries = most;
    }

    async fn note(&mut self, notes: &[&str]) {
        let start = if std::mem::take(&mut self.torn) { "\n" } else { "" };
        let mut lines = start.to_owned();
        for note in notes {
            lines.extend([process(), " ", &self.repository, " ", note, "\n"]);
        }
        if let Some(path) = &self.path
            && let Err(error) = append(path, &lines).await
        {
            tracing::warn!(path = %path.display(), %error, "the list of uploaded files could not be written");
        }
    }
}

async fn append(path: &Path, lines: &str) -> std::io::Result<()> {
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
    file.write_all(lines.as_bytes()).await?;
    file.flush().await
}

/// Tells this process from those before it.
fn process() -> &'static str {
    static PROCESS: OnceLock<String> = OnceLock::new();
    PROCESS.get_or_init(|| format!("{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ids_of_an_earlier_process_and_of_another_repository_are_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blobs");
        let (ours, theirs) = (RepositoryName::new("Acme", "App"), RepositoryName::new("acme", "other"));
        let id = |digit: &str| digit.repeat(40);
        Ledger::open(Some(&path), &ours).await.add(&[&id("a")]).await;
        Ledger::open(Some(&path), &theirs).await.add(&[&id("b")]).await;
        append(&path, &format!("1-1 acme/app {}\n1-1 acme/app 123", id("c"))).await.unwrap();
        let ledger = Ledger::open(Some(&path), &RepositoryName::new("acme", "app")).await;
        assert!(ledger.has(&id("a")) && !ledger.had(&id("a")));
        assert!(!ledger.has(&id("b")) && !ledger.had(&id("b")));
        assert!(!ledger.has(&id("c")) && ledger.had(&id("c")));
        assert!(!ledger.had("123"));
    }

    #[tokio::test]
    async fn a_tree_is_known_by_what_it_is_of() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blobs");
        let ours = RepositoryName::new("acme", "app");
        let id = "d".repeat(40);
        Ledger::open(Some(&path), &ours).await.add_tree("digest", &id).await;
        append(&path, &format!("1-1 acme/app earlier {id}\n")).await.unwrap();
        let ledger = Ledger::open(Some(&path), &ours).await;
        assert_eq!((ledger.tree("digest"), ledger.tree("other")), (Some(id.as_str()), None));
        assert_eq!(ledger.tree("earlier"), None, "GitHub may have forgotten what another process made");
        assert_eq!(Ledger::open(Some(&path), &RepositoryName::new("acme", "b")).await.tree("digest"), None);
    }

    #[tokio::test]
    async fn what_github_takes_in_one_call_is_remembered_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blobs");
        let ours = RepositoryName::new("acme", "app");
        assert_eq!(Ledger::open(Some(&path), &ours).await.most_entries(), MAX_ENTRIES);
        append(&path, "1-1 acme/app entries 500\n1-1 acme/app entries x\n1-1 acme/app entries 9999\n")
            .await
            .unwrap();
        let mut ledger = Ledger::open(Some(&path), &ours).await;
        assert_eq!(ledger.most_entries(), 500);
        ledger.set_most_entries(250).await;
        assert_eq!(Ledger::open(Some(&path), &ours).await.most_entries(), 250);
        assert_eq!(
            Ledger::open(Some(&path), &RepositoryName::new("acme", "b")).await.most_entries(),
            MAX_ENTRIES
        );
    }

    #[tokio::test]
    async fn what_is_added_after_a_line_cut_off_by_a_crash_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blobs");
        let ours = RepositoryName::new("acme", "app");
        append(&path, "1-1 acme/app 12345").await.unwrap();
        Ledger::open(Some(&path), &ours).await.add(&[&"a".repeat(40)]).await;
        assert!(Ledger::open(Some(&path), &ours).await.has(&"a".repeat(40)));
    }
}
