//! Whether GitHub and the checks let a pull request be merged, and what the merge waits for otherwise.
//! Used by `model` and `merge`; the controller reads the checks where they are asked for.

/// A merge that a Task asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeWanted {
    /// `pullRequest.merge.requireChecks`.
    pub require_checks: bool,
    /// `checks` of the Repository.
    pub checks_expected: bool,
}

/// Checks of a commit: check runs and commit statuses, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// Number of those that have succeeded, were skipped or are neutral.
    pub passed: usize,
    pub running: Vec<String>,
    pub failed: Vec<String>,
}

/// Whether a pull request can be merged, with what stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mergeability {
    Yes,
    /// It changes soon without anybody.
    Undecided(Option<String>),
    No(String),
}

/// Number of checks that a message names.
const NAMED: usize = 5;

/// Returns whether checks may still decide on a merge that GitHub speaks of as `state`.
pub(super) fn asks_for_checks(state: Option<&str>, wanted: MergeWanted) -> bool {
    wanted.require_checks && matches!(state, Some("clean" | "has_hooks" | "unstable"))
}

/// Decides by GitHub's `mergeable_state` (<https://docs.github.com/en/graphql/reference/enums#mergestatestatus>), then by the
/// checks.
pub(super) fn mergeability(
    state: Option<&str>,
    checks: Option<&Checks>,
    wanted: MergeWanted,
) -> Mergeability {
    let says = |state: &str, cure: &str| {
        Mergeability::No(format!("merged as soon as GitHub allows it; now it says {state}{cure}"))
    };
    match state {
        None | Some("unknown") => Mergeability::Undecided(None),
        // Where the server runs pre-receive hooks it never says `clean`.
        Some("clean" | "has_hooks") => by_checks(checks, wanted).unwrap_or(Mergeability::Yes),
        Some("unstable") if !wanted.require_checks => Mergeability::Yes,
        Some(state @ "unstable") => {
            by_checks(checks, wanted).unwrap_or_else(|| says(state, ": a check fails or still runs"))
        }
        Some(state @ "dirty") => says(state, ": resolve the conflicts with the base branch"),
        Some(state @ "behind") => says(state, ": update the branch from the base branch"),
        Some(state @ "blocked") => {
            says(state, ": a review or a check that the base branch asks for is missing")
        }
        Some(state) => says(state, ""),
    }
}

/// What the merge waits for by the checks, where it waits for one.
fn by_checks(checks: Option<&Checks>, wanted: MergeWanted) -> Option<Mergeability> {
    if !wanted.require_checks {
        return None;
    }
    let Some(checks) = checks else { return Some(Mergeability::Undecided(None)) };
    let Checks { passed, running, failed } = checks;
    if !failed.is_empty() {
        let message = format!(
            "merged once all checks have succeeded; failed: {} (pullRequest.merge.requireChecks)",
            names(failed)
        );
        return Some(Mergeability::No(message));
    }
    if !running.is_empty() {
        let message = format!("merged once all checks have succeeded; still running: {}", names(running));
        return Some(Mergeability::Undecided(Some(message)));
    }
    (*passed == 0 && wanted.checks_expected).then(|| {
        let message = "merged once its checks have succeeded, but the commit has none: where there are none, set \
             checks: None on the Repository, or pullRequest.merge.requireChecks: false on the Task";
        Mergeability::Undecided(Some(message.to_owned()))
    })
}

fn names(all: &[String]) -> String {
    let more = if all.len() > NAMED { format!(" and {} more", all.len() - NAMED) } else { String::new() };
    format!("{}{more}", all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
}
