//! The shell against an API server of a few lines: time-outs, conflicts, a store that lags.
//! Neighbours: tests/sandbox/shell.rs has the panic and the refused writes, against a real API server.

use super::*;
use crate::{
    api::{Repository, RepositoryStatus, conditions::reason},
    domain::retry as policy,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use jiff::SignedDuration;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::{Mutex, atomic::AtomicUsize, atomic::Ordering};

/// One object, as the API server has it.
#[derive(Clone)]
struct Server {
    object: Arc<Mutex<Value>>,
    /// Writes that are answered with a conflict although the version is right.
    conflicts: Arc<AtomicUsize>,
    /// Writes that take place and whose answers are lost, and writes that are never answered.
    loses: Arc<AtomicUsize>,
    hangs: Arc<AtomicUsize>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new() -> Self {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "app", "namespace": "n", "uid": "uid", "resourceVersion": "1", "generation": 1},
            "spec": {"owner": "o", "name": "app", "credentialsSecretRef": {"name": "s"}},
        });
        Self {
            object: Arc::new(Mutex::new(object)),
            conflicts: Arc::default(),
            loses: Arc::default(),
            hangs: Arc::default(),
            calls: Arc::default(),
        }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let (status, answer) = server.answer(&head.method, head.uri.path(), &body);
                if status == StatusCode::OK && head.method == Method::PATCH {
                    if spend(&server.loses) {
                        return Err("connection reset".into());
                    }
                    if spend(&server.hangs) {
                        std::future::pending::<()>().await;
                    }
                }
                let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
                *response.status_mut() = status;
                Ok::<_, tower::BoxError>(response)
            }
        });
        Client::new(service, "n")
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let kind = if path.contains("/events") { "event" } else { "object" };
        self.calls.lock().unwrap().push(format!("{method} {kind}"));
        if kind == "event" {
            return (StatusCode::CREATED, serde_json::from_slice(body).unwrap());
        }
        if *method == Method::GET {
            return (StatusCode::OK, self.object.lock().unwrap().clone());
        }
        let patch: Value = serde_json::from_slice(body).unwrap();
        let fits = patch["metadata"]["resourceVersion"]
            == self.object.lock().unwrap()["metadata"]["resourceVersion"];
        if !fits || spend(&self.conflicts) {
            let status = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "m"});
            return (StatusCode::CONFLICT, status);
        }
        (StatusCode::OK, self.write(&patch))
    }

    /// A write by anybody: merges `patch` and counts the version up.
    fn write(&self, patch: &Value) -> Value {
        let mut object = self.object.lock().unwrap();
        let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        merge(&mut object["status"], &patch["status"]);
        object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        object.clone()
    }

    /// The object as a watch would bring it.
    fn object(&self) -> Arc<Repository> {
        Arc::new(serde_json::from_value(self.object.lock().unwrap().clone()).unwrap())
    }

    fn called(&self, call: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|seen| *seen == call).count()
    }
}

