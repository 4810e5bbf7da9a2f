//! The lengths that the schema promises and every status write keeps. One constant serves both, so that
//! no write can be refused for a string that is too long. Imports nothing.

/// Longest list in any status: the newest entries are kept.
pub const LIST: usize = 10;
/// Object names (RFC 1123 subdomain).
pub const NAME: u32 = 253;
/// Task titles.
pub const TITLE: u32 = 200;
/// Labels of one pull request.
pub const LABELS: u32 = 20;
/// Reviewers of one pull request, as many as GitHub takes at once.
pub const REVIEWERS: u32 = 15;
/// Task descriptions, pull request bodies and commit messages.
pub const TEXT: u32 = 16_384;
/// Pull request bodies in status, as long as GitHub takes them.
pub const PULL_REQUEST_BODY: u32 = 65_536;
/// Branch names: GitHub's limit of 255 less `refs/heads/`.
pub const BRANCH: u32 = 244;
/// Absolute paths in a sandbox.
pub const PATH: u32 = 1_024;
/// gitignore patterns: length and number.
pub const PATTERN: u32 = 512;
pub const PATTERNS: u32 = 100;
/// Environment variables: number and length of a value.
pub const ENV: u32 = 100;
pub const ENV_VALUE: u32 = 8_192;
/// Secrets that one command is given: every variable of the Task and of its Sandbox may name another.
pub const SECRETS: u32 = 2 * ENV;
/// Command words: number and length.
pub const ARGS: u32 = 64;
pub const ARG: u32 = 8_192;
/// A key of a Secret and the Secret's `resourceVersion`.
pub const SECRET_VERSION: u32 = 320;
/// Ids of E2B, GitHub and ours.
pub const ID: u32 = 128;
/// Hex SHA-1 or SHA-256 object ids.
pub const SHA: u32 = 64;
/// URLs.
pub const URL: u32 = 1_024;
/// Messages in status outside conditions.
pub const MESSAGE: u32 = 1_024;
/// Condition messages: metav1 allows 32,768; more than this nobody reads.
pub const CONDITION_MESSAGE: u32 = 4_096;
/// Annotation values that are remembered in status.
pub const ANNOTATION: u32 = 256;

/// Cuts `text` to at most `max` characters (the unit of the schema's maxLength), marking the cut.
pub fn cut(text: &str, max: u32) -> String {
    let max = max as usize;
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Keeps the newest [`LIST`] entries.
pub fn keep_newest<T>(list: &mut Vec<T>) {
    let surplus = list.len().saturating_sub(LIST);
    list.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_characters_and_marks_the_cut() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüx", 3), "äö…");
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let mut list: Vec<_> = (0..13).collect();
        keep_newest(&mut list);
        assert_eq!(list, (3..13).collect::<Vec<_>>());
    }
}
