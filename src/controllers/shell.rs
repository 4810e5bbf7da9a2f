//! Surrounds every reconcile, once for all kinds: deadline, panic guard, finalizer, status write, events, metrics.
//! Drives observe → decide → perform → record; the kinds fill these in (`shell::kind`).

mod announce;
mod cut;
mod doubt;
mod kind;
mod objects;
mod time;
mod versions;

pub use doubt::Doubt;
pub use kind::{Conditioned, Kind, PlanOf, Reconciler, StatusOf};
pub use objects::MANAGER;

use crate::{
    api::common::whole_seconds,
    cluster::{Events, finalizer},
    domain::{
        failure::Failure,
        plan::{Next, Plan},
        retry,
    },
    telemetry::{self, Attempt, ExternalWrites, Metrics, ObjectLabel, Outcome, Pass},
};
use announce::announce;
use cut::Cut;
use futures::FutureExt;
use jiff::Timestamp;
use kube::{Client, Resource, ResourceExt, core::object::HasStatus, runtime::controller::Action};
use objects::Objects;
use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use time::{action, postpone};
use versions::Freshness;

/// Result of a pass that was not cut off.
struct Passed {
    next: Next,
    outcome: Outcome,
}

impl Passed {
    /// There is nothing to do about the object.
    const NOTHING: Self = Self { next: Next::AwaitChange, outcome: Outcome::Skipped };
}

/// An object on its way through a pass.
struct Work<R: Reconciler> {
    object: R::Kind,
    /// The status that the pass began with.
    observed_status: Option<StatusOf<R>>,
    /// The status that the API server has by now.
    stored_status: Option<StatusOf<R>>,
}

impl<R: Reconciler> Work<R> {
    fn new(object: R::Kind) -> Self {
        let observed_status = object.status().cloned();
        Self { object, stored_status: observed_status.clone(), observed_status }
    }

    fn is_deleting(&self) -> bool {
        self.object.meta().deletion_timestamp.is_some()
    }
}

/// The shell around one kind's reconciler.
pub struct Shell<R: Reconciler> {
    reconciler: R,
    objects: Objects,
    events: Events,
    metrics: Metrics,
}

impl<R: Reconciler> Shell<R> {
    pub fn new(reconciler: R, client: Client, events: Events, metrics: Metrics) -> Self {
        Self { reconciler, objects: Objects::new(client), events, metrics }
    }

    /// The same with a doubt that others raise.
    #[must_use]
    pub fn doubted_by(self, doubt: Doubt) -> Self {
        Self { objects: self.objects.doubted_by(doubt), ..self }
    }

