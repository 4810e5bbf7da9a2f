//! The status of a Task: the board, and what is known of sandbox, generation, commit and pull request.
//! Imports `bounds` and `common` of this folder.

use super::super::{
    bounds,
    common::{Retry, SecretVersion, is_false, is_zero},
};
use super::pull_request::{Delivery, PullRequest};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of the Task on the board.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    #[default]
    Todo,
    InProgress,
    Review,
    Done,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Column of the board.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    #[default]
    Research,
    Development,
    Testing,
    Done,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// State of the code on the board.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum BuildStatus {
    #[default]
    Pending,
    Building,
    Ready,
    Failed,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Position of a round. The operator goes by this alone: conditions tell people, no decision reads them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing has been done: the Task waits for its turn or its Repository.
    #[default]
    Pending,
    /// The sandbox is asked for and comes up.
    Preparing,
    /// The command runs, or is started again because its sandbox was lost.
    Generating,
    /// The files are read and sent to GitHub.
    Collecting,
    /// GitHub has the commit; the branch is next.
    Committed,
    /// The branch stands at the commit; the pull request is next.
    BranchCreated,
    /// The pull request carries the round's commit.
    PullRequestOpen,
    /// The round is over.
    Ended,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Observed state of the Task.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Conditions `Ready`, `Reconciling`, `Stalled`, `SandboxReady`, `Generated`, `Committed`, `PullRequestOpen` and `Merged`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Generation of the spec that this status speaks of; -1: never looked at.
    #[serde(default = "super::super::common::never_observed")]
    pub observed_generation: i64,

    /// `todo`, `in-progress`, `review` or `done`.
    #[serde(default)]
    pub state: State,

    /// `research`, `development`, `testing` or `done`.
    #[serde(default)]
    pub column: Column,

    /// `pending`, `building`, `ready` or `failed`.
    #[serde(default)]
    pub build_status: BuildStatus,

    /// Time at which the pull request was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,

    /// Position of the round: `Pending`, `Preparing`, `Generating`, `Collecting`, `Committed`, `BranchCreated`,
    /// `PullRequestOpen` or `Ended`. Absent: not yet looked at by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// End of the round, where it ended without a pull request or before the pull request had its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<RoundEnd>,

    /// 1, 2, …: a round is one way from the input to a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub round: Option<i64>,

    /// Time at which the round's work began; until then, at which the round was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_started_at: Option<Time>,

    /// Last value of the annotation `slipway.dev/rerun` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ANNOTATION))]
    pub observed_rerun: Option<String>,

    /// The round that the annotation `slipway.dev/rerun` has asked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rerun_round: Option<i64>,

    /// Last value of the annotation `slipway.dev/reconcile` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ANNOTATION))]
    pub observed_reconcile: Option<String>,

    /// Digest of the fields that make the command run again when they change, as the round took them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub input_digest: Option<String>,

    /// Digest of the fields that say what is published of the files, as the round took them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub publication_digest: Option<String>,

    /// Content of the pull request to open, fixed with the commit and gone once the pull request is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Publication>,

    /// The Task's request for its sandbox: present from when it needs one until its result is safe or its need ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_request: Option<SandboxRequest>,

    /// E2B's id of the sandbox that the round works in.
    #[serde(default, rename = "sandboxID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub sandbox_id: Option<String>,

    /// E2B's id of the sandbox of which a person has said, by the annotation `slipway.dev/reconcile`, that the old values of the Secrets
    /// that it was made with are worthless by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub accepted_rotation: Option<String>,

    /// The last 10 runs of the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LIST))]
    pub code_generations: Vec<CodeGeneration>,

    /// The run whose files the round publishes, where it runs no command of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub files_from: Option<String>,

    /// Branch of the round, or the one that is planned for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::BRANCH))]
    pub branch: Option<String>,

    /// Branch that the round's pull request goes to, as it was when the round began its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::BRANCH))]
    pub base_branch: Option<String>,

    /// GitHub's id of the repository that the Task's branch and pull request are in.
    #[serde(default, rename = "repositoryID", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub repository_id: Option<i64>,

    /// Tip of the base branch when the round began its work.
    #[serde(default, rename = "baseSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub base_sha: Option<String>,

    /// Commit that the round's own stands on: `baseSHA`, or the head of the branch of an open pull request.
    #[serde(default, rename = "parentSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub parent_sha: Option<String>,

    /// Tree of the round's commit.
    #[serde(default, rename = "treeSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub tree_sha: Option<String>,

    /// The last commit that was published: the round's own, once GitHub has it; until then, on an open pull request, that
    /// of the round before. Where the operator merges, also what GitHub's *Update branch* has made of it.
    #[serde(default, rename = "commitSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub commit_sha: Option<String>,

    /// Time by which the pull request had `commitSHA`: its checks may take a minute to appear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<Time>,

    /// Time since which what is said of the pull request is new to the Task: the last round that has published began then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback_since: Option<Time>,

    /// Commit that the open pull request had before the round's own, until the branch shows that one.
    #[serde(default, rename = "publishedSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub published_sha: Option<String>,

    /// The pull request of the round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,

    /// The last 10 pull requests of earlier rounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LIST))]
    pub pull_request_history: Vec<PullRequest>,

    /// A call that failed and will be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,

    /// The last webhook delivery that changed this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<Delivery>,
}

