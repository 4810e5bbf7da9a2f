//! A Task's pull request and the webhook deliveries about it, as its status keeps them.
//! Part of `status`; imports `bounds` of this folder.

use super::super::bounds;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Part of a pull request that is set after it was opened.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestPart {
    Labels,
    Reviewers,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// How a pull request stands towards the merge queue of its base branch.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeQueueState {
    /// The operator is about to put it in, or has tried to: GitHub may not take it yet.
    Entering,
    /// It is in the queue, by the operator or by a person.
    Queued,
    /// It was taken out without a merge. The operator does not put the same head in again.
    Removed,
    /// GitHub says that the base branch has no queue: it is merged without one.
    Absent,
    /// A value of another release: read, never written.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// A pull request and the merge queue of its base branch.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MergeQueue {
    /// The head that this is about: of another one it says nothing.
    #[serde(rename = "headSHA")]
    #[schemars(length(max = bounds::SHA))]
    pub head_sha: String,
    /// `Entering`: about to be put in, or not taken by GitHub yet; `Queued`: in the queue; `Removed`: taken out without a merge,
    /// and not put in again; `Absent`: the base branch has no queue.
    pub state: MergeQueueState,
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
    /// True for a draft.
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
    /// GitHub's time of its last change: older reports are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// A webhook delivery has reported this state, and GitHub has not been asked yet.
    #[serde(default)]
    pub unconfirmed: bool,
    /// What the Task still has to set of it, now that it is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub due: Vec<PullRequestPart>,
    /// How its head stands towards the merge queue of the base branch. Absent where nothing is known of a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_queue: Option<MergeQueue>,
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
    /// Time of receipt.
    pub received_at: Time,
}
