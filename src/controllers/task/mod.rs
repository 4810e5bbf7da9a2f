//! The Task controller: from a sandbox to a merged pull request.
//! Reads and writes through `e2b` and `github`; decides in `domain::task`.

pub mod commit;
mod context;
pub mod files;
pub mod generate;
mod observe;
mod perform;
mod reach;
pub mod secrets;

use super::shell::{Conditioned, PlanOf, Reconciler};
use crate::{
    api::{Repository, Sandbox, TASK_FINALIZER, Task, TaskStatus, common::Retry},
    cluster::Secrets,
    domain::task::{self, Context, Observed, Outcome, PullRead, Step},
    e2b::{Access, E2b},
    github::GitHub,
    telemetry,
};
use files::{Caps, Spool};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Client, runtime::reflector::Store};
use secrecy::SecretString;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A pass that moves files may take this long; any other ends after [`PASS`].
const TRANSFER: Duration = Duration::from_secs(15 * 60);
const PASS: Duration = Duration::from_secs(120);

/// The objects the Task controller reads without a call.
#[derive(Clone)]
pub struct Stores {
    pub tasks: Store<Task>,
    pub sandboxes: Store<Sandbox>,
    pub repositories: Store<Repository>,
}

/// The Task controller.
pub struct TaskController {
    pub client: Client,
    pub secrets: Secrets,
    pub github: GitHub,
    pub e2b: E2b,
    /// The operator-wide E2B API key.
    pub operator_key: Option<SecretString>,
    pub stores: Stores,
    pub spool: Spool,
    pub caps: Caps,
    pub memory: Mutex<Memory>,
}

/// What only this process knows; all of it can be found again.
#[derive(Debug, Default)]
pub struct Memory {
    /// Since when a generation's process looks dead, by generation id.
    dead: HashMap<String, Timestamp>,
    /// When a Task's pull request was last read, by Task uid.
    pulls: HashMap<String, PullRead>,
    /// How to reach the envd of a sandbox, by E2B id. Tokens live here only.
    access: HashMap<String, Access>,
    /// The values of Secrets that commands were started with.
    given: secrets::Given,
}

impl TaskController {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conditioned for TaskStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn retry(&self) -> Option<&Retry> {
        self.retry.as_ref()
    }

    fn retry_mut(&mut self) -> Option<&mut Retry> {
        self.retry.as_mut()
    }
}

impl Reconciler for TaskController {
    type Kind = Task;
    type Observed = Observed;
    type Step = Step;
    type Outcome = (Step, Outcome);

    const CONTROLLER: telemetry::Controller = telemetry::Controller::Task;
    const FINALIZER: &'static str = TASK_FINALIZER;

    fn deadline(&self, task: &Task) -> Duration {
        let moving =
            task.status.as_ref().is_some_and(|status| status.commit_sha.is_none() && status.branch.is_some());
        if moving { TRANSFER } else { PASS }
    }

    async fn observe(&self, task: &Task, now: Timestamp) -> Observed {
        let context: Context = self.context(task);
        let looking = task::wants(task, &context, now);
        let seen = self.look(task, &context, looking, now).await;
        Observed { context, seen }
    }

    fn decide(&self, task: &Task, observed: &Observed, now: Timestamp) -> PlanOf<Self> {
        task::decide(task, observed, now)
    }

    async fn perform(&self, task: &Task, step: &Step) -> Self::Outcome {
        let outcome = self.take(task, step).await.unwrap_or_else(Outcome::Failed);
        (step.clone(), outcome)
    }

    fn record(
        &self,
        task: &Task,
        plan: PlanOf<Self>,
        (step, outcome): Self::Outcome,
        now: Timestamp,
    ) -> PlanOf<Self> {
        task::record(task, plan, &step, outcome, now)
    }
}
