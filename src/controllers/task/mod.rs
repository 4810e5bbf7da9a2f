//! The Task controller: from a sandbox to a merged pull request.
//! Reads and writes through `e2b` and `github`; decides in `domain::task`.

mod access;
pub mod checkout;
pub mod commit;
mod context;
mod feedback;
pub mod files;
pub mod generate;
mod given;
mod keys;
mod memory;
mod merging;
mod observe;
mod output;
pub mod parent;
mod parts;
mod perform;
pub mod result;
pub mod secrets;

pub use memory::Memory;

use super::{
    brought::Brought,
    shell::{PlanOf, Reconciler},
};
use crate::{
    api::{Phase, Repository, Sandbox, TASK_FINALIZER, Task},
    cluster::Secrets,
    domain::{
        failure::Failure,
        files::Caps,
        task::{self, Observed, Outcome, Step},
    },
    e2b::E2b,
    github::GitHub,
    telemetry,
};
use files::{Spool, Transfers};
use jiff::Timestamp;
use kube::{Client, runtime::reflector::Store};
use secrecy::SecretString;
use std::{
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
    pub transfers: Transfers,
    /// What sandboxes have by their Sandboxes' own variables.
    pub brought: Brought,
    pub memory: Mutex<Memory>,
}

impl TaskController {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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
        let collects = task.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Collecting));
        if collects || task::may_check_out(task) { TRANSFER } else { PASS }
    }

    async fn observe(&self, task: &Task, now: Timestamp) -> Observed {
        self.tidy_spool(task).await;
        let position = task::locate(task, &self.context(task), now);
        self.answer(task, position, now).await
    }

    fn decide(&self, task: &Task, observed: &Observed, now: Timestamp) -> PlanOf<Self> {
        task::decide(task, observed.clone(), now)
    }

    async fn perform(&self, task: &Task, step: &Step) -> Self::Outcome {
        let outcome = self.execute(task, step).await.unwrap_or_else(Outcome::Failed);
        self.remember_refusal(task, step, &outcome);
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

    fn timed_out(&self, task: &Task, failure: &Failure, now: Timestamp) -> PlanOf<Self> {
        let position = task::locate(task, &self.context(task), now);
        task::decide(task, position.failed(failure), now)
    }
}
