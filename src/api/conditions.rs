//! Names of conditions and reasons. They are API: scripts wait for them, so they never change their meaning.
//! Imports nothing of Slipway.

/// Nothing left to do until somebody or something else acts.
pub const READY: &str = "Ready";
/// Work is under way or a retry is due.
pub const RECONCILING: &str = "Reconciling";
/// Cannot go on without a person.
pub const STALLED: &str = "Stalled";

/// Repository: the webhook that the operator manages is in order, and what it sends arrives. Changes `Ready` in no way.
pub const WEBHOOK_READY: &str = "WebhookReady";

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

/// Every reason that a condition, an event or `status.retry` can show, by who says it first, alphabetically.
///
/// Messages explain, reasons are stable. A name is its value in capitals, so that either leads here.
pub mod reason {
    // Said of every kind.

    /// A pass over the object did not end in time and was cut off; `status.retry` says so.
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    /// The object is being deleted, and the operator still has something to undo or to keep.
    pub const DELETING: &str = "Deleting";
    /// Work goes on, and nothing more is known of it yet.
    pub const PROGRESSING: &str = "Progressing";
    /// A call has failed as often as it is repeated quickly; it is repeated every five minutes from now on.
    pub const RETRIES_EXHAUSTED: &str = "RetriesExhausted";
    /// A call has failed and is repeated soon.
    pub const RETRYING: &str = "Retrying";
    /// A Secret that the object refers to does not exist, or lacks the key.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// `spec.suspend` is true.
    pub const SUSPENDED: &str = "Suspended";

    // Said of a Task.

