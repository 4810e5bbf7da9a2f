//! The classes of writes, by who goes first: what finishes a Task before what begins one.
//! Neighbours: `queue` orders by them, `window` counts them all.

/// The smaller goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Write {
    Merge,
    PullRequest,
    /// Comments, requests for review, labels.
    Comment,
    Ref,
    Commit,
    Tree,
    Blob,
    /// A new repository.
    Repository,
    /// The repository's webhook.
    Hook,
    Other,
    /// A failed delivery that GitHub is to send again.
    Redelivery,
}

impl Write {
    pub(super) const ALL: [Self; 11] = [
        Self::Merge,
        Self::PullRequest,
        Self::Comment,
        Self::Ref,
        Self::Commit,
        Self::Tree,
        Self::Blob,
        Self::Repository,
        Self::Hook,
        Self::Other,
        Self::Redelivery,
    ];

    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Returns whether people are told of it: GitHub counts such calls apart, and asks for a longer pause behind them.
    pub fn notifies(self) -> bool {
        matches!(self, Self::Merge | Self::PullRequest | Self::Comment)
    }

    /// Returns how many writes the same Task brings next, all of them before those of its own class: from a blob to the pull
    /// request. More blobs of the same Task can't be known.
    pub(super) fn following(self) -> usize {
        match self {
            Self::Blob => 4,
            Self::Tree => 3,
            Self::Commit => 2,
            Self::Ref => 1,
            _ => 0,
        }
    }

    /// Returns how many of this and the writes that follow it tell people.
    pub(super) fn notices(self) -> usize {
        usize::from(self.notifies() || self.following() > 0)
    }
}
