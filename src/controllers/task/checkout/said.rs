//! The checkout's script at work in the sandbox: its words as they come, each checked before it is believed.
//! Part of `checkout`, which acts on them; `e2b` runs it.

use crate::{
    domain::failure::Failure,
    e2b::{Command, Envd, Output, Process},
};
use jiff::Timestamp;

/// Bytes of the script's answer.
const MAX_OUTPUT: usize = 16 << 10;

/// What the script in the sandbox says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Ready,
    /// The pack is to be brought, piece by piece, beside this file of `.git`.
    Fetch(String),
    /// Another run is at work on the tree; since when, if it is one of ours.
    Busy {
        since: Option<Timestamp>,
    },
    GitMissing,
    Occupied(String),
    /// Files belong to somebody else than this user and group.
    Denied {
        owner: String,
        words: String,
    },
    Failed(String),
}

/// A run of the script.
pub(super) struct Run {
    process: Process,
    command: Command,
    output: Output,
    /// It has asked for the pack: what it says in the end is still to come.
    asked: bool,
}

impl Run {
    pub(super) async fn start(envd: &Envd, command: Command) -> Result<Self, Failure> {
        let process = envd.open(command.clone()).await?;
        Ok(Self { process, command, output: Output::default(), asked: false })
    }

    /// Waits for what it says next: what it is asked for, or how it ended. Nothing is lost where the wait is broken off.
    pub(super) async fn said(&mut self) -> Result<Said, Failure> {
        loop {
            if !self.asked
                && let Some((file, length)) = asked_for(&self.output.stdout)
            {
                self.asked = true;
                self.output.stdout.drain(..length);
                return Ok(Said::Fetch(file));
            }
            match self.process.next().await? {
                Some(event) => self.output.add(event, MAX_OUTPUT),
                None => return self.last_words(),
            }
        }
    }

    fn last_words(&self) -> Result<Said, Failure> {
        let text = String::from_utf8_lossy(&self.output.stdout);
        parse(&text).ok_or_else(|| self.command.unexpected_output(&self.output).into())
    }
}

/// The file that a pack is asked for with, and the length of the words.
fn asked_for(said: &[u8]) -> Option<(String, usize)> {
    let rest = said.strip_prefix(b"fetch\n")?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let file = std::str::from_utf8(&rest[..end]).ok()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let plain = file.starts_with("slipway-") && file.len() < 100 && file.chars().all(fits);
    plain.then(|| (file.to_owned(), said.len() - rest.len() + end + 1))
}

fn parse(text: &str) -> Option<Said> {
    let (verdict, rest) = text.split_once('\n')?;
    let words = rest.trim_end();
    Some(match verdict.split_once(' ').unwrap_or((verdict, "")) {
        ("ready", "") => Said::Ready,
        ("busy", run) => Said::Busy { since: begun(run) },
        ("missing", "") => Said::GitMissing,
        ("occupied", "") => Said::Occupied(words.lines().collect::<Vec<_>>().join(", ")),
        ("denied", owner) if is_owner(owner) => {
            Said::Denied { owner: owner.to_owned(), words: words.to_owned() }
        }
        ("failed", "") => Said::Failed(words.to_owned()),
        _ => return None,
    })
}

/// When a run began, by its name. Whatever runs in the sandbox can make one up.
fn begun(run: &str) -> Option<Timestamp> {
    let (nanosecond, _) = run.split_once('.')?;
    Timestamp::from_nanosecond(nanosecond.parse().ok()?).ok()
}

/// `user:group`, by numbers: it goes to a command of root's.
fn is_owner(owner: &str) -> bool {
    let number =
        |text: &str| !text.is_empty() && text.len() < 11 && text.bytes().all(|byte| byte.is_ascii_digit());
    owner.split_once(':').is_some_and(|(user, group)| number(user) && number(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_asked_for_in_whole_lines() {
        let whole = b"fetch\nslipway-17.3.pack\nready\n";
        let length = b"fetch\nslipway-17.3.pack\n".len();
        for cut in 0..whole.len() {
            let expected = (cut >= length).then(|| ("slipway-17.3.pack".to_owned(), length));
            assert_eq!(asked_for(&whole[..cut]), expected, "{cut}");
        }
        for odd in ["fetch\n../slipway-x\n", "fetch\nslipway-/x\n", "fetch\nconfig\n", "fetch x\nslipway-1\n"]
        {
            assert_eq!(asked_for(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(asked_for(format!("fetch\nslipway-{}\n", "1".repeat(100)).as_bytes()), None);
    }

    #[test]
    fn only_known_words_are_believed() {
        assert_eq!(parse("ready\n"), Some(Said::Ready));
        let since = Timestamp::from_second(1_800_000_000).ok();
        assert_eq!(parse("busy 1800000000000000000.7\n"), Some(Said::Busy { since }));
        for odd in ["busy", "busy old", "busy .1", "busy 9999999999999999999999999999.1"] {
            assert_eq!(parse(&format!("{odd}\n")), Some(Said::Busy { since: None }), "{odd}");
        }
        assert_eq!(parse("occupied\na\nb\n"), Some(Said::Occupied("a, b".to_owned())));
        let denied = Said::Denied { owner: "1000:1000".to_owned(), words: "no".to_owned() };
        assert_eq!(parse("denied 1000:1000\nno\n"), Some(denied));
        for odd in ["", "ready", "ready now\n", "denied root:root\nno\n", "denied 1\n", "fetch\nslipway-1\n"]
        {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
