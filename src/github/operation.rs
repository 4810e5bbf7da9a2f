//! The calls this adapter makes: names, deadlines, and the rights they need. The same rows serve log lines, metrics and
//! messages.

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
}

const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_mins(2);

impl Operation {
    /// Stable name, deadline of the whole call, and the right it needs in GitHub's words (fine-grained tokens).
    fn row(self) -> (&'static str, Duration, &'static str) {
        match self {
            Self::GetUser => ("getUser", SHORT, "Metadata: read"),
            Self::GetRepository => ("getRepository", SHORT, "Metadata: read"),
            Self::CreateRepository => ("createRepository", SHORT, "Administration: write"),
            Self::GetRef => ("getBranch", SHORT, "Contents: read"),
            Self::MatchingRefs => ("listBranches", SHORT, "Contents: read"),
            Self::GetCommit => ("getCommit", SHORT, "Contents: read"),
            Self::Compare => ("compareCommits", SHORT, "Contents: read"),
            Self::GetTree => ("getTree", LONG, "Contents: read"),
            Self::BlobExists => ("getBlob", SHORT, "Contents: read"),
            Self::CreateBlob => ("createBlob", LONG, "Contents: write"),
            Self::CreateTree => ("createTree", LONG, "Contents: write"),
            Self::CreateCommit => ("createCommit", SHORT, "Contents: write"),
            Self::CreateRef => ("createBranch", SHORT, "Contents: write"),
            Self::UpdateRef => ("updateBranch", SHORT, "Contents: write"),
            Self::DeleteRef => ("deleteBranch", SHORT, "Contents: write"),
            Self::ListPulls => ("listPullRequests", SHORT, "Pull requests: read"),
            Self::SyncPulls => ("syncPullRequests", SHORT, "Pull requests: read"),
            Self::GetPull => ("getPullRequest", SHORT, "Pull requests: read"),
            Self::CreatePull => ("createPullRequest", SHORT, "Pull requests: write"),
            Self::MergePull => ("mergePullRequest", SHORT, "Contents: write and Pull requests: write"),
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

    /// Whether a 404 answers the question that was asked.
    pub(super) fn looks_up(self) -> bool {
        matches!(
            self,
            Self::GetRepository
                | Self::GetRef
                | Self::GetCommit
                | Self::Compare
                | Self::BlobExists
                | Self::GetPull
        )
    }

    pub(super) fn writes(self) -> bool {
        use Operation as O;
        matches!(
            self,
            O::CreateRepository
                | O::CreateBlob
                | O::CreateTree
                | O::CreateCommit
                | O::CreateRef
                | O::UpdateRef
                | O::DeleteRef
                | O::CreatePull
                | O::MergePull
        )
    }
}