    /// The branch that the work starts from, or that the pull request goes to, is not in the repository.
    pub const BASE_BRANCH_MISSING: &str = "BaseBranchMissing";
    /// Somebody else has the branch's name and the name that would be used instead.
    pub const BRANCH_TAKEN: &str = "BranchTaken";
    /// The repository is being checked out in the sandbox.
    pub const CHECKING_OUT: &str = "CheckingOut";
    /// The sandbox's git does not take what is to be checked out; the message has its words.
    pub const CHECKOUT_FAILED: &str = "CheckoutFailed";
    /// What is to be checked out is larger than the operator allows.
    pub const CHECKOUT_TOO_LARGE: &str = "CheckoutTooLarge";
    /// The pull request was closed without being merged.
    pub const CLOSED: &str = "Closed";
    /// The files are on their way from the sandbox to a commit.
    pub const COMMITTING: &str = "Committing";
    /// The copy in the sandbox starts from a commit that the last thousand of the base branch do not have.
    pub const COPY_TOO_OLD: &str = "CopyTooOld";
    /// The pull request has left the merge queue without being merged. The operator does not put the same head in again.
    pub const DEQUEUED: &str = "Dequeued";
    /// The pull request is a draft: a person has to mark it as ready.
    pub const DRAFT: &str = "Draft";
    /// A repository lies inside the work tree and is no submodule of it.
    pub const EMBEDDED_REPOSITORY: &str = "EmbeddedRepository";
    /// A file is written to while it is read, again and again.
    pub const FILE_KEEPS_CHANGING: &str = "FileKeepsChanging";
    /// A changed file needs a filter, by `.gitattributes`, that the sandbox or a plain directory does not have.
    pub const FILTERED_FILE: &str = "FilteredFile";
    /// The command runs.
    pub const GENERATING: &str = "Generating";
    /// The command ended with an error, or ran longer than it may. It is never repeated automatically.
    pub const GENERATION_FAILED: &str = "GenerationFailed";
    /// The command was lost with its sandbox as often as `maxAttempts` allows.
    pub const GENERATION_KEEPS_DYING: &str = "GenerationKeepsDying";
    /// The command was lost with its sandbox and runs again.
    pub const GENERATION_LOST: &str = "GenerationLost";
    /// The sandbox has no git, which the Task needs.
    pub const GIT_MISSING: &str = "GitMissing";
    /// The pull request's head is not the Task's commit any more, so it is not merged automatically.
    pub const HEAD_MOVED: &str = "HeadMoved";
    /// The sandbox holds files that git or GitHub can't take.
    pub const INVALID_FILES: &str = "InvalidFiles";
    /// The pull request is open and waits for people.
    pub const IN_REVIEW: &str = "InReview";
    /// Warning: something that was made for the object stays at GitHub; the message names it.
    pub const LEFT_BEHIND: &str = "LeftBehind";
    /// A pointer of git LFS stands in the sandbox for an object that neither the sandbox nor GitHub has.
    pub const LFS_OBJECT_MISSING: &str = "LFSObjectMissing";
    /// The pull request was merged, and GitHub confirms it.
    pub const MERGED: &str = "Merged";
    /// Warning: a delivery reported a merge that GitHub does not know.
    pub const MERGE_NOT_CONFIRMED: &str = "MergeNotConfirmed";
    /// The files are the same as those of the base branch.
    pub const NOTHING_TO_COMMIT: &str = "NothingToCommit";
    /// The Task needs its sandbox no more, or not now: what becomes of it is not followed.
    pub const NOT_NEEDED: &str = "NotNeeded";
    /// The Task has no `generate`: its files are in the sandbox already.
    pub const NO_COMMAND: &str = "NoCommand";
    /// `source.path` does not exist, or no file of it is selected.
    pub const NO_FILES: &str = "NoFiles";
    /// Warning: the pull request of an earlier round has moved, which no longer moves the Task.
    pub const OLD_PULL_REQUEST_MOVED: &str = "OldPullRequestMoved";
    /// The pull request is open.
    pub const OPEN: &str = "Open";
    /// The commit is at GitHub; branch and pull request are being made.
    pub const OPENING_PULL_REQUEST: &str = "OpeningPullRequest";
    /// Warning: a text that the command has left in `SLIPWAY_OUTPUT` is too long or no text; the message names it.
    pub const OUTPUT_NOT_USED: &str = "OutputNotUsed";
    /// The directory to check out into holds files that the operator has not put there.
    pub const PATH_NOT_EMPTY: &str = "PathNotEmpty";
    /// The round has not begun.
    pub const PENDING: &str = "Pending";
    /// GitHub no longer shows the Task's pull request.
    pub const PULL_REQUEST_NOT_FOUND: &str = "PullRequestNotFound";
    /// The Repository is another repository at GitHub than the one that the round began in.
    pub const REPOSITORY_CHANGED: &str = "RepositoryChanged";
    /// The Task waits for its Repository.
    pub const REPOSITORY_NOT_READY: &str = "RepositoryNotReady";
    /// The Task waits until its Repository is no longer suspended.
    pub const REPOSITORY_SUSPENDED: &str = "RepositorySuspended";
    /// Warning: a rerun was asked for where none is possible; the message says why.
    pub const RERUN_IGNORED: &str = "RerunIgnored";
    /// A round was ended before it was done.
    pub const ROUND_ABANDONED: &str = "RoundAbandoned";
    /// The sandbox's disk is full.
    pub const SANDBOX_DISK_FULL: &str = "SandboxDiskFull";
    /// The files were lost with their sandbox, and nothing can make them again without a rerun.
    pub const SANDBOX_FILES_LOST: &str = "SandboxFilesLost";
    /// The Sandbox that the Task refers to does not exist.
    pub const SANDBOX_NOT_FOUND: &str = "SandboxNotFound";
    /// The Task waits for its Sandbox.
    pub const SANDBOX_NOT_READY: &str = "SandboxNotReady";
    /// The Sandbox that the Task refers to belongs to another Task, which deletes it when it is done.
    pub const SANDBOX_OWNED: &str = "SandboxOwned";
    /// The Task has asked for its Sandbox and waits for it to run.
    pub const SANDBOX_REQUESTED: &str = "SandboxRequested";
    /// The sandbox runs as far as E2B says, but its daemon gives no whole answer.
    pub const SANDBOX_UNREACHABLE: &str = "SandboxUnreachable";
    /// A file, a path or a text that would go to GitHub holds the value of a Secret that the sandbox was given.
    pub const SECRET_IN_FILES: &str = "SecretInFiles";
    /// A Secret has changed since the command was started. Its old value, which the files may hold, is no longer known.
    pub const SECRET_ROTATED: &str = "SecretRotated";
    /// The files that were read are gone from the operator's disk or damaged: they are read again.
    pub const SPOOLED_FILES_LOST: &str = "SpooledFilesLost";
    /// The operator's disk does not take the files.
    pub const SPOOL_FAILED: &str = "SpoolFailed";
    /// Warning: a submodule leads elsewhere in the sandbox; its link stays as it is.
    pub const SUBMODULE_MOVED: &str = "SubmoduleMoved";
    /// A file lies in a submodule of the repository.
    pub const SUBMODULE_PATH: &str = "SubmodulePath";
    /// The step that the condition stands for is done.
    pub const SUCCEEDED: &str = "Succeeded";
    /// The files are more, or larger, than the operator's limits allow.
    pub const TOO_LARGE: &str = "TooLarge";
    /// The files stopped on their way from the sandbox: they are read again.
    pub const TRANSFER_INTERRUPTED: &str = "TransferInterrupted";
    /// The repository has more files than GitHub lists, so the difference can't be told.
    pub const TREE_TOO_LARGE: &str = "TreeTooLarge";
    /// A merge, a rebase or a stash has left its marks in a file of the work tree.
    pub const UNRESOLVED_CONFLICT: &str = "UnresolvedConflict";
    /// Another Task has the turn in the shared Sandbox.
    pub const WAITING_FOR_SANDBOX: &str = "WaitingForSandbox";
    /// Other transfers hold the workers that may read files out of sandboxes.
    pub const WAITING_FOR_TRANSFER: &str = "WaitingForTransfer";
    /// The operator's disk has no room for the files right now.
    pub const WAITING_FOR_SPOOL: &str = "WaitingForSpool";
    /// Warning: the sandbox has commits on another branch, in the stash or in another work tree, which are not part of the result.
    pub const WORK_ELSEWHERE: &str = "WorkElsewhere";
    /// The git repository in the sandbox is damaged, so that the difference can't be told.
    pub const WORK_TREE_DAMAGED: &str = "WorkTreeDamaged";

