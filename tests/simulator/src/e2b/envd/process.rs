//! `process.Process`: `Start`, `Connect`, `List`, `SendSignal`, `SendInput` and `CloseStdin`.
//! `processes` holds what runs; this is its API on the wire.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connect::{self, Code, Error};
use super::processes::{Config, End, Event, Process};
use super::{Envd, paths};
use crate::core::Body;
use crate::core::serve::BoxError;

/// How often a silent stream is kept alive when the client does not say (seconds).
const KEEPALIVE: u64 = 90;

#[derive(Deserialize, Default)]
#[serde(default)]
struct StartRequest {
    process: ProcessConfig,
    pty: Option<Value>,
    tag: Option<String>,
    stdin: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProcessConfig {
    cmd: String,
    args: Vec<String>,
    envs: HashMap<String, String>,
    cwd: Option<String>,
}

/// All requests that name a process.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Selected {
    process: Selector,
    signal: Option<Value>,
    input: Option<Input>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Selector {
    pid: Option<u32>,
    tag: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Input {
    stdin: Option<String>,
    pty: Option<String>,
}

/// Answers one procedure of the service; `None`: it has no such procedure.
pub async fn handle(envd: &Envd, procedure: &str, request: Request<Bytes>) -> Option<Response<Body>> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let refused = match procedure {
        "Start" | "Connect" => connect::refuse_stream(headers),
        "List" | "SendSignal" | "SendInput" | "CloseStdin" => connect::refuse_unary(headers),
        _ => return None,
    };
    if refused.is_some() {
        return refused;
    }
    Some(match procedure {
        "Start" => started(envd, headers, connect::stream_message(&body)).await,
        "Connect" => connected(envd, headers, connect::stream_message(&body)),
        _ => connect::unary(unary(envd, procedure, connect::unary_message(&body)).await),
    })
}

async fn unary(envd: &Envd, procedure: &str, message: Result<Selected, Error>) -> Result<Value, Error> {
    let message = message?;
    if procedure == "List" {
        return Ok(list(envd));
    }
    let process = select(envd, &message.process)?;
    match procedure {
        "SendSignal" => {
            let signal = match message.signal {
                Some(Value::String(name)) if name == "SIGNAL_SIGKILL" => "KILL",
                Some(Value::String(name)) if name == "SIGNAL_SIGTERM" => "TERM",
                Some(Value::Number(number)) if number.as_i64() == Some(9) => "KILL",
                Some(Value::Number(number)) if number.as_i64() == Some(15) => "TERM",
                _ => return Err(Error::new(Code::Unimplemented, "invalid signal: SIGNAL_UNSPECIFIED")),
            };
            let sent = envd.processes.signal(&process, signal).await;
            sent.map_err(|error| Error::new(Code::Internal, format!("error sending signal: {error}")))?;
        }
        "SendInput" => send_input(&process, message.input.unwrap_or_default()).await?,
        _ => process.close_stdin().await,
    }
    Ok(json!({}))
}

async fn send_input(process: &Process, input: Input) -> Result<(), Error> {
    let decode = |data: String| {
        STANDARD
            .decode(data)
            .map_err(|error| Error::new(Code::InvalidArgument, format!("unmarshal message: {error}")))
    };
    match input {
        Input { stdin: Some(data), .. } => process
            .write_stdin(&decode(data)?)
            .await
            .map_err(|error| Error::new(Code::Internal, format!("error writing to stdin: {error}"))),
        Input { pty: Some(_), .. } => {
            Err(Error::new(Code::Internal, "error writing to tty: tty not assigned to process"))
        }
        Input { .. } => Err(Error::new(Code::Unimplemented, "invalid input type <nil>")),
    }
}

fn list(envd: &Envd) -> Value {
    let processes: Vec<Value> = envd.processes.running().iter().map(|process| listed(process)).collect();
    // Defaults are omitted, also an empty list.
    if processes.is_empty() { json!({}) } else { json!({ "processes": processes }) }
}

fn listed(process: &Process) -> Value {
    let config = &process.config;
    let mut shown = serde_json::Map::new();
    if !config.cmd.is_empty() {
        shown.insert("cmd".to_owned(), json!(config.cmd));
    }
    if !config.args.is_empty() {
        shown.insert("args".to_owned(), json!(config.args));
    }
    if !config.envs.is_empty() {
        shown.insert("envs".to_owned(), json!(config.envs));
    }
    if let Some(cwd) = &config.cwd {
        shown.insert("cwd".to_owned(), json!(cwd));
    }
    let mut listed = json!({ "config": shown, "pid": process.pid });
    if let Some(tag) = &config.tag {
        listed["tag"] = json!(tag);
    }
    listed
}

fn select(envd: &Envd, selector: &Selector) -> Result<Arc<Process>, Error> {
    match selector {
        Selector { pid: Some(pid), .. } => envd
            .processes
            .by_pid(*pid)
            .ok_or_else(|| Error::new(Code::NotFound, format!("process with pid {pid} not found"))),
        Selector { tag: Some(tag), .. } => envd
            .processes
            .by_tag(tag)
            .ok_or_else(|| Error::new(Code::NotFound, format!("process with tag {tag} not found"))),
        Selector { .. } => {
            Err(Error::new(Code::Unimplemented, "invalid input type *process.ProcessSelector"))
        }
    }
}

async fn started(envd: &Envd, headers: &HeaderMap, message: Result<StartRequest, Error>) -> Response<Body> {
    match start(envd, headers, message).await {
        Ok((process, events, deadline)) => streamed(envd, headers, &process, events, deadline),
        Err(error) => connect::failed_stream(&error),
    }
}

type Started = (Arc<Process>, mpsc::Receiver<Event>, Option<Instant>);

async fn start(
    envd: &Envd,
    headers: &HeaderMap,
    message: Result<StartRequest, Error>,
) -> Result<Started, Error> {
    let user = envd.rpc_user(headers)?;
    let message = message?;
    if message.pty.is_some() {
        return Err(Error::new(Code::Unimplemented, "pty is not supported"));
    }
    let lifetime = lifetime(headers)?;
    let config = message.process;
    let directory = paths::expand(config.cwd.as_deref().unwrap_or(""), &user);
    let sandbox = &envd.sandbox;
    if sandbox.view.stat(&directory).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        let message = format!("cwd '{}' does not exist", directory.display());
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let command =
        std::iter::once(&config.cmd).chain(&config.args).map(String::as_str).collect::<Vec<_>>().join(" ");
    let config = Config {
        cmd: config.cmd,
        args: config.args,
        envs: config.envs,
        cwd: config.cwd,
        tag: message.tag,
        stdin: message.stdin != Some(false),
    };
    let deadline = lifetime.map(|lifetime| Instant::now() + lifetime);
    let started = envd.processes.start(config, &user, &lossy(&directory), &envd.environment, lifetime).await;
    let (process, events) = started.map_err(|error| {
        Error::new(Code::InvalidArgument, format!("error starting process '{command}': {error}"))
    })?;
    Ok((process, events, deadline))
}

fn connected(envd: &Envd, headers: &HeaderMap, message: Result<Selected, Error>) -> Response<Body> {
    let selected = message.and_then(|message| {
        // Here it bounds the stream only, not the process.
        let deadline = lifetime(headers)?.map(|lifetime| Instant::now() + lifetime);
        Ok((select(envd, &message.process)?, deadline))
    });
    match selected {
        Ok((process, deadline)) => {
            let events = process.listen();
            streamed(envd, headers, &process, events, deadline)
        }
        Err(error) => connect::failed_stream(&error),
    }
}

/// How long the process (Start) or the stream (Connect) may live.
fn lifetime(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get("connect-timeout-ms") else { return Ok(None) };
    let millis = value.to_str().ok().and_then(|value| value.parse::<u64>().ok());
    let millis = millis.ok_or_else(|| {
        Error::new(Code::InvalidArgument, format!("protocol error: invalid timeout {value:?}"))
    })?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}

fn streamed(
    envd: &Envd,
    headers: &HeaderMap,
    process: &Process,
    events: mpsc::Receiver<Event>,
    deadline: Option<Instant>,
) -> Response<Body> {
    let keepalive = headers.get("keepalive-ping-interval").and_then(|value| value.to_str().ok());
    let keepalive = keepalive.and_then(|value| value.parse().ok()).filter(|seconds| *seconds > 0);
    let (frames, body) = mpsc::channel(16);
    let stream = Stream {
        frames,
        deadline,
        keepalive: Duration::from_secs(keepalive.unwrap_or(KEEPALIVE)),
        disconnect: envd.disconnect.clone(),
    };
    tokio::spawn(stream.run(process.pid, events));
    let body = futures::stream::unfold(body, |mut body| async move { Some((body.recv().await?, body)) });
    connect::stream(StreamBody::new(body).boxed_unsync())
}

/// One answer under way. It ends with the process, its deadline, its client or its sandbox.
struct Stream {
    frames: mpsc::Sender<Result<Frame<Bytes>, BoxError>>,
    deadline: Option<Instant>,
    keepalive: Duration,
    disconnect: CancellationToken,
}

impl Stream {
    async fn run(self, pid: u32, mut events: mpsc::Receiver<Event>) {
        if !self.send(connect::frame(&json!({ "event": { "start": { "pid": pid } } }))).await {
            return;
        }
        let mut keepalive = interval_at(Instant::now() + self.keepalive, self.keepalive);
        keepalive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                biased;
                () = self.disconnect.cancelled() => {
                    // The machine is gone: no last frame, the connection just breaks.
                    let _ = self.frames.send(Err("the sandbox is gone".into())).await;
                    return;
                }
                () = self.frames.closed() => return,
                () = until(self.deadline) => {
                    let error = Error::new(Code::DeadlineExceeded, "context deadline exceeded");
                    self.send(connect::end(Some(&error))).await;
                    return;
                }
                event = events.recv() => event,
                _ = keepalive.tick() => {
                    self.send(connect::frame(&json!({ "event": { "keepalive": {} } }))).await;
                    continue;
                }
            };
            let (event, last) = match event {
                Some(Event::Stdout(data)) => (json!({ "data": { "stdout": STANDARD.encode(data) } }), false),
                Some(Event::Stderr(data)) => (json!({ "data": { "stderr": STANDARD.encode(data) } }), false),
                Some(Event::End(end)) => (json!({ "end": ended(&end) }), true),
                None => return,
            };
            keepalive.reset();
            if !self.send(connect::frame(&json!({ "event": event }))).await {
                return;
            }
            if last {
                self.send(connect::end(None)).await;
                return;
            }
        }
    }

    async fn send(&self, frame: Bytes) -> bool {
        self.frames.send(Ok(Frame::data(frame))).await.is_ok()
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Defaults are omitted: exit code 0, and `exited` after a signal. `error` is Go's, absent on success.
fn ended(end: &End) -> Value {
    let mut value = serde_json::Map::new();
    if end.exit_code != 0 {
        value.insert("exitCode".to_owned(), json!(end.exit_code));
    }
    if end.exited {
        value.insert("exited".to_owned(), json!(true));
    }
    value.insert("status".to_owned(), json!(end.status));
    if end.exit_code != 0 {
        value.insert("error".to_owned(), json!(end.status));
    }
    Value::Object(value)
}

fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
