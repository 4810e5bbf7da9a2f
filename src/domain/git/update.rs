//! Tells whether two comparisons show the same change: what a branch changed before its base branch was merged into it, and after. Pure.
//! Used by `controllers::task::commit`, which reads both at GitHub.

use serde::Deserialize;

/// A file that differs between two commits, in the shape of GitHub's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FileChange {
    #[serde(rename = "filename")]
    pub path: String,
    /// Its path before, where it was renamed.
    #[serde(rename = "previous_filename")]
    pub previous: Option<String>,
    /// `added`, `modified`, `removed`, `renamed`, …
    pub status: String,
    /// Git's id of its content.
    pub sha: Option<String>,
    /// The lines that differ and those around them; absent where it is no text, or long.
    pub patch: Option<String>,
}

impl FileChange {
    fn is_like(&self, other: &Self) -> bool {
        let same_place =
            (&self.path, &self.previous, &self.status) == (&other.path, &other.previous, &other.status);
        same_place && ((self.sha.is_some() && self.sha == other.sha) || self.has_hunks_of(other))
    }

    /// Where the base branch has changed the file elsewhere, the hunks are the same but for their line numbers. The lines around
    /// count: a line of ours that stands elsewhere, or beside one of theirs, is another change.
    fn has_hunks_of(&self, other: &Self) -> bool {
        self.patch.as_ref().zip(other.patch.as_ref()).is_some_and(|(one, other)| hunks(one).eq(hunks(other)))
    }
}

/// The lines of a patch, with an empty one where a hunk begins.
fn hunks(patch: &str) -> impl Iterator<Item = &str> {
    patch.lines().map(|line| if line.starts_with("@@") { "" } else { line })
}

/// Returns whether both change the same files in the same way, as far as a comparison tells: it has no modes. Whoever has resolved a
/// conflict in between has changed something, or lines beside it.
pub fn is_same_change(before: &[FileChange], after: &[FileChange]) -> bool {
    before.len() == after.len() && before.iter().all(|one| after.iter().any(|other| one.is_like(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice::from_ref;

    fn change(path: &str, sha: &str, patch: Option<&str>) -> FileChange {
        FileChange {
            path: path.into(),
            previous: None,
            status: "modified".into(),
            sha: Some(sha.into()),
            patch: patch.map(str::to_owned),
        }
    }

    #[test]
    fn a_file_that_the_base_branch_has_changed_elsewhere_is_changed_in_the_same_way() {
        let ours = change("a", "1", Some("@@ -1,2 +1,2 @@\n-one\n+ours\n two"));
        let merged = change("a", "2", Some("@@ -3,2 +3,2 @@ fn main() {\n-one\n+ours\n two"));
        assert!(is_same_change(from_ref(&ours), &[merged]));
        for (what, patch) in [
            ("a conflict was resolved", "@@ -1,2 +1,2 @@\n-theirs\n+ours\n two"),
            ("ours stands beside theirs", "@@ -1,3 +1,3 @@\n theirs\n-one\n+ours\n two"),
            ("ours stands elsewhere", "@@ -7,2 +7,2 @@\n-one\n+ours\n seven"),
            ("in two places", "@@ -1 +1 @@\n-one\n+ours\n@@ -9 +9 @@\n two"),
        ] {
            assert!(!is_same_change(from_ref(&ours), &[change("a", "3", Some(patch))]), "{what}");
        }
    }

    #[test]
    fn what_is_no_text_has_to_be_the_same_and_nothing_may_come_or_go() {
        let ours = [change("a", "1", None), change("b", "2", None)];
        assert!(is_same_change(&ours, &[change("b", "2", None), change("a", "1", None)]));
        assert!(!is_same_change(&ours, &[change("b", "3", None), change("a", "1", None)]));
        assert!(!is_same_change(&ours, &ours[..1]));
        assert!(!is_same_change(&ours[..1], &ours));
        let renamed = FileChange { previous: Some("c".into()), ..change("a", "1", None) };
        assert!(!is_same_change(&[renamed], &[change("a", "1", None)]));
    }
}
