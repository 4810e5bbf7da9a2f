//! Answers as GitHub sends them, with the row that each has to find.

use super::*;
use http::{HeaderName, HeaderValue};

/// An answer; what it has to mean; words of its cure.
pub(super) struct Case {
    pub(super) row: &'static str,
    pub(super) call: RefusedCall<'static>,
    pub(super) status: u16,
    pub(super) body: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// `limit`, `state`, or class and reason.
    pub(super) means: &'static str,
    pub(super) cure: &'static str,
}

fn case(
    row: &'static str,
    operation: Operation,
    status: u16,
    body: &'static str,
    means: &'static str,
    cure: &'static str,
) -> Case {
    let call = RefusedCall::new(operation, "acme/app");
    Case { row, call, status, body, headers: &[], means, cure }
}

impl Case {
    fn just_made(mut self) -> Self {
        self.call.just_made = true;
        self
    }

    fn new_token(mut self) -> Self {
        self.call.token = Origin::JustBought;
        self
    }

    fn of_an_app(mut self) -> Self {
        self.call.token = Origin::Bought;
        self
    }

    fn by_id(mut self) -> Self {
        self.call.by_id = true;
        self
    }

    fn stray(mut self) -> Self {
        self.call.stray = true;
        self
    }

    fn needs(mut self, permission: &'static str) -> Self {
        self.call.permission = Some(permission);
        self
    }

    fn file(mut self, file: &'static str) -> Self {
        self.call.file = Some(file);
        self
    }

    fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    pub(super) fn refusal(&self) -> Refusal {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = self.headers.iter().map(pair).collect();
        let status = StatusCode::from_u16(self.status).expect("a status");
        refusal(status, &headers, self.body.as_bytes(), Timestamp::UNIX_EPOCH)
    }
}

const FORBIDDEN: &str = r#"{"message":"Resource not accessible by integration","documentation_url":"https://docs.github.com/rest","status":"403"}"#;
const MISSING: &str =
    r#"{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}"#;
const NOT_INSTALLED: &str = r#"{"message":"There is at least one repository that does not exist or is not accessible to the parent installation."}"#;
const SPAMMED: &str =
    r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"q","code":"odd"}]}"#;
const NO_COMMITS: &str = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"No commits between main and task/greet/1"}]}"#;
const QUICK: &str = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","field":"base","message":"was submitted too quickly"}]}"#;
const IP: &str = r#"{"message":"Although you appear to have the correct authorization credentials, the `acme` organization has an IP allow list enabled, and your IP address is not permitted to access this resource."}"#;
const SCOPE: &str = r#"{"message":"refusing to allow a Personal Access Token to create or update workflow `.github/workflows/a.yml` without `workflow` scope"}"#;
const NAME_TAKEN: &str = r#"{"message":"Repository creation failed.","errors":[{"resource":"Repository","code":"custom","field":"name","message":"name already exists on this account"}]}"#;

pub(super) fn all() -> Vec<Case> {
    let of_github = [of_every_call(), of_our_own(), of_permissions(), of_refusals()];
    let of_merging = [of_rules(), of_merges(), of_queues()];
    let beside = [of_lfs(), of_hooks()];
    of_github.into_iter().chain(of_merging).chain(beside).flatten().collect()
}

