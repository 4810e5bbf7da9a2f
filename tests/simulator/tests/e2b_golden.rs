//! Replays what was recorded with a real envd 0.6.13, and with the official SDKs, against the stand-in.
//! Recordings: `golden/e2b/`. Status, the headers that matter and bodies are compared; pids, times and ids are masked.
//!
//! Left out, and why:
//! * `Accept-Encoding: gzip` on a download: the stand-in never compresses, as HTTP allows.
//! * `/metrics`: numbers of a machine; the stand-in has none.
//! * `/init`: control plane only, not reachable from outside.
//! * "nonroot start": an envd that is not run as E2B runs it.
//! * `POST …/snapshots`: not part of the stand-in.

mod e2b_support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use e2b_support::recording::{Exchange, curl, exchanges, objects};
use e2b_support::{Run, Sandbox, World, envelope, frames};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use slipway_simulator::Options;
use slipway_simulator::e2b::Template;

const RAW: &str = include_str!("../golden/e2b/envd-0.6.13-raw.txt");
const REATTACH: &str = include_str!("../golden/e2b/envd-0.6.13-sdk-and-reattach.txt");
const JS: &str = include_str!("../golden/e2b/js-e2b-2.51.0-requests.jsonl");
const PYTHON: &str = include_str!("../golden/e2b/py-e2b-2.63.0-requests.jsonl");

/// The headers that are compared where the recording has them.
const HEADERS: [&str; 9] = [
    "accept-post",
    "accept-ranges",
    "allow",
    "cache-control",
    "content-disposition",
    "content-range",
    "content-type",
    "vary",
    "x-content-type-options",
];

/// The files that were there when the recording was made. `/tmp/t` stands for `/sbx/t`: as long, but private here.
const FILES: &str = "umask 022; mkdir -p /tmp/t/d/sub && cd /tmp/t && echo hello >a.txt && printf x >d/sub/deep.bin && \
    ln -s ../a.txt d/link && ln -s d dirlink && ln -s /tmp/nowhere broken && mkfifo fifo && echo z >'sp ace é.txt'";

fn world() -> World {
    let mut options = Options::default();
    // The recorded envd ran with root as its default user.
    options.e2b.templates.push(Template { default_user: "root".to_owned(), ..Template::new("rooted") });
    World::new(options)
}

/// Sends what curl sent. `secured`: the recorded envd already had its token.
async fn replay(world: &World, sandbox: &Sandbox, title: &str, secured: bool) -> reqwest::Response {
    let curl = curl(title);
    let mut target = curl.target;
    if let Some((before, signed)) = target.split_once("signature=").map(|(a, b)| (a.to_owned(), b.to_owned()))
    {
        // Signed with the token of the recording, and until a time that is over.
        let root = before.contains("username=root");
        let user = if root { "root" } else { "" };
        let mut text = format!("/tmp/t/a.txt:read:{user}:{}", sandbox.token);
        let mut rest = String::new();
        if signed.contains("signature_expiration") {
            text.push_str(":4102444800");
            rest.push_str("&signature_expiration=4102444800");
        }
        let signature = format!("v1_{}", STANDARD_NO_PAD.encode(Sha256::digest(text)));
        let signature: String = signature.replace('+', "%2B").replace('/', "%2F");
        target = format!("{before}signature={signature}{rest}");
    }
    let mut request = world.gateway(&sandbox.id, curl.method, &target);
    if !secured {
        request = request.header("X-Access-Token", &sandbox.token);
    }
    for (name, value) in curl.headers {
        let value = if value == "tok123" { sandbox.token.clone() } else { value };
        request = request.header(name, value);
    }
    if curl.form {
        let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/tmp/t/up/mp.txt\"\r\n\
            Content-Type: text/plain\r\n\r\nhello\n\r\n--b--\r\n";
        request = request.header("Content-Type", "multipart/form-data; boundary=b").body(form);
    } else if let Some(body) = curl.body {
        request = request.body(body);
    }
    request.send().await.expect("an answer")
}

/// Replaces what differs between machines: times, and the sizes of directories.
fn mask(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            if let Some(time) = fields.get_mut("modifiedTime") {
                let text = time.as_str().expect("a time").to_owned();
                text.parse::<jiff::Timestamp>().expect("an RFC 3339 time");
                assert!(text.ends_with('Z'), "{text}");
                *time = json!("masked");
            }
            if fields.get("type") == Some(&json!("FILE_TYPE_DIRECTORY"))
                && !fields.contains_key("symlinkTarget")
            {
                fields.insert("size".to_owned(), json!("masked"));
            }
            fields.values_mut().for_each(|field| *field = mask(field.take()));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| *element = mask(element.take())),
        _ => {}
    }
    value
}

fn header_values(headers: &reqwest::header::HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().expect("a text").to_owned()).collect()
}

