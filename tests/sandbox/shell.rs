//! The shell around every reconcile, with a reconciler that misbehaves: it panics, hangs, or may not write.
//! Neighbours: `world` gives the namespace; the controllers' own tests never come to these places.

use crate::world::World;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::Controller};
use serde_json::json;
use slipway::{
    api::{Sandbox, SandboxStatus},
    cluster::Events,
    controllers::shell::{Reconciler, Shell},
    domain::{
        failure::Failure,
        plan::{Next, Plan},
    },
    telemetry::{self, Api, CallError, CallLayer, HttpService, Metrics, calls::Leading},
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// For the pass that hangs.
const SHORT: Duration = Duration::from_millis(300);
/// For the others, however busy the machine is.
const LONG: Duration = Duration::from_secs(30);

/// Behaves as the object's name says, and counts what it gets to.
#[derive(Clone, Default)]
struct Misbehaving(Arc<Mutex<BTreeMap<String, usize>>>);

impl Misbehaving {
    fn count(&self, what: &str, object: &Sandbox) {
        *self.0.lock().unwrap().entry(format!("{what} {}", object.name_any())).or_default() += 1;
    }

    fn counted(&self, what: &str) -> usize {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

impl Reconciler for Misbehaving {
    type Kind = Sandbox;
    type Observed = ();
    type Step = ();
    type Outcome = ();
    const CONTROLLER: telemetry::Controller = telemetry::Controller::Sandbox;
    const FINALIZER: &'static str = "slipway.dev/test";

    fn deadline(&self, object: &Sandbox) -> Duration {
        if object.name_any() == "hangs" { SHORT } else { LONG }
    }

    async fn observe(&self, object: &Sandbox, _: Timestamp) {
        self.count("observe", object);
        if object.name_any() == "hangs" {
            std::future::pending::<()>().await;
        }
        if object.name_any() == "reads" {
            assert!(is_refused(&external(Arc::new(|| None))).await);
        }
    }

    fn decide(&self, object: &Sandbox, (): &(), _: Timestamp) -> Plan<SandboxStatus, ()> {
        self.count("decide", object);
        assert!(object.name_any() != "panics", "as its name says");
        let mut status = object.status.clone().unwrap_or_default();
        if !["standby", "halfway"].contains(&object.name_any().as_str()) {
            return Plan::act(status, ());
        }
        status.recreations = 1;
        Plan::intend(status, ())
    }

    async fn perform(&self, object: &Sandbox, (): &()) {
        self.count("perform", object);
        let sent_before = match object.name_any().as_str() {
            "standby" => 0,
            "halfway" => 1,
            _ => return,
        };
        let intent = object.status.as_ref().map(|status| status.recreations);
        assert_eq!(intent, Some(1), "the intent is written");
        let (asked, tracker) = (AtomicUsize::new(0), TaskTracker::new());
        let leave = move || (asked.fetch_add(1, Ordering::Relaxed) < sent_before).then(|| tracker.token());
        let github = external(Arc::new(leave));
        for number in 0..=sent_before {
            assert_eq!(is_refused(&github).await, number == sent_before);
        }
    }

    fn record(
        &self,
        object: &Sandbox,
        mut plan: Plan<SandboxStatus, ()>,
        (): (),
        _: Timestamp,
    ) -> Plan<SandboxStatus, ()> {
        self.count("record", object);
        plan.status.incarnation = Some(plan.status.incarnation.unwrap_or_default() + 1);
        plan.next = Next::After(jiff::SignedDuration::from_millis(100));
        plan
    }

    fn timed_out(&self, object: &Sandbox, failure: &Failure, _: Timestamp) -> Plan<SandboxStatus, ()> {
        self.count(failure.reason, object);
        let next = Next::After(jiff::SignedDuration::from_millis(100));
        Plan::settle(object.status.clone().unwrap_or_default(), next)
    }
}

/// An API that nobody serves, behind the call layer.
fn external(leave: Leading) -> HttpService {
    let layer = CallLayer::new(Api::Github, Metrics::new()).leading(leave);
    telemetry::http_service(reqwest::Client::new(), &layer)
}

/// Whether a write is not sent for want of leadership.
async fn is_refused(service: &HttpService) -> bool {
    let write = http::Request::post("http://127.0.0.1:9/things").body(reqwest::Body::default());
    let error = service.clone().oneshot(write.unwrap()).await.unwrap_err();
    error.downcast_ref() == Some(&CallError::NotLeading)
}

#[tokio::test]
async fn one_bad_object_never_stops_the_others() {
    let world = World::without_operator("shell").await;
    for name in ["panics", "hangs", "reads", "standby", "halfway", "works"] {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name}, "spec": {},
        });
        let object: Sandbox = serde_json::from_value(object).unwrap();
        world.sandboxes().create(&Default::default(), &object).await.unwrap();
    }
    let (misbehaving, metrics, client) =
        (Misbehaving::default(), Metrics::new(), world.sandboxes().into_client());
    let events = Events::new(client.clone(), "slipway-test", "shell");
    let shell = Arc::new(Shell::new(misbehaving.clone(), client, events, metrics.clone()));
    let passes = Controller::new(world.sandboxes(), Default::default()).run(
        |object, shell: Arc<Shell<Misbehaving>>| shell.reconcile(object),
        |_, _: &Infallible, _| unreachable!("a pass never fails"),
        shell,
    );
    let running = tokio::spawn(passes.for_each(|_| async {}));

    // The others go on after the panic and beside the pass that hangs, which is given up and made again.
    let started = Instant::now();
    while misbehaving.counted("decide panics") != 1
        || misbehaving.counted("observe hangs") < 2
        || misbehaving.counted("DeadlineExceeded hangs") < 1
        || misbehaving.counted("observe reads") < 2
        || misbehaving.counted("perform standby") < 2
        || misbehaving.counted("perform halfway") < 2
        || misbehaving.counted("record works") < 5
        // One that panicked, one that hung, six that might not write: counted once their passes have ended.
        || abandoned(&metrics) < 8
    {
        let counts = misbehaving.0.lock().unwrap().clone();
        assert!(started.elapsed() < Duration::from_mins(1), "{counts:?}, {} abandoned", abandoned(&metrics));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(misbehaving.counted("decide hangs"), 0);
    assert_eq!(misbehaving.counted("decide reads"), 0, "what a refused write leaves unseen decides nothing");
    for name in ["standby", "halfway"] {
        assert_eq!(misbehaving.counted(&format!("record {name}")), 0, "nothing has failed: {name}");
    }
    let halfway = world.sandboxes().get("halfway").await.unwrap().status.unwrap_or_default();
    assert_eq!(halfway.recreations, 1, "the intent of a step that was sent in part stands");
    // Between two passes the intent of a step that was not sent is not there.
    let status = async || world.sandboxes().get("standby").await.unwrap().status.unwrap_or_default();
    while status().await.recreations != 0 {
        assert!(started.elapsed() < Duration::from_mins(1), "{:?}", status().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.abort();
}

/// Passes that were given up, by the shell's own metric.
fn abandoned(metrics: &Metrics) -> u32 {
    let text = metrics.encode().unwrap();
    let label = r#"slipway_reconciles_total{controller="sandbox",result="abandoned"} "#;
    text.lines().find_map(|line| line.strip_prefix(label)?.parse().ok()).unwrap_or_default()
}
