//! What fuzzers feed: a payload, and a whole request through the HTTP loop to its answer. Never part of the product.
//! Called by the targets in `fuzz/`, and by its own tests with the inputs that are kept there.

use super::{
    admission::Name,
    connections::Connections,
    payload::{Action, Glimpse, Payload},
    receiver::{MANAGER, Receiver, Settings},
    routes::routes,
    server::connection,
};
use crate::{cluster::Events, domain::signature::Signature, telemetry::Metrics};
use futures::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use kube::{Client, client::Body, runtime::watcher::Event};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    runtime::{Builder, Runtime},
};

const SECRET: &str = "the secret of the receiver that is fuzzed";
/// The longest request.
const MOST: usize = 256 << 10;

/// A body that somebody has signed: read in every way, and each way finds the same.
pub fn payload(body: &[u8]) {
    let (glimpse, whole) = (Glimpse::of(body, true), Payload::parse(body));
    if let (Some(short), Ok(payload)) = (Glimpse::of(body, false), &whole) {
        assert_eq!(Some(short.action), payload.action.as_deref());
    }
    if let Ok(payload) = &whole {
        for name in ["opened", "closed", "reopened", "ready_for_review", "converted_to_draft", "synchronize"]
        {
            let action = Action::parse(name).expect("one of ours");
            let observed = payload.observed(action);
            assert!(observed.is_none_or(|observed| observed.number > 0));
        }
    }
    if let (Some(glimpse), Ok(payload)) = (glimpse, &whole) {
        assert_eq!(Some(glimpse.action), payload.action.as_deref());
        let observed = payload.observed(Action::Closed).expect("it has a number and an action");
        assert_eq!(Some(glimpse.branch), observed.branch.as_deref());
    }
    if let Err(complaint) = whole {
        assert!(complaint.len() <= 300, "{complaint}");
    }
}

/// The value of the header of the signature.
pub fn signature(header: &[u8]) {
    if let Some(signature) = Signature::parse(header) {
        let digits = header.to_ascii_lowercase();
        assert_eq!(signature.to_string().as_bytes(), digits);
        assert!(!signature.verifies(header, SECRET.as_bytes()), "nobody can know this one");
    }
}

/// A receiver without a cluster, which knows one Repository and one Task.
pub struct Fuzzed {
    runtime: Runtime,
    receiver: Receiver,
}

impl Default for Fuzzed {
    fn default() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let receiver = runtime.block_on(receiver());
        Self { runtime, receiver }
    }
}

impl Fuzzed {
    /// One connection. The first byte of `input` says what is sent: all the rest as it is, or a delivery with the headers that
    /// the rest has up to its first zero byte and the body that it has after it.
    pub fn request(&self, input: &[u8]) {
        let Some((how, rest)) = input.split_first() else { return };
        let (request, signed) = if how & 1 == 0 { (rest.to_vec(), false) } else { delivery(*how, rest) };
        let answers =
            self.runtime.block_on(exchange(&self.receiver, request.get(..MOST).unwrap_or(&request)));
        let text = String::from_utf8_lossy(&answers);
        assert!(text.is_empty() || text.starts_with("HTTP/1."), "{text}");
        for answer in text.split("HTTP/1.").skip(1) {
            let status = answer.get(2..5).unwrap_or_default();
            assert!(!status.starts_with('5') || status == "503", "{text}");
            // Only who signs is told more than that.
            assert!(
                signed || !answer.contains("\"status\":\"moved\"") && !answer.contains("ignored"),
                "{text}"
            );
        }
    }
}