    // Said of a Sandbox.

    /// E2B does not make such a sandbox: the spec has to be corrected.
    pub const CREATE_REFUSED: &str = "CreateRefused";
    /// A sandbox, or a repository, is being created.
    pub const CREATING: &str = "Creating";
    /// E2B does not accept the API key.
    pub const CREDENTIALS_DENIED: &str = "CredentialsDenied";
    /// There is no sandbox, or it is paused, and nobody needs it.
    pub const IDLE: &str = "Idle";
    /// Warning: another installation has made the sandbox: if that one still runs, two of them act on one object.
    pub const OTHER_INSTALLATION: &str = "OtherInstallation";
    /// The sandbox runs.
    pub const RUNNING: &str = "Running";
    /// The sandbox is gone, and `recovery.policy` does not replace it.
    pub const SANDBOX_GONE: &str = "SandboxGone";
    /// Warning: the Sandbox was released, or goes on under another key, although a sandbox of it may still be at E2B; the message names it.
    pub const SANDBOX_LEAKED: &str = "SandboxLeaked";
    /// Warning: the operator has killed sandboxes of its own at E2B that stood for no Sandbox; the message names them.
    pub const SANDBOXES_SWEPT: &str = "SandboxesSwept";
    /// Warning: E2B does not extend the sandbox's run any further.
    pub const SANDBOX_LIFETIME_LIMIT: &str = "SandboxLifetimeLimit";
    /// Warning: a sandbox that had been replaced is still at E2B. It is left there for its files; the message names it.
    pub const SANDBOX_KEPT: &str = "SandboxKept";
    /// E2B neither shows nor lists the sandbox. It is looked at once more before it counts as gone.
    pub const SANDBOX_MISSING: &str = "SandboxMissing";
    /// Warning: the sandbox came back with older files under the same id. What Tasks made in it counts as lost.
    pub const SANDBOX_ROLLED_BACK: &str = "SandboxRolledBack";
    /// The API key does not show the sandbox that another key has made.
    pub const SANDBOX_NOT_VISIBLE: &str = "SandboxNotVisible";

