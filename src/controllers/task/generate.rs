//! Generation, the part that touches the sandbox: start the command once, look at it, signal it.
//! Called by the Task controller, which decides what a look means; talks to `e2b::Envd` only.

use crate::e2b::{Envd, Result, Signal};
use secrecy::SecretString;

/// One attempt to generate.
#[derive(Debug, Clone)]
pub struct GenerationSpec {
    /// `<task uid>-<round>-<attempt>`: the tag of the process and the name of its directory.
    pub id: String,
    /// An argument vector; `command[0]` is looked up in the sandbox's `PATH`.
    pub command: Vec<String>,
    /// Absolute; created if missing.
    pub working_dir: String,
    /// `SLIPWAY_*` and what `generate.env` says.
    pub env: Vec<(String, SecretString)>,
}

/// What one look at a generation saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// No directory of this id, and one could be made: not started, or a start that never arrived. Starting (again)
    /// is safe: only one start gets the directory.
    NotStarted,
    /// No directory of this id, and none can be made; mkdir's own words.
    DirectoryFailed {
        message: String,
    },
    Running {
        pid: u32,
    },
    /// No live process and no exit code. Lost only if a second look, 10 s later, says the same.
    PidDead {
        tail: String,
    },
    /// `tail`: the last 20 lines (≤ 1 KiB) of stdout and stderr, secrets masked.
    Exited {
        code: i32,
        tail: String,
    },
}

/// Whether a signal reached the process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    Sent,
    /// No directory, or its process lives no more.
    NotRunning,
}

/// Starts the command in a session of its own. Doing it twice starts it once. Success says that the sandbox took
/// the start; what became of it a [`look`] tells.
pub async fn start(envd: &Envd, spec: &GenerationSpec) -> Result<()> {
    let _ = (envd, spec);
    todo!()
}

/// One call, whatever the state. `secrets` are the values to mask in the tail.
pub async fn look(envd: &Envd, id: &str, secrets: &[SecretString]) -> Result<Look> {
    let _ = (envd, id, secrets);
    todo!()
}

/// Signals the whole process group of the generation.
pub async fn signal(envd: &Envd, id: &str, signal: Signal) -> Result<Signalled> {
    let _ = (envd, id, signal);
    todo!()
}
