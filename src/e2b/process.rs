//! Processes in a sandbox: a command, its events as a Connect stream, its end.
//! Built by `e2b::envd` on the frames of `e2b::connect`.

use super::Result;
use super::connect::Frames;
use bytes::Bytes;
use secrecy::SecretString;
use std::time::Duration;

/// A command to run: an argument vector, never a shell line.
#[derive(Debug, Clone)]
pub struct Command {
    /// Stable name for logs, metrics and errors.
    pub operation: &'static str,
    /// Whether it changes something that somebody would see.
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
}

/// How a command ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// What happens to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Started { pid: u32 },
    Stdout(Bytes),
    Stderr(Bytes),
    Ended { exit_code: Option<i32>, signal: Option<String> },
}

/// A process that runs, as a stream of events. Dropping it leaves the process alone.
pub struct Process {
    pub(super) frames: Frames,
}

impl Process {
    /// The next event; `None` after a proper end. A stream that stops before its end is an error: the outcome is
    /// unknown then.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let _ = &self.frames;
        todo!()
    }
}
