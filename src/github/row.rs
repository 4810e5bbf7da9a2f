//! What a row of the table of answers is made of: the calls, statuses and words it is about, and what it means.
//! `table` has the rows, `classify` finds the one that fits.

use super::operation::{Operation, Side};
use crate::domain::failure::Class;

/// One answer of GitHub's, and its meaning.
#[derive(Debug)]
pub(super) struct Row {
    /// Unique and stable: tests and `docs/github.md` name the row by it.
    pub(super) name: &'static str,
    pub(super) on: On,
    pub(super) status: Status,
    /// Any of these words; none: whatever the answer says.
    pub(super) says: &'static [&'static str],
    pub(super) when: When,
    pub(super) means: Means,
    /// What happens next, or what a person has to do. `{permission}`, `{file}` and `{skew}` are filled in.
    pub(super) cure: &'static str,
}

/// Operations that a row is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum On {
    Every,
    All(Side),
    Only(&'static [Operation]),
}

/// HTTP statuses that a row is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Status {
    Is(&'static [u16]),
    From(u16, u16),
}

/// What beside the answer has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// The answer names a limit, by header, words, link or code.
    NamesLimit,
    /// What the call is about was made by this process less than a minute ago.
    JustMade,
    /// The tree to write has a path below `.github/workflows`.
    Workflow,
    /// The token was bought for a GitHub App less than 10 s ago.
    NewToken,
    /// The token was bought for a GitHub App.
    AppToken,
    /// The repository has been seen, and is named by its id.
    ById,
    /// GitHub has taken the token before, and has not refused it for 8 s.
    Stray,
}

/// The meaning of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Means {
    /// A limit: nothing is sent with this token until it is over.
    Limited,
    /// An answer to the question, or a state of the world.
    State(Known),
    Failed(Class, &'static str),
    /// A rule of the repository. One answer may name several: each adds its cure.
    Rule,
}

/// States of the world that an answer can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Absent,
    AlreadyExists,
    NotFastForward,
    NotMergeable,
    HeadChanged,
    NotModified,
    Moved,
    Unclear,
}

impl Row {
    pub(super) const fn new(
        name: &'static str,
        on: On,
        status: &'static [u16],
        means: Means,
        cure: &'static str,
    ) -> Self {
        Self { name, on, status: Status::Is(status), says: &[], when: When::Always, means, cure }
    }

    pub(super) const fn says(self, says: &'static [&'static str]) -> Self {
        Self { says, ..self }
    }

    pub(super) const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }
}
