//! What the tests of the E2B stand-in share: a simulator, a client of it, the frames of streams.
//! Speaks plain HTTP: the official SDKs check the same from their side (`tests/sdk/`).
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod recording;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use slipway_simulator::e2b::API_KEY;
use slipway_simulator::{Options, Simulator};

/// Long enough for a busy machine, short enough to be noticed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A simulator and a client for it.
pub struct World {
    pub simulator: Simulator,
    pub http: reqwest::Client,
}

/// A sandbox that was created.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub id: String,
    pub token: String,
}

impl World {
    pub fn new(options: Options) -> Self {
        let simulator = Simulator::start(options).expect("the simulator starts");
        let http = reqwest::Client::builder().timeout(DEADLINE).build().expect("a client");
        Self { simulator, http }
    }

    /// A request to the lifecycle API with the default team's key.
    pub fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.simulator.e2b_api_url());
        self.http.request(method, url).header("X-API-Key", API_KEY)
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.api(Method::POST, path).json(&body).send().await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.api(Method::GET, path).send().await.expect("an answer")).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        answer(self.api(Method::DELETE, path).send().await.expect("an answer")).await
    }

    /// Creates a sandbox; `body` without a template means `base`.
    pub async fn create(&self, mut body: Value) -> Sandbox {
        if body.get("templateID").is_none() {
            body["templateID"] = json!("base");
        }
        let (status, answer) = self.post("/v2/sandboxes", body).await;
        assert_eq!(status, 201, "{answer}");
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        Sandbox { id: text("sandboxID"), token: text("envdAccessToken") }
    }

    /// What the API says about a sandbox that exists.
    pub async fn detail(&self, sandbox: &Sandbox) -> Value {
        let (status, body) = self.get(&format!("/sandboxes/{}", sandbox.id)).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Seconds from now, by the simulated clock, to a sandbox's end.
    pub async fn life(&self, sandbox: &Sandbox) -> i64 {
        let detail = self.detail(sandbox).await;
        let end: jiff::Timestamp = detail["endAt"].as_str().expect("a time").parse().expect("a time");
        let left = end.duration_since(self.simulator.clock.now());
        left.round(jiff::Unit::Second).expect("a small number").as_secs()
    }

    /// A request to a sandbox's envd, with its token.
    pub fn envd(&self, sandbox: &Sandbox, method: Method, path: &str) -> RequestBuilder {
        self.gateway(&sandbox.id, method, path).header("X-Access-Token", &sandbox.token)
    }

    /// A request to a sandbox's envd, without a token.
    pub fn gateway(&self, id: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.simulator.e2b_sandbox_url());
        self.http.request(method, url).header("E2b-Sandbox-Id", id).header("E2b-Sandbox-Port", "49983")
    }

    /// A unary Connect call.
    pub async fn call(&self, sandbox: &Sandbox, procedure: &str, message: Value) -> (u16, Value) {
        let request = self.envd(sandbox, Method::POST, &format!("/{procedure}"));
        answer(request.json(&message).send().await.expect("an answer")).await
    }

    /// A streaming Connect call, not yet sent.
    pub fn stream(&self, sandbox: &Sandbox, procedure: &str, message: &Value) -> RequestBuilder {
        self.envd(sandbox, Method::POST, &format!("/process.Process/{procedure}"))
            .header("Content-Type", "application/connect+json")
            .body(envelope(message))
    }

    /// Runs a shell script to its end.
    pub async fn run(&self, sandbox: &Sandbox, script: &str) -> Run {
        let response = self.stream(sandbox, "Start", &shell(script)).send().await.expect("an answer");
        Run::of(&frames(&response.bytes().await.expect("a whole stream")))
    }

    /// Runs a shell script that must succeed, and gives its output.
    pub async fn sh(&self, sandbox: &Sandbox, script: &str) -> String {
        let run = self.run(sandbox, script).await;
        assert_eq!(run.end, json!({"exited": true, "status": "exit status 0"}), "{script}: {run:?}");
        run.stdout
    }
}

/// The message that starts a shell script.
pub fn shell(script: &str) -> Value {
    json!({"process": {"cmd": "/bin/bash", "args": ["-l", "-c", script]}, "stdin": false})
}

/// A request message in its envelope.
pub fn envelope(message: &Value) -> Vec<u8> {
    let payload = message.to_string();
    let mut envelope = vec![0];
    envelope.extend(u32::try_from(payload.len()).expect("a small message").to_be_bytes());
    envelope.extend(payload.bytes());
    envelope
}

/// The frames of a stream: flags and message.
pub fn frames(mut stream: &[u8]) -> Vec<(u8, Value)> {
    let mut frames = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = stream {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (payload, rest) = rest.split_at(length);
        frames.push((*flags, serde_json::from_slice(payload).expect("JSON in a frame")));
        stream = rest;
    }
    assert!(stream.is_empty(), "half a frame");
    frames
}

/// What a process did, from the frames of its stream.
#[derive(Debug, Default, PartialEq)]
pub struct Run {
    pub pid: u64,
    pub stdout: String,
    pub stderr: String,
    pub keepalives: usize,
    /// Null when the stream ended without it.
    pub end: Value,
    /// The message of the last frame, null when there was none.
    pub last: Value,
}

impl Run {
    pub fn of(frames: &[(u8, Value)]) -> Self {
        let mut run = Self::default();
        let decode = |data: &Value| {
            let bytes = STANDARD.decode(data.as_str().expect("base64")).expect("base64");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        for (flags, message) in frames {
            let event = &message["event"];
            if *flags == 2 {
                run.last = message.clone();
            } else if let Some(pid) = event["start"]["pid"].as_u64() {
                run.pid = pid;
            } else if !event["data"]["stdout"].is_null() {
                run.stdout.push_str(&decode(&event["data"]["stdout"]));
            } else if !event["data"]["stderr"].is_null() {
                run.stderr.push_str(&decode(&event["data"]["stderr"]));
            } else if event["keepalive"].is_object() {
                run.keepalives += 1;
            } else if event["end"].is_object() {
                run.end = event["end"].clone();
            } else {
                panic!("an unknown frame: {flags} {message}");
            }
        }
        run
    }
}

/// The target of a file request.
pub fn files(path: &str) -> String {
    let url = reqwest::Url::parse_with_params("http://host/files", [("path", path)]).expect("a URL");
    format!("/files?{}", url.query().expect("a query"))
}

/// Status and JSON body; null when the body is not JSON.
pub async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a whole body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Asks `condition` until it holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
