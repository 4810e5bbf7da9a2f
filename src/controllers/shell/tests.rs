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
    calls: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new() -> Self {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "app", "namespace": "n", "uid": "uid", "resourceVersion": "1", "generation": 1},
            "spec": {"owner": "o", "name": "app", "credentialsSecretRef": {"name": "s"}},
        });
        Self { object: Arc::new(Mutex::new(object)), conflicts: Arc::default(), calls: Arc::default() }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let (status, answer) = server.answer(&head.method, head.uri.path(), &body);
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
        let refused =
            self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if !fits || refused.is_ok() {
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
    /// The versions that were decided from.
    decided: Arc<Mutex<Vec<String>>>,
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
        status.owner_id = Some(status.owner_id.unwrap_or_default() + 1);
        Plan::settle(status, Next::After(SignedDuration::from_secs(1)))
    }

    async fn perform(&self, _: &Repository, (): &()) {}

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

#[tokio::test(start_paused = true)]
async fn after_a_conflict_nothing_is_decided_from_the_copy_that_met_it() {
    let server = Server::new();
    let old = server.object();
    server.write(&json!({}));
    let counting = Counting::default();
    let decided = counting.decided.clone();
    let (shell, _) = shell(&server, counting);
    assert_eq!(pass(&shell, old.clone()).await, Action::requeue(Duration::from_millis(100)));
    // The watch is silent: the store goes on giving the old copy.
    for _ in 0..10 {
        assert_eq!(pass(&shell, old.clone()).await, Action::requeue(LAG));
    }
    assert_eq!(*decided.lock().unwrap(), ["1"]);
    assert_eq!(server.called("GET object"), 0);
    tokio::time::advance(Duration::from_secs(2)).await;
    pass(&shell, old.clone()).await;
    assert_eq!(*decided.lock().unwrap(), ["1", "2"], "the object itself was read");
    assert_eq!((server.called("GET object"), server.called("PATCH object")), (1, 2));
    // What was just written is newer than the copy again.
    assert_eq!(pass(&shell, old).await, Action::requeue(LAG));
}

#[tokio::test(start_paused = true)]
async fn conflicts_in_a_row_wait_longer_each_time() {
    let server = Server::new();
    let (shell, _) = shell(&server, Counting::default());
    server.conflicts.store(4, Ordering::Relaxed);
    let old = server.object();
    for wait in [100, 200, 400, 800] {
        assert_eq!(pass(&shell, old.clone()).await, Action::requeue(Duration::from_millis(wait)));
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!(pass(&shell, old).await, Action::requeue(Duration::from_secs(1)), "written");
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
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(pass(&shell, old).await, Action::await_change());
    assert_eq!(decided.lock().unwrap().len(), 1);
}
