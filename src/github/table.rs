//! GitHub's answers and what they mean, as data: of the rows that fit an answer the first is its meaning.
//! `classify` reads it; `docs/github.md` is printed from it, and each row has a case in `table/tests.rs`.
//!
//! Sources: GitHub's `OpenAPI` description (the statuses of each operation), "Rate limits for the REST API", and the words of
//! answers that users have reported. Words are compared in lower case.

use super::operation::{
    Operation::{
        AddLabels, BlobExists, CombinedStatus, CreateBlob, CreateCommit, CreateHook, CreateInstallationToken,
        CreatePull, CreateRef, CreateRepository, CreateTree, DeleteHook, DeleteRef, DequeuePull, EnqueuePull,
        FetchPack, GetBlob, GetHook, GetQueuePlace, GetQueueState, GetTree, LfsBatch, LfsUpload, LfsVerify,
        ListCheckRuns, ListComments, ListCommits, ListDeliveries, ListFailedChecks, ListHooks, ListPulls,
        MergePull, PingHook, Redeliver, RequestReviewers, RulesOfBranch, SetHookConfig, SyncPulls,
        UpdateHook, UpdateRef,
    },
    Side,
};
use super::row::{
    Known,
    Means::{Failed, Limited, Rule, State},
    On::{self, All, Every, Only},
    Row, Status, When,
};
use crate::{api::conditions::reason as r, domain::failure::Class};

const AGAIN: &str = "it is tried again";
const BEGIN_AGAIN: &str = "the commit that this work starts from is not in the repository any more: \
     set the annotation slipway.dev/rerun to a new value to begin again";
const SEE: &str = "see GitHub's message";
const SOON: &str = "it was made less than a minute ago and is not visible everywhere yet: it is tried again";
const WORKFLOWS: &str = "files below .github/workflows ({file}) need a token with the permission \"Workflows: write\": \
     grant it, or leave them out with source.exclude";
const METHOD: &str = "set pullRequest.merge.method to one that the repository allows";

/// Writes of git objects, branches and pull requests: where the rules of a repository are checked.
const PUSHES: On =
    On::Only(&[CreateBlob, CreateTree, CreateCommit, CreateRef, UpdateRef, DeleteRef, CreatePull]);
const CHECKS: On = On::Only(&[ListCheckRuns, CombinedStatus]);
// GitHub offers no permission for check runs where somebody makes a fine-grained token.
const CHECKS_CURE: &str = "checks are read by a GitHub App with \"{permission}\" or by a classic token with the scope repo (a fine-grained \
     token can't have \"Checks: read\"): put one of them into the Secret that credentialsSecretRef names, or set \
     pullRequest.merge.requireChecks to false";
const CHECKS_AGAIN: &str = "GitHub does not show the checks of the commit: it is tried again; if it stays so, use a GitHub App with \
     \"{permission}\" or a classic token with the scope repo (a fine-grained token can't have \"Checks: read\"), or set \
     pullRequest.merge.requireChecks to false";
/// What may bring workflow files to a branch.
const WORKFLOW_WRITES: On =
    On::Only(&[CreateBlob, CreateTree, CreateCommit, CreateRef, UpdateRef, DeleteRef, CreatePull, MergePull]);
const MINT: On = On::Only(&[CreateInstallationToken]);
const NEW_TOKEN: &str = "GitHub does not know a new token everywhere at once: it is tried again";
const MERGE: On = On::Only(&[MergePull]);
const HOOKS: On = On::Only(&[
    GetHook,
    ListHooks,
    CreateHook,
    UpdateHook,
    SetHookConfig,
    DeleteHook,
    ListDeliveries,
    PingHook,
    Redeliver,
]);
const HOOKS_CURE: &str =
    "give the token the permission \"Webhooks: write\" on this repository, or set webhook.manage to Never";
const CREATES: &str = "to create repositories give the token the repository permission \"{permission}\", for All repositories of the owner: a \
     repository that does not exist can't be selected";
const RULE: &[u16] = &[403, 409, 422];
const MERGE_RULE: &[u16] = &[403, 405, 409, 422];

