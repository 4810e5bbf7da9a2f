//! The checks of a commit as GraphQL lists them: which are ends of one check, and how each stands.
//! Read by `graphql`, which tells what failed, and by `queue`, which tells what a merge still needs.
//!
//! Source: <https://docs.github.com/en/graphql/reference/objects#statuscheckrollup>.

use super::checks::{self, CheckState};
use serde::Deserialize;
use serde_json::Value;

/// Any of it may be null where GitHub leaves something out.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Connection {
    pub(super) nodes: Option<Vec<Value>>,
    pub(super) total_count: usize,
    pub(super) page_info: PageInfo,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    #[serde(default)]
    pub(super) end_cursor: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Rollup {
    /// The worst of all: `EXPECTED`, `PENDING`, `SUCCESS`, `FAILURE`, `ERROR`.
    #[serde(default)]
    pub(super) state: Option<String>,
    pub(super) contexts: Connection,
}

#[derive(Deserialize)]
#[serde(tag = "__typename")]
pub(super) enum Context {
    CheckRun(Run),
    StatusContext(Status),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    /// Grows with every run.
    pub(super) database_id: Option<u64>,
    pub(super) name: String,
    /// Absent while it runs.
    pub(super) conclusion: Option<String>,
    pub(super) title: Option<String>,
    pub(super) summary: Option<String>,
    #[serde(default)]
    pub(super) check_suite: Suite,
    pub(super) annotations: Option<Connection>,
    pub(super) is_required: Option<bool>,
}

/// Whose check it is: of which App, workflow and event. Two runs of one workflow on a commit have suites of their own.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Suite {
    database_id: Option<u64>,
    pub(super) app: Value,
    /// Only Actions has it; null too without the permission to read them.
    workflow_run: Value,
}

impl Suite {
    /// Whether a check of the same name may be the same check: where the workflow is hidden, the App has to do.
    pub(super) fn may_be_of(&self, other: &Self) -> bool {
        self.app == other.app && self.workflow_run == other.workflow_run
    }

    /// Whether it certainly is.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.may_be_of(other) && (!self.workflow_run.is_null() || self.database_id == other.database_id)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) context: String,
    pub(super) state: String,
    pub(super) description: Option<String>,
    pub(super) is_required: Option<bool>,
}

impl Connection {
    /// The checks of this page; what can't be read of them is said beside the rest.
    pub(super) fn contexts(self) -> (Vec<Context>, Option<String>) {
        let (mut read, mut unread) = (Vec::new(), None);
        for node in self.nodes.unwrap_or_default().into_iter().filter(|node| !node.is_null()) {
            match serde_json::from_value(node) {
                Ok(context) => read.push(context),
                Err(error) => unread = unread.or(Some(format!("one of them can't be read: {error}"))),
            }
        }
        (read, unread)
    }
}

/// Without what was run again: GitHub lists the old ends beside the new ones. `same` tells whether two suites have the same
/// checks: whoever asks what has failed wants to lose none, and whoever asks what may be merged wants none that is over.
pub(super) fn newest(contexts: Vec<Context>, same: fn(&Suite, &Suite) -> bool) -> Vec<Context> {
    checks::newest(contexts, |one, two| one.is_of_the_same(two, same), Context::id)
}

impl Context {
    /// Whether both are ends of one check.
    fn is_of_the_same(&self, other: &Self, same: fn(&Suite, &Suite) -> bool) -> bool {
        match (self, other) {
            (Self::CheckRun(one), Self::CheckRun(two)) => {
                one.name == two.name && same(&one.check_suite, &two.check_suite)
            }
            (Self::StatusContext(one), Self::StatusContext(two)) => one.context == two.context,
            _ => false,
        }
    }

    fn id(&self) -> Option<u64> {
        if let Self::CheckRun(run) = self { run.database_id } else { None }
    }

    /// How it stands towards a merge.
    pub(super) fn state(&self) -> CheckState {
        match self {
            Self::CheckRun(run) => run.conclusion.as_deref().map_or(CheckState::Running, state_of),
            Self::StatusContext(status) => state_of(&status.state),
        }
    }
}