    // Said of a Repository.

    /// The Secret does not hold what it should.
    pub const CREDENTIALS_INVALID: &str = "CredentialsInvalid";
    /// Deliveries of the webhook have not arrived; the message says how many, and what the last answer was.
    pub const DELIVERIES_FAILING: &str = "DeliveriesFailing";
    /// Warning: deliveries had not arrived, and GitHub was told to send them again; the message says how many.
    pub const DELIVERIES_REDELIVERED: &str = "DeliveriesRedelivered";
    /// The webhook is in order, and what it sends arrives.
    pub const DELIVERING: &str = "Delivering";
    /// The repository is archived, so it is read-only.
    pub const REPOSITORY_ARCHIVED: &str = "RepositoryArchived";
    /// The repository that the object stood for is not visible any more.
    pub const REPOSITORY_GONE: &str = "RepositoryGone";
    /// There is no such repository, or no such Repository, or the token may not see it.
    pub const REPOSITORY_NOT_FOUND: &str = "RepositoryNotFound";
    /// The repository is known, and its pull requests are up to date.
    pub const SYNCED: &str = "Synced";
    /// Somebody has changed the webhook, which is repaired.
    pub const WEBHOOK_CHANGED: &str = "WebhookChanged";
    /// Warning: the webhook had been changed, and is as it should be again.
    pub const WEBHOOK_REPAIRED: &str = "WebhookRepaired";
    /// The Secret has no value that a managed webhook can be given.
    pub const WEBHOOK_SECRET_MISSING: &str = "WebhookSecretMissing";
    /// Warning: the webhook secret is too short to be used.
    pub const WEBHOOK_SECRET_TOO_SHORT: &str = "WebhookSecretTooShort";
    /// Warning: the Secret has more webhook secrets than are tried.
    pub const WEBHOOK_SECRETS_TOO_MANY: &str = "WebhookSecretsTooMany";
    /// The operator does not know the receiver's address, so it can manage no webhook.
    pub const WEBHOOK_URL_MISSING: &str = "WebhookURLMissing";

    // Said by both adapters.

    /// The certificate of GitHub, of E2B or of a proxy before them was not accepted; the message says why.
    pub const CERTIFICATE_NOT_TRUSTED: &str = "CertificateNotTrusted";

    // Said by GitHub's adapter.

