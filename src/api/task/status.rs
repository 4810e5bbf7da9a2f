//! The status of a Task: the board, and what is known of sandbox, generation, commit and pull request.
//! Imports `bounds` and `common` of this folder.

use super::super::{bounds, common::Retry};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the Task stands: the contract with a task board.
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

/// What is known of the Task.
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

    /// When the pull request was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,

    /// 1, 2, …: a round is one way from the input to a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub round: Option<i64>,

    /// When the round began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_started_at: Option<Time>,

    /// Last value of the annotation `slipway.dev/rerun` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ANNOTATION))]
    pub observed_rerun: Option<String>,

    /// Last value of the annotation `slipway.dev/reconcile` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ANNOTATION))]
    pub observed_reconcile: Option<String>,

    /// Digest of the fields that make a new round when they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub input_digest: Option<String>,

    /// E2B's id of the sandbox that the round works in.
    #[serde(default, rename = "sandboxID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub sandbox_id: Option<String>,

    /// The last 10 runs of the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LIST))]
    pub code_generations: Vec<CodeGeneration>,

    /// Branch of the round, or the one that is planned for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::BRANCH))]
    pub branch: Option<String>,

    /// GitHub's id of the repository that the Task's branch and pull request are in.
    #[serde(default, rename = "repositoryID", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub repository_id: Option<i64>,

    /// Commit of the base branch that the round builds on.
    #[serde(default, rename = "baseSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub base_sha: Option<String>,

    /// Tree of the round's commit.
    #[serde(default, rename = "treeSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub tree_sha: Option<String>,

    /// The round's commit, once GitHub has it.
    #[serde(default, rename = "commitSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub commit_sha: Option<String>,

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
    /// When it was started.
    pub started_at: Time,
    /// When its end was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Its exit code; absent when it was lost or ended by a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// SHA-256 over modes, paths and contents of the files that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub files_digest: Option<String>,
    /// E2B's ids of the lost sandboxes that this run replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LIST), inner(length(max = bounds::ID)))]
    pub migrated_from: Vec<String>,
}

/// State of a pull request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PullRequestState {
    Open,
    Closed,
    Merged,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// A pull request as it was last seen.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// Its number.
    #[schemars(range(min = 1))]
    pub number: i64,
    /// Its head branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::BRANCH))]
    pub branch: Option<String>,
    /// GitHub's global id.
    #[serde(default, rename = "nodeID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub node_id: Option<String>,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::URL))]
    pub url: Option<String>,
    /// `open`, `closed` or `merged`.
    pub state: PullRequestState,
    /// Whether it is a draft.
    #[serde(default)]
    pub draft: bool,
    /// Tip of its branch.
    #[serde(default, rename = "headSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub head_sha: Option<String>,
    /// Commit of the merge.
    #[serde(default, rename = "mergeSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub merge_sha: Option<String>,
    /// GitHub's time of its last change: older news is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// A webhook has said so; GitHub has not yet been asked.
    #[serde(default)]
    pub unconfirmed: bool,
}

/// A webhook delivery.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// GitHub's delivery id.
    #[schemars(length(max = bounds::ID))]
    pub id: String,
    /// Event and action, for example `pull_request.closed`.
    #[schemars(length(max = bounds::ID))]
    pub event: String,
    /// When it was received.
    pub received_at: Time,
}
