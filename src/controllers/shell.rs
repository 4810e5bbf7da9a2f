//! What every reconcile has around it, once for all kinds: deadline, panic guard, finalizer, status write,
//! events, metrics. Drives observe → decide → perform → record; the kinds fill these in.

mod time;

use crate::{
    api::common::whole_seconds,
    cluster::{self, Events, Written, finalizer, status},
    domain::{
        conditions,
        plan::{Next, Note, Plan},
    },
    telemetry::{self, Attempt, Metrics, ObjectLabel, Outcome},
};
use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope, api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::object::HasStatus,
    runtime::{controller::Action, events::EventType},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt::Debug,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use time::{action, postpone};

/// Field manager of everything the controllers write.
pub const MANAGER: &str = "slipway-controller";
/// Wait after a conflict: the watch brings the newer object meanwhile.
const CONFLICT: Duration = Duration::from_millis(100);
/// Wait after a write that was not sent for want of leadership. The next pass begins when it is back, if ever.
const NOT_LEADING: Duration = Duration::from_secs(1);
/// Wait while the store lags behind our own last write.
const LAG: Duration = Duration::from_millis(50);
/// How long a store may lag before it is believed anyway: a restored etcd counts from a lower version.
const LAG_LIMIT: Duration = Duration::from_secs(10);
/// Wait after the API server failed us, a pass ran out of time, or it panicked.
const FAILED: Duration = Duration::from_secs(5);
const PANICKED: Duration = Duration::from_mins(1);

/// A kind whose objects can be reconciled.
pub trait Kind:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + HasStatus<Status: Conditioned>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + HasStatus<Status: Conditioned>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// What the shell reads of every status.
pub trait Conditioned: Serialize + Clone + Default + Debug + Send + Sync {
    fn conditions(&self) -> &[Condition];
    fn retry(&self) -> Option<&crate::api::common::Retry>;
    fn retry_mut(&mut self) -> Option<&mut crate::api::common::Retry>;
}

/// The status of a kind.
pub type StatusOf<R> = <<R as Reconciler>::Kind as HasStatus>::Status;
/// The plan for a kind.
pub type PlanOf<R> = Plan<StatusOf<R>, <R as Reconciler>::Step>;

/// One kind's way of reconciling.
pub trait Reconciler: Send + Sync + 'static {
    type Kind: Kind;
    /// What was seen of the world, as data.
    type Observed: Send;
    /// The one effect of a pass.
    type Step: Debug + Send + Sync;
    /// What became of it.
    type Outcome: Send;

    const CONTROLLER: telemetry::Controller;
    const FINALIZER: &'static str;

    /// The longest a pass over this object may take.
    fn deadline(&self, object: &Self::Kind) -> Duration;
    /// Reads what the decision needs, and nothing that `status.retry` forbids to ask.
    fn observe(&self, object: &Self::Kind, now: Timestamp) -> impl Future<Output = Self::Observed> + Send;
    /// Pure.
    fn decide(&self, object: &Self::Kind, observed: &Self::Observed, now: Timestamp) -> PlanOf<Self>
    where
        Self: Sized;
    /// Makes the one effect of the pass.
    fn perform(&self, object: &Self::Kind, step: &Self::Step) -> impl Future<Output = Self::Outcome> + Send;
    /// Pure: what `plan` becomes once the outcome of its step is known.
    fn record(
        &self,
        object: &Self::Kind,
        plan: PlanOf<Self>,
        outcome: Self::Outcome,
        now: Timestamp,
    ) -> PlanOf<Self>
    where
        Self: Sized;
}

/// Why a pass ended before its plan was carried out.
enum Cut {
    /// Somebody else wrote first: read again, decide again.
    Conflict,
    /// A write was not sent, because another replica leads or this one ends. Nothing is recorded: nothing has failed.
    NotLeading,
    Cluster(cluster::Error),
}

impl From<cluster::Error> for Cut {
    fn from(error: cluster::Error) -> Self {
        Self::Cluster(error)
    }
}

/// What a pass came to.
struct Passed {
    next: Next,
    changed: bool,
}

/// The shell around one kind's reconciler.
pub struct Shell<R: Reconciler> {
    reconciler: R,
    client: Client,
    events: Events,
    metrics: Metrics,
    /// The version of our own last write per object (uid), and when it was made.
    written: Mutex<HashMap<String, (u64, Instant)>>,
}

impl<R: Reconciler> Shell<R> {
    pub fn new(reconciler: R, client: Client, events: Events, metrics: Metrics) -> Self {
        Self { reconciler, client, events, metrics, written: Mutex::default() }
    }