/// Takes one of what is left.
fn spend(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// A merge patch (RFC 7396) without deletions.
fn merge(target: &mut Value, patch: &Value) {
    match patch.as_object() {
        Some(fields) => fields.iter().for_each(|(name, value)| merge(&mut target[name], value)),
        None if patch.is_null() => {}
        None => *target = patch.clone(),
    }
}

/// Counts in `ownerID` the passes that it decided, and hangs if it is told to.
#[derive(Default)]
struct Counting {
    hangs: bool,
    /// Each pass takes a step.
    acts: bool,
    /// Each step is preceded by its intent.
    intends: bool,
    /// The versions that were decided from.
    decided: Arc<Mutex<Vec<String>>>,
    /// The versions that steps were taken with.
    performed: Arc<Mutex<Vec<String>>>,
}

impl Reconciler for Counting {
    type Kind = Repository;
    type Observed = ();
    type Step = ();
    type Outcome = ();
    const CONTROLLER: telemetry::Controller = telemetry::Controller::Repository;
    const FINALIZER: &'static str = "slipway.dev/test";

    fn deadline(&self, _: &Repository) -> Duration {
        Duration::from_secs(30)
    }

    async fn observe(&self, _: &Repository, _: Timestamp) {
        if self.hangs {
            std::future::pending::<()>().await;
        }
    }

    fn decide(&self, object: &Repository, (): &(), _: Timestamp) -> Plan<RepositoryStatus, ()> {
        self.decided.lock().unwrap().push(object.resource_version().unwrap());
        let mut status = object.status.clone().unwrap_or_default();
        let next = Next::After(SignedDuration::from_secs(1));
        // An intent that a pass finds is written no second time.
        let intent = self.intends.then(|| status.full_name.replace("o/intent".into()));
        if !self.acts || intent.is_none() {
            status.owner_id = Some(status.owner_id.unwrap_or_default() + 1);
        }
        match (self.acts, self.intends) {
            (false, _) => Plan::settle(status, next),
            (true, false) => Plan { next, ..Plan::act(status, ()) },
            (true, true) => Plan { next, ..Plan::intend(status, ()) },
        }
    }

    async fn perform(&self, object: &Repository, (): &()) {
        self.performed.lock().unwrap().push(object.resource_version().unwrap());
    }

    fn record(
        &self,
        _: &Repository,
        plan: Plan<RepositoryStatus, ()>,
        (): (),
        _: Timestamp,
    ) -> Plan<RepositoryStatus, ()> {
        plan
    }

    fn timed_out(
        &self,
        object: &Repository,
        failure: &Failure,
        now: Timestamp,
    ) -> Plan<RepositoryStatus, ()> {
        let mut status = object.status.clone().unwrap_or_default();
        let verdict = policy::after(status.retry.as_ref(), failure, "uid", now);
        let next = Next::At(verdict.retry.next_attempt_at.0);
        status.retry = Some(verdict.retry);
        Plan::settle(status, next)
    }
}

fn shell(server: &Server, reconciler: Counting) -> (Arc<Shell<Counting>>, Metrics) {
    let metrics = Metrics::new();
    let events = Events::new(server.client(), "slipway-test", "shell");
    (Arc::new(Shell::new(reconciler, server.client(), events, metrics.clone())), metrics)
}

async fn pass(shell: &Arc<Shell<Counting>>, object: Arc<Repository>) -> Action {
    shell.clone().reconcile(object).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_runs_out_of_time_says_so_in_retry_and_backs_off() {
    let server = Server::new();
    let (shell, metrics) = shell(&server, Counting { hangs: true, ..Counting::default() });
    for attempt in 1..=policy::ATTEMPTS {
        pass(&shell, server.object()).await;
        let retry = server.object().status.clone().unwrap_or_default().retry.expect("the status says it");
        assert_eq!((retry.operation.as_str(), retry.attempt), ("reconcile", attempt));
        assert!(retry.last_error.contains("30 s"), "{}", retry.last_error);
        let reason = if attempt < policy::ATTEMPTS { reason::RETRYING } else { reason::RETRIES_EXHAUSTED };
        assert_eq!(retry.reason, reason);
    }
    let text = metrics.encode().unwrap();
    assert!(
        text.contains(r#"slipway_reconciles_total{controller="repository",result="abandoned"} 4"#),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_pass_has_written_before_it_ran_out_of_time_stands() {
    let server = Server::new();
    let old = server.object();
    server.write(&json!({"status": {"fullName": "o/intent"}}));
    let (shell, _) = shell(&server, Counting { hangs: true, ..Counting::default() });
    pass(&shell, old).await;
    let status = server.object().status.clone().unwrap_or_default();
    assert_eq!(status.full_name.as_deref(), Some("o/intent"));
    assert!(status.retry.is_some());
}

/// The wait that a pass ended with.
fn wait_of(action: &Action) -> Duration {
    let text = format!("{action:?}");
    (0..20_000)
        .map(Duration::from_millis)
        .find(|wait| *action == Action::requeue(*wait))
        .unwrap_or_else(|| panic!("no wait in whole milliseconds: {text}"))
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_the_object_is_read_once_and_decided_from() {
    let server = Server::new();
    let old = server.object();
    server.write(&json!({}));
    let counting = Counting::default();
    let decided = counting.decided.clone();
    let (shell, _) = shell(&server, counting);
    let wait = wait_of(&pass(&shell, old.clone()).await);
    assert!(wait < Duration::from_millis(100), "{wait:?}");
    // The watch is silent: the store goes on giving the old copy, and other events wake the object early.
    for _ in 0..3 {
        assert_eq!(wait_of(&pass(&shell, old.clone()).await), wait);
    }
    assert_eq!((&*decided.lock().unwrap(), server.called("GET object")), (&vec!["1".to_owned()], 0));
    tokio::time::advance(wait).await;
    assert_eq!(pass(&shell, old.clone()).await, Action::requeue(Duration::from_secs(1)), "written");
    assert_eq!(*decided.lock().unwrap(), ["1", "2"], "the object itself was read");
    assert_eq!((server.called("GET object"), server.called("PATCH object")), (1, 2));
    // What was just written is newer than the copy again, and the watch gets its time.
    let lag = wait_of(&pass(&shell, old).await);
    assert_eq!((lag, server.called("GET object")), (Duration::from_millis(50), 1));
    pass(&shell, server.object()).await;
    assert_eq!((server.called("GET object"), decided.lock().unwrap().len()), (1, 3), "no further read");
}

#[tokio::test(start_paused = true)]
async fn conflicts_in_a_row_wait_longer_each_time_and_read_once_each() {
    let server = Server::new();
    let (shell, _) = shell(&server, Counting::default());
    server.conflicts.store(8, Ordering::Relaxed);
    let old = server.object();
    for (reads, longest) in [100, 200, 400, 800, 1600, 3200, 5000, 5000].into_iter().enumerate() {
        let wait = wait_of(&pass(&shell, old.clone()).await);
        assert!((longest / 2..longest).contains(&wait.as_millis()), "{wait:?} of {longest} ms");
        assert_eq!(server.called("GET object"), reads);
        tokio::time::advance(wait).await;
    }
    assert_eq!(pass(&shell, old).await, Action::requeue(Duration::from_secs(1)), "written");
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_looked_for_before_anything_is_decided() {
    let server = Server::new();
    let old = server.object();
    let counting = Counting::default();
    let decided = counting.decided.clone();
    let (shell, _) = shell(&server, counting);
    server.loses.store(1, Ordering::Relaxed);
    assert_eq!(pass(&shell, old.clone()).await, Action::requeue(Duration::from_secs(5)));
    pass(&shell, old).await;
    assert_eq!(*decided.lock().unwrap(), ["1", "2"], "the write had taken place");
    assert_eq!((server.called("GET object"), server.called("PATCH object")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_is_cut_off_in_a_write_leaves_it_to_be_looked_for() {
    let server = Server::new();
    let old = server.object();
    let counting = Counting::default();
    let decided = counting.decided.clone();
    let (shell, _) = shell(&server, counting);
    server.hangs.store(1, Ordering::Relaxed);
    let cut = tokio::time::timeout(Duration::from_secs(1), pass(&shell, old.clone())).await;
    assert!(cut.is_err(), "the write hangs: {cut:?}");
    pass(&shell, old).await;
    assert_eq!((&*decided.lock().unwrap(), server.called("GET object")), (&vec!["1".into(), "2".into()], 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_doubt_a_step_costs_no_read_and_with_one_it_takes_the_object_as_it_is() {
    for intends in [false, true] {
        let server = Server::new();
        server.write(&json!({"status": {"fullName": "o/intent"}}));
        let old = server.object();
        let counting = Counting { acts: true, intends, ..Counting::default() };
        let performed = counting.performed.clone();
        let doubt = Doubt::default();
        let shell = Arc::new(Arc::into_inner(shell(&server, counting).0).unwrap().doubted_by(doubt.clone()));
        pass(&shell, old.clone()).await;
        assert_eq!((&*performed.lock().unwrap(), server.called("GET object")), (&vec!["2".into()], 0));

        // Somebody else has written, and a store whose watch broke does not know.
        let old = server.object();
        server.write(&json!({}));
        let live = server.object().resource_version().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        doubt.raise();
        pass(&shell, old).await;
        assert_eq!((&performed.lock().unwrap()[1..], server.called("GET object")), (&[live][..], 1));
        // What was read is known.
        pass(&shell, server.object()).await;
        assert_eq!((performed.lock().unwrap().len(), server.called("GET object")), (3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_when_it_is_read_needs_no_pass() {
    let server = Server::new();
    let old = server.object();
    server.write(&json!({}));
    let counting = Counting::default();
    let decided = counting.decided.clone();
    let (shell, _) = shell(&server, counting);
    pass(&shell, old.clone()).await;
    server.object.lock().unwrap()["metadata"]["uid"] = json!("another");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(pass(&shell, old).await, Action::await_change());
    assert_eq!(decided.lock().unwrap().len(), 1);
}