    /// 401: the token is wrong, expired or revoked; of a GitHub App, its id or its private key is.
    pub const BAD_CREDENTIALS: &str = "BadCredentials";
    /// GitHub does not take a file.
    pub const BLOB_REFUSED: &str = "BlobRefused";
    /// The base branch moved while the pull request was being merged.
    pub const BASE_BRANCH_MOVED: &str = "BaseBranchMoved";
    /// The branch that the pull request would come from is not there any more.
    pub const BRANCH_MISSING: &str = "BranchMissing";
    /// A rule of the repository refuses what is to be written; the message names the rule and what to do.
    pub const BRANCH_PROTECTED: &str = "BranchProtected";
    /// A rule forbids the branch's name, or another branch is in its way.
    pub const BRANCH_REFUSED: &str = "BranchRefused";
    /// The commit that the branch would stand at is not there any more.
    pub const COMMIT_MISSING: &str = "CommitMissing";
    /// GitHub does not take the commit as it is.
    pub const COMMIT_REFUSED: &str = "CommitRefused";
    /// GitHub's clock and the operator's differ too much for a GitHub App to sign in.
    pub const CLOCK_SKEWED: &str = "ClockSkewed";
    /// Something else changed the same thing at the same time.
    pub const CONFLICT: &str = "Conflict";
    /// The repository knows no draft pull requests.
    pub const DRAFTS_NOT_SUPPORTED: &str = "DraftsNotSupported";
    /// GitHub says that it exists, but does not show it to the token.
    pub const EXISTS_BUT_NOT_VISIBLE: &str = "ExistsButNotVisible";
    /// GitHub failed, answered that it is busy, or gave no whole answer.
    pub const GITHUB_UNAVAILABLE: &str = "GitHubUnavailable";
    /// No connection to GitHub could be made.
    pub const GITHUB_UNREACHABLE: &str = "GitHubUnreachable";
    /// The GitHub App is not installed under the number that `installationID` names, or that is its installation on another account.
    pub const INSTALLATION_NOT_FOUND: &str = "InstallationNotFound";
    /// The installation of the GitHub App is suspended.
    pub const INSTALLATION_SUSPENDED: &str = "InstallationSuspended";
    /// The branch can't be moved while its pull request is in the merge queue.
    pub const IN_MERGE_QUEUE: &str = "InMergeQueue";
    /// The organization's IP allow list does not have the operator's address.
    pub const IP_NOT_ALLOWED: &str = "IPNotAllowed";
    /// GitHub does not take an object of git LFS.
    pub const LFS_REFUSED: &str = "LFSRefused";
    /// The repository does not allow `pullRequest.merge.method`.
    pub const MERGE_METHOD_NOT_ALLOWED: &str = "MergeMethodNotAllowed";
    /// The base branch has a merge queue, which pull requests have to go through.
    pub const MERGE_QUEUE_REQUIRED: &str = "MergeQueueRequired";
    /// The branch has nothing that the base branch lacks.
    pub const NOTHING_TO_MERGE: &str = "NothingToMerge";
    /// The operator made it less than a minute ago, and GitHub does not show it everywhere yet.
    pub const NOT_VISIBLE_YET: &str = "NotVisibleYet";
    /// A blob, tree or commit that a new object is made of is not there (yet).
    pub const OBJECT_MISSING: &str = "ObjectMissing";
    /// The token may not create a repository below this owner.
    pub const OWNER_NOT_USABLE: &str = "OwnerNotUsable";
    /// 403 or 404: the token lacks the permission that the message names. 422: the GitHub App's installation lacks it.
    pub const PERMISSION_MISSING: &str = "PermissionMissing";
    /// GitHub does not take the pull request as it is.
    pub const PULL_REQUEST_REFUSED: &str = "PullRequestRefused";
    /// The last of the calls that GitHub gives the account in an hour is made.
    pub const QUOTA_SPENT: &str = "QuotaSpent";
    /// GitHub named a limit: nothing is sent through this account until it is over.
    pub const RATE_LIMITED: &str = "RateLimited";
    /// GitHub refused for a reason that only its message tells.
    pub const REFUSED: &str = "Refused";
    /// GitHub has blocked access to the repository.
    pub const REPOSITORY_BLOCKED: &str = "RepositoryBlocked";
    /// The repository has no commit to start from.
    pub const REPOSITORY_EMPTY: &str = "RepositoryEmpty";
    /// The repository was renamed or transferred.
    pub const REPOSITORY_MOVED: &str = "RepositoryMoved";
    /// The installation of the GitHub App has no access to the repository, or there is none.
    pub const REPOSITORY_NOT_IN_INSTALLATION: &str = "RepositoryNotInInstallation";
    /// GitHub does not create the repository like this.
    pub const REPOSITORY_REFUSED: &str = "RepositoryRefused";
    /// The call could not be sent: it is not a valid request.
    pub const REQUEST_REFUSED: &str = "RequestRefused";
    /// The token is not authorized for the organization's single sign-on.
    pub const SAML_REQUIRED: &str = "SAMLRequired";
    /// The organization does not take this kind of token, or none that lives so long.
    pub const TOKEN_NOT_ACCEPTED: &str = "TokenNotAccepted";
    /// The commit that the work starts from is not there any more.
    pub const TREE_MISSING: &str = "TreeMissing";
    /// GitHub does not take the files as they are.
    pub const TREE_REFUSED: &str = "TreeRefused";
    /// GitHub ran out of time over a tree: it is made in smaller parts.
    pub const TREE_TIMED_OUT: &str = "TreeTimedOut";
    /// GitHub gave an answer that has no meaning for the call.
    pub const UNEXPECTED_ANSWER: &str = "UnexpectedAnswer";
    /// GitHub's answer could not be read.
    pub const UNREADABLE_ANSWER: &str = "UnreadableAnswer";
    /// Others write first through the same GitHub account; the message has the place in its line, and about when the turn comes.
    pub const WAITING_FOR_GITHUB: &str = "WaitingForGitHub";
    /// The webhook that the operator made is not at the repository any more: it is made again.
    pub const WEBHOOK_MISSING: &str = "WebhookMissing";
    /// GitHub does not take the webhook as it is: its address, or one too many of them.
    pub const WEBHOOK_REFUSED: &str = "WebhookRefused";
    /// Workflow files need a token that may write them.
    pub const WORKFLOW_PERMISSION_MISSING: &str = "WorkflowPermissionMissing";

