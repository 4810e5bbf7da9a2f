//! Writes the mark into a sandbox by its daemon, and reads the one before it and whether the newest command's directory is there.
//! Part of the Sandbox controller; `domain::sandbox::mark` says what a mark means.

use crate::{
    domain::sandbox::{BEHIND, Marked},
    e2b::{Access, Account, Command},
};
use std::time::Duration;

/// `$1`: the new mark, `$2`: the command, `$3`: the mark that is expected, `$4`: what stands between two.
///
/// Written by rename: a reader sees a whole mark. The directory is shared with the commands of Tasks, whoever makes it first.
/// What does not fit stays behind the new mark: the operator may die before it has recorded what it means.
const SCRIPT: &str = r#"base=/var/tmp/slipway; mkdir -p -m 1777 "$base"; before=$(head -c 200 "$base/sandbox" 2>/dev/null)
    case $before in "$3$4"*) before=$3 ;; esac
    printf '%s\n' "$before"
    [ -z "$2" ] || [ -d "$base/$2" ] || printf 'lacks %s' "$2"
    behind=; [ -z "$3" ] || [ "$before" = "$3" ] || behind=$4${before##*"$4"}
    printf '%s' "$1$behind" >"$base/sandbox.new" && mv "$base/sandbox.new" "$base/sandbox""#;

/// Longest time that a step waits for it: a daemon that gives no answer has no mark.
const DEADLINE: Duration = Duration::from_secs(10);

/// Longest answer that is read (bytes).
const MAX: usize = 512;

/// Writes `text`; none where the sandbox gave no answer. `expected`: what the file should say, where that is known. `run`: the
/// newest command that is known to have ended in it.
pub(super) async fn write(
    account: &Account,
    access: &Access,
    text: String,
    expected: Option<String>,
    run: Option<String>,
) -> Option<Marked> {
    let args = [text.clone(), run.unwrap_or_default(), expected.unwrap_or_default(), BEHIND.to_owned()];
    let mut command = Command::sh("markSandbox", SCRIPT, args);
    command.write = true;
    command.timeout = Some(DEADLINE);
    let envd = account.envd(access);
    let output = match tokio::time::timeout(DEADLINE, envd.run(command, MAX)).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            tracing::debug!(sandbox = access.sandbox_id, %error, "the sandbox could not be marked");
            return None;
        }
        Err(_) => return None,
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let (before, run) = said.split_once('\n')?;
    // What a full disk does not take is not written, and what stands there tells all the same.
    let written = if output.exit_code == Some(0) { &text } else { before };
    let (before, written) = (before.to_owned(), written.to_owned());
    Some(Marked { before, written, lacks_run: run.starts_with("lacks ") })
}