    /// One pass over one object; never fails, never panics, always says when to come back.
    pub async fn reconcile(self: Arc<Self>, object: Arc<R::Kind>) -> Result<Action, Infallible> {
        if self.is_stale(&object) {
            return Ok(Action::requeue(LAG));
        }
        let started = Instant::now();
        let label = ObjectLabel {
            kind: R::CONTROLLER.as_str(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        let pass = AssertUnwindSafe(Box::pin(self.pass(R::Kind::clone(&object)))).catch_unwind();
        let pass = telemetry::with_attempt(attempt_of(&*object), telemetry::with_object(label.clone(), pass));
        let (action, outcome) = match tokio::time::timeout(self.reconciler.deadline(&object), pass).await {
            Ok(Ok(Ok(passed))) => (action(passed.next), outcome(&passed)),
            Ok(Ok(Err(Cut::Conflict))) => (Action::requeue(CONFLICT), Outcome::Waiting),
            Ok(Ok(Err(Cut::NotLeading))) => {
                tracing::debug!(object = %label, "pass ends: this process does not lead");
                (Action::requeue(NOT_LEADING), Outcome::Abandoned)
            }
            Ok(Ok(Err(Cut::Cluster(error)))) => {
                tracing::warn!(object = %label, error = %error, reason = error.reason(), "pass failed at the API server");
                (Action::requeue(FAILED), Outcome::Failed)
            }
            Ok(Err(panic)) => {
                tracing::error!(object = %label, panic = panic_text(&*panic), "pass panicked");
                (Action::requeue(PANICKED), Outcome::Abandoned)
            }
            Err(_) => {
                tracing::warn!(object = %label, "pass ran out of time");
                (Action::requeue(FAILED), Outcome::Abandoned)
            }
        };
        self.metrics.reconcile(R::CONTROLLER, outcome, started.elapsed());
        Ok(action)
    }

    /// The one straight line. It and its long parts are boxed: else each frame around them holds all of it, and the stack ends.
    async fn pass(&self, object: R::Kind) -> Result<Passed, Cut> {
        let deleting = object.meta().deletion_timestamp.is_some();
        if deleting && !finalizer::has(&object, R::FINALIZER) {
            self.forget(&object);
            return Ok(Passed { next: Next::AwaitChange, changed: false });
        }
        let read = object.status().cloned();
        let now = whole_seconds(Timestamp::now());
        let observed = Box::pin(self.reconciler.observe(&object, now)).await;
        if telemetry::writes().refused {
            return Err(Cut::NotLeading);
        }
        let mut plan = self.reconciler.decide(&object, &observed, now);
        postpone(&mut plan, read.as_ref(), whole_seconds(Timestamp::now()).duration_since(now));
        let mut seen = object;
        let mut changed = plan.step.is_some();
        if plan.finalizer && !deleting {
            seen = self.finalizer(seen, true).await?;
        }
        let mut stored = read.clone();
        if let Some(step) = plan.step.take() {
            if plan.intent {
                (seen, stored) = self.write(seen, stored, &plan.status).await?;
            }
            tracing::debug!(?step, "performing");
            let outcome = Box::pin(self.reconciler.perform(&seen, &step)).await;
            let writes = telemetry::writes();
            if writes.refused {
                if plan.intent && !writes.sent {
                    self.withdraw(seen, &plan.status, read).await;
                }
                return Err(Cut::NotLeading);
            }
            plan = self.reconciler.record(&seen, plan, outcome, whole_seconds(Timestamp::now()));
        }
        if deleting && !plan.finalizer {
            self.finalizer(seen.clone(), false).await?;
            self.publish(&seen, read.as_ref(), &plan.status, &plan.notes).await;
            self.forget(&seen);
            return Ok(Passed { next: Next::AwaitChange, changed: true });
        }
        let before = seen.resource_version();
        (seen, _) = self.write(seen, stored, &plan.status).await?;
        changed |= before != seen.resource_version();
        if !plan.finalizer {
            seen = self.finalizer(seen, false).await?;
        }
        self.publish(&seen, read.as_ref(), &plan.status, &plan.notes).await;
        Ok(Passed { next: plan.next, changed })
    }

    /// Takes an intent back whose step was not sent at all. The next leader would take it for a crash, whose effect it
    /// has to look for and wait for. Nobody needs it done: whoever has written since has seen the intent.
    async fn withdraw(&self, seen: R::Kind, intent: &StatusOf<R>, read: Option<StatusOf<R>>) {
        let before = read.unwrap_or_default();
        if self.write(seen, Some(intent.clone()), &before).await.is_err() {
            tracing::debug!("the intent of a step that was not sent stays");
        }
    }

    /// Writes a status against the version of `seen`; the object and status as they stand then.
    async fn write(
        &self,
        seen: R::Kind,
        stored: Option<StatusOf<R>>,
        wanted: &StatusOf<R>,
    ) -> Result<(R::Kind, Option<StatusOf<R>>), Cut> {
        let seen = self
            .settle(seen, |api, seen| {
                let stored = stored.clone();
                async move { status::write(&api, &seen, stored.as_ref(), wanted, MANAGER).await }
            })
            .await?;
        Ok((seen, Some(wanted.clone())))
    }

    /// Puts our finalizer on, or takes it off.
    async fn finalizer(&self, seen: R::Kind, wanted: bool) -> Result<R::Kind, Cut> {
        self.settle(seen, |api, seen| async move {
            if wanted {
                finalizer::add(&api, &seen, R::FINALIZER, MANAGER).await
            } else {
                finalizer::remove(&api, &seen, R::FINALIZER, MANAGER).await
            }
        })
        .await
    }

    /// Makes one write and remembers its version.
    async fn settle<F>(
        &self,
        seen: R::Kind,
        write: impl FnOnce(Api<R::Kind>, R::Kind) -> F,
    ) -> Result<R::Kind, Cut>
    where
        F: Future<Output = Result<Written<R::Kind>, cluster::Error>>,
    {
        let api = Api::namespaced(self.client.clone(), &seen.namespace().unwrap_or_default());
        match write(api, seen.clone()).await? {
            Written::Patched(object) => {
                self.remember(&object);
                Ok(object)
            }
            Written::Unchanged => Ok(seen),
            Written::Conflict => Err(Cut::Conflict),
        }
    }

    /// Whether the store has not yet caught up with our own last write. Deciding from it could only end in a conflict.
    fn is_stale(&self, object: &R::Kind) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        object.uid().and_then(|uid| written.get(&uid).copied()).is_some_and(|(version, at)| {
            at.elapsed() < LAG_LIMIT && version_of(object).is_some_and(|seen| seen < version)
        })
    }

    fn remember(&self, object: &R::Kind) {
        if let (Some(uid), Some(version)) = (object.uid(), version_of(object)) {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.retain(|_, (_, at)| at.elapsed() < LAG_LIMIT);
            written.insert(uid, (version, Instant::now()));
        }
    }

    fn forget(&self, object: &R::Kind) {
        if let Some(uid) = object.uid() {
            self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
        }
    }

    /// One event when the reason of `Ready` changes, and the plan's own notes.
    async fn publish(&self, object: &R::Kind, old: Option<&StatusOf<R>>, new: &StatusOf<R>, notes: &[Note]) {
        let reference = reference(object);
        for note in notes {
            let kind = if note.warning { EventType::Warning } else { EventType::Normal };
            self.events.publish(&reference, kind, note.reason, "Reconcile", &note.message).await;
        }
        log_retry(old, new);
        let ready = |status: &StatusOf<R>| {
            conditions::find(status.conditions(), crate::api::conditions::READY).cloned()
        };
        let (before, after) = (old.and_then(ready), ready(new));
        let Some(after) = after else { return };
        if before.as_ref().map(|ready| (&ready.reason, &ready.status)) == Some((&after.reason, &after.status))
        {
            return;
        }
        tracing::info!(
            kind = R::CONTROLLER.as_str(),
            namespace = reference.namespace,
            name = reference.name,
            ready = after.status,
            reason = after.reason,
            message = after.message,
            "state changed"
        );
        let stalled = conditions::is_true(new.conditions(), crate::api::conditions::STALLED)
            || after.reason == crate::api::conditions::reason::RETRIES_EXHAUSTED;
        let kind = if stalled { EventType::Warning } else { EventType::Normal };
        self.events.publish(&reference, kind, &after.reason, "Reconcile", &after.message).await;
    }
}

/// One line when a wait begins.
fn log_retry<S: Conditioned>(old: Option<&S>, new: &S) {
    let Some(retry) = new.retry() else { return };
    if old.and_then(Conditioned::retry) != Some(retry) {
        let wait = retry.next_attempt_at.0.duration_since(Timestamp::now());
        telemetry::retries::retrying(&retry.operation, Duration::try_from(wait).unwrap_or_default());
    }
}

/// Versions are opaque by contract but ordered numbers since Kubernetes 1.35 (KEP-5504); anything else is never stale.
fn version_of<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}

fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    ObjectReference { resource_version: None, ..object.object_ref(&()) }
}

fn attempt_of<K: Kind>(object: &K) -> Attempt {
    let retry = object.status().and_then(Conditioned::retry);
    Attempt {
        operation: retry.map(|retry| retry.operation.clone()).unwrap_or_default(),
        number: retry.map_or(1, |retry| u32::try_from(retry.attempt).unwrap_or(0) + 1),
        of: u32::try_from(crate::domain::retry::ATTEMPTS).unwrap_or(4),
    }
}

fn outcome(passed: &Passed) -> Outcome {
    match (passed.changed, passed.next) {
        (true, _) => Outcome::Applied,
        (false, Next::AwaitChange) => Outcome::Skipped,
        (false, _) => Outcome::Waiting,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
