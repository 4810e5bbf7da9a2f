use super::*;
use crate::telemetry::{Attempt, Pass, in_pass};
use bytes::Bytes;
use http_body_util::Full;
use std::sync::atomic::AtomicBool;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// A service that counts what reaches it and answers 200, or never.
#[derive(Clone, Default)]
struct Inner {
    sent: Arc<AtomicU64>,
    hangs: bool,
}

impl<B: Send + 'static> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let (sent, hangs) = (self.sent.clone(), self.hangs);
        Box::pin(async move {
            sent.fetch_add(1, Ordering::Relaxed);
            if hangs {
                futures::future::pending::<()>().await;
            }
            Ok(Response::new(Full::default()))
        })
    }
}

fn meta(write: bool) -> CallMeta {
    CallMeta { operation: "createThing", deadline: Duration::from_millis(50), write }
}

fn pass(object: ObjectLabel) -> Pass {
    Pass::new(object, Attempt { operation: String::new(), number: 1, of: 4 })
}

fn request(method: Method, uri: &str) -> Request<()> {
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

fn kube(method: Method, uri: &str, verb: &'static str) -> Request<()> {
    let mut request = request(method, uri);
    request.extensions_mut().insert(verb);
    request
}

fn layer(api: Api) -> CallLayer {
    CallLayer::new(api, Metrics::new())
}

async fn send(layer: &CallLayer, inner: &Inner, request: Request<()>) -> Result<http::StatusCode, CallError> {
    match layer.layer(inner.clone()).oneshot(request).await {
        Ok(answer) => Ok(answer.status()),
        Err(error) => Err(error.downcast_ref::<CallError>().expect("the layer's own error").clone()),
    }
}

#[tokio::test]
async fn a_call_is_cut_off_at_the_deadline_its_adapter_gave() {
    let inner = Inner { hangs: true, ..Inner::default() };
    let mut request = request(Method::POST, "/things");
    request.extensions_mut().insert(meta(true));
    let error = send(&layer(Api::Github), &inner, request).await.unwrap_err();
    assert_eq!(error, CallError::Deadline(Duration::from_millis(50)));
}

fn leading(leads: &Arc<AtomicBool>, in_flight: &TaskTracker) -> Leading {
    let (leads, in_flight) = (leads.clone(), in_flight.clone());
    Arc::new(move || leads.load(Ordering::Relaxed).then(|| in_flight.token()))
}

#[tokio::test]
async fn a_write_is_sent_only_while_leading_and_a_read_always() {
    let (leads, in_flight) = (Arc::new(AtomicBool::new(false)), TaskTracker::new());
    let layer = layer(Api::Github).leading(leading(&leads, &in_flight));
    let inner = Inner::default();
    let write = || request(Method::POST, "/things");
    let object = ObjectLabel { kind: "task", namespace: "n".into(), name: "t".into() };
    let pass = pass(object);
    let writes = pass.writes.clone();
    let calls = async {
        assert!(!writes.any_sent() && !writes.any_refused());
        assert_eq!(send(&layer, &inner, write()).await, Err(CallError::NotLeading));
        assert_eq!(inner.sent.load(Ordering::Relaxed), 0, "nothing may leave the process");
        assert!(send(&layer, &inner, request(Method::GET, "/things")).await.is_ok());
        assert!(!writes.any_sent() && writes.any_refused(), "a read is no write");
        leads.store(true, Ordering::Relaxed);
        assert!(send(&layer, &inner, write()).await.is_ok());
        assert!(writes.any_sent() && writes.any_refused());
    };
    in_pass(pass, calls).await;
}

#[tokio::test]
async fn a_write_is_in_flight_until_its_answer_has_come() {
    let (leads, in_flight) = (Arc::new(AtomicBool::new(true)), TaskTracker::new());
    let layer = layer(Api::Github).leading(leading(&leads, &in_flight));
    let mut write = request(Method::POST, "/things");
    write.extensions_mut().insert(meta(true));
    let inner = Inner { hangs: true, ..Inner::default() };
    let sending = send(&layer, &inner, write);
    let looking = async {
        while inner.sent.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(in_flight.len(), 1);
    };
    let (sent, ()) = tokio::join!(sending, looking);
    assert!(matches!(sent, Err(CallError::Deadline(_))));
    assert!(in_flight.is_empty());
}

#[tokio::test]
async fn leading_is_asked_when_the_call_is_sent_and_not_when_it_is_made() {
    let leads = Arc::new(AtomicBool::new(true));
    let inner = Inner::default();
    let mut service = layer(Api::Github).leading(leading(&leads, &TaskTracker::new())).layer(inner.clone());
    let answer = service.call(request(Method::POST, "/things"));
    // It waits for its turn, and the lease is lost meanwhile.
    leads.store(false, Ordering::Relaxed);
    let error = answer.await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&CallError::NotLeading));
    assert_eq!(inner.sent.load(Ordering::Relaxed), 0);
}

