use super::*;
use crate::telemetry::{Attempt, HttpService, Pass, http_service, in_pass};
use std::sync::{Mutex, atomic::AtomicBool};
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

#[derive(Default)]
struct Recorder {
    fault: Mutex<Fault>,
    seen: Mutex<Vec<Call>>,
}

impl Hook for Recorder {
    fn before(&self, call: &Call) -> Fault {
        self.seen.lock().unwrap().push(call.clone());
        self.fault.lock().unwrap().clone()
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
async fn leading_is_asked_after_the_wait_and_not_before() {
    let leads = Arc::new(AtomicBool::new(true));
    let recorder = Arc::new(Recorder::default());
    *recorder.fault.lock().unwrap() = Fault::Delay(Duration::from_millis(20));
    let layer = layer(Api::Github).leading(leading(&leads, &TaskTracker::new())).hook(recorder);
    let mut request = request(Method::POST, "/things");
    request.extensions_mut().insert(CallMeta { deadline: Duration::from_secs(5), ..meta(true) });
    let inner = Inner::default();
    let sending = send(&layer, &inner, request);
    let losing = async { leads.store(false, Ordering::Relaxed) };
    let (sent, ()) = tokio::join!(sending, losing);
    assert_eq!(sent, Err(CallError::NotLeading));
}

#[tokio::test]
async fn faults_come_before_after_or_instead_of_the_call() {
    let recorder = Arc::new(Recorder::default());
    let layer = layer(Api::E2b).hook(recorder.clone());
    let inner = Inner::default();
    let teapot = Fault::Answer { status: http::StatusCode::IM_A_TEAPOT, body: Bytes::from_static(b"{}") };
    let cases = [
        (Fault::CutBefore, Err(CallError::CutBefore), 0),
        (Fault::CutAfter, Err(CallError::CutAfter), 1),
        (teapot, Ok(http::StatusCode::IM_A_TEAPOT), 1),
        (Fault::None, Ok(http::StatusCode::OK), 2),
    ];
    for (fault, expected, sent) in cases {
        *recorder.fault.lock().unwrap() = fault;
        assert_eq!(send(&layer, &inner, request(Method::POST, "/")).await, expected);
        assert_eq!(inner.sent.load(Ordering::Relaxed), sent);
    }
}

#[tokio::test]
async fn kubernetes_calls_are_described_by_verb_and_path() {
    let recorder = Arc::new(Recorder::default());
    let layer = layer(Api::Kubernetes).hook(recorder.clone());
    let calls = [
        ("/apis/slipway.dev/v1alpha1/namespaces/n/tasks/t/status", "patch_status", "tasks"),
        ("/api/v1/namespaces/n/secrets/s", "get", "secrets"),
        ("/apis/slipway.dev/v1alpha1/tasks?limit=500", "list", "tasks"),
        ("/apis/slipway.dev/v1alpha1/tasks?watch=true&resourceVersion=1", "watch", "tasks"),
        ("/api/v1/namespaces/n", "get", "namespaces"),
        ("/apis/events.k8s.io/v1/namespaces/n/events", "create", "events"),
        ("/apis/apps/v1/namespaces/n/deployments/d", "get", "other"),
    ];
    for (uri, verb, _) in calls {
        send(&layer, &Inner::default(), kube(Method::GET, uri, verb)).await.unwrap();
    }
    let seen = recorder.seen.lock().unwrap();
    for ((uri, verb, resource), call) in calls.iter().zip(&*seen) {
        assert_eq!((call.operation, call.resource), (*verb, *resource), "{uri}");
        let expected = if *verb == "watch" { None } else { Some(Duration::from_secs(10)) };
        assert_eq!(call.deadline, expected, "{uri}");
        assert!(!call.path.contains('?'));
    }
    assert!(seen.windows(2).all(|pair| pair[0].ordinal < pair[1].ordinal));
}

#[tokio::test]
async fn the_object_is_known_although_the_client_calls_from_a_worker_of_its_own() {
    let recorder = Arc::new(Recorder::default());
    let service: CallService<Inner> = layer(Api::Kubernetes).hook(recorder.clone()).layer(Inner::default());
    // As kube and octocrab do it: a buffer, whose worker runs `call`.
    let buffered = tower::buffer::Buffer::<Request<()>, _>::new(service, 8);
    let object = ObjectLabel { kind: "Task", namespace: "n".to_owned(), name: "t".to_owned() };
    let sending = buffered.oneshot(request(Method::GET, "/"));
    in_pass(pass(object.clone()), sending).await.unwrap();
    assert_eq!(recorder.seen.lock().unwrap()[0].object, Some(object));
}

#[tokio::test]
async fn calls_are_counted_by_what_they_came_to() {
    let metrics = Metrics::new();
    let recorder = Arc::new(Recorder::default());
    let layer = CallLayer::new(Api::Github, metrics.clone()).hook(recorder.clone());
    for fault in [Fault::None, Fault::CutAfter, Fault::None] {
        *recorder.fault.lock().unwrap() = fault;
        let mut request = request(Method::POST, "/");
        request.extensions_mut().insert(meta(true));
        let _ = send(&layer, &Inner::default(), request).await;
    }
    let text = metrics.encode().unwrap();
    let line = |status: &str, count: u64| {
        format!(
            r#"slipway_external_calls_total{{api="github",operation="createThing",resource="",status="{status}"}} {count}"#
        )
    };
    assert!(text.contains(&line("2xx", 2)) && text.contains(&line("error", 1)), "{text}");
    assert!(
        text.contains(
            r#"slipway_external_call_duration_seconds_count{api="github",operation="createThing"} 3"#
        ),
        "{text}"
    );
}

#[tokio::test]
async fn an_injected_answer_reaches_the_adapter_as_a_body() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let recorder = Arc::new(Recorder::default());
    *recorder.fault.lock().unwrap() =
        Fault::Answer { status: http::StatusCode::BAD_GATEWAY, body: Bytes::from_static(b"busy") };
    let service: HttpService = http_service(reqwest::Client::new(), &layer(Api::E2b).hook(recorder));
    let request = Request::builder().uri("http://127.0.0.1:9/").body(reqwest::Body::from("")).unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 502);
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(&body[..], b"busy");
}
