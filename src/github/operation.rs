//! The calls this adapter makes: names, deadlines, the rights they need, and on which side a call stands. The same rows serve
//! log lines, metrics, messages and the table of answers.

use crate::domain::line::Write;
use std::time::Duration;

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

/// Makes the calls and their rows from one list: stable name, deadline of the whole call, the right it needs in GitHub's words
/// (fine-grained tokens), and its side.
macro_rules! operations {
    ($($operation:ident => ($name:literal, $deadline:ident, $permission:literal, $side:ident),)+) => {
        /// The calls this adapter makes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Operation {
            $($operation,)+
        }

        impl Operation {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$operation,)+];

            fn row(self) -> (&'static str, Duration, &'static str, Side) {
                match self {
                    $(Self::$operation => ($name, $deadline, $permission, Side::$side),)+
                }
            }
        }
    };
}

operations! {
    CreateInstallationToken => ("createInstallationToken", SHORT, "Metadata: read", Read),
    GetUser => ("getUser", SHORT, "Metadata: read", Read),
    GetOwner => ("getOwner", SHORT, "Metadata: read", Look),
    GetRepository => ("getRepository", SHORT, "Metadata: read", Look),
    CreateRepository => ("createRepository", SHORT, "Administration: write", Write),
    GetRef => ("getBranch", SHORT, "Contents: read", Look),
    MatchingRefs => ("listBranches", SHORT, "Contents: read", Read),
    GetCommit => ("getCommit", SHORT, "Contents: read", Look),
    ListCommits => ("listCommits", SHORT, "Contents: read", Read),
    Compare => ("compareCommits", SHORT, "Contents: read", Look),
    GetTree => ("getTree", LONG, "Contents: read", Read),
    BlobExists => ("getBlob", SHORT, "Contents: read", Look),
    GetBlob => ("getBlobContent", LONG, "Contents: read", Read),
    CreateBlob => ("createBlob", LONG, "Contents: write", Write),
    CreateTree => ("createTree", LONG, "Contents: write", Write),
    CreateCommit => ("createCommit", SHORT, "Contents: write", Write),
    CreateRef => ("createBranch", SHORT, "Contents: write", Write),
    UpdateRef => ("updateBranch", SHORT, "Contents: write", Write),
    GetRepositoryId => ("getRepositoryID", SHORT, "Metadata: read", Read),
    DeleteRef => ("deleteBranch", SHORT, "Contents: write", Write),
    FetchPack => ("fetchPack", LONG, "Contents: read", Read),
    LfsBatch => ("lfsBatch", SHORT, "Contents: write", Write),
    LfsUpload => ("lfsUpload", LONG, "Contents: write", Write),
    LfsVerify => ("lfsVerify", SHORT, "Contents: write", Write),
    ListPulls => ("listPullRequests", SHORT, "Pull requests: read", Read),
    SyncPulls => ("syncPullRequests", SHORT, "Pull requests: read", Read),
    GetPull => ("getPullRequest", SHORT, "Pull requests: read", Look),
    CreatePull => ("createPullRequest", SHORT, "Pull requests: write", Write),
    AddLabels => ("addLabels", SHORT, "Pull requests: write", Write),
    RequestReviewers => ("requestReviewers", SHORT, "Pull requests: write", Write),
    MergePull => ("mergePullRequest", SHORT, "Contents: write and Pull requests: write", Write),
    ListReviews => ("listReviews", SHORT, "Pull requests: read", Read),
    ListReviewComments => ("listReviewComments", SHORT, "Pull requests: read", Read),
    ListComments => ("listComments", SHORT, "Pull requests: read", Read),
    ListCollaborators => ("listCollaborators", SHORT, "Metadata: read", Read),
    ListFailedChecks => ("listFailedChecks", SHORT, "Checks: read and Commit statuses: read", Read),
    ListCheckRuns => ("listCheckRuns", SHORT, "Checks: read", Read),
    CombinedStatus => ("getCombinedStatus", SHORT, "Commit statuses: read", Read),
    RulesOfBranch => ("getBranchRules", SHORT, "Metadata: read", Read),
    GetQueuePlace => ("getQueuePlace", SHORT, "Pull requests: read", Read),
    GetQueueState => ("getQueueState", SHORT, "Pull requests: read and Checks: read and Commit statuses: read", Read),
    EnqueuePull => ("enqueuePullRequest", SHORT, "Contents: write and Pull requests: write", Write),
    DequeuePull => ("dequeuePullRequest", SHORT, "Contents: write and Pull requests: write", Write),
    // Who looks at a webhook is about to change it: the right to write reads too, and one token does for both.
    GetHook => ("getWebhook", SHORT, "Webhooks: write", Look),
    ListHooks => ("listWebhooks", SHORT, "Webhooks: write", Read),
    CreateHook => ("createWebhook", SHORT, "Webhooks: write", Write),
    UpdateHook => ("updateWebhook", SHORT, "Webhooks: write", Write),
    SetHookConfig => ("setWebhookConfig", SHORT, "Webhooks: write", Write),
    DeleteHook => ("deleteWebhook", SHORT, "Webhooks: write", Write),
    ListDeliveries => ("listDeliveries", SHORT, "Webhooks: write", Read),
    PingHook => ("pingWebhook", SHORT, "Webhooks: write", Write),
    Redeliver => ("redeliver", SHORT, "Webhooks: write", Write),
}

impl Operation {
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

    /// The place that a write has in the line of its account; none of a read.
    pub(super) fn write(self) -> Option<Write> {
        self.writes().then_some(match self {
            Self::MergePull | Self::EnqueuePull | Self::DequeuePull => Write::Merge,
            Self::CreatePull => Write::PullRequest,
            Self::AddLabels | Self::RequestReviewers => Write::Comment,
            Self::CreateRef | Self::UpdateRef | Self::DeleteRef => Write::Ref,
            Self::CreateCommit => Write::Commit,
            Self::CreateTree => Write::Tree,
            Self::CreateBlob => Write::Blob,
            Self::CreateRepository => Write::Repository,
            Self::CreateHook | Self::UpdateHook | Self::SetHookConfig | Self::DeleteHook => Write::Hook,
            Self::PingHook | Self::Redeliver => Write::Redelivery,
            // Objects of git LFS are no content of the API, and go to a storage of their own.
            Self::LfsBatch | Self::LfsUpload | Self::LfsVerify => return None,
            _ => Write::Other,
        })
    }

    /// Whether it may bring workflow files to a branch without naming them.
    pub(super) fn may_move_workflows(self) -> bool {
        matches!(self, Self::CreateTree | Self::CreateRef | Self::UpdateRef | Self::MergePull)
    }
}
