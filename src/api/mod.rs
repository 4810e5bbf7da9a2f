//! The contract as data: the three kinds of `slipway.dev/v1alpha1`, their bounds, condition and label names.
//! Imports nothing of Slipway; everything else may import it.

pub mod bounds;
pub mod common;
pub mod conditions;
pub mod crds;
mod repository;
mod sandbox;
mod schema;
mod task;

pub use common::SecretVersion;
pub use repository::{
    CreatePolicy, CreateRepository, Limits, ManageWebhook, Repository, RepositoryChecks, RepositorySpec,
    RepositoryStatus, Webhook, WebhookCheckpoint, WebhookStatus,
};
pub use sandbox::{
    CreateAnswer, Creating, DeletionPolicy, Holder, LastRun, OnTimeout, OperatingMode, PastSandbox, Recovery,
    RecoveryPolicy, Sandbox, SandboxSpec, SandboxState, SandboxStatus,
};
pub use task::{
    BuildStatus, Checkout, Clean, CodeGeneration, Column, CommitSpec, Delivery, Generate, MergeMethod,
    MergePolicy, MergeQueue, MergeQueueState, MergeSpec, Phase, Publication, PullRequest, PullRequestPart,
    PullRequestSpec, PullRequestState, RoundEnd, SandboxRequest, Source, State, Task, TaskSpec, TaskStatus,
    TemplatedSandbox,
};

/// API group of all kinds.
pub const GROUP: &str = "slipway.dev";
/// Keeps a Sandbox until its E2B sandbox is killed, paused or released.
pub const SANDBOX_FINALIZER: &str = "slipway.dev/sandbox";
/// Keeps a Task while a process or a branch of it has to be cleaned up.
pub const TASK_FINALIZER: &str = "slipway.dev/task";
/// Annotation: any new value makes the operator look again at once and clears `status.retry`.
pub const RECONCILE_ANNOTATION: &str = "slipway.dev/reconcile";
/// Annotation: any new value starts a new round of a Task.
pub const RERUN_ANNOTATION: &str = "slipway.dev/rerun";
/// Prefix of the metadata keys that mark our E2B sandboxes; refused in `spec.metadata`.
pub const METADATA_PREFIX: &str = "slipway/";
