//! Generation, the part that touches the sandbox: start the command once, look at it, signal it.
//! Called by the Task controller, which decides what a look means; talks to `e2b::Envd` only.
//!
//! Everything that has to survive the operator lies in `/var/tmp/slipway/<id>` of the sandbox: `pid` (with the
//! process's start time), `stdout`, `stderr`, `prompt.md`, `exit`, `signalled` and `ended`. The scripts need a POSIX shell,
//! coreutils or busybox, and /proc.

use crate::domain::mask::last_lines;
use crate::domain::secrets::Needles;
use crate::domain::task::Look;
use crate::e2b::{Command, Envd, Result};
use secrecy::SecretString;
use std::time::Duration;

const START: &str = include_str!("generate/start.sh");
const RUN: &str = include_str!("generate/run.sh");
const LOOK: &str = concat!(include_str!("generate/look.sh"), include_str!("generate/report.sh"));
const SIGNAL: &str = concat!(include_str!("generate/look.sh"), include_str!("generate/signal.sh"));

/// Time limit of a look or a signal in the sandbox.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Both logs' ends and the verdict fit in this (bytes).
const MAX_OUTPUT: usize = 64 << 10;

/// Part of the output that people see: the last lines, and at most so many bytes of them.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 1024;

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

/// Where a run finds its prompt as a file.
pub fn prompt(id: &str) -> String {
    format!("/var/tmp/slipway/{id}/prompt.md")
}

/// Starts the command in a session of its own. Doing it twice starts it once. Success says that the sandbox took
/// the start; what became of it a [`look`] tells.
///
/// When the command has ended, what it left running is ended before the run counts as ended: its group, its session,
/// and what made a session of its own but still has `SLIPWAY_RUN` in its environment. Two kinds of processes stay: those
/// of another user (by sudo), and those that left the session and took the variable out of their environment.
pub async fn start(envd: &Envd, spec: &GenerationSpec) -> Result<()> {
    let mut args = vec![spec.id.clone(), RUN.to_owned(), spec.working_dir.clone()];
    args.extend(spec.command.iter().cloned());
    let mut command = Command::sh("startGeneration", START, args);
    command.write = true;
    command.envs.clone_from(&spec.env);
    command.tag = Some(spec.id.clone());
    envd.start(command).await.map(drop)
}

/// One call, whatever the state. `secrets` are the values to mask in what is shown of the output.
pub async fn look(envd: &Envd, id: &str, secrets: &Needles) -> Result<Look> {
    let command = script("lookAtGeneration", LOOK, id);
    let output = envd.run(command.clone(), MAX_OUTPUT).await?;
    parse_look(&String::from_utf8_lossy(&output.stdout), secrets)
        .ok_or_else(|| command.unexpected_output(&output))
}

/// Sends SIGTERM or SIGKILL to the whole process group of the generation; whether there was one.
pub async fn signal(envd: &Envd, id: &str, kill: bool) -> Result<bool> {
    let name = if kill { "KILL" } else { "TERM" };
    let mut command = script("signalGeneration", &format!("signal={name}\n{SIGNAL}"), id);
    command.write = true;
    let output = envd.run(command.clone(), MAX_OUTPUT).await?;
    match String::from_utf8_lossy(&output.stdout).lines().next() {
        Some("sent") => Ok(true),
        Some("not-running" | "not-started" | "failed") => Ok(false),
        _ => Err(command.unexpected_output(&output)),
    }
}

fn script(operation: &'static str, script: &str, id: &str) -> Command {
    let mut command = Command::sh(operation, script, [id.to_owned()]);
    command.timeout = Some(SCRIPT_TIMEOUT);
    command
}

fn parse_look(text: &str, secrets: &Needles) -> Option<Look> {
    let (verdict, rest) = text.split_once('\n')?;
    Some(match verdict.split_once(' ').unwrap_or((verdict, "")) {
        ("not-started", "") => Look::NotStarted,
        ("failed", "") => Look::DirectoryFailed(last_lines(&secrets.mask(rest), 1, TAIL_BYTES)),
        ("running", pid) if pid.parse::<u32>().is_ok() => Look::Running,
        ("dead", "") => Look::PidDead,
        ("exited", end) => {
            let code = end.strip_suffix(" signalled");
            let tail = last_lines(&secrets.mask(rest), TAIL_LINES, TAIL_BYTES);
            Look::Exited { code: code.unwrap_or(end).parse().ok()?, tail, signalled: code.is_some() }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secrets::SecretValue;

    fn needles(value: &str) -> Needles {
        Needles::new([SecretValue { secret: "keys".into(), key: "k".into(), value: value.into() }])
    }

    #[test]
    fn reads_every_verdict() {
        assert_eq!(parse_look("not-started\n", &Needles::default()), Some(Look::NotStarted));
        assert_eq!(parse_look("running 17\n", &Needles::default()), Some(Look::Running));
        assert_eq!(
            parse_look("failed\nmkdir: cannot create directory: Read-only file system", &Needles::default()),
            Some(Look::DirectoryFailed("mkdir: cannot create directory: Read-only file system".into()))
        );
        assert_eq!(
            parse_look("exited 3\nout\nkey=hunter2\n", &needles("hunter2")),
            Some(Look::Exited { code: 3, tail: "out\nkey=***".into(), signalled: false })
        );
        assert_eq!(
            parse_look("exited 0 signalled\n", &Needles::default()),
            Some(Look::Exited { code: 0, tail: String::new(), signalled: true })
        );
        for unreadable in ["", "exited x\n", "exited 0 x\n", "running\n", "else\n", "dead"] {
            assert_eq!(parse_look(unreadable, &Needles::default()), None, "{unreadable:?}");
        }
    }

    #[test]
    fn masks_before_it_cuts() {
        let long = format!("exited 1\n{}secret-value{}", "x".repeat(2000), "y".repeat(1022));
        let Some(Look::Exited { tail, .. }) = parse_look(&long, &needles("secret-value")) else {
            panic!("its end")
        };
        assert_eq!(tail, format!("**{}", "y".repeat(1022)), "a secret on the cut shows no part of itself");
    }
}
