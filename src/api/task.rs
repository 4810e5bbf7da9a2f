//! The kind Task: one piece of work, from prompt to merged pull request. Its status stands in `task/status.rs`.
//! Imports `bounds`, `common` and the Sandbox's spec of this folder.

mod pull_request;
mod source;
mod status;

use super::{
    bounds,
    common::{EnvVar, LocalRef},
    sandbox::SandboxSpec,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use pull_request::{
    Delivery, MergeQueue, MergeQueueState, PullRequest, PullRequestPart, PullRequestState,
};
pub use source::{Checkout, Clean, Source};
pub use status::{
    BuildStatus, CodeGeneration, Column, Phase, Publication, RoundEnd, SandboxRequest, State, TaskStatus,
};

/// git check-ref-format's rules beyond the characters, which the pattern covers, and what else GitHub does not take: a
/// full reference, and what looks like an object id ("Dealing with special characters in branch and tag names").
pub(super) const BRANCH_RULE: &str = "!self.contains('..') && !self.contains('@{') && !self.contains('//') && !self.startsWith('/') \
    && !self.startsWith('-') && !self.endsWith('/') && !self.endsWith('.') && self != '@' && self != 'HEAD' \
    && !self.startsWith('refs/') && !self.matches('^[0-9a-fA-F]{40}$') \
    && self.split('/').all(p, !p.startsWith('.') && !p.endsWith('.lock'))";

/// Freezes what an open pull request was made with; a Task that is done has nothing left to change.
const FROZEN: &str = "!has(oldSelf.status) || ((!has(oldSelf.status.pullRequest) || oldSelf.status.pullRequest.state == 'closed') \
    && (!has(oldSelf.status.state) || oldSelf.status.state != 'done')) \
    || (has(self.spec.branch) == has(oldSelf.spec.branch) && (!has(self.spec.branch) || self.spec.branch == oldSelf.spec.branch) \
    && has(self.spec.baseBranch) == has(oldSelf.spec.baseBranch) && (!has(self.spec.baseBranch) || self.spec.baseBranch == oldSelf.spec.baseBranch) \
    && has(self.spec.sandboxRef) == has(oldSelf.spec.sandboxRef) && (!has(self.spec.sandboxRef) || self.spec.sandboxRef == oldSelf.spec.sandboxRef) \
    && has(self.spec.sandboxTemplate) == has(oldSelf.spec.sandboxTemplate) && (!has(self.spec.sandboxTemplate) || self.spec.sandboxTemplate == oldSelf.spec.sandboxTemplate))";

/// Task is one piece of work: code is generated in a sandbox, committed to a branch, and carried by a pull request to its merge.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "slipway.dev",
    version = "v1alpha1",
    kind = "Task",
    namespaced,
    status = "TaskStatus",
    shortname = "swtask",
    category = "slipway",
    derive = "PartialEq",
    doc = "Task is one piece of work: code is generated in a sandbox, committed to a branch, and carried by a pull request to its merge.",
    selectable = ".spec.repositoryRef.name",
    selectable = ".status.pullRequest.number",
    selectable = ".status.branch",
    validation = Rule::new(FROZEN)
        .message("branch, baseBranch, sandboxRef and sandboxTemplate must not change while the Task has an open pull request or is done: close the pull request first, or create another Task"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Column", type_ = "string", json_path = ".status.column"),
    printcolumn(name = "Build", type_ = "string", json_path = ".status.buildStatus"),
    printcolumn(name = "PR", type_ = "integer", json_path = ".status.pullRequest.number"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Branch", type_ = "string", json_path = ".status.branch", priority = 1),
    printcolumn(name = "Sandbox", type_ = "string", json_path = ".status.sandboxID", priority = 1),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.pullRequest.url", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.sandboxRef) != has(self.sandboxTemplate)")
        .message("exactly one of sandboxRef and sandboxTemplate must be set"),
    validation = Rule::new("!has(self.source.checkout) || has(self.generate)")
        .message("generate must be set with source.checkout: without a command nothing changes the checked out files")
)]
pub struct TaskSpec {
    /// The work in one line. Branch, commit message and pull request default to it.
    #[schemars(length(min = 1, max = bounds::TITLE))]
    #[x_kube(validation = Rule::new("!self.contains('\\n')").message("title must be one line"))]
    pub title: String,