/// A delivery of the parts in `rest`; whether it is signed.
fn delivery(how: u8, rest: &[u8]) -> (Vec<u8>, bool) {
    let (headers, body) = rest.iter().position(|byte| *byte == 0).map_or((&[][..], rest), |at| {
        let (headers, body) = rest.split_at(at);
        (headers, &body[1..])
    });
    let (signed, named) = (how & 2 == 0, how & 4 == 0);
    let secret = if signed { SECRET } else { "another secret of somebody else" };
    let signature = Signature::of(body, secret.as_bytes());
    let mut request = b"POST /api/webhooks/github HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".to_vec();
    request.extend_from_slice(format!("X-Hub-Signature-256: {signature}\r\n").as_bytes());
    if named {
        request.extend_from_slice(b"Content-Type: application/json\r\nX-GitHub-Event: pull_request\r\n");
        request.extend_from_slice(b"X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958\r\n");
    }
    request.extend_from_slice(headers);
    request.extend_from_slice(format!("\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    // Headers of its own may end the request early, so that another body is signed.
    (request, signed)
}

/// Sends `request`, ends the sending side, and reads what comes back.
async fn exchange(receiver: &Receiver, request: &[u8]) -> Vec<u8> {
    let (mut client, server) = duplex(64 << 10);
    let place = Arc::new(Connections::default()).take().await;
    let serving = connection(server, place.clone(), routes(receiver.clone(), place));
    let asking = async move {
        let (mut reading, mut writing) = tokio::io::split(&mut client);
        let sending = async {
            // Refused in the middle is fine.
            let _ = writing.write_all(request).await;
            let _ = writing.shutdown().await;
        };
        let mut answers = Vec::new();
        let ((), _) = tokio::join!(sending, reading.read_to_end(&mut answers));
        answers
    };
    let (_, answers) = tokio::join!(serving, asking);
    answers
}

async fn receiver() -> Receiver {
    // An API server that takes every write and knows nothing else.
    let service = tower::service_fn(|request: Request<Body>| async move {
        let (status, body) = match *request.method() {
            Method::PATCH | Method::POST => (200, json!({"metadata": {"name": "t", "resourceVersion": "2"}})),
            _ => (404, json!({"kind": "Status", "code": 404, "message": "m"})),
        };
        let answer = Response::builder().status(status).body(Full::new(bytes::Bytes::from(body.to_string())));
        Ok::<_, tower::BoxError>(answer.expect("a status and a body"))
    });
    let client = Client::new(service, "n");
    let settings = Settings {
        namespace: None,
        webhook_secret: Some(SECRET.into()),
        github_host: "github.com".to_owned(),
        max_body_bytes: MOST,
    };
    let events = Events::new(client.clone(), MANAGER, "fuzz");
    let receiver = Receiver::new(client, settings, events, Metrics::new());
    let metadata = |name: &str| json!({"namespace": "n", "name": name, "uid": "u", "resourceVersion": "1"});
    // The repository and the pull request of the payloads in `tests/payloads`.
    let repository = json!({
        "metadata": metadata("r"), "spec": {"owner": "Codertocat", "name": "Hello-World"},
        "status": {"repositoryID": 186_853_002, "ownerID": 21_031_067},
    });
    let task = json!({
        "metadata": metadata("t"), "spec": {"repositoryRef": {"name": "r"}},
        "status": {"repositoryID": 186_853_002, "pullRequest": {"number": 2, "state": "open"}, "branch": "changes"},
    });
    let projection = &receiver.0.projection;
    projection.repositories.read(listed(repository)).await;
    projection.tasks.read(listed(task)).await;
    receiver
}

/// A list of one object.
fn listed<K: serde::de::DeserializeOwned>(
    object: Value,
) -> impl stream::Stream<Item = crate::cluster::watch::Watched<K>> {
    let object = serde_json::from_value(object).expect("an object");
    stream::iter([Ok(Event::Init), Ok(Event::InitApply(object)), Ok(Event::InitDone)])
}

/// The headers that name a delivery: whatever they are, what gets into a log is short and plain.
pub fn headers(names_and_values: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in names_and_values.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(at);
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(&value[1..]))
        {
            headers.append(name, value);
        }
    }
    let name = Name::of(&headers);
    for text in [name.event, name.delivery].into_iter().flatten() {
        assert!(!text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// Every input that is kept for a target, and its name.
    fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files = fs::read_dir(&directory).expect("the corpus is part of the repository");
        let files: Vec<_> = files
            .map(|file| file.expect("readable").path())
            .map(|path| (path.display().to_string(), fs::read(&path).expect("readable")))
            .collect();
        assert!(files.len() >= 20, "{}: {} inputs", directory.display(), files.len());
        files
    }

    #[test]
    fn githubs_own_payloads() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/payloads");
        let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("readable").path());
        let payloads: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
        assert!(payloads.len() >= 7, "{payloads:?}");
        for path in payloads {
            let body = fs::read(&path).expect("readable");
            payload(&body);
            let seen = Glimpse::of(&body, true).expect("all that tells whose it is comes first");
            assert_eq!((seen.number, seen.branch), (2, "changes"), "{}", path.display());
        }
    }

    #[test]
    fn kept_payloads() {
        for (name, input) in kept("payload") {
            println!("{name}");
            payload(&input);
        }
    }

    #[test]
    fn kept_headers() {
        for (name, input) in kept("headers") {
            println!("{name}");
            headers(&input);
            signature(&input);
        }
    }

    #[test]
    fn kept_requests() {
        let fuzzed = Fuzzed::default();
        for (name, input) in kept("request") {
            println!("{name}");
            fuzzed.request(&input);
        }
    }
}