    // Said by E2B's adapter.

    /// A command in the sandbox outlived its time.
    pub const COMMAND_TIMEOUT: &str = "CommandTimeout";
    /// 403: the team may not do this.
    pub const E2B_FORBIDDEN: &str = "E2BForbidden";
    /// E2B refuses the request as it stands.
    pub const E2B_INVALID_REQUEST: &str = "E2BInvalidRequest";
    /// The object of the call is not there.
    pub const E2B_NOT_FOUND: &str = "E2BNotFound";
    /// 429 without the quota's text.
    pub const E2B_RATE_LIMITED: &str = "E2BRateLimited";
    /// 401: the API key is missing, wrong or revoked.
    pub const E2B_UNAUTHORIZED: &str = "E2BUnauthorized";
    /// E2B failed, or is busy.
    pub const E2B_UNAVAILABLE: &str = "E2BUnavailable";
    /// The answer is not E2B's.
    pub const E2B_UNEXPECTED_ANSWER: &str = "E2BUnexpectedAnswer";
    /// The server at `E2B_API_URL` does not know a route that the operator calls.
    pub const E2B_UNKNOWN_ROUTE: &str = "E2BUnknownRoute";
    /// No whole answer came from E2B.
    pub const E2B_UNREACHABLE: &str = "E2BUnreachable";
    /// The first request of this key still runs: it is asked for again with the same key.
    pub const IDEMPOTENCY_IN_PROGRESS: &str = "IdempotencyInProgress";
    /// The key was used with another body: E2B is searched, then a new key is taken.
    pub const IDEMPOTENCY_MISMATCH: &str = "IdempotencyMismatch";
    /// The result of the first request of this key is unknown: E2B is searched, then a new key is taken.
    pub const IDEMPOTENCY_UNKNOWN: &str = "IdempotencyUnknown";
    /// The sandbox's daemon refuses or fails.
    pub const SANDBOX_AGENT_ERROR: &str = "SandboxAgentError";
    /// A kill is under way.
    pub const SANDBOX_BEING_KILLED: &str = "SandboxBeingKilled";
    /// The sandbox is changing its state.
    pub const SANDBOX_BUSY: &str = "SandboxBusy";
    /// E2B has no machine with room right now.
    pub const SANDBOX_CAPACITY: &str = "SandboxCapacity";
    /// E2B says that repeating the create is useless.
    pub const SANDBOX_CREATE_REFUSED: &str = "SandboxCreateRefused";
    /// 429: the team runs as many sandboxes as its plan allows.
    pub const SANDBOX_QUOTA: &str = "SandboxQuota";
    /// The snapshot of the sandbox's memory does not come back.
    pub const SANDBOX_SNAPSHOT_UNRESPONSIVE: &str = "SandboxSnapshotUnresponsive";
    /// The template, or its tag, is not visible to the team.
    pub const TEMPLATE_NOT_FOUND: &str = "TemplateNotFound";

    // Said by the adapter of Kubernetes; the call layer's own stands last.

    /// The API server gave no usable answer.
    pub const API_SERVER_UNAVAILABLE: &str = "ApiServerUnavailable";
    /// The operator's service account lacks a right.
    pub const FORBIDDEN: &str = "Forbidden";
    /// The API server refuses the object as it stands.
    pub const INVALID: &str = "Invalid";
    /// The object, its namespace or its kind is not there.
    pub const NOT_FOUND: &str = "NotFound";
    /// This release can't read the object, and leaves it alone.
    pub const UNDECODABLE: &str = "Undecodable";
    /// The call was not sent, because another replica leads or this one is told to end.
    pub const NOT_LEADING: &str = "NotLeading";
}