    /// One pass over one object; never fails, never panics, always says when to come back.
    pub async fn reconcile(self: Arc<Self>, object: Arc<R::Kind>) -> Result<Action, Infallible> {
        let freshness = self.objects.freshness(&*object);
        if let Freshness::Lagging(wait) = freshness {
            return Ok(Action::requeue(wait));
        }
        let started = Instant::now();
        let label = ObjectLabel {
            kind: R::CONTROLLER.as_str(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        let pass = Pass::new(label.clone(), attempt_of(&*object));
        let writes = pass.writes.clone();
        let passing = async {
            // Deciding from a status that is known to be old would repeat effects, and end in a conflict.
            let object = match freshness {
                Freshness::Overdue => self.objects.read(&*object).await?,
                Freshness::Current | Freshness::Lagging(_) => Some(R::Kind::clone(&object)),
            };
            let Some(object) = object else { return Ok(Passed::NOTHING) };
            self.within_deadline(object, &writes).await
        };
        let (action, outcome) = match telemetry::in_pass(pass, passing).await {
            Ok(passed) => (action(passed.next), passed.outcome),
            Err(cut) => {
                let (wait, outcome) = cut.conclude(&label);
                (Action::requeue(wait), outcome)
            }
        };
        self.metrics.reconcile(R::CONTROLLER, outcome, started.elapsed());
        Ok(action)
    }

    /// Runs the pass with its deadline and its panic guard.
    async fn within_deadline(&self, object: R::Kind, writes: &ExternalWrites) -> Result<Passed, Cut> {
        let deadline = self.reconciler.deadline(&object);
        // On the heap, like its long parts: each layer around a pass would otherwise keep room for all of it on the stack,
        // and the thread would run out of it.
        let pass = AssertUnwindSafe(Box::pin(self.pass(object.clone(), writes))).catch_unwind();
        match tokio::time::timeout(deadline, pass).await {
            Ok(Ok(passed)) => passed,
            Ok(Err(panic)) => Err(Cut::panicked(&*panic)),
            Err(_) => self.time_out(&object, deadline, writes).await,
        }
    }

    /// The one straight line.
    async fn pass(&self, object: R::Kind, writes: &ExternalWrites) -> Result<Passed, Cut> {
        let mut work = Work::<R>::new(object);
        if work.is_deleting() && !finalizer::has(&work.object, R::FINALIZER) {
            self.objects.forget(&work.object);
            return Ok(Passed::NOTHING);
        }
        let now = whole_seconds(Timestamp::now());
        let observed = Box::pin(self.reconciler.observe(&work.object, now)).await;
        if writes.any_refused() {
            return Err(Cut::NotLeading);
        }
        let mut plan = self.reconciler.decide(&work.object, &observed, now);
        let took = whole_seconds(Timestamp::now()).duration_since(now);
        postpone(&mut plan, work.observed_status.as_ref(), took);
        self.ensure_finalizer(&mut work, &plan).await?;
        let acts = plan.step.is_some();
        if let Some(step) = plan.step.take() {
            if plan.intent {
                self.write_status(&mut work, &plan.status).await?;
            }
            // What the step would do may have been done by now, and be in a status that the store has not seen.
            if self.objects.is_doubtful(&work.object) {
                match self.objects.read(&work.object).await? {
                    Some(live) if live.resource_version() == work.object.resource_version() => {}
                    // It is known by now: a second time there is no doubt.
                    Some(live) => return Box::pin(self.pass(live, writes)).await,
                    None => return Ok(Passed::NOTHING),
                }
            }
            plan = self.execute(&mut work, plan, &step, writes).await?;
        }
        self.finish(work, plan, acts).await
    }

    /// Puts our finalizer on before anything is done that it has to guard. An object that is being deleted takes none.
    async fn ensure_finalizer(&self, work: &mut Work<R>, plan: &PlanOf<R>) -> Result<(), Cut> {
        if plan.finalizer && !work.is_deleting() {
            work.object = self.objects.set_finalizer(work.object.clone(), R::FINALIZER, true).await?;
        }
        Ok(())
    }

    /// Writes a status against the version of `work.object`. Before a step it is the intent that a restart finds: a
    /// conflict ends the pass, and the step with it.
    async fn write_status(&self, work: &mut Work<R>, desired_status: &StatusOf<R>) -> Result<(), Cut> {
        let stored_status = work.stored_status.as_ref();
        work.object = self.objects.write_status(work.object.clone(), stored_status, desired_status).await?;
        work.stored_status = Some(desired_status.clone());
        Ok(())
    }

    /// Performs the step and records its outcome.
    async fn execute(
        &self,
        work: &mut Work<R>,
        plan: PlanOf<R>,
        step: &R::Step,
        writes: &ExternalWrites,
    ) -> Result<PlanOf<R>, Cut> {
        tracing::debug!(?step, "performing");
        let outcome = Box::pin(self.reconciler.perform(&work.object, step)).await;
        if writes.any_refused() {
            if plan.intent && !writes.any_sent() {
                self.withdraw_intent(work).await;
            }
            return Err(Cut::NotLeading);
        }
        Ok(self.reconciler.record(&work.object, plan, outcome, whole_seconds(Timestamp::now())))
    }

    /// Takes an intent back whose step was not sent at all. The next leader would take it for a crash, whose effect it
    /// has to look for and wait for. Nobody needs it done: whoever has written since has seen the intent.
    async fn withdraw_intent(&self, work: &mut Work<R>) {
        let before = work.observed_status.clone().unwrap_or_default();
        if self.write_status(work, &before).await.is_err() {
            tracing::debug!("the intent of a step that was not sent stays");
        }
    }

    /// Writes the plan's status, takes our finalizer off where it is no longer wanted, and tells.
    async fn finish(&self, mut work: Work<R>, plan: PlanOf<R>, acts: bool) -> Result<Passed, Cut> {
        let Plan { status: desired_status, next, finalizer, notes, .. } = plan;
        let before = work.object.resource_version();
        let leaves = work.is_deleting() && !finalizer;
        // An object that goes takes its status with it.
        if !leaves {
            self.write_status(&mut work, &desired_status).await?;
        }
        let changed = acts || leaves || before != work.object.resource_version();
        if !finalizer {
            work.object = self.objects.set_finalizer(work.object.clone(), R::FINALIZER, false).await?;
        }
        let (observed_status, object) = (work.observed_status.as_ref(), &work.object);
        announce(&self.events, R::CONTROLLER, object, observed_status, &desired_status, &notes).await;
        if leaves {
            self.objects.forget(object);
            return Ok(Passed { next: Next::AwaitChange, outcome: Outcome::Applied });
        }
        let outcome = match (changed, next) {
            (true, _) => Outcome::Applied,
            (false, Next::AwaitChange) => Outcome::Skipped,
            (false, _) => Outcome::Waiting,
        };
        Ok(Passed { next, outcome })
    }

    /// Says in the status that the pass was cut off, like any failure: the object backs off, and a person sees why.
    async fn time_out(
        &self,
        object: &R::Kind,
        deadline: Duration,
        writes: &ExternalWrites,
    ) -> Result<Passed, Cut> {
        if writes.any_refused() {
            return Err(Cut::NotLeading);
        }
        tracing::warn!(
            kind = R::CONTROLLER.as_str(),
            namespace = object.namespace(),
            name = object.name_any(),
            seconds = deadline.as_secs(),
            "pass ran out of time"
        );
        let Some(object) = self.objects.read(object).await? else { return Ok(Passed::NOTHING) };
        let now = whole_seconds(Timestamp::now());
        let plan = self.reconciler.timed_out(&object, &Failure::out_of_time(deadline), now);
        let Passed { next, .. } = self.finish(Work::new(object), plan, false).await?;
        Ok(Passed { next, outcome: Outcome::Abandoned })
    }
}

fn attempt_of<K: Kind>(object: &K) -> Attempt {
    let retry = object.status().and_then(Conditioned::retry);
    Attempt {
        operation: retry.map(|retry| retry.operation.clone()).unwrap_or_default(),
        number: retry.map_or(1, |retry| u32::try_from(retry.attempt).unwrap_or(0) + 1),
        of: u32::try_from(retry::ATTEMPTS).unwrap_or(4),
    }
}

#[cfg(test)]
mod tests;