#[rustfmt::skip]
fn of_lfs() -> Vec<Case> {
    vec![
        case("git-commit-gone", FetchPack, 200, "upload-pack: not our ref 61780798228d17af2d34fce4cfbdf35556832472", "NotFound TreeMissing", "rerun"),
        case("git-refused", FetchPack, 200, "try again later", "Transient GitHubUnavailable", "tried again"),
        case("repository", FetchPack, 404, "Repository not found.", "NotFound RepositoryNotFound", "Contents: read"),
        case("permission", FetchPack, 403, "Write access to repository not granted.", "Denied PermissionMissing", "Contents: read"),
        case("labels-new", AddLabels, 403, r#"{"message":"You do not have permission to create labels on this repository.","errors":[{"resource":"Repository","field":"label","code":"unauthorized"}]}"#, "Denied PermissionMissing", "make the label by hand"),
        case("reviewers-teams", RequestReviewers, 422, r#"{"message":"Could not resolve to a node with the global id of 'T_kwDOBWcAAs4Ab1cD'."}"#, "Denied PermissionMissing", "\"Members: read\""),
        case("labels-refused", AddLabels, 422, r#"{"message":"Validation Failed","errors":[{"resource":"Label","field":"name","code":"invalid"}]}"#, "Invalid PullRequestRefused", "goes on without"),
        case("reviewers-refused", RequestReviewers, 422, r#"{"message":"Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the acme/app repository."}"#, "Invalid PullRequestRefused", "collaborators"),
        case("comments-off", ListComments, 410, r#"{"message":"Issues are disabled for this repo"}"#, "Invalid Refused", "goes on without"),
        case("lfs-storage", LfsUpload, 403, r#"<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>"#, "Transient LFSRefused", "asked for again"),
        case("lfs-storage", LfsVerify, 404, r#"{"message":"Not Found"}"#, "Transient LFSRefused", "asked for again"),
        case("lfs-quota", LfsBatch, 403, r#"{"message":"This repository is over its data quota. Account responsible for LFS bandwidth should purchase more data packs to restore access."}"#, "Invalid LFSRefused", "quota"),
        case("lfs-full", LfsBatch, 509, "", "Invalid LFSRefused", "raise its quota"),
        case("lfs-off", LfsBatch, 501, r#"{"message":"Git LFS is disabled for this repository."}"#, "Invalid LFSRefused", "switch it on"),
        case("lfs-odd", LfsBatch, 422, r#"{"message":"Validation Failed"}"#, "Invalid LFSRefused", "source.exclude"),
        case("hidden-permission", LfsBatch, 404, MISSING, "Denied PermissionMissing", "Contents: write"),
    ]
}

const HOOK_EXISTS: &str = r#"{"message":"Validation Failed","errors":[{"resource":"Hook","code":"custom","message":"Hook already exists on this repository"}]}"#;
const HOOKS_FULL: &str = r#"{"message":"Validation Failed","errors":[{"resource":"Hook","code":"custom","message":"The \"pull_request\" event cannot have more than 20 hooks"}]}"#;
const HOOK_UNREACHABLE: &str = r#"{"message":"Validation Failed","errors":[{"resource":"Hook","code":"custom","field":"url","message":"url is not supported because it isn't reachable over the public Internet (localhost)"}]}"#;

#[rustfmt::skip]
fn of_hooks() -> Vec<Case> {
    vec![
        case("hooks-forbidden", GetHook, 403, FORBIDDEN, "Denied PermissionMissing", "\"Webhooks: write\"").headers(&[("x-accepted-github-permissions", "repository_hooks=read")]),
        case("hooks-forbidden", Redeliver, 403, FORBIDDEN, "Denied PermissionMissing", "webhook.manage"),
        case("hooks-hidden", ListHooks, 404, MISSING, "Denied PermissionMissing", "\"Webhooks: write\""),
        case("hooks-hidden", CreateHook, 404, MISSING, "Denied PermissionMissing", "\"Webhooks: write\""),
        case("lag", ListHooks, 404, MISSING, "Transient NotVisibleYet", "tried again").just_made(),
        case("lag", DeleteHook, 404, MISSING, "Transient NotVisibleYet", "tried again").just_made(),
        case("absent", GetHook, 404, MISSING, "state", ""),
        case("hook-gone", SetHookConfig, 404, MISSING, "state", ""),
        case("hook-gone", PingHook, 404, MISSING, "state", ""),
        case("hook-gone", DeleteHook, 404, MISSING, "state", ""),
        case("archived", CreateHook, 403, r#"{"message":"Repository was archived so is read-only."}"#, "Invalid RepositoryArchived", "unarchive"),
        case("webhook-exists", CreateHook, 422, HOOK_EXISTS, "state", ""),
        case("webhook-refused", UpdateHook, 422, HOOK_EXISTS, "Invalid WebhookRefused", "webhook.manage"),
        case("webhook-refused", CreateHook, 422, HOOKS_FULL, "Invalid WebhookRefused", "at most 20 webhooks"),
        case("webhook-refused", SetHookConfig, 422, HOOK_UNREACHABLE, "Invalid WebhookRefused", "SLIPWAY_WEBHOOK_URL"),
        case("deliveries-gone", ListDeliveries, 404, MISSING, "Transient WebhookMissing", "made again"),
        case("deliveries-cursor", ListDeliveries, 400, r#"{"message":"Invalid cursor"}"#, "Transient Refused", "from its beginning"),
        case("delivery-gone", Redeliver, 404, MISSING, "state", ""),
        case("delivery-gone", Redeliver, 422, r#"{"message":"The delivery can't be redelivered"}"#, "state", ""),
    ]
}

const QUEUED_BRANCH: &str = r#"{"message":"A pull request for this branch has been added to a merge queue. Branches that\nare queued for merging cannot be updated. To modify this branch, dequeue the\nassociated pull request.\n","documentation_url":"https://docs.github.com/articles/about-protected-branches"}"#;
const NO_RULES: &str =
    r#"{"message":"Upgrade to GitHub Pro or make this repository public to enable this feature."}"#;

#[rustfmt::skip]
fn of_queues() -> Vec<Case> {
    vec![
        case("rules-not-in-plan", RulesOfBranch, 403, NO_RULES, "state", "").new_token(),
        case("permission", RulesOfBranch, 403, FORBIDDEN, "Denied PermissionMissing", "Metadata: read"),
        case("repository", RulesOfBranch, 404, MISSING, "NotFound RepositoryNotFound", "Metadata: read"),
        case("in-merge-queue", UpdateRef, 422, QUEUED_BRANCH, "Transient InMergeQueue", "tried again"),
        case("in-merge-queue", DeleteRef, 422, QUEUED_BRANCH, "Transient InMergeQueue", "left the merge queue"),
        case("merge-in-queue", MergePull, 405, r#"{"message":"Pull Request is in the merge queue."}"#, "state", ""),
        case("queue-has-it", EnqueuePull, 422, r#"{"errors":[{"type":"UNPROCESSABLE","message":"Pull request is already in the queue"}]}"#, "state", ""),
        case("queue-head-moved", EnqueuePull, 422, r#"{"errors":[{"type":"UNPROCESSABLE","message":"Failed to add PR #7: expected head oid does not match the current head oid"}]}"#, "state", ""),
        case("queue-absent", EnqueuePull, 422, r#"{"errors":[{"message":"Pull request base branch does not have a merge queue"}]}"#, "state", ""),
        case("queue-not-yet", EnqueuePull, 422, r#"{"errors":[{"message":"Pull request Required status check \"build\" is expected."}]}"#, "state", ""),
        case("queue-unclear", DequeuePull, 422, r#"{"errors":[{"message":"Failed to remove PR #7 \"Greet\""}]}"#, "state", ""),
        case("lag", EnqueuePull, 404, r#"{"errors":[{"message":"Could not resolve to a node with the global id of 'PR_1'"}]}"#, "Transient NotVisibleYet", "tried again").just_made(),
        case("hidden-permission", EnqueuePull, 404, r#"{"errors":[{"message":"Could not resolve to a node with the global id of 'PR_1'"}]}"#, "Denied PermissionMissing", "Pull requests: write"),
        case("pull-request-hidden", GetQueuePlace, 404, r#"{"errors":[{"message":"Could not resolve to a PullRequest with the number of 7."}]}"#, "NotFound PullRequestNotFound", "deleted"),
        case("pull-request-hidden", GetQueueState, 404, r#"{"errors":[{"message":"Could not resolve to a PullRequest with the number of 7."}]}"#, "NotFound PullRequestNotFound", "deleted"),
        case("repository", GetQueueState, 404, r#"{"errors":[{"message":"Could not resolve to a Repository with the name 'acme/app'."}]}"#, "NotFound RepositoryNotFound", "Checks: read"),
        case("checks-unread", GetQueueState, 403, FORBIDDEN, "Denied PermissionMissing", "classic token"),
    ]
}

#[rustfmt::skip]
fn of_every_call() -> Vec<Case> {
    vec![
        case("limit", GetRef, 403, r#"{"message":"You have exceeded a secondary rate limit."}"#, "limit", ""),
        case("limit", GetRef, 429, "", "limit", "").headers(&[("retry-after", "7")]),
        case("limit", CreateRef, 403, "", "limit", "").headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "90")]),
        case("limit", SyncPulls, 403, r#"{"documentation_url":"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"}"#, "limit", ""),
        case("limit-on-content", CreatePull, 422, QUICK, "limit", ""),
        case("limit-on-content", CreatePull, 422, r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"abuse"}]}"#, "limit", ""),
        case("limit-on-content", CreateRepository, 422, r#"{"message":"Validation Failed","errors":[{"code":"abuse","message":"slow down"}]}"#, "limit", ""),
        case("not-modified", SyncPulls, 304, "", "state", ""),
        case("not-modified", GetUser, 304, "", "state", ""),
        case("moved", GetRepository, 301, r#"{"message":"Moved Permanently"}"#, "state", ""),
        case("server-error", CreateTree, 502, "<html>a page</html>", "Transient GitHubUnavailable", "tried again"),
        case("server-error", Compare, 500, r#"{"message":"Server Error"}"#, "Transient GitHubUnavailable", "tried again"),
        case("server-error", GetPull, 503, r#"{"code":"503","message":"Service unavailable"}"#, "Transient GitHubUnavailable", "tried again"),
        case("busy", MergePull, 429, r#"{"message":"Try again"}"#, "Transient GitHubUnavailable", "tried again"),
        case("busy", GetTree, 408, "", "Transient GitHubUnavailable", "tried again"),
        case("app-token", GetRef, 401, r#"{"message":"Bad credentials"}"#, "Denied BadCredentials", "GITHUB_SERVER_URL").of_an_app(),
        case("bad-credentials", GetUser, 401, r#"{"message":"Bad credentials"}"#, "Denied BadCredentials", "credentialsSecretRef"),
        case("single-sign-on", CreateTree, 403, r#"{"message":"Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization."}"#, "Denied SAMLRequired", "single sign-on"),
        case("token-kind", GetTree, 403, r#"{"message":"`acme` forbids access via a personal access token (classic). Please use a GitHub App, OAuth App, or a personal access token with fine-grained permissions."}"#, "Denied TokenNotAccepted", "GitHub App's keys"),
        case("token-kind", GetTree, 403, r#"{"message":"The 'acme' organization forbids access via a fine-grained personal access tokens if the token's lifetime is greater than 90 days."}"#, "Denied TokenNotAccepted", "lives so long"),
        case("token-kind", CreatePull, 403, r#"{"message":"Although you appear to have the correct authorization credentials, the `acme` organization has enabled OAuth App access restrictions, meaning that data access to third-parties is limited."}"#, "Denied TokenNotAccepted", "kind of token"),
        case("ip-allow-list", GetRepository, 403, IP, "Denied IPNotAllowed", "IP allow list"),
        case("suspended", GetUser, 403, r#"{"message":"Sorry. Your account was suspended."}"#, "Denied BadCredentials", "suspended"),
        case("installation-suspended", GetRepository, 403, r#"{"message":"This installation has been suspended"}"#, "Denied InstallationSuspended", "lift that"),
        case("app-clock", CreateInstallationToken, 401, r#"{"message":"'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"}"#, "Denied ClockSkewed", "GitHub's is 60 min ahead")
            .headers(&[("date", "Thu, 01 Jan 1970 01:00:10 GMT")]),
        case("app-clock", CreateInstallationToken, 401, r#"{"message":"'Expiration time' claim ('exp') is too far in the future"}"#, "Denied ClockSkewed", "clock of the operator's node"),
        case("app-key", CreateInstallationToken, 401, r#"{"message":"A JSON web token could not be decoded"}"#, "Denied BadCredentials", "privateKey"),
        case("app-unknown", CreateInstallationToken, 404, r#"{"message":"Integration not found"}"#, "Denied BadCredentials", "appID"),
        case("installation-absent", CreateInstallationToken, 404, MISSING, "Denied InstallationNotFound", "installationID"),
        case("installation-suspended", CreateInstallationToken, 403, r#"{"message":"This installation has been suspended"}"#, "Denied InstallationSuspended", "Applications"),
        case("installation-lag", CreateInstallationToken, 422, NOT_INSTALLED, "Transient NotVisibleYet", "tried again").just_made(),
        case("installation-gone", CreateInstallationToken, 422, NOT_INSTALLED, "NotFound RepositoryGone", "new owner's installation").by_id(),
        case("installation-repository", CreateInstallationToken, 422, NOT_INSTALLED, "NotFound RepositoryNotInInstallation", "Configure"),
        case("installation-permission", CreateInstallationToken, 422, r#"{"message":"The permissions requested are not granted to this installation."}"#, "Denied PermissionMissing", "\"Contents: write\" and \"Workflows: write\"")
            .needs("Contents: write\" and \"Workflows: write"),
        case("installation-refused", CreateInstallationToken, 422, r#"{"message":"Invalid request."}"#, "Denied Refused", "GitHub's message"),
        case("stray-refusal", GetRef, 401, r#"{"message":"Bad credentials"}"#, "Transient BadCredentials", "tried again").stray(),
        case("stray-refusal", CreateInstallationToken, 401, r#"{"message":"A JSON web token could not be decoded"}"#, "Transient BadCredentials", "tried again").stray(),
        case("login-attempts", GetRef, 403, r#"{"message":"Maximum number of login attempts exceeded. Please try again later."}"#, "limit", ""),
        case("new-token-unknown", GetRef, 401, r#"{"message":"Bad credentials"}"#, "Transient NotVisibleYet", "new token").new_token(),
        case("new-token-forbidden", GetRef, 403, FORBIDDEN, "Transient NotVisibleYet", "new token").new_token(),
        case("workflow-named", MergePull, 403, r#"{"message":"refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yml` without `workflows` permission"}"#, "Denied WorkflowPermissionMissing", "Workflows: write"),
        case("blocked", GetRepository, 403, r#"{"message":"Repository access blocked","block":{"reason":"tos"}}"#, "Denied RepositoryBlocked", "GitHub's support"),
        case("blocked-by-law", GetRepository, 451, "", "Denied RepositoryBlocked", "legal reasons"),
        case("empty", GetRef, 409, r#"{"message":"Git Repository is empty."}"#, "Invalid RepositoryEmpty", "autoInit"),
        case("empty", GetTree, 409, r#"{"message":"Git Repository is empty."}"#, "Invalid RepositoryEmpty", "autoInit"),
        case("archived", CreatePull, 403, r#"{"message":"Repository was archived so is read-only."}"#, "Invalid RepositoryArchived", "unarchive"),
        case("conflict", CreateCommit, 409, r#"{"message":"Conflict"}"#, "Transient Conflict", "tried again"),
        case("not-githubs-api", GetPull, 406, "", "Invalid Refused", "GITHUB_API_URL"),
        case("not-githubs-api", CreateRef, 405, "", "Invalid Refused", "GITHUB_API_URL"),
        case("other", GetRef, 418, r#"{"message":"I'm a teapot"}"#, "Invalid Refused", "GitHub's message"),
    ]
}

#[rustfmt::skip]
fn of_our_own() -> Vec<Case> {
    vec![
        case("lag", GetPull, 404, MISSING, "Transient NotVisibleYet", "tried again").just_made(),
        case("lag", CreateRef, 404, MISSING, "Transient NotVisibleYet", "tried again").just_made(),
        case("lag-of-an-object", CreateRef, 422, r#"{"message":"Object does not exist"}"#, "Transient NotVisibleYet", "tried again").just_made(),
        case("lag-of-an-object", UpdateRef, 422, r#"{"message":"Reference does not exist"}"#, "Transient NotVisibleYet", "tried again").just_made(),
        case("lag-of-a-branch", CreatePull, 422, NO_COMMITS, "Transient NotVisibleYet", "tried again").just_made(),
        case("lag-of-a-branch", CreatePull, 422, r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"head","code":"invalid"}]}"#, "Transient NotVisibleYet", "tried again").just_made(),
    ]
}

#[rustfmt::skip]
fn of_rules() -> Vec<Case> {
    vec![
        case("rule-secret", CreateBlob, 409, r#"{"message":"Repository rule violations found\n\nSecret detected in content"}"#, "Invalid BranchProtected", "in src/key.txt: take it out").file("src/key.txt"),
        case("rule-signature", CreateRef, 422, r#"{"message":"Repository rule violations found\n\nCommits must have verified signatures."}"#, "Invalid BranchProtected", "signed commits"),
        case("rule-message", CreateRef, 422, r#"{"message":"Repository rule violations found\n\nCommit message must match a given regex pattern: ^PROJ-"}"#, "Invalid BranchProtected", "commit.message"),
        case("rule-file", UpdateRef, 422, r#"{"message":"Repository rule violations found\n\nFile path is restricted: .npmrc"}"#, "Invalid BranchProtected", "source.exclude"),
        case("rule-branch", UpdateRef, 422, r#"{"message":"Cannot update this protected ref."}"#, "Invalid BranchProtected", "spec.branch"),
        case("rule-branch", UpdateRef, 422, r#"{"message":"Repository rule violations found\n\nChanges must be made through a pull request."}"#, "Invalid BranchProtected", "spec.branch"),
        case("rule-branch", CreateRef, 409, r#"{"message":"Repository rule violations found\n\nCannot create ref due to creations being restricted."}"#, "Invalid BranchProtected", "spec.branch"),
        case("rule-other", UpdateRef, 422, r#"{"message":"Repository rule violations found\n\nSomething new."}"#, "Invalid BranchProtected", "do what the message says"),
    ]
}

#[rustfmt::skip]
fn of_merges() -> Vec<Case> {
    vec![
        case("merge-queue", MergePull, 405, r#"{"message":"Changes must be made through the merge queue"}"#, "Invalid MergeQueueRequired", "by hand"),
        case("merge-method", MergePull, 405, r#"{"message":"Merge commits are not allowed on this repository."}"#, "Invalid MergeMethodNotAllowed", "pullRequest.merge.method"),
        case("merge-method", MergePull, 405, r#"{"message":"Squash merges are not allowed on this repository."}"#, "Invalid MergeMethodNotAllowed", "pullRequest.merge.method"),
        case("merge-rebase", MergePull, 405, r#"{"message":"This branch can't be rebased"}"#, "Invalid MergeMethodNotAllowed", "merge or squash"),
        case("merge-push", MergePull, 405, r#"{"message":"You're not authorized to push to this branch. Visit https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/about-protected-branches for more information."}"#, "Invalid BranchProtected", "a person merges"),
        case("merge-under-way", MergePull, 405, r#"{"message":"Merge already in progress"}"#, "Transient Conflict", "looked at again"),
        case("merge-base-moved", MergePull, 405, r#"{"message":"Base branch was modified. Review and try the merge again."}"#, "Transient BaseBranchMoved", "tried again"),
        case("merge-signature", MergePull, 405, r#"{"message":"Repository rule violations found\n\nCommits must have verified signatures."}"#, "Invalid BranchProtected", "signed commits"),
        case("merge-not-yet", MergePull, 405, r#"{"message":"Required status check \"ci\" is expected. Protected branch rules not satisfied."}"#, "state", ""),
        case("merge-not-yet", MergePull, 405, r#"{"message":"Repository rule violations found\n\nAt least 1 approving review is required."}"#, "state", ""),
        case("merge-rule", MergePull, 405, r#"{"message":"Repository rule violations found\n\nCannot update this protected ref."}"#, "Invalid BranchProtected", "a person merges"),
        case("merge-refused", MergePull, 405, r#"{"message":"Something new"}"#, "state", ""),
        case("merge-refused", MergePull, 422, SPAMMED, "state", ""),
        case("merge-head-moved", MergePull, 409, r#"{"message":"Head branch was modified. Review and try the merge again."}"#, "state", ""),
    ]
}

#[rustfmt::skip]
fn of_permissions() -> Vec<Case> {
    vec![
        case("workflow-named", CreateRef, 403, SCOPE, "Denied WorkflowPermissionMissing", "Workflows: write"),
        case("workflow-forbidden", CreateTree, 403, FORBIDDEN, "Denied WorkflowPermissionMissing", ".github/workflows/ci.yml").file(".github/workflows/ci.yml"),
        case("workflow-hidden", CreateTree, 404, MISSING, "Denied WorkflowPermissionMissing", "Workflows: write").file(".github/workflows/ci.yml"),
        case("blob-head-forbidden", BlobExists, 403, "", "Transient GitHubUnavailable", "asked again"),
        case("checks-forbidden", ListCheckRuns, 403, FORBIDDEN, "Denied PermissionMissing", "requireChecks"),
        case("checks-forbidden", ListCheckRuns, 403, FORBIDDEN, "Denied PermissionMissing", "a fine-grained token can't"),
        case("checks-unread", ListFailedChecks, 403, FORBIDDEN, "Denied PermissionMissing", "GitHub App with \"Checks: read"),
        case("checks-hidden", CombinedStatus, 404, MISSING, "Transient NotVisibleYet", "tried again"),
        case("permission", CreatePull, 403, FORBIDDEN, "Denied PermissionMissing", "Pull requests: write"),
        case("permission", CreateRef, 403, FORBIDDEN, "Denied PermissionMissing", "contents=write").headers(&[("x-accepted-github-permissions", "contents=write")]),
        case("absent", GetRepository, 404, MISSING, "state", ""),
        case("absent", Compare, 404, MISSING, "state", ""),
        case("owner", CreateRepository, 404, MISSING, "Denied OwnerNotUsable", "repository permission \"Administration: write\", for All repositories"),
        case("owner-forbidden", CreateRepository, 403, FORBIDDEN, "Denied PermissionMissing", "All repositories of the owner"),
        case("base-gone", GetTree, 404, MISSING, "NotFound TreeMissing", "slipway.dev/rerun"),
        case("hidden-permission", CreateBlob, 404, MISSING, "Denied PermissionMissing", "Contents: write"),
        case("hidden-permission", CreateTree, 404, MISSING, "Denied PermissionMissing", "Contents: write"),
        case("repository", SyncPulls, 404, MISSING, "NotFound RepositoryNotFound", "Pull requests: read"),
    ]
}

#[rustfmt::skip]
fn of_refusals() -> Vec<Case> {
    vec![
        case("repository-exists", CreateRepository, 422, NAME_TAKEN, "state", ""),
        case("repository-refused", CreateRepository, 422, r#"{"message":"Repository creation failed.","errors":["name is too long"]}"#, "Invalid RepositoryRefused", "spec.create"),
        case("branch-exists", CreateRef, 422, r#"{"message":"Reference already exists"}"#, "state", ""),
        case("not-a-fast-forward", UpdateRef, 422, r#"{"message":"Update is not a fast forward"}"#, "state", ""),
        case("branch-absent", DeleteRef, 422, r#"{"message":"Reference does not exist"}"#, "state", ""),
        case("commit-gone", CreateRef, 422, r#"{"message":"Object does not exist"}"#, "NotFound CommitMissing", "slipway.dev/rerun"),
        case("branch-update-failed", CreateRef, 422, r#"{"message":"Reference update failed"}"#, "Transient BranchRefused", "spec.branch"),
        case("branch-update-failed", UpdateRef, 422, r#"{"message":"Reference cannot be updated"}"#, "Transient BranchRefused", "tried again"),
        case("branch-refused", DeleteRef, 422, r#"{"message":"Validation Failed"}"#, "Invalid BranchRefused", "spec.branch"),
        case("pull-request-exists", CreatePull, 422, r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"A pull request already exists for acme:task/a/b."}]}"#, "state", ""),
        case("nothing-to-merge", CreatePull, 422, NO_COMMITS, "Invalid NothingToMerge", "merged already"),
        case("base-absent", CreatePull, 422, r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"base","code":"invalid"}]}"#, "Invalid BaseBranchMissing", "baseBranch"),
        case("head-absent", CreatePull, 422, r#"{"message":"Validation Failed","errors":["Head sha can't be blank"]}"#, "NotFound BranchMissing", "restore it"),
        case("drafts", CreatePull, 422, r#"{"message":"Draft pull requests are not supported in this repository."}"#, "Invalid DraftsNotSupported", "pullRequest.draft"),
        case("pull-request-refused", CreatePull, 422, r#"{"message":"Validation Failed","errors":["title is too long"]}"#, "Invalid PullRequestRefused", "pullRequest.title"),
        case("object-lost", CreateCommit, 422, r#"{"message":"Tree SHA does not exist"}"#, "Transient ObjectMissing", "made again"),
        case("object-lost", CreateTree, 422, r#"{"message":"tree.sha 11d6 is not a valid blob"}"#, "Transient ObjectMissing", "made again"),
        case("tree-timed-out", CreateTree, 422, r#"{"message":"Sorry, your request timed out. It's likely that your input was too large to process. Consider building the tree incrementally, or building the commits you need in a local clone of the repository and then pushing them to GitHub."}"#, "Transient TreeTimedOut", "smaller parts"),
        case("file-timed-out", CreateBlob, 422, r#"{"message":"Sorry, your request timed out."}"#, "Transient GitHubUnavailable", "tried again"),
        case("tree-refused", CreateTree, 422, r#"{"message":"tree.path contains a malformed path component"}"#, "Invalid TreeRefused", "source.exclude"),
        case("commit-refused", CreateCommit, 422, r#"{"message":"Invalid request."}"#, "Invalid CommitRefused", "commit.message"),
        case("file-too-large", CreateBlob, 413, "", "Invalid BlobRefused", "big.bin").file("big.bin"),
        case("file-refused", CreateBlob, 422, r#"{"message":"Sorry, your input was too large to process."}"#, "Invalid BlobRefused", "big.bin").file("big.bin"),
        case("read-refused", GetTree, 422, SPAMMED, "Transient Refused", "tried again"),
        case("read-refused", ListPulls, 422, SPAMMED, "Transient Refused", "tried again"),
    ]
}