impl Default for TaskStatus {
    fn default() -> Self {
        // The schema's own defaults: an object that was never written reads the same either way.
        serde_json::from_value(serde_json::json!({})).expect("every field of TaskStatus has a default")
    }
}

/// End of a round.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RoundEnd {
    /// Reason, for example `GenerationFailed` or `NothingToCommit`.
    #[schemars(length(max = bounds::ID))]
    pub reason: String,
    /// Cause and cure.
    #[schemars(length(max = bounds::CONDITION_MESSAGE))]
    pub message: String,
    /// The files were made before the round ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub generated: bool,
}

/// Content of a pull request to open.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// Its title.
    #[schemars(length(max = 256))]
    pub title: String,
    /// Its text, with the Task's marker in the last line.
    #[schemars(length(max = bounds::PULL_REQUEST_BODY))]
    pub body: String,
    /// The branch it goes to.
    #[schemars(length(max = bounds::BRANCH))]
    pub base: String,
    /// Digest of the Sandbox that the spec named when the commit was made: a round whose Sandbox has been exchanged before its
    /// pull request is open is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub sandbox: Option<String>,
}

/// A Task's request for its sandbox.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SandboxRequest {
    /// Names this request: a shared Sandbox's `status.holder.request` repeats it when it is the Task's turn.
    #[schemars(length(max = bounds::ID))]
    pub id: String,
    /// The Sandbox that is asked for.
    #[schemars(length(max = bounds::NAME))]
    pub sandbox_name: String,
    /// Time of the request: the first to ask goes first.
    pub since: Time,
    /// Time since which the sandbox gives the Task no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<Time>,
    /// The Task is suspended or waits for a person: its sandbox may be paused, but must not be killed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub resting: bool,
    /// What the Task has begun in this turn: the id of a run of the command, or `<task uid>-<round>-0` where none runs. Until
    /// the turn ends, nobody else begins anything in a Sandbox that Tasks share; of files from an earlier turn it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub begun: Option<String>,
}

/// One run of the command.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CodeGeneration {
    /// `<task uid>-<round>-<attempt>`: tag of the process and name of its directory in the sandbox.
    #[schemars(length(max = bounds::ID))]
    pub id: String,
    /// E2B's id of the sandbox it ran in.
    #[serde(rename = "sandboxID")]
    #[schemars(length(max = bounds::ID))]
    pub sandbox_id: String,
    /// Incarnation of that sandbox.
    #[schemars(range(min = 0))]
    pub incarnation: i64,
    /// Time of its start.
    pub started_at: Time,
    /// Time at which its end was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Its exit code; absent when it was lost or ended by a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// SHA-256 over modes, paths and contents of the files that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub files_digest: Option<String>,
    /// Commit that was checked out for it, with `source.checkout`.
    #[serde(default, rename = "checkoutSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub checkout_sha: Option<String>,
    /// Total time for which its sandbox had been paused when the run was started, in seconds. Only later pauses do not count
    /// against its time limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub paused_seconds: i64,
    /// The Secrets that it was given, and their versions then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::SECRETS))]
    pub secret_versions: Vec<SecretVersion>,
    /// E2B's ids of the lost sandboxes that this run replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LIST), inner(length(max = bounds::ID)))]
    pub migrated_from: Vec<String>,
}
