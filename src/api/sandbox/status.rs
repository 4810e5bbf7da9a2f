//! The status of a Sandbox: what stands at E2B, what is being made, whose turn it is.
//! Imports `bounds` and `common` of the folder above.

use super::super::{
    bounds,
    common::{Retry, SecretVersion, is_false, is_zero},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Last observed state of the E2B sandbox: `Running`, `Paused` or `Gone`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxState {
    Running,
    Paused,
    Gone,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Observed state of the sandbox.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
    /// Conditions `Ready`, `Reconciling` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Generation of the spec that this status speaks of; -1: never looked at.
    #[serde(default = "crate::api::common::never_observed")]
    pub observed_generation: i64,

    /// E2B's id of the sandbox.
    #[serde(default, rename = "sandboxID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub sandbox_id: Option<String>,

    /// 1, 2, …: one per E2B sandbox that this object has had; always that of `sandboxID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub incarnation: Option<i64>,

    /// A create that is under way: written before the call, removed when its id is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creating: Option<Creating>,

    // Its documentation is the type's: a reference has no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SandboxState>,

    /// The Task whose turn it is in a Sandbox that Tasks share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,

    /// Number of Tasks that wait for their turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub waiting: i64,

    /// Start of the last command in `sandboxID`, of each of the last two Tasks that have started one. A Task whose files are there goes
    /// by it: another's may be deleted by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub last_runs: Vec<LastRun>,

    /// Time of the pause: E2B's own where that is known, else the time it was noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Time>,

    /// Total time for which this incarnation has been paused, in seconds, up to its last resume.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub paused_seconds: i64,

    /// Start of the present run at E2B.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,

    /// End of the present time to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// Number of times a paused sandbox was resumed.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub reconnects: i64,

    /// Number of times a lost sandbox was replaced.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub recreations: i64,

    /// Time of the last resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reconnect_time: Option<Time>,

    /// The last 10 E2B sandboxes of this object that have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LIST))]
    pub history: Vec<PastSandbox>,

    /// Fingerprint of the API key and base URL that last answered for `sandboxID`: only under these a 404 may mean that it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SHA))]
    pub credential: Option<String>,

    /// The Secrets of `spec.env` in the versions that `sandboxID` was made with: it has their values for as long as it lives, whatever
    /// becomes of the Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::SECRETS))]
    pub secret_versions: Vec<SecretVersion>,

    /// Time since which E2B neither shows nor lists `sandboxID`. A sandbox with files that are not committed counts as gone only
    /// when a second look, at least 10 s later, says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Time>,

    /// What the file `/var/tmp/slipway/sandbox` in the sandbox says since the last create or resume:
    /// `<incarnation>.<reconnects>.<sequence>`. An older value there shows that the sandbox came back with older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub mark: Option<String>,

    /// Time since which the sandbox has run without the mark that it should have been given: its daemon gave no answer, or somebody
    /// else has resumed it. It is marked as soon as it answers. Until then no Task works in it where `mark` says what its file has
    /// to say: it may have come back with older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmarked_since: Option<Time>,

    /// Time at which E2B last confirmed that the sandbox runs: its creation, a resume or a renewal. A pause that E2B dates
    /// more than a minute earlier is not the one that followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_running_at: Option<Time>,

    /// Time at which the sandbox was last found to have come back with older files. What Tasks made in it before counts as lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_at: Option<Time>,

    /// In this run the sandbox was once asked to start from its disk alone, because its daemon gave no answer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub memory_dropped: bool,

    /// The maximum run of E2B's plan is reached: the time to live can't be renewed beyond `expiresAt` in this run.
    #[serde(default)]
    pub lifetime_limited: bool,

    /// Last value of the annotation `slipway.dev/reconcile` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ANNOTATION))]
    pub observed_reconcile: Option<String>,

    /// This Sandbox is being deleted and its sandbox stays at E2B: that is on record in the ConfigMap `slipway-kept-sandboxes` of the
    /// operator's namespace, so that the operator does not kill it later.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kept: bool,

    /// A create had no answer or a doubtful one, or a sandbox was replaced: from this time on E2B is asked once more for
    /// sandboxes of this object other than `sandboxID`. They are killed; one that `history` marks with `uncommittedFiles` is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphan_check_at: Option<Time>,

    /// A call that failed and will be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// The Task that may work in a shared Sandbox now.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Name of the Task.
    #[schemars(length(max = bounds::NAME))]
    pub task: String,
    /// Its uid.
    #[schemars(length(max = bounds::ID))]
    pub uid: String,
    /// The request (`status.sandboxRequest.id` of the Task) that is granted.
    #[schemars(length(max = bounds::ID))]
    pub request: String,
}

/// A Task's last command in a shared Sandbox.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// The Task's uid.
    #[schemars(length(max = bounds::ID))]
    pub uid: String,
    /// Time of its start.
    pub started_at: Time,
}

/// A create that is under way.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Creating {
    /// Incarnation that is being created.
    #[schemars(range(min = 1))]
    pub incarnation: i64,
    /// Attempt within the incarnation: part of the idempotency key, so it never goes down.
    #[schemars(range(min = 1))]
    pub attempt: i64,
    /// Time at which the intent was written.
    pub requested_at: Time,
    // Its documentation is the type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<CreateAnswer>,
    /// The Secrets of `spec.env`, in the versions that the sandbox is given or may have been given by an earlier attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::SECRETS))]
    pub secret_versions: Vec<SecretVersion>,
}

/// Result of an attempt that gave no sandbox, if it is known. It decides when and under which key the next one is made.
/// `Lost`: no whole answer came, so the same key is used again. `Failed`: the server failed, and a sandbox may still
/// appear. `Refused`: no sandbox was made.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateAnswer {
    /// No whole answer came, or the first request is still at work: the same key is used again.
    Lost,
    /// The server failed: a sandbox may still appear.
    Failed,
    /// Refused: no sandbox was made.
    Refused,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// An E2B sandbox of this object that has ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PastSandbox {
    /// E2B's id of the sandbox.
    #[serde(rename = "sandboxID")]
    #[schemars(length(max = bounds::ID))]
    pub sandbox_id: String,
    /// Its incarnation.
    #[schemars(range(min = 0))]
    pub incarnation: i64,
    /// Time of its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Time at which its end was noticed.
    pub ended_at: Time,
    /// Reason of its end.
    #[schemars(length(max = bounds::ID))]
    pub reason: String,
    /// A Task needed it when it was lost: files in it may not be committed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub uncommitted_files: bool,
    /// It turned out to be at E2B still, and was left there for its files. It goes when this object is deleted, as
    /// `deletionPolicy` says.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kept: bool,
}