    /// The work in full: the prompt. The command finds it as `SLIPWAY_TASK_DESCRIPTION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::TEXT))]
    pub description: Option<String>,

    /// The Repository the pull request goes to. Can't be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("repositoryRef must not change: create another Task"))]
    pub repository_ref: LocalRef,

    /// A Sandbox that exists, to work in. Set this or `sandboxTemplate`. Frozen like `branch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_ref: Option<LocalRef>,

    /// A Sandbox of this Task's own, created for it and deleted after the merge. Set this or `sandboxRef`. It is made as the
    /// template says when a round begins, and fixed for that round: only `timeoutSeconds` and `suspend` are followed in
    /// place. Any other change begins another round, in another Sandbox. Frozen like `branch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_template: Option<TemplatedSandbox>,

    /// The agent or script that makes the code. With `source.checkout` it finds the repository's files in the sandbox. Absent:
    /// the files are already in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,

    /// Selects the files of the sandbox that are the result.
    pub source: Source,

    /// Branch for the commit. Default: `task/<name>/<title in [a-z0-9-]>`. Can't be changed while a pull request is open, nor
    /// once the Task is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = bounds::BRANCH), regex(pattern = r"^[^\x00-\x20\x7f~^:?*\[\\]+$"))]
    #[x_kube(validation = Rule::new(BRANCH_RULE).message("branch must be a valid git branch name, without refs/heads/ and no commit id"))]
    pub branch: Option<String>,

    /// Branch the pull request goes to. Default: the Repository's `baseBranch`. Frozen like `branch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = bounds::BRANCH), regex(pattern = r"^[^\x00-\x20\x7f~^:?*\[\\]+$"))]
    #[x_kube(validation = Rule::new(BRANCH_RULE).message("baseBranch must be a valid git branch name, without refs/heads/ and no commit id"))]
    pub base_branch: Option<String>,

    /// Message and author of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSpec>,

    /// The pull request and whether the operator merges it.
    #[serde(default)]
    pub pull_request: PullRequestSpec,

    /// Stops all work on the Task but its deletion. A running command is left to run. Deliveries of GitHub and
    /// the sync still move the board: a pull request merged meanwhile is merged.
    #[serde(default)]
    pub suspend: bool,
}

/// A Sandbox to create for the Task.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct TemplatedSandbox {
    /// Spec of the Sandbox. `timeoutSeconds` and `suspend` are kept as they stand here: change them here, not there.
    #[serde(default)]
    pub spec: SandboxSpec,
}

/// The command that makes the code.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// Program and arguments; no shell is involved unless it is the program. It finds in its environment
    /// `SLIPWAY_TASK_NAME`, `SLIPWAY_TASK_TITLE`, `SLIPWAY_TASK_DESCRIPTION`, `SLIPWAY_REPOSITORY` (`owner/name`),
    /// `SLIPWAY_BRANCH`, `SLIPWAY_BASE_BRANCH`, `SLIPWAY_BASE_SHA` (the base branch's tip when the round began),
    /// `SLIPWAY_ROUND` and `SLIPWAY_ATTEMPT` (each from 1); after the first round `SLIPWAY_FEEDBACK`, a file with what was
    /// said of the pull request since; `SLIPWAY_PROMPT`, a file with title, description and feedback, for an agent to read: `[sh,
    /// -c, 'claude --print < "$SLIPWAY_PROMPT"']`. In the directory `SLIPWAY_OUTPUT` it may leave `title`, `body.md` and
    /// `commit-message`, which are used where the spec sets none.
    #[schemars(length(min = 1, max = bounds::ARGS), inner(length(max = bounds::ARG)))]
    pub command: Vec<String>,
    /// Directory the command runs in, absolute; created if missing. Default: `source.path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = bounds::PATH), regex(pattern = r"^/[^\x00\n]*$"))]
    pub working_dir: Option<String>,
    /// Time limit of the command, in seconds; then it is ended and the Task fails. Time in which the sandbox is paused does
    /// not count. Default: 3600.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: i32,
    /// Maximum number of starts: the command is started again when its sandbox or its process is lost. Default: 3. A command
    /// that fails is never repeated automatically.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: i32,
    /// Environment variables of the command, in addition to the sandbox's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::ENV))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
}

