//! A simulator per test, a small client, a webhook receiver, and git.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::core::{Api, Body, Core, Endpoint, Server, full, whole};
use slipway_simulator::github::NewRepository;
use slipway_simulator::{Options, Simulator};

pub const TOKEN: &str = "slipway-bot-token";
pub const DEMO: &str = "acme/demo";

/// Long enough for a busy machine; no test waits for it to pass.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A simulator with the repository `acme/demo`.
pub fn simulator(options: Options) -> Simulator {
    let simulator = Simulator::start(options).expect("the simulator starts");
    let new = NewRepository { owner: "acme".into(), name: "demo".into(), ..NewRepository::default() };
    simulator.github.create_repository(&new).expect("acme/demo is created");
    simulator
}

pub fn client() -> reqwest::Client {
    // A connection of its own per call, so that a cut one never costs the next call anything.
    reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .no_proxy()
        .user_agent("test")
        .build()
        .expect("a client")
}

/// One API call; `Err` when there was no whole answer.
pub async fn call(
    simulator: &Simulator,
    method: Method,
    path: &str,
    body: Value,
) -> Result<(StatusCode, Value), reqwest::Error> {
    let url = format!("{}{path}", simulator.github_url());
    let request = client().request(method, url).bearer_auth(TOKEN).json(&body).send().await?;
    let status = request.status();
    let text = request.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// Pushes one file on a new branch and opens a pull request from it; returns its number.
pub fn open_pull(simulator: &Simulator, branch: &str) -> u64 {
    let file = format!("{}.txt", branch.replace('/', "-"));
    let files = [(file.as_str(), Some("content\n"))];
    simulator.github.push(DEMO, branch, &files, &format!("Add {file}")).expect("pushed");
    let body = json!({ "title": format!("Add {file}"), "head": branch, "base": "main" });
    let pull = simulator.github.act("reviewer", &Method::POST, &format!("/repos/{DEMO}/pulls"), body);
    pull.expect("opened")["number"].as_u64().expect("a number")
}

/// Runs git and returns what it printed; panics when git fails.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .expect("git runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a receiver got.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A webhook receiver that answers with a status of the test's choice, or never.
pub struct Receiver {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    /// `None`: never answers.
    status: Mutex<Option<u16>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let shared = Arc::new(Shared { received: Mutex::default(), status: Mutex::new(Some(200)) });
        let listen = ([127, 0, 0, 1], 0).into();
        let server = Server::start(&Core::default(), listen, Arc::clone(&shared)).await.expect("it listens");
        Self { server, shared }
    }

    pub fn url(&self) -> String {
        format!("{}/hook", self.server.url())
    }

    pub fn answer(&self, status: Option<u16>) {
        *self.shared.status.lock().expect("not poisoned") = status;
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("not poisoned").clone()
    }
}

impl Api for Shared {
    fn endpoint(&self, request: &Parts) -> Endpoint {
        Endpoint { api: "receiver", name: request.uri.path().to_owned() }
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = whole(request).await.into_parts();
        let body = String::from_utf8_lossy(&body).into_owned();
        self.received.lock().expect("not poisoned").push(Received { headers: parts.headers, body });
        let status = *self.status.lock().expect("not poisoned");
        let Some(status) = status else { return std::future::pending().await };
        Response::builder().status(status).body(full("answer")).expect("a response")
    }
}
