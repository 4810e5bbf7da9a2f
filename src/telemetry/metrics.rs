//! Metrics in the `OpenMetrics` text format, under `slipway_*` and controller-runtime's well-known names.
//! Every label is an enum or a constant: never an object's name, a repository or an error's text.

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{sync::Arc, time::Duration};

/// Content type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds: from a local answer to the longest deadline of a call.
const CALL_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];
/// Seconds: controller-runtime's range, with fewer steps.
const RECONCILE_BUCKETS: [f64; 11] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0];

/// The labels that an outbound call is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    pub api: &'static str,
    pub operation: &'static str,
    /// For Kubernetes the resource, else empty.
    pub resource: &'static str,
    /// The class of the HTTP status, or why there is none.
    pub status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallSecondsLabels {
    api: &'static str,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweptLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    outcome: &'static str,
    event: &'static str,
}

/// The controller that ran a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    Task,
    Sandbox,
    Repository,
}

impl Controller {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Sandbox => "sandbox",
            Self::Repository => "repository",
        }
    }
}

/// Result of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An effect was performed or the status changed.
    Applied,
    /// Nothing to do before a known time or event.
    Waiting,
    /// Nothing to do at all.
    Skipped,
    /// The pass failed; it is repeated later.
    Failed,
    /// The pass ran into its deadline, panicked, or had a write refused because this process does not lead.
    Abandoned,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting => "waiting",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// The same in controller-runtime's words, for dashboards made for it.
    fn result(self) -> &'static str {
        match self {
            Self::Applied | Self::Skipped => "success",
            Self::Waiting => "requeue_after",
            Self::Failed | Self::Abandoned => "error",
        }
    }
}

/// All metrics of the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<CallSecondsLabels, Histogram, fn() -> Histogram>,
    reconciles: Family<ReconcileLabels, Counter>,
    runtime_reconciles: Family<ReconcileLabels, Counter>,
    reconcile_seconds: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    deliveries: Family<DeliveryLabels, Counter>,
    swept: Family<SweptLabels, Counter>,
    undelivered: Counter,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            reconciles: Family::default(),
            runtime_reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(|| Histogram::new(RECONCILE_BUCKETS)),
            deliveries: Family::default(),
            swept: Family::default(),
            undelivered: Counter::default(),
            leading: Gauge::default(),
        };
        metrics.registry = Arc::new(metrics.described());
        metrics
    }

    /// All of them under their names, with what they mean.
    fn described(&self) -> Registry {
        let mut registry = Registry::default();
        // The encoder appends `_total` and the unit itself.
        registry.register("slipway_external_calls", "Outbound calls, by their result", self.calls.clone());
        registry.register_with_unit(
            "slipway_external_call_duration",
            "From sending an outbound call to the head of its answer",
            Unit::Seconds,
            self.call_seconds.clone(),
        );
        registry.register(
            "slipway_reconciles",
            "Passes over an object, by their result",
            self.reconciles.clone(),
        );
        registry.register(
            "slipway_webhook_deliveries",
            "Webhook deliveries, by their result",
            self.deliveries.clone(),
        );
        registry.register(
            "slipway_swept_sandboxes",
            "E2B sandboxes that stood for no Sandbox, by what the sweep's attempt to kill them gave",
            self.swept.clone(),
        );
        registry.register(
            "slipway_undelivered_changes",
            "Changes of Tasks that a sync has found, because no webhook delivery had brought them",
            self.undelivered.clone(),
        );
        registry.register(
            "controller_runtime_reconcile",
            "Passes over an object, per controller",
            self.runtime_reconciles.clone(),
        );
        registry.register_with_unit(
            "controller_runtime_reconcile_time",
            "Length of a pass, per controller",
            Unit::Seconds,
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "1 while this process holds the Lease, 0 while it stands by",
            self.leading.clone(),
        );
        registry
    }

    /// One outbound call was answered or given up.
    pub(super) fn call(&self, labels: &CallLabels, took: Duration) {
        let seconds = CallSecondsLabels { api: labels.api, operation: labels.operation };
        self.calls.get_or_create(labels).inc();
        self.call_seconds.get_or_create(&seconds).observe(took.as_secs_f64());
    }

    /// One pass of a controller has ended.
    pub fn reconcile(&self, controller: Controller, outcome: Outcome, took: Duration) {
        let controller = controller.as_str();
        self.reconciles.get_or_create(&ReconcileLabels { controller, result: outcome.as_str() }).inc();
        self.runtime_reconciles
            .get_or_create(&ReconcileLabels { controller, result: outcome.result() })
            .inc();
        self.reconcile_seconds.get_or_create(&ControllerLabels { controller }).observe(took.as_secs_f64());
    }

    /// One webhook delivery was answered. Both labels come from closed lists, never from the request as it is:
    /// an event GitHub does not document counts as `other`.
    pub fn delivery(&self, outcome: &'static str, event: &'static str) {
        self.deliveries.get_or_create(&DeliveryLabels { outcome, event }).inc();
    }

    /// One look of the sweep has killed so many sandboxes, and failed to kill so many.
    pub fn swept(&self, killed: usize, failed: usize) {
        for (result, count) in [("killed", killed), ("failed", failed)] {
            self.swept
                .get_or_create(&SweptLabels { result })
                .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// A sync has moved a Task that no delivery had moved.
    pub fn undelivered(&self) {
        self.undelivered.inc();
    }

    /// Sets whether this process leads, from now on.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// The text that `/metrics` answers.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_documented_ones() {
        let metrics = Metrics::new();
        metrics.reconcile(Controller::Task, Outcome::Waiting, Duration::from_millis(30));
        metrics.delivery("accepted", "pull_request");
        metrics.swept(2, 0);
        let text = metrics.encode().unwrap();
        for line in [
            r#"controller_runtime_reconcile_total{controller="task",result="requeue_after"} 1"#,
            r#"controller_runtime_reconcile_time_seconds_count{controller="task"} 1"#,
            r#"slipway_swept_sandboxes_total{result="killed"} 2"#,
            r#"slipway_reconciles_total{controller="task",result="waiting"} 1"#,
            r#"slipway_webhook_deliveries_total{outcome="accepted",event="pull_request"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