fn default_timeout() -> i32 {
    3600
}

fn default_attempts() -> i32 {
    3
}

/// Message and author of the commit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CommitSpec {
    /// Commit message. Default: title and description. A trailer `Slipway-Task: <uid>` is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = bounds::TEXT))]
    pub message: Option<String>,
    /// Author and committer. Default: `Slipway`; with the credentials of a GitHub App the App itself, and GitHub then signs the
    /// commit (verified), so that branches that require signatures take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^<>\x00-\x1f]+$"))]
    pub author_name: Option<String>,
    /// Their e-mail address. Default: `slipway@users.noreply.github.com`; with a GitHub App that of the App, unless `authorName`
    /// is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 254), regex(pattern = r"^[^<>\s@]+@[^<>\s@]+$"))]
    pub author_email: Option<String>,
}

/// The pull request. `title`, `body`, `draft`, `labels`, `reviewers` and `teamReviewers` are used when it is created and never
/// again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestSpec {
    /// Title. Default: the Task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub title: Option<String>,
    /// Text. Default: the Task's description. A line `Slipway-Task: <uid>/<round>` is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::TEXT))]
    pub body: Option<String>,
    /// Open it as a draft. The Task is in review once somebody marks it ready.
    #[serde(default)]
    pub draft: bool,
    /// Labels of the pull request. One that the repository does not have is made where the credentials have *Issues: write*; else
    /// a Warning names it, and no label is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LABELS), inner(length(min = 1, max = 50)))]
    pub labels: Vec<String>,
    /// Logins of those who are asked for a review: collaborators of the repository. Whom GitHub refuses is named in a Warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::REVIEWERS), inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9_\[\]-]+$")))]
    pub reviewers: Vec<String>,
    /// Slugs of the teams that are asked for a review, without the organization. The credentials need the organization permission
    /// *Members: read*.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::REVIEWERS), inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9_.-]+$")))]
    pub team_reviewers: Vec<String>,
    /// Delete the Task's branch after the merge, if it still stands at the Task's own commit. May be set later.
    #[serde(default)]
    pub delete_branch: bool,
    /// Settings for automatic merging.
    #[serde(default)]
    pub merge: MergeSpec,
}

/// Settings for automatic merging of a pull request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MergeSpec {
    /// `Manual`: a person merges. `WhenReady`: the operator merges as soon as GitHub says that nothing stands in the way. Where the
    /// base branch has a merge queue, it puts the pull request into the queue then, and takes it out before another round; one that
    /// the queue throws out goes in again only with another round, or by hand. Default: `Manual`.
    #[serde(default)]
    pub policy: MergePolicy,
    /// `merge`, `squash` or `rebase`, as GitHub does them; a merge queue has a method of its own. Default: `merge`.
    #[serde(default)]
    pub method: MergeMethod,
    /// Merges only what has been checked: the commit was pushed a minute ago or earlier, it has at least one check (check run or
    /// commit status), and every check has succeeded, was skipped or is neutral. A repository whose commits get no checks says
    /// so by `checks: None` in its Repository. `false`: what GitHub lets pass is enough, as far as branch protection goes.
    /// Default: true.
    #[serde(default = "require_checks")]
    pub require_checks: bool,
}

impl Default for MergeSpec {
    fn default() -> Self {
        let (policy, method) = (MergePolicy::default(), MergeMethod::default());
        Self { policy, method, require_checks: require_checks() }
    }
}

fn require_checks() -> bool {
    true
}

/// Policy on merging.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergePolicy {
    #[default]
    Manual,
    WhenReady,
}

/// GitHub's three ways to merge.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum MergeMethod {
    #[default]
    Merge,
    Squash,
    Rebase,
}
