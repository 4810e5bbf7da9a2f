//! The calls this adapter makes: names, deadlines, the rights they need, and on which side a call stands. The same rows serve
//! log lines, metrics, messages and the table of answers.

use std::time::Duration;

/// The calls this adapter makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    GetUser,
    GetRepository,
    CreateRepository,
    GetRef,
    MatchingRefs,
    GetCommit,
    Compare,
    GetTree,
    BlobExists,
    GetBlob,
    CreateBlob,
    CreateTree,
    CreateCommit,
    CreateRef,
    UpdateRef,
    DeleteRef,
    ListPulls,
    SyncPulls,
    GetPull,
    CreatePull,
    MergePull,
    ListCheckRuns,
    CombinedStatus,
}

/// Side of a call, which says what a 404 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Asks whether something is there.
    Look,
    /// Reads what should be there.
    Read,
    Write,
}

const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_mins(2);

impl Operation {
    /// Stable name, deadline of the whole call, the right it needs in GitHub's words (fine-grained tokens), and its side.
    fn row(self) -> (&'static str, Duration, &'static str, Side) {
        use Side::{Look, Read, Write};
        match self {
            Self::GetUser => ("getUser", SHORT, "Metadata: read", Read),
            Self::GetRepository => ("getRepository", SHORT, "Metadata: read", Look),
            Self::CreateRepository => ("createRepository", SHORT, "Administration: write", Write),
            Self::GetRef => ("getBranch", SHORT, "Contents: read", Look),
            Self::MatchingRefs => ("listBranches", SHORT, "Contents: read", Read),
            Self::GetCommit => ("getCommit", SHORT, "Contents: read", Look),
            Self::Compare => ("compareCommits", SHORT, "Contents: read", Look),
            Self::GetTree => ("getTree", LONG, "Contents: read", Read),
            Self::BlobExists => ("getBlob", SHORT, "Contents: read", Look),
            Self::GetBlob => ("getBlobContent", LONG, "Contents: read", Read),
            Self::CreateBlob => ("createBlob", LONG, "Contents: write", Write),
            Self::CreateTree => ("createTree", LONG, "Contents: write", Write),
            Self::CreateCommit => ("createCommit", SHORT, "Contents: write", Write),
            Self::CreateRef => ("createBranch", SHORT, "Contents: write", Write),
            Self::UpdateRef => ("updateBranch", SHORT, "Contents: write", Write),
            Self::DeleteRef => ("deleteBranch", SHORT, "Contents: write", Write),
            Self::ListPulls => ("listPullRequests", SHORT, "Pull requests: read", Read),
            Self::SyncPulls => ("syncPullRequests", SHORT, "Pull requests: read", Read),
            Self::GetPull => ("getPullRequest", SHORT, "Pull requests: read", Look),
            Self::CreatePull => ("createPullRequest", SHORT, "Pull requests: write", Write),
            Self::ListCheckRuns => ("listCheckRuns", SHORT, "Checks: read", Read),
            Self::CombinedStatus => ("getCombinedStatus", SHORT, "Commit statuses: read", Read),
            Self::MergePull => ("mergePullRequest", SHORT, "Contents: write and Pull requests: write", Write),
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn deadline(self) -> Duration {
        self.row().1
    }

    pub(super) fn permission(self) -> &'static str {
        self.row().2
    }

    pub(super) fn side(self) -> Side {
        self.row().3
    }

    pub(super) fn writes(self) -> bool {
        self.side() == Side::Write
    }
}
