//! The part of a reconcile that each kind fills in: reading, deciding, one step, recording.
//! Implemented by the controllers; driven by `shell`.

use crate::{
    api::{RepositoryStatus, SandboxStatus, TaskStatus, common::Retry},
    domain::{failure::Failure, plan::Plan},
    telemetry,
};
use jiff::Timestamp;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Resource, core::object::HasStatus};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, time::Duration};

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

/// The part of every status that the shell reads.
pub trait Conditioned: Serialize + Clone + Default + Debug + Send + Sync {
    fn conditions(&self) -> &[Condition];
    fn retry(&self) -> Option<&Retry>;
    fn retry_mut(&mut self) -> Option<&mut Retry>;
}

macro_rules! conditioned {
    ($($status:ty),+ $(,)?) => {$(
        impl Conditioned for $status {
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
    )+};
}

conditioned! { RepositoryStatus, SandboxStatus, TaskStatus }

/// The status of a kind.
pub type StatusOf<R> = <<R as Reconciler>::Kind as HasStatus>::Status;
/// The plan for a kind.
pub type PlanOf<R> = Plan<StatusOf<R>, <R as Reconciler>::Step>;

/// One kind's way of reconciling.
pub trait Reconciler: Send + Sync + 'static {
    type Kind: Kind;
    /// The world as the pass has seen it, as data.
    type Observed: Send;
    /// The one effect of a pass.
    type Step: Debug + Send + Sync;
    /// The result of the step.
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
    /// Pure: the plan to write once the outcome of its step is known.
    fn record(
        &self,
        object: &Self::Kind,
        plan: PlanOf<Self>,
        outcome: Self::Outcome,
        now: Timestamp,
    ) -> PlanOf<Self>
    where
        Self: Sized;
    /// Pure: the plan to write when a pass ran out of time, so that the object backs off as after any failed call.
    /// `object` is read after the cut, so that an intent which the pass has written stands. The plan takes no step.
    fn timed_out(&self, object: &Self::Kind, failure: &Failure, now: Timestamp) -> PlanOf<Self>
    where
        Self: Sized;
}
