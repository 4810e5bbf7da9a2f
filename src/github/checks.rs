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
    name: String,
    status: String,
    conclusion: Option<String>,
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
    /// All checks of a commit, the newest of each name.
    pub async fn get_checks(&self, repository: &RepositoryName, sha: &str) -> Result<Vec<Check>, Error> {
        let path = |list: &str| format!("/repos/{repository}/commits/{sha}/{list}");
        let needs = Made::Commit(sha.to_owned());
        let call = |operation, list| Call::get(operation, path(list)).about(repository).needs(needs.clone());
        let mut checks = self
            .pages(call(Operation::ListCheckRuns, "check-runs"), |page: RunsAnswer| page.check_runs)
            .await?;
        let statuses =
            self.pages(call(Operation::CombinedStatus, "status"), |page: StatusesAnswer| page.statuses);
        checks.extend(statuses.await?);
        Ok(checks)
    }

    async fn pages<T: DeserializeOwned, C: Into<Check>>(
        &self,
        first: Call<'_>,
        read: impl Fn(T) -> Vec<C>,
    ) -> Result<Vec<Check>, Error> {
        let operation = first.operation;
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("{}?per_page={PAGE}&page={page}", first.path);
            let success = match self.send(Call { path, ..first.clone() }).await? {
                Reply::Success(success) => success,
                Reply::State(other) => return Err(other.unexpected(operation)),
            };
            all.extend(read(success.json(operation)?).into_iter().map(Into::into));
            if success.next_page.is_none() {
                break;
            }
        }
        Ok(all)
    }
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

    #[test]
    fn every_end_of_a_check_passes_or_fails_and_what_has_not_ended_runs() {
        let state = |status: &str, conclusion: Option<&str>| {
            let (name, status) = ("a".to_owned(), status.to_owned());
            Check::from(RunAnswer { name, status, conclusion: conclusion.map(str::to_owned) }).state
        };
        for (end, expected) in ENDS {
            assert_eq!(state("completed", Some(end)), expected, "{end}");
        }
        assert_eq!(state("completed", None), CheckState::Failed);
        for status in ["queued", "in_progress", "waiting", "requested", "pending"] {
            assert_eq!(state(status, None), CheckState::Running, "{status}");
        }
    }
}