async fn compare(exchange: &Exchange, response: reqwest::Response) {
    let title = &exchange.title;
    assert_eq!(response.status().as_u16(), exchange.status, "{title}");
    for name in HEADERS {
        if let Some(expected) =
            exchange.headers.get(name).filter(|values| values.iter().any(|value| !value.is_empty()))
        {
            assert_eq!(&header_values(response.headers(), name), expected, "{title}: {name}");
        }
    }
    if let Some(length) = exchange.headers.get("content-length") {
        // Paths were shortened in the recording, times differ in length; all else is as long as it was.
        if !exchange.body.contains("/tmp/") && !exchange.body.contains("modifiedTime") {
            assert_eq!(
                &header_values(response.headers(), "content-length"),
                length,
                "{title}: content-length"
            );
        }
    }
    if let Some(modified) = header_values(response.headers(), "last-modified").first() {
        assert!(modified.ends_with(" GMT") && modified.len() == 29, "{title}: {modified}");
    }
    let body = response.text().await.expect("a body");
    match serde_json::from_str::<Value>(&exchange.body) {
        Ok(expected) => {
            let body = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{title}: not JSON: {body}"));
            assert_eq!(mask(body), mask(expected), "{title}");
        }
        Err(_) => assert_eq!(body.trim_end(), exchange.body.trim_end(), "{title}"),
    }
}

#[tokio::test]
async fn files_and_directories_are_answered_as_recorded() {
    let world = world();
    let sandbox = world.create(json!({"templateID": "rooted"})).await;
    world.sh(&sandbox, FILES).await;
    let exchanges = exchanges(RAW);
    let secured_from = exchanges.iter().position(|exchange| exchange.title.contains("tok123")).expect("init");
    let left_out = |title: &str| {
        title.contains("Accept-Encoding: gzip") || title.contains("/metrics") || title.contains("/init")
    };
    let mut compared = 0;
    for (at, exchange) in exchanges.iter().enumerate() {
        if !exchange.title.contains("http://127.0.0.1:49983") || left_out(&exchange.title) {
            continue;
        }
        let response = replay(&world, &sandbox, &exchange.title, at >= secured_from).await;
        compare(exchange, response).await;
        compared += 1;
    }
    // A parser that finds nothing would compare nothing.
    assert_eq!(compared, 27);
}

/// The requests behind the names of the recorded streams.
fn process(name: &str) -> Option<(Value, Vec<(&'static str, &'static str)>)> {
    let shell =
        |script: &str| json!({"process": {"cmd": "/bin/bash", "args": ["-c", script]}, "stdin": false});
    let none = Vec::new();
    Some(match name {
        "ok" => {
            let script = "echo out; sleep .05; echo err >&2; sleep .05; printf \"$FOO\"; pwd; whoami";
            let mut message = shell(script);
            message["process"]["envs"] = json!({"FOO": "bar"});
            message["process"]["cwd"] = json!("/tmp");
            (message, none)
        }
        "exit3" => (shell("exit 3"), none),
        "sigkill self" => (shell("kill -KILL $$"), none),
        "sigterm self" => (shell("kill -TERM $$"), none),
        "cmd not found via bash" => (shell("nosuchcmd"), none),
        "cmd not found direct" => (json!({"process": {"cmd": "/no/such/bin"}, "stdin": false}), none),
        "empty cmd" => (json!({"process": {}, "stdin": false}), none),
        "bad cwd" => {
            let mut message = shell("true");
            message["process"]["cwd"] = json!("/no/such");
            (message, none)
        }
        "timeout 500ms" => (shell("sleep 30"), vec![("Connect-Timeout-Ms", "500")]),
        "unknown user" => (shell("true"), vec![("Authorization", "Basic bm9zdWNoOg==")]),
        "as nobody" => (shell("true"), vec![("Authorization", "Basic bm9ib2R5Og==")]),
        "keepalive 1s" => (shell("sleep 5"), vec![("Keepalive-Ping-Interval", "2")]),
        "unary content type" => (shell("true"), vec![("Content-Type", "application/json")]),
        "no protocol header" => (shell("echo hi"), none),
        "big output" => (shell("seq 100000 | tail -n 1; sleep .05; seq 3"), none),
        "stdin default true cat" => (json!({"process": {"cmd": "cat"}}), vec![("Connect-Timeout-Ms", "700")]),
        "stdin false cat" => (json!({"process": {"cmd": "cat"}, "stdin": false}), none),
        _ => return None,
    })
}

