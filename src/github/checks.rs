//! Checks of a commit: check runs (of Apps, such as Actions) and commit statuses (of everybody else).
//! Sources: GitHub REST API, "Check runs" and "Commit statuses".

use super::{
    Client, Error,
    call::{Call, Reply},
    name::RepositoryName,
    operation::Operation,
    recent::Made,
};
use serde::{Deserialize, de::DeserializeOwned};

/// A check of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub state: CheckState,
}

/// Where a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    Running,
    /// Succeeded, skipped or neutral.
    Passed,
    Failed,
}

#[derive(Deserialize)]
struct RunsAnswer {
    check_runs: Vec<RunAnswer>,
}

#[derive(Deserialize)]
struct RunAnswer {
    /// Grows with every run.
    id: u64,
    name: String,
    status: String,
    conclusion: Option<String>,
    #[serde(default)]
    app: Option<AppAnswer>,
}

#[derive(Deserialize, PartialEq)]
struct AppAnswer {
    id: u64,
}

#[derive(Deserialize)]
struct StatusesAnswer {
    statuses: Vec<StatusAnswer>,
}

#[derive(Deserialize)]
struct StatusAnswer {
    context: String,
    state: String,
}

/// Checks per page, as many as GitHub gives.
const PAGE: usize = 100;
/// A commit with more pages of checks than these is read no further.
const MAX_PAGES: u32 = 10;

impl Client {
    /// All checks of a commit, the newest of each App and name: of workflows that use a name twice, REST does not tell which
    /// it is of.
    pub async fn get_checks(&self, repository: &RepositoryName, sha: &str) -> Result<Vec<Check>, Error> {
        let path = |list: &str| format!("/repos/{repository}/commits/{sha}/{list}");
        let needs = Made::Commit(sha.to_owned());
        let call = |operation, list| Call::get(operation, path(list)).about(repository).needs(needs.clone());
        let runs = call(Operation::ListCheckRuns, "check-runs");
        let runs = self.pages(runs, |page: RunsAnswer| page.check_runs).await?;
        let statuses = call(Operation::CombinedStatus, "status");
        let statuses = self.pages(statuses, |page: StatusesAnswer| page.statuses).await?;
        let runs = newest_runs(runs).into_iter().map(Check::from);
        Ok(runs.chain(statuses.into_iter().map(Check::from)).collect())
    }

    async fn pages<T: DeserializeOwned, C>(
        &self,
        first: Call<'_>,
        read: impl Fn(T) -> Vec<C>,
    ) -> Result<Vec<C>, Error> {
        let operation = first.operation;
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("{}?per_page={PAGE}&page={page}", first.path);
            let success = match self.send(Call { path, ..first.clone() }).await? {
                Reply::Success(success) => success,
                Reply::State(other) => return Err(other.unexpected(operation)),
            };
            all.extend(read(success.json(operation)?));
            if success.next_page.is_none() {
                break;
            }
        }
        Ok(all)
    }
}

/// Without what was run again: of those that are the `same`, the one with the highest id, in the order in which they were listed.
pub(super) fn newest<T>(
    all: Vec<T>,
    same: impl Fn(&T, &T) -> bool,
    id: impl Fn(&T) -> Option<u64>,
) -> Vec<T> {
    let mut newest: Vec<T> = Vec::new();
    for one in all {
        match newest.iter_mut().find(|there| same(there, &one)) {
            Some(there) if id(there) < id(&one) => *there = one,
            Some(_) => {}
            None => newest.push(one),
        }
    }
    newest
}

/// GitHub leaves old ends out within a suite alone, and a workflow that an event starts again (a label, a reopened pull request)
/// has a new suite.
fn newest_runs(runs: Vec<RunAnswer>) -> Vec<RunAnswer> {
    newest(runs, |one, two| one.name == two.name && one.app == two.app, |run| Some(run.id))
}

impl From<RunAnswer> for Check {
    fn from(run: RunAnswer) -> Self {
        let state = match (run.status.as_str(), run.conclusion.as_deref()) {
            ("completed", Some("success" | "skipped" | "neutral")) => CheckState::Passed,
            ("completed", _) => CheckState::Failed,
            _ => CheckState::Running,
        };
        Self { name: run.name, state }
    }
}

impl From<StatusAnswer> for Check {
    fn from(status: StatusAnswer) -> Self {
        let state = match status.state.as_str() {
            "success" => CheckState::Passed,
            "pending" => CheckState::Running,
            _ => CheckState::Failed,
        };
        Self { name: status.context, state }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every end that GitHub has for a check run. An end of the next year is no success.
    pub(in crate::github) const ENDS: [(&str, CheckState); 10] = [
        ("success", CheckState::Passed),
        ("skipped", CheckState::Passed),
        ("neutral", CheckState::Passed),
        ("failure", CheckState::Failed),
        ("cancelled", CheckState::Failed),
        ("timed_out", CheckState::Failed),
        ("action_required", CheckState::Failed),
        ("stale", CheckState::Failed),
        ("startup_failure", CheckState::Failed),
        ("something_new", CheckState::Failed),
    ];

    fn run(id: u64, name: &str, app: u64, status: &str, conclusion: Option<&str>) -> RunAnswer {
        let (name, status, conclusion) = (name.to_owned(), status.to_owned(), conclusion.map(str::to_owned));
        RunAnswer { id, name, status, conclusion, app: Some(AppAnswer { id: app }) }
    }

    #[test]
    fn a_workflow_that_runs_again_counts_by_its_newest_run_in_whatever_order_they_are_listed() {
        let ended = |id, app, conclusion| run(id, "build", app, "completed", Some(conclusion));
        for turned in [false, true] {
            let mut runs = vec![
                ended(1, 1, "cancelled"),
                ended(3, 1, "success"),
                ended(2, 1, "failure"),
                ended(4, 2, "failure"),
            ];
            if turned {
                runs.reverse();
            }
            let mut left: Vec<_> = newest_runs(runs).into_iter().map(|run| run.id).collect();
            left.sort_unstable();
            assert_eq!(left, [3, 4], "the newest of each App");
        }
    }

    #[test]
    fn every_end_of_a_check_passes_or_fails_and_what_has_not_ended_runs() {
        let state =
            |status: &str, conclusion: Option<&str>| Check::from(run(1, "a", 1, status, conclusion)).state;
        for (end, expected) in ENDS {
            assert_eq!(state("completed", Some(end)), expected, "{end}");
        }
        assert_eq!(state("completed", None), CheckState::Failed);
        for status in ["queued", "in_progress", "waiting", "requested", "pending"] {
            assert_eq!(state(status, None), CheckState::Running, "{status}");
        }
    }
}
