//! The result of one reading of a batch, with the files of it that have changed meanwhile.
//! Shared by the two ways of reading, `archive` and `single`; used by `transfer`.

use super::{error::FilesError, intake::Intake};

/// Result of one reading of a batch.
pub(super) struct Reading {
    pub intake: Intake,
    /// Files of the batch that are not as they were before.
    pub changed: Vec<usize>,
}

/// Finds which of `count` files have other facts after than before, a line each; `None`: not all of them were there.
pub(super) fn changed(before: &str, after: &str, count: usize) -> Option<Vec<usize>> {
    if before.lines().count() != count || after.lines().count() != count {
        return None;
    }
    let pairs = before.lines().zip(after.lines()).enumerate();
    Some(pairs.filter(|(_, (before, after))| before != after).map(|(n, _)| n).collect())
}

pub(super) fn vanished() -> FilesError {
    FilesError::Interrupted("files vanished while they were read".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_their_place() {
        assert_eq!(changed("1 a\n2 b\n3 c", "1 a\n2 x\n4 c\n", 3), Some(vec![1, 2]));
        assert_eq!(changed("", "", 0), Some(Vec::new()));
        for (before, after) in
            [("1\n", "1\n2\n"), ("1\n2\n", "1\n"), ("1\n", "1\n"), ("1\n2\n3\n", "1\n2\n3\n")]
        {
            assert_eq!(changed(before, after, 2), None, "{before:?} {after:?}");
        }
    }
}