#[tokio::test]
async fn processes_are_streamed_as_recorded() {
    let world = world();
    let sandbox = world.create(json!({"templateID": "rooted"})).await;
    let mut compared = 0;
    for exchange in exchanges(RAW).iter().filter(|exchange| !exchange.title.contains("http://")) {
        let name = exchange.title.split(" (").next().expect("a name");
        let (message, headers) = process(name).unwrap_or_else(|| panic!("no request for {name:?}"));
        let mut request =
            world.envd(&sandbox, Method::POST, "/process.Process/Start").body(envelope(&message));
        if !headers.iter().any(|(name, _)| *name == "Content-Type") {
            request = request.header("Content-Type", "application/connect+json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), exchange.status, "{name}");
        for header in ["content-type", "accept-post", "vary"] {
            if let Some(expected) = exchange.headers.get(header) {
                assert_eq!(&header_values(response.headers(), header), expected, "{name}: {header}");
            }
        }
        let body = response.bytes().await.expect("a body");
        let (mut run, mut expected) = (Run::of(&frames(&body)), Run::of(&exchange.frames));
        assert_eq!(run.pid != 0, expected.pid != 0, "{name}: start");
        (run.pid, expected.pid) = (0, 0);
        assert_eq!(run, expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 17);
}

#[tokio::test]
async fn a_lost_stream_is_picked_up_as_recorded() {
    let world = world();
    let sandbox = world.create(json!({"templateID": "rooted"})).await;
    let lines: Vec<&str> = REATTACH.lines().filter(|line| line.starts_with("{'tag': ")).collect();
    let [again, ended, nope] = lines[..] else { panic!("three reattachments were recorded") };
    let script = "echo a; until [ -e /tmp/go ]; do sleep .02; done; echo b; exit 4";
    let mut message = e2b_support::shell(script);
    message["tag"] = json!("job-1");
    let mut start = world.stream(&sandbox, "Start", &message).send().await.expect("an answer");
    let mut heard = Vec::new();
    while frames_so_far(&heard) < 2 {
        heard.extend(start.chunk().await.expect("a chunk").expect("more frames"));
    }
    let pid = Run::of(&frames(&heard)).pid;
    drop(start);
    let connect = |tag: &str| world.stream(&sandbox, "Connect", &json!({"process": {"tag": tag}})).send();
    let reattached = connect("job-1").await.expect("an answer");
    world.sh(&sandbox, "touch /tmp/go").await;
    let reattached = reattached.bytes().await.expect("a stream");
    let once_more = connect("job-1").await.expect("an answer").bytes().await.expect("a stream");
    let unknown = connect("nope").await.expect("an answer").bytes().await.expect("a stream");
    for (stream, recorded) in [(reattached, again), (once_more, ended), (unknown, nope)] {
        let text = recorded.replace("10269", &pid.to_string());
        let messages: Vec<Value> = frames(&stream).into_iter().map(|(_, message)| message).collect();
        assert_eq!(messages, objects(&text), "{recorded}");
    }
}

fn frames_so_far(mut stream: &[u8]) -> usize {
    let mut count = 0;
    while let [_, a, b, c, d, rest @ ..] = stream {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some(after) = rest.get(length..) else { break };
        stream = after;
        count += 1;
    }
    count
}

/// Sends what an official SDK sent, in order, and expects the statuses with which it went on.
async fn replay_sdk(recording: &str) {
    let world = world();
    let mut sandbox = Sandbox { id: String::new(), token: String::new() };
    let mut compared = 0;
    for line in recording.lines() {
        let entry: Value = serde_json::from_str(line).expect("a line of JSON");
        let request =
            entry["req"].as_str().expect("a request line").replace("i0fake0sandbox0id0001", &sandbox.id);
        let mut words = request.split(' ');
        let (method, target) = (words.next().expect("a method"), words.next().expect("a target"));
        if target.ends_with("/snapshots") {
            continue;
        }
        let method: Method = method.parse().expect("a method");
        let to_envd = !target.contains("sandboxes");
        let mut request = if to_envd {
            world.http.request(method, format!("{}{target}", world.simulator.e2b_sandbox_url()))
        } else {
            world.http.request(method, format!("{}{target}", world.simulator.e2b_api_url()))
        };
        for header in entry["headers"].as_array().expect("headers") {
            let (name, value) = (header[0].as_str().expect("a name"), header[1].as_str().expect("a value"));
            // The client's own connection decides on these.
            if !["host", "connection", "content-length", "transfer-encoding"].contains(&name) {
                let value = value
                    .replace("i0fake0sandbox0id0001", &sandbox.id)
                    .replace("fake-envd-token", &sandbox.token);
                request = request.header(name, value);
            }
        }
        request = match &entry["body"] {
            Value::String(body) => request.body(body.clone()),
            Value::Array(sent) => {
                let payload = sent[0]["payload"].as_str().expect("a payload");
                request.body(envelope(&serde_json::from_str(payload).expect("a message")))
            }
            other => panic!("an unknown body: {other}"),
        };
        let response = request.send().await.expect("an answer");
        // The recording's fake had a file that this sandbox gets here.
        let status = response.status().as_u16();
        assert_eq!(
            u64::from(status),
            entry["status"].as_u64().expect("a status"),
            "{} {target}",
            entry["req"]
        );
        if target == "/v2/sandboxes" {
            let created: Value = response.json().await.expect("a sandbox");
            sandbox.id = created["sandboxID"].as_str().expect("an id").to_owned();
            sandbox.token = created["envdAccessToken"].as_str().expect("a token").to_owned();
            world.sh(&sandbox, "echo hello >/home/user/a.txt").await;
        }
        compared += 1;
    }
    assert_eq!(compared, recording.lines().count() - 1, "all but the snapshot");
}

#[tokio::test]
async fn the_javascript_sdks_requests_get_their_statuses() {
    replay_sdk(JS).await;
}

#[tokio::test]
async fn the_python_sdks_requests_get_their_statuses() {
    replay_sdk(PYTHON).await;
}