/// How a check stands whose conclusion or state this is. What GitHub does not call fine has failed.
pub(super) fn state_of(word: &str) -> CheckState {
    match word {
        "SUCCESS" | "NEUTRAL" | "SKIPPED" => CheckState::Passed,
        "PENDING" | "EXPECTED" => CheckState::Running,
        _ => CheckState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::checks::tests::ENDS;
    use serde_json::json;

    fn run(id: u64, name: &str, conclusion: Option<&str>, app: u64) -> Value {
        json!({"__typename": "CheckRun", "databaseId": id, "name": name, "conclusion": conclusion,
               "checkSuite": {"databaseId": app * 10, "app": {"databaseId": app}, "workflowRun": null}})
    }

    fn newest_of(nodes: Vec<Value>) -> Vec<(u64, CheckState)> {
        let (contexts, odd) = Connection { nodes: Some(nodes), ..Connection::default() }.contexts();
        assert_eq!(odd, None);
        newest(contexts, Suite::may_be_of)
            .iter()
            .map(|context| (context.id().unwrap_or_default(), context.state()))
            .collect()
    }

    #[test]
    fn every_end_of_a_check_passes_or_fails_as_it_does_by_rest() {
        for (end, state) in ENDS {
            let upper = end.to_uppercase();
            assert_eq!(newest_of(vec![run(1, "a", Some(&upper), 1)]), [(1, state)], "{end}");
        }
        assert_eq!(newest_of(vec![run(1, "a", None, 1)]), [(1, CheckState::Running)]);
        for (word, state) in [
            ("SUCCESS", CheckState::Passed),
            ("PENDING", CheckState::Running),
            ("EXPECTED", CheckState::Running),
            ("FAILURE", CheckState::Failed),
            ("ERROR", CheckState::Failed),
        ] {
            let status = json!({"__typename": "StatusContext", "context": "ci", "state": word});
            assert_eq!(newest_of(vec![status]), [(0, state)], "{word}");
        }
    }

    #[test]
    fn what_was_run_again_counts_by_its_newest_end_in_whatever_order_it_is_listed() {
        let (old, new) = (run(1, "a", Some("FAILURE"), 1), run(2, "a", Some("SUCCESS"), 1));
        for nodes in [vec![old.clone(), new.clone()], vec![new.clone(), old.clone()]] {
            assert_eq!(newest_of(nodes), [(2, CheckState::Passed)]);
        }
        assert_eq!(newest_of(vec![new, run(3, "a", None, 1)]), [(3, CheckState::Running)]);
        let apart = newest_of(vec![old.clone(), run(4, "a", Some("SUCCESS"), 2)]);
        assert_eq!(apart, [(1, CheckState::Failed), (4, CheckState::Passed)], "another App's of that name");
        let in_suite = |mut run: Value, suite: u64, workflow: Value| {
            run["checkSuite"]["databaseId"] = json!(suite);
            run["checkSuite"]["workflowRun"] = workflow;
            run
        };
        let workflow = |id: u64| json!({"event": "pull_request", "workflow": {"databaseId": id}});
        let passed = run(2, "a", Some("SUCCESS"), 1);
        for shown in [Value::Null, workflow(7)] {
            let (old, new) =
                (in_suite(old.clone(), 11, shown.clone()), in_suite(passed.clone(), 12, shown.clone()));
            assert_eq!(
                newest_of(vec![old.clone(), new.clone()]),
                [(2, CheckState::Passed)],
                "each run has a suite"
            );
            let (contexts, _) =
                Connection { nodes: Some(vec![old, new]), ..Connection::default() }.contexts();
            let surely = newest(contexts, Suite::is_of).len();
            assert_eq!(surely, if shown.is_null() { 2 } else { 1 }, "it may be of another workflow");
        }
        let apart = newest_of(vec![in_suite(old, 11, workflow(7)), in_suite(passed, 12, workflow(8))]);
        assert_eq!(apart, [(1, CheckState::Failed), (2, CheckState::Passed)], "another workflow's");
    }
}
