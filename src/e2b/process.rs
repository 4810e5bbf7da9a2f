//! Processes in a sandbox: a command, its events as a Connect stream, its end.
//! Built by `e2b::envd` on the frames of `e2b::connect`.

use super::call::{Api, Call};
use super::connect::{Frames, envelope};
use super::http::{MAX_ERROR_BODY, Reply};
use super::wire::{ProcessData, ProcessEnd, ProcessMessage};
use super::{Envd, Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Interval at which envd speaks when the process is silent: well within the 30 s that a stream may be idle.
const KEEPALIVE_SECONDS: &str = "10";
/// Time that a command's stream may take beyond the command's own.
const GRACE: Duration = Duration::from_secs(15);

/// A command to run: an argument vector, never a shell line.
#[derive(Debug, Clone)]
pub struct Command {
    /// Stable name for logs, metrics and errors.
    pub operation: &'static str,
    /// True where it changes something that somebody would see.
    pub write: bool,
    pub cmd: String,
    pub args: Vec<String>,
    pub envs: Vec<(String, SecretString)>,
    /// Must exist.
    pub cwd: String,
    /// User name; `None`: the sandbox's default user.
    pub user: Option<&'static str>,
    pub tag: Option<String>,
    /// envd kills it then; `None`: never.
    pub timeout: Option<Duration>,
}

impl Command {
    /// A `/bin/sh` script; `args` are its `$1`, `$2`, …
    pub fn sh(operation: &'static str, script: &str, args: impl IntoIterator<Item = String>) -> Self {
        let words = ["-c".to_owned(), script.to_owned(), "slipway".to_owned()];
        Self {
            operation,
            write: false,
            cmd: "/bin/sh".to_owned(),
            args: words.into_iter().chain(args).collect(),
            envs: Vec::new(),
            cwd: "/".to_owned(),
            user: None,
            tag: None,
            timeout: None,
        }
    }

    /// The error of a command that ran but did not say what it had to: a shell or a tool is missing or broken.
    pub fn unexpected_output(&self, output: &Output) -> Error {
        let end = match (output.exit_code, &output.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        };
        let words = String::from_utf8_lossy(&output.stderr);
        self.call().failed(&format!("the sandbox's shell ended with {end}: {words}"))
    }

    fn call(&self) -> Call {
        Call { api: Api::Envd, operation: self.operation, write: self.write }
    }

    fn to_json(&self) -> Value {
        let envs: BTreeMap<_, _> = self.envs.iter().map(|(k, v)| (k, v.expose_secret())).collect();
        let process = json!({ "cmd": self.cmd, "args": self.args, "envs": envs, "cwd": self.cwd });
        // Without `stdin: false` it stays open, and whatever reads it waits for ever.
        let mut message = json!({ "process": process, "stdin": false });
        if let Some(tag) = &self.tag {
            message["tag"] = json!(tag);
        }
        message
    }
}

/// End of a command, and what it said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// `None`: it ended by a signal.
    pub exit_code: Option<i32>,
    /// The signal's name as Go prints it (`killed`, `terminated`).
    pub signal: Option<String>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Something was cut off at the bound.
    pub truncated: bool,
}

impl Output {
    /// Adds what an event says. `max` bounds what is kept of stdout and of stderr, each (bytes).
    pub fn add(&mut self, event: Event, max: usize) {
        match event {
            Event::Started { .. } => {}
            Event::Stdout(data) => self.truncated |= keep(&mut self.stdout, &data, max),
            Event::Stderr(data) => self.truncated |= keep(&mut self.stderr, &data, max),
            Event::Ended { exit_code, signal } => (self.exit_code, self.signal) = (exit_code, signal),
        }
    }
}

/// Event of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Started { pid: u32 },
    Stdout(Bytes),
    Stderr(Bytes),
    Ended { exit_code: Option<i32>, signal: Option<String> },
}

/// A process that runs, as a stream of events. Dropping it leaves the process alone.
pub struct Process {
    frames: Frames,
}