#[test]
fn calls_are_described_by_their_adapter() {
    let mut request = request(Method::POST, "/repos/o/r/pulls?access=secret");
    request.extensions_mut().insert(meta(true));
    let call = describe(Api::Github, &request);
    assert_eq!((call.operation, call.resource, call.write), ("createThing", "", true));
    assert_eq!((call.path.as_str(), call.deadline), ("/repos/o/r/pulls", Some(Duration::from_millis(50))));
    assert!(call.ordinal < describe(Api::Github, &request).ordinal);
}

#[test]
fn kubernetes_calls_are_described_by_verb_and_path() {
    let calls = [
        ("/apis/slipway.dev/v1alpha1/namespaces/n/tasks/t/status", "patch_status", "tasks"),
        ("/api/v1/namespaces/n/secrets/s", "get", "secrets"),
        ("/apis/slipway.dev/v1alpha1/tasks?limit=500", "list", "tasks"),
        ("/apis/slipway.dev/v1alpha1/tasks?watch=true&resourceVersion=1", "watch", "tasks"),
        ("/api/v1/namespaces/n", "get", "namespaces"),
        ("/apis/events.k8s.io/v1/namespaces/n/events", "create", "events"),
        ("/apis/apps/v1/namespaces/n/deployments/d", "get", "other"),
    ];
    for (uri, verb, resource) in calls {
        let call = describe(Api::Kubernetes, &kube(Method::GET, uri, verb));
        assert_eq!((call.operation, call.resource), (verb, resource), "{uri}");
        let expected = if verb == "watch" { None } else { Some(Duration::from_secs(10)) };
        assert_eq!(call.deadline, expected, "{uri}");
        assert!(!call.path.contains('?'));
    }
}

#[tokio::test]
async fn the_pass_is_known_although_the_client_calls_from_a_worker_of_its_own() {
    let leads = Arc::new(AtomicBool::new(false));
    let layer = layer(Api::Github).leading(leading(&leads, &TaskTracker::new()));
    // As kube and octocrab do it: a buffer, whose worker runs `call`.
    let buffered = tower::buffer::Buffer::<Request<()>, _>::new(layer.layer(Inner::default()), 8);
    let pass = pass(ObjectLabel { kind: "Task", namespace: "n".to_owned(), name: "t".to_owned() });
    let writes = pass.writes.clone();
    in_pass(pass, buffered.oneshot(request(Method::POST, "/"))).await.unwrap_err();
    assert!(writes.any_refused());
}

#[tokio::test]
async fn calls_are_counted_by_their_results() {
    let metrics = Metrics::new();
    let layer = CallLayer::new(Api::Github, metrics.clone());
    for hangs in [false, true, false] {
        let mut request = request(Method::POST, "/");
        request.extensions_mut().insert(meta(true));
        let _ = send(&layer, &Inner { hangs, ..Inner::default() }, request).await;
    }
    let text = metrics.encode().unwrap();
    let line = |status: &str, count: u64| {
        format!(
            r#"slipway_external_calls_total{{api="github",operation="createThing",resource="",status="{status}"}} {count}"#
        )
    };
    assert!(text.contains(&line("2xx", 2)) && text.contains(&line("deadline", 1)), "{text}");
    assert!(
        text.contains(
            r#"slipway_external_call_duration_seconds_count{api="github",operation="createThing"} 3"#
        ),
        "{text}"
    );
}
