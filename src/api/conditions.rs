//! Names of conditions and reasons. They are API: scripts wait for them, so they never change their meaning.
//! Imports nothing of Slipway.

/// Nothing left to do until somebody or something else acts.
pub const READY: &str = "Ready";
/// Work is under way or a retry is due.
pub const RECONCILING: &str = "Reconciling";
/// Cannot go on without a person.
pub const STALLED: &str = "Stalled";

/// Task: its sandbox is up.
pub const SANDBOX_READY: &str = "SandboxReady";
/// Task: the command has run to its end, or there is none.
pub const GENERATED: &str = "Generated";
/// Task: the files are in a commit that GitHub has.
pub const COMMITTED: &str = "Committed";
/// Task: an open pull request carries the commit.
pub const PULL_REQUEST_OPEN: &str = "PullRequestOpen";
/// Task: GitHub confirms the merge.
pub const MERGED: &str = "Merged";

/// Reasons, alphabetically. Messages explain; reasons are stable. Those of failed calls stand in the adapters.
pub mod reason {
    pub const BASE_BRANCH_MISSING: &str = "BaseBranchMissing";
    pub const BRANCH_TAKEN: &str = "BranchTaken";
    pub const CLOSED: &str = "Closed";
    pub const COMMITTING: &str = "Committing";
    pub const CREATE_REFUSED: &str = "CreateRefused";
    pub const CREATING: &str = "Creating";
    pub const CREDENTIALS_DENIED: &str = "CredentialsDenied";
    pub const CREDENTIALS_INVALID: &str = "CredentialsInvalid";
    pub const CREDENTIALS_UNSUPPORTED: &str = "CredentialsUnsupported";
    pub const DELETING: &str = "Deleting";
    pub const DRAFT: &str = "Draft";
    /// A file is written on while it is read, time after time.
    pub const FILE_KEEPS_CHANGING: &str = "FileKeepsChanging";
    pub const GENERATING: &str = "Generating";
    pub const GENERATION_FAILED: &str = "GenerationFailed";
    pub const GENERATION_KEEPS_DYING: &str = "GenerationKeepsDying";
    pub const GENERATION_LOST: &str = "GenerationLost";
    pub const HEAD_MOVED: &str = "HeadMoved";
    pub const IDLE: &str = "Idle";
    pub const IN_REVIEW: &str = "InReview";
    pub const INVALID_FILES: &str = "InvalidFiles";
    pub const LEFT_BEHIND: &str = "LeftBehind";
    pub const MERGED: &str = "Merged";
    pub const MERGE_NOT_CONFIRMED: &str = "MergeNotConfirmed";
    pub const NOTHING_TO_COMMIT: &str = "NothingToCommit";
    pub const NO_COMMAND: &str = "NoCommand";
    pub const NO_FILES: &str = "NoFiles";
    pub const OLD_PULL_REQUEST_MOVED: &str = "OldPullRequestMoved";
    pub const OPEN: &str = "Open";
    pub const OPENING_PULL_REQUEST: &str = "OpeningPullRequest";
    pub const PENDING: &str = "Pending";
    pub const PROGRESSING: &str = "Progressing";
    pub const PULL_REQUEST_NOT_FOUND: &str = "PullRequestNotFound";
    pub const REPOSITORY_ARCHIVED: &str = "RepositoryArchived";
    pub const REPOSITORY_CHANGED: &str = "RepositoryChanged";
    pub const REPOSITORY_GONE: &str = "RepositoryGone";
    pub const REPOSITORY_NOT_FOUND: &str = "RepositoryNotFound";
    pub const REPOSITORY_NOT_READY: &str = "RepositoryNotReady";
    pub const REPOSITORY_SUSPENDED: &str = "RepositorySuspended";
    pub const RERUN_IGNORED: &str = "RerunIgnored";
    pub const RETRIES_EXHAUSTED: &str = "RetriesExhausted";
    pub const RETRYING: &str = "Retrying";
    pub const ROUND_ABANDONED: &str = "RoundAbandoned";
    pub const RUNNING: &str = "Running";
    pub const SANDBOX_FILES_LOST: &str = "SandboxFilesLost";
    pub const SANDBOX_GONE: &str = "SandboxGone";
    pub const SANDBOX_LEAKED: &str = "SandboxLeaked";
    pub const SANDBOX_LIFETIME_LIMIT: &str = "SandboxLifetimeLimit";
    pub const SANDBOX_NOT_FOUND: &str = "SandboxNotFound";
    pub const SANDBOX_NOT_READY: &str = "SandboxNotReady";
    pub const SANDBOX_NOT_VISIBLE: &str = "SandboxNotVisible";
    pub const SANDBOX_REQUESTED: &str = "SandboxRequested";
    pub const SANDBOX_UNREACHABLE: &str = "SandboxUnreachable";
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    pub const SPOOL_FAILED: &str = "SpoolFailed";
    pub const SUCCEEDED: &str = "Succeeded";
    pub const SUSPENDED: &str = "Suspended";
    pub const SYNCED: &str = "Synced";
    pub const TEMPLATE_CHANGED: &str = "TemplateChanged";
    pub const TEMPLATE_NOT_FOUND: &str = "TemplateNotFound";
    pub const TOO_LARGE: &str = "TooLarge";
    pub const TRANSFER_INTERRUPTED: &str = "TransferInterrupted";
    pub const TREE_TOO_LARGE: &str = "TreeTooLarge";
    pub const WAITING_FOR_SANDBOX: &str = "WaitingForSandbox";
    pub const WAITING_FOR_SPOOL: &str = "WaitingForSpool";
    /// As many files of others are being read as may be at a time, of all namespaces or of this one.
    pub const WAITING_FOR_TRANSFER: &str = "WaitingForTransfer";
    pub const WEBHOOK_SECRET_TOO_SHORT: &str = "WebhookSecretTooShort";
}