const TRANSIENT: Class = Class::Transient;
const DENIED: Class = Class::Denied;
const INVALID: Class = Class::Invalid;
const NOT_FOUND: Class = Class::NotFound;

/// The table, in the order in which it is read.
pub(super) const ROWS: &[Row] = &[
    // Git LFS. Its storage is another server, whose refusals are not about the token.
    Row::new("lfs-storage", Only(&[LfsUpload, LfsVerify]), &[400, 401, 403, 404, 409, 411, 413, 422], Failed(TRANSIENT, r::LFS_REFUSED),
        "the link that GitHub gave for the upload is asked for again"),
    Row::new("lfs-quota", Only(&[LfsBatch]), &[403, 422, 507, 509], Failed(INVALID, r::LFS_REFUSED),
        "the account has used up its quota of git LFS: raise it at GitHub, or leave the files out with source.exclude")
        .says(&["quota", "over its data", "bandwidth", "billing"]),
    Row { status: Status::From(507, 509), ..Row::new("lfs-full", Only(&[LfsBatch]), &[], Failed(INVALID, r::LFS_REFUSED),
        "GitHub has no room left for objects of git LFS in this account: raise its quota, or leave the files out with source.exclude") },
    Row::new("lfs-off", Only(&[LfsBatch]), &[403, 404, 501], Failed(INVALID, r::LFS_REFUSED),
        "git LFS is switched off for this repository or not offered by this server: switch it on, or leave the files out with source.exclude")
        .says(&["lfs is disabled", "lfs is not", "lfs disabled", "not implemented"]),
    Row::new("lfs-odd", Only(&[LfsBatch]), &[406, 413, 422, 501], Failed(INVALID, r::LFS_REFUSED),
        "GitHub does not take these objects of git LFS: see its message, or leave the files out with source.exclude"),

    // git, which refuses with status 200.
    Row::new("git-commit-gone", Only(&[FetchPack]), &[200], Failed(NOT_FOUND, r::TREE_MISSING), BEGIN_AGAIN)
        .says(&["not our ref", "unadvertised object", "not a valid object", "bad object"]),
    Row::new("git-refused", Only(&[FetchPack]), &[200], Failed(TRANSIENT, r::GITHUB_UNAVAILABLE), AGAIN),

    // Every call.
    Row::new("limit", Every, &[403, 429], Limited, "nothing is sent through this account until then")
        .when(When::NamesLimit),
    Row::new("limit-on-content", All(Side::Write), &[422], Limited, "nothing is sent through this account until then")
        .when(When::NamesLimit),
    Row::new("login-attempts", Every, &[403], Limited, "nothing is sent through this account for a minute, then for longer")
        .says(&["login attempts exceeded"]),
    Row::new("not-modified", Every, &[304], State(Known::NotModified), "what was read before still holds"),
    Row::new("moved", Every, &[301, 302, 307, 308], State(Known::Moved), "the repository is followed by its id"),
    Row { status: Status::From(500, 599), ..Row::new("server-error", Every, &[], Failed(TRANSIENT, r::GITHUB_UNAVAILABLE), AGAIN) },
    Row::new("busy", Every, &[408, 429], Failed(TRANSIENT, r::GITHUB_UNAVAILABLE), AGAIN),

    // Tokens of GitHub Apps.
    Row::new("app-clock", MINT, &[401], Failed(DENIED, r::CLOCK_SKEWED),
        "the operator's clock and GitHub's differ ({skew}): set the clock of the operator's node right")
        .says(&["('iat')", "('exp')"]),
    Row::new("stray-refusal", Every, &[401], Failed(TRANSIENT, r::BAD_CREDENTIALS),
        "GitHub has taken what it is shown before, and refuses also what is valid now and then: it is tried again")
        .when(When::Stray),
    Row::new("app-key", MINT, &[401], Failed(DENIED, r::BAD_CREDENTIALS),
        "it does not take the App's private key: put one that it lists for the App into privateKey of the Secret that \
         credentialsSecretRef names, then set the annotation slipway.dev/reconcile to a new value"),
    Row::new("app-unknown", MINT, &[404], Failed(DENIED, r::BAD_CREDENTIALS),
        "there is no GitHub App with this id: correct appID in the Secret that credentialsSecretRef names")
        .says(&["integration not found"]),
    Row::new("installation-absent", MINT, &[404], Failed(DENIED, r::INSTALLATION_NOT_FOUND),
        "the App is not installed there: install it on the repository's owner, or correct installationID in the Secret that \
         credentialsSecretRef names"),
    Row::new("installation-suspended", Every, &[403], Failed(DENIED, r::INSTALLATION_SUSPENDED),
        "the installation of the GitHub App is suspended: let its owner lift that at GitHub (Settings, Applications, or \
         GitHub Apps in those of an organization)")
        .says(&["installation has been suspended"]),
    Row::new("installation-lag", MINT, &[422], Failed(TRANSIENT, r::NOT_VISIBLE_YET), SOON)
        .says(&["does not exist or is not accessible"])
        .when(When::JustMade),
    Row::new("installation-gone", MINT, &[422], Failed(NOT_FOUND, r::REPOSITORY_GONE),
        "the repository was deleted or transferred, or access to it was withdrawn, and it is never created again: restore it, or give \
         the App's installation access to it (GitHub: Settings, Applications, or GitHub Apps in those of an organization, Configure); \
         of one that was transferred put the number of the new owner's installation into installationID of the Secret that \
         credentialsSecretRef names")
        .says(&["does not exist or is not accessible"])
        .when(When::ById),
    Row::new("installation-repository", MINT, &[422], Failed(NOT_FOUND, r::REPOSITORY_NOT_IN_INSTALLATION),
        "give the App's installation access to it (GitHub: Settings, Applications, or GitHub Apps in those of an organization, Configure); \
         of one that was renamed make a Repository with its new name; where there is none, create it, or set createPolicy: IfMissing")
        .says(&["does not exist or is not accessible"]),
    Row::new("installation-permission", MINT, &[422], Failed(DENIED, r::PERMISSION_MISSING),
        "give the GitHub App the permission \"{permission}\", and let the owner of the account accept it for the installation")
        .says(&["permissions requested are not granted"]),
    Row::new("installation-refused", MINT, &[422], Failed(DENIED, r::REFUSED), SEE),
    Row::new("new-token-unknown", Every, &[401], Failed(TRANSIENT, r::NOT_VISIBLE_YET), NEW_TOKEN)
        .when(When::NewToken),
    Row::new("app-token", Every, &[401], Failed(DENIED, r::BAD_CREDENTIALS),
        "it refuses every token that it gives out for the App: let GITHUB_SERVER_URL and GITHUB_API_URL name one GitHub, and no proxy \
         before it ask for a login of its own, then set the annotation slipway.dev/reconcile to a new value")
        .when(When::AppToken),
    Row::new("bad-credentials", Every, &[401], Failed(DENIED, r::BAD_CREDENTIALS),
        "the token is wrong, expired or revoked: put a valid one into the Secret that credentialsSecretRef names, \
         then set the annotation slipway.dev/reconcile to a new value"),
    Row::new("single-sign-on", Every, &[403], Failed(DENIED, r::SAML_REQUIRED),
        "authorize the token for the organization's single sign-on (GitHub: Settings, Developer settings, the token, Configure SSO)")
        .says(&["saml enforcement", "saml sso", "single sign-on"]),
    Row::new("token-kind", Every, &[403], Failed(DENIED, r::TOKEN_NOT_ACCEPTED),
        "the organization does not take this kind of token, or none that lives so long: use a GitHub App's keys, or a token as GitHub's \
         message asks for, in the Secret that credentialsSecretRef names")
        .says(&["forbids access via", "oauth app access restrictions"]),
    Row::new("ip-allow-list", Every, &[403], Failed(DENIED, r::IP_NOT_ALLOWED),
        "let an owner of the organization add the address that the operator calls from to its IP allow list")
        .says(&["ip allow list"]),
    Row::new("suspended", Every, &[403], Failed(DENIED, r::BAD_CREDENTIALS),
        "GitHub has suspended the account behind this token: have that lifted, or use another")
        .says(&["account was suspended", "account is suspended", "has been suspended", "account was flagged"]),
    Row::new("blocked", Every, &[403, 451], Failed(DENIED, r::REPOSITORY_BLOCKED),
        "GitHub has blocked access to the repository: its owner has to clear that with GitHub's support")
        .says(&["access blocked", "dmca", "repository has been disabled"]),
    Row::new("blocked-by-law", Every, &[451], Failed(DENIED, r::REPOSITORY_BLOCKED),
        "GitHub does not serve the repository for legal reasons: its owner has to clear that with GitHub's support"),
    Row::new("empty", Every, &[403, 404, 409, 422], Failed(INVALID, r::REPOSITORY_EMPTY),
        "the repository has no commit to start from: push one, or create it with create.autoInit: true")
        .says(&["repository is empty"]),
    Row::new("archived", Every, &[403, 409, 422], Failed(INVALID, r::REPOSITORY_ARCHIVED),
        "the repository is read-only: unarchive it")
        .says(&["was archived", "repository archived"]),
    Row::new("rules-not-in-plan", Only(&[RulesOfBranch]), &[403], State(Known::Absent), "no rule can be read, so none is known")
        .says(&["upgrade to github"]),
    Row::new("new-token-forbidden", Every, &[403], Failed(TRANSIENT, r::NOT_VISIBLE_YET), NEW_TOKEN)
        .when(When::NewToken),

    // Workflow files: GitHub says so on a push alone. Its API answers 404, or a 403 about something else.
    Row::new("workflow-named", WORKFLOW_WRITES, &[403, 404, 422], Failed(DENIED, r::WORKFLOW_PERMISSION_MISSING), WORKFLOWS)
        .says(&["workflow` scope", "`workflows` permission"]),
    Row::new("workflow-forbidden", Only(&[CreateTree]), &[403], Failed(DENIED, r::WORKFLOW_PERMISSION_MISSING), WORKFLOWS)
        .when(When::Workflow),

    // What we made ourselves a moment ago.
    Row::new("lag", Every, &[404], Failed(TRANSIENT, r::NOT_VISIBLE_YET), SOON).when(When::JustMade),
    Row::new("lag-of-an-object", Only(&[CreateRef, UpdateRef, DeleteRef]), &[422], Failed(TRANSIENT, r::NOT_VISIBLE_YET), SOON)
        .says(&["object does not exist", "no commit found", "reference does not exist"])
        .when(When::JustMade),
    Row::new("lag-of-a-branch", Only(&[CreatePull]), &[422], Failed(TRANSIENT, r::NOT_VISIBLE_YET), SOON)
        .says(&["no commits between", "head invalid", "head is invalid", "sha can't be blank", "must be a branch", "not all refs are readable"])
        .when(When::JustMade),

    Row::new("workflow-hidden", Only(&[CreateTree]), &[404], Failed(DENIED, r::WORKFLOW_PERMISSION_MISSING), WORKFLOWS)
        .when(When::Workflow),

    // The merge queue.
    Row::new("pull-request-hidden", Only(&[GetQueuePlace, GetQueueState]), &[404], Failed(NOT_FOUND, r::PULL_REQUEST_NOT_FOUND),
        "it was deleted, or the token lacks \"{permission}\" on the repository")
        .says(&["to a pullrequest"]),
    Row::new("in-merge-queue", PUSHES, RULE, Failed(TRANSIENT, r::IN_MERGE_QUEUE),
        "the branch is locked until its pull request has left the merge queue: it is tried again")
        .says(&["added to a merge queue", "queued for merging"]),
    Row::new("queue-has-it", Only(&[EnqueuePull]), &[422], State(Known::AlreadyExists), "it is in the queue")
        .says(&["already in the queue", "already queued", "already in the merge queue"]),
    Row::new("queue-head-moved", Only(&[EnqueuePull]), &[409, 422], State(Known::HeadChanged), "the pull request is read again")
        .says(&["expected head"]),
    Row::new("queue-absent", Only(&[EnqueuePull]), &[422], State(Known::Absent), "the base branch has no merge queue")
        .says(&["does not have a merge queue"]),
    Row::new("queue-not-yet", Only(&[EnqueuePull]), &[422], State(Known::NotMergeable), "the merge waits"),
    Row::new("queue-unclear", Only(&[DequeuePull]), &[422], State(Known::Unclear),
        "whether it has left the queue is looked up: GitHub says so too where it has"),
    Row::new("merge-in-queue", MERGE, &[405], State(Known::AlreadyExists), "the merge queue merges it")
        .says(&["is in the merge queue"]),

    // Rules of the repository. One answer may name several.
    Row::new("rule-secret", PUSHES, RULE, Rule,
        "GitHub's push protection sees a secret in {file}: take it out, or allow it at GitHub, then set the annotation slipway.dev/rerun")
        .says(&["secret detected", "contain secrets", "secret scanning", "push protection"]),
    Row::new("rule-signature", PUSHES, RULE, Rule,
        "a rule wants signed commits: GitHub signs those of a GitHub App that names no author, so use an App's credentials and \
         leave commit.authorName and commit.authorEmail out, or exempt the Task's branches from the rule")
        .says(&["verified signature", "must be signed", "signed commit"]),
    Row::new("rule-message", PUSHES, RULE, Rule,
        "a rule wants another commit message or author: set commit.message, commit.authorName or commit.authorEmail as it says")
        .says(&["commit message", "commit author", "committer email", "author email", "commit metadata"]),
    Row::new("rule-file", PUSHES, RULE, Rule,
        "a rule forbids a file by its path, type or size: leave {file} out with source.exclude, or change it")
        .says(&["file path", "restricted path", "file extension", "file size", "file is too large", "larger than", "path length"]),
    Row::new("rule-branch", PUSHES, RULE, Rule,
        "a rule protects this branch: choose a spec.branch outside it, or let the token bypass it")
        .says(&["protected branch", "protected ref", "through a pull request", "being restricted", "branch name", "ref name must",
            "gh006", "branch protection"]),
    Row::new("rule-other", PUSHES, RULE, Failed(INVALID, r::BRANCH_PROTECTED),
        "a rule of the repository refuses it: do what the message says, or let the token bypass the rule")
        .says(&["rule violation", "gh013"]),

    // Merging.
    Row::new("merge-queue", MERGE, MERGE_RULE, Failed(INVALID, r::MERGE_QUEUE_REQUIRED),
        "the base branch has a merge queue: the pull request is put into it; if GitHub says that there is none as well, merge it by \
         hand, or set pullRequest.merge.policy to Manual")
        .says(&["merge queue"]),
    Row::new("merge-method", MERGE, &[405, 422], Failed(INVALID, r::MERGE_METHOD_NOT_ALLOWED), METHOD)
        .says(&["are not allowed on this repository", "is not allowed on this repository", "merge method", "linear history", "must not contain merge commits"]),
    Row::new("merge-rebase", MERGE, &[405, 422], Failed(INVALID, r::MERGE_METHOD_NOT_ALLOWED),
        "GitHub can't put these commits on top of the base branch one by one: set pullRequest.merge.method to merge or squash")
        .says(&["can't be rebased", "cannot be rebased", "can\u{2019}t be rebased"]),
    Row::new("merge-push", MERGE, &[403, 405], Failed(INVALID, r::BRANCH_PROTECTED),
        "only some may push to the base branch: add the token's user or the App to them, or a person merges the pull request")
        .says(&["not authorized to push", "not allowed to push"]),
    Row::new("merge-under-way", MERGE, &[405, 409], Failed(TRANSIENT, r::CONFLICT),
        "GitHub is merging it, or was a moment ago: it is looked at again")
        .says(&["already in progress"]),
    Row::new("merge-base-moved", MERGE, &[405, 409], Failed(TRANSIENT, r::BASE_BRANCH_MOVED),
        "the base branch has just moved: the merge is tried again")
        .says(&["base branch was modified"]),
    Row::new("merge-signature", MERGE, MERGE_RULE, Failed(INVALID, r::BRANCH_PROTECTED),
        "a rule wants signed commits: with a GitHub App and without commit.authorName and commit.authorEmail GitHub signs those \
         of the next Task; of this one a person merges the pull request, or the rule lets the token bypass it")
        .says(&["verified signature", "must be signed", "signed commit"]),
    Row::new("merge-not-yet", MERGE, &[403, 405], State(Known::NotMergeable), "the merge waits")
        .says(&["status check", "review", "approv", "conversation", "deployment", "code scanning", "not mergeable", "conflict",
            "draft", "out of date", "out-of-date"]),
    Row::new("merge-rule", MERGE, MERGE_RULE, Failed(INVALID, r::BRANCH_PROTECTED),
        "a rule of the base branch refuses the merge: a person merges the pull request, or the rule lets the token bypass it")
        .says(&["rule violation", "protected ref", "protected branch", "being restricted"]),
    Row::new("merge-refused", MERGE, &[405, 422], State(Known::NotMergeable), "the merge waits"),
    Row::new("merge-head-moved", MERGE, &[409], State(Known::HeadChanged), "the pull request is read again"),

    // 403 and 404 without words that tell more.
    Row::new("blob-head-forbidden", Only(&[BlobExists]), &[403], Failed(TRANSIENT, r::GITHUB_UNAVAILABLE),
        "an answer to HEAD gives no reason: it is asked again"),
    Row::new("labels-new", Only(&[AddLabels]), &[403], Failed(DENIED, r::PERMISSION_MISSING),
        "the repository has no such label, and to make one the token needs \"Issues: write\": make the label by hand, or give it that")
        .says(&["permission to create labels"]),
    Row::new("checks-unread", Only(&[ListFailedChecks, GetQueueState]), &[403], Failed(DENIED, r::PERMISSION_MISSING),
        "they are shown to a GitHub App with \"{permission}\" and to a classic token with the scope repo; a fine-grained token \
         can't have \"Checks: read\""),
    Row::new("checks-forbidden", CHECKS, &[403], Failed(DENIED, r::PERMISSION_MISSING), CHECKS_CURE),
    Row::new("checks-hidden", CHECKS, &[404, 422], Failed(TRANSIENT, r::NOT_VISIBLE_YET), CHECKS_AGAIN),
    Row::new("hooks-forbidden", HOOKS, &[403], Failed(DENIED, r::PERMISSION_MISSING), HOOKS_CURE),
    Row::new("hooks-hidden", Only(&[ListHooks, CreateHook]), &[404], Failed(DENIED, r::PERMISSION_MISSING), HOOKS_CURE),
    Row::new("hook-gone", Only(&[UpdateHook, SetHookConfig, PingHook, DeleteHook]), &[404], State(Known::Absent), "it is not there"),
    Row::new("deliveries-gone", Only(&[ListDeliveries]), &[404], Failed(TRANSIENT, r::WEBHOOK_MISSING),
        "the webhook is not there any more: it is made again"),
    Row::new("deliveries-cursor", Only(&[ListDeliveries]), &[400, 422], Failed(TRANSIENT, r::REFUSED),
        "GitHub does not know this place in the list any more: it is read from its beginning"),
    Row::new("delivery-gone", Only(&[Redeliver]), &[400, 404, 422], State(Known::Absent), "it can't be sent again"),
    Row::new("owner-forbidden", Only(&[CreateRepository]), &[403], Failed(DENIED, r::PERMISSION_MISSING), CREATES),
    Row::new("permission", Every, &[403], Failed(DENIED, r::PERMISSION_MISSING),
        "give the token the permission \"{permission}\" on this repository"),
    Row::new("absent", All(Side::Look), &[404], State(Known::Absent), "it is not there"),
    Row::new("owner", Only(&[CreateRepository]), &[404], Failed(DENIED, r::OWNER_NOT_USABLE),
        "the owner is neither the token's own user nor an organization in which it may create repositories: \
         correct spec.owner, or give the token the repository permission \"Administration: write\", for All repositories of the owner"),
    Row::new("base-gone", Only(&[GetTree, GetBlob, ListCommits]), &[404], Failed(NOT_FOUND, r::TREE_MISSING),
        BEGIN_AGAIN),
    Row::new("hidden-permission", All(Side::Write), &[404], Failed(DENIED, r::PERMISSION_MISSING),
        "GitHub hides with 404 what a token may not do: give the token the permission \"{permission}\" on this repository"),
    Row::new("repository", All(Side::Read), &[404], Failed(NOT_FOUND, r::REPOSITORY_NOT_FOUND),
        "it does not exist, or the token lacks \"{permission}\" on it"),

    Row::new("comments-off", Only(&[ListComments]), &[410], Failed(INVALID, r::REFUSED),
        "the repository has its issues switched off, and comments with them: the work goes on without"),

    // 409: something else happens at the same time.
    Row::new("conflict", Every, &[409], Failed(TRANSIENT, r::CONFLICT), "something else changes it at the same time: it is tried again"),

    // 422, per operation.
    Row::new("repository-exists", Only(&[CreateRepository]), &[422], State(Known::AlreadyExists), "it is looked up")
        .says(&["already exists"]),
    Row::new("repository-refused", Only(&[CreateRepository]), &[400, 422], Failed(INVALID, r::REPOSITORY_REFUSED),
        "GitHub does not create it like this: correct owner, name or spec.create"),
    Row::new("branch-exists", Only(&[CreateRef]), &[422], State(Known::AlreadyExists), "it is looked up")
        .says(&["reference already exists"]),
    Row::new("not-a-fast-forward", Only(&[UpdateRef]), &[422], State(Known::NotFastForward), "nothing is forced")
        .says(&["not a fast forward", "not a fast-forward"]),
    Row::new("branch-absent", Only(&[UpdateRef, DeleteRef]), &[422], State(Known::Absent), "it is not there")
        .says(&["reference does not exist"]),
    Row::new("commit-gone", Only(&[CreateRef, UpdateRef]), &[422], Failed(NOT_FOUND, r::COMMIT_MISSING),
        "the commit is not in the repository any more: set the annotation slipway.dev/rerun to a new value to have it made again")
        .says(&["object does not exist", "no commit found"]),
    Row::new("branch-update-failed", Only(&[CreateRef, UpdateRef, DeleteRef]), &[422], Failed(TRANSIENT, r::BRANCH_REFUSED),
        "GitHub could not write the branch: it is tried again; where that goes on, another branch is in its way (a and a/b can't \
         both be): choose another spec.branch")
        .says(&["reference update failed", "reference cannot be updated"]),
    Row::new("branch-refused", Only(&[CreateRef, UpdateRef, DeleteRef]), &[422], Failed(INVALID, r::BRANCH_REFUSED),
        "a rule of the repository forbids this branch, or another branch is in its way (a and a/b can't both be): \
         choose another spec.branch"),
    Row::new("pull-request-exists", Only(&[CreatePull]), &[422], State(Known::AlreadyExists), "it is looked up")
        .says(&["pull request already exists"]),
    Row::new("nothing-to-merge", Only(&[CreatePull]), &[422], Failed(INVALID, r::NOTHING_TO_MERGE),
        "the branch has nothing that the base branch lacks, so the same change was merged already: \
         delete the Task, or change its input for another round")
        .says(&["no commits between"]),
    Row::new("base-absent", Only(&[CreatePull]), &[422], Failed(INVALID, r::BASE_BRANCH_MISSING),
        "create the base branch, or correct baseBranch")
        .says(&["base invalid", "base is invalid", "base sha can't be blank"]),
    Row::new("head-absent", Only(&[CreatePull]), &[422], Failed(NOT_FOUND, r::BRANCH_MISSING),
        "the branch is not in the repository any more: restore it, or set the annotation slipway.dev/rerun to a new value to begin again")
        .says(&["head invalid", "head is invalid", "head sha can't be blank", "head ref must be a branch", "not all refs are readable"]),
    Row::new("webhook-exists", Only(&[CreateHook]), &[422], State(Known::AlreadyExists), "it is looked up")
        .says(&["hook already exists"]),
    Row::new("webhook-refused", Only(&[CreateHook, UpdateHook, SetHookConfig]), &[422], Failed(INVALID, r::WEBHOOK_REFUSED),
        "GitHub does not take the webhook: SLIPWAY_WEBHOOK_URL (webhook.publicURL) has to be reachable from GitHub, and an event has at \
         most 20 webhooks; remove one, or set webhook.manage to Never"),
    Row::new("drafts", Only(&[CreatePull]), &[422], Failed(INVALID, r::DRAFTS_NOT_SUPPORTED),
        "this repository knows no draft pull requests: set pullRequest.draft to false")
        .says(&["draft pull requests are not supported"]),
    Row::new("pull-request-refused", Only(&[CreatePull]), &[422], Failed(INVALID, r::PULL_REQUEST_REFUSED),
        "correct pullRequest.title or pullRequest.body: see GitHub's message"),
    Row::new("labels-refused", Only(&[AddLabels]), &[410, 422], Failed(INVALID, r::PULL_REQUEST_REFUSED),
        "the pull request goes on without: set the labels by hand, and correct pullRequest.labels for the next"),
    Row::new("reviewers-teams", Only(&[RequestReviewers]), &[422], Failed(DENIED, r::PERMISSION_MISSING),
        "the pull request goes on without: to ask a team the token needs the organization permission \"Members: read\"")
        .says(&["global id of"]),
    Row::new("reviewers-refused", Only(&[RequestReviewers]), &[422], Failed(INVALID, r::PULL_REQUEST_REFUSED),
        "the pull request goes on without: name collaborators and teams of the repository, and not the token's own user"),
    Row::new("object-lost", Only(&[CreateTree, CreateCommit]), &[422], Failed(TRANSIENT, r::OBJECT_MISSING),
        "GitHub does not find what this is made of: it is made again")
        .says(&["is not a valid blob", "is not a valid tree", "sha does not exist", "object does not exist"]),
    Row::new("tree-timed-out", Only(&[CreateTree]), &[422], Failed(TRANSIENT, r::TREE_TIMED_OUT),
        "GitHub ran out of time over so many files: they are sent in smaller parts")
        .says(&["timed out", "tree incrementally"]),
    Row::new("file-timed-out", Only(&[CreateBlob]), &[422], Failed(TRANSIENT, r::GITHUB_UNAVAILABLE), AGAIN)
        .says(&["timed out"]),
    Row::new("tree-refused", Only(&[CreateTree]), &[422], Failed(INVALID, r::TREE_REFUSED),
        "GitHub does not take these files as they are: rename the one that its message names, or leave it out with source.exclude"),
    Row::new("commit-refused", Only(&[CreateCommit]), &[422], Failed(INVALID, r::COMMIT_REFUSED),
        "GitHub does not take the commit as it is: correct commit.message, commit.authorName or commit.authorEmail"),
    Row::new("file-too-large", Only(&[CreateBlob, CreateTree]), &[413], Failed(INVALID, r::BLOB_REFUSED),
        "GitHub does not take a file this large: leave {file} out with source.exclude"),
    Row::new("file-refused", Only(&[CreateBlob]), &[422], Failed(INVALID, r::BLOB_REFUSED),
        "GitHub does not take {file}: see its message, or leave the file out with source.exclude"),
    Row::new("read-refused", Only(&[GetTree, GetBlob, BlobExists, ListPulls, SyncPulls]), &[422], Failed(TRANSIENT, r::REFUSED),
        "GitHub refuses to read it just now: it is tried again"),

    // What GitHub's own API does not answer: something else does.
    Row::new("not-githubs-api", Every, &[400, 405, 406, 415], Failed(INVALID, r::REFUSED),
        "GitHub's API does not refuse this call so: check that GITHUB_API_URL names it and that no proxy answers instead"),
    Row { status: Status::From(300, 499), ..Row::new("other", Every, &[], Failed(INVALID, r::REFUSED), SEE) },
];

#[cfg(test)]
mod tests;