impl Process {
    /// The next event; `None` after a proper end. A stream that stops before its end is an error: the outcome is
    /// unknown then.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            let Some(message) = self.frames.next().await? else { return Ok(None) };
            let call = self.frames.call();
            let unreadable = |what: &str| call.lost(&format!("a message that can't be read ({what})"));
            let message: ProcessMessage<'_> =
                serde_json::from_slice(&message).map_err(|_| unreadable("no JSON of a process event"))?;
            let event = message.event;
            if let Some(start) = event.start {
                return Ok(Some(Event::Started { pid: start.pid }));
            }
            if let Some(end) = event.end {
                return Ok(Some(ended(&end)));
            }
            let decode =
                |text: &str| STANDARD.decode(text).map(Bytes::from).map_err(|_| unreadable("no base64"));
            match event.data {
                Some(ProcessData { stdout: Some(text), .. }) => {
                    return Ok(Some(Event::Stdout(decode(&text)?)));
                }
                Some(ProcessData { stderr: Some(text), .. }) => {
                    return Ok(Some(Event::Stderr(decode(&text)?)));
                }
                // A keep-alive, or a kind that came later than this code.
                _ => {}
            }
        }
    }
}

fn ended(end: &ProcessEnd) -> Event {
    if end.exited {
        return Event::Ended { exit_code: Some(end.exit_code), signal: None };
    }
    let signal = end.status.strip_prefix("signal: ").unwrap_or(&end.status);
    Event::Ended { exit_code: None, signal: Some(signal.to_owned()) }
}

impl Envd {
    /// Runs `command` to its end. `max_output` bounds what is kept of stdout and of stderr, each (bytes).
    pub async fn run(&self, command: Command, max_output: usize) -> Result<Output> {
        let call = command.call();
        let limit = command.timeout.map_or(Duration::MAX, |timeout| timeout + GRACE);
        let run = async {
            let mut process = self.open(command).await?;
            let mut output = Output::default();
            let mut end = false;
            while let Some(event) = process.next().await? {
                end |= matches!(event, Event::Ended { .. });
                output.add(event, max_output);
            }
            if end { Ok(output) } else { Err(call.lost("the stream ended without the process's end")) }
        };
        match tokio::time::timeout(limit, run).await {
            Ok(result) => result,
            Err(_) => Err(call.lost("the command outlived its time")),
        }
    }

    /// Starts `command`, waits for its pid and lets go of the stream: the process goes on.
    pub async fn start(&self, command: Command) -> Result<u32> {
        let call = command.call();
        match self.open(command).await?.next().await? {
            Some(Event::Started { pid }) => Ok(pid),
            _ => Err(call.lost("the stream did not begin with the process's start")),
        }
    }

    /// Starts `command` and hands out its events as they come.
    pub async fn open(&self, command: Command) -> Result<Process> {
        let call = command.call();
        let url = self.url(call, &["process.Process", "Start"])?;
        let mut request = self
            .request(Method::POST, &url)
            .header(http::header::CONTENT_TYPE, "application/connect+json")
            .header("connect-protocol-version", "1")
            .header("keepalive-ping-interval", KEEPALIVE_SECONDS);
        if let Some(user) = command.user.or_else(|| self.access.default_user()) {
            let basic = STANDARD.encode(format!("{user}:"));
            request = request.header(http::header::AUTHORIZATION, format!("Basic {basic}"));
        }
        if let Some(timeout) = command.timeout {
            request = request.header("connect-timeout-ms", timeout.as_millis().to_string());
        }
        let message = command.to_json().to_string();
        let body =
            envelope(message.as_bytes()).ok_or_else(|| call.invalid("the command is longer than 4 GiB"))?;
        let (status, headers, mut chunks) = call.send(&self.e2b, request, body).await?;
        if status == StatusCode::OK {
            return Ok(Process { frames: Frames::new(chunks) });
        }
        let body = chunks.read_all(MAX_ERROR_BODY).await?;
        Err(call.refused(&Reply { status, headers, body: body.into() }))
    }
}

/// Appends what fits below `max`; whether something did not.
fn keep(kept: &mut Vec<u8>, data: &[u8], max: usize) -> bool {
    let room = max.saturating_sub(kept.len()).min(data.len());
    kept.extend_from_slice(&data[..room]);
    room < data.len()
}
