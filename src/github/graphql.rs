//! GraphQL, for what REST can't do or takes many calls for: a branch that is deleted only while it stands at a commit, and all
//! checks of a commit with what they say. Beside `pulls` and `git`; refusals have their meaning from the one `table`.
//!
//! Source: <https://docs.github.com/en/graphql>. The documents in `graphql/` are held against GitHub's published schema.

use super::{
    Client, Error,
    call::{Call, GRAPHQL},
    follow::gone,
    name::RepositoryName,
    operation::Operation,
    recent::Made,
    rollup::{Connection, Context, Rollup, Status, Suite, newest},
};
use crate::domain::{
    failure::Class,
    feedback::{CheckAnnotation, FailedCheck},
};
use serde::Deserialize;
use serde_json::{Value, json};

const FAILED_CHECKS: &str = include_str!("graphql/failed_checks.graphql");
const REPOSITORY_ID: &str = include_str!("graphql/repository_id.graphql");
const UPDATE_REFS: &str = include_str!("graphql/update_refs.graphql");
/// Stands for no commit.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The checks of a commit that have failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedChecks {
    pub checks: Vec<FailedCheck>,
    /// What could not be read, in GitHub's words.
    pub unread: Option<String>,
}

/// Data, beside which GitHub may say what it has left out.
#[derive(Deserialize)]
pub(super) struct Answer<T> {
    pub(super) data: T,
    #[serde(default)]
    pub(super) errors: Vec<Value>,
}

#[derive(Deserialize)]
pub(super) struct InRepository<T> {
    pub(super) repository: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identified {
    id: String,
    database_id: Option<u64>,
}

#[derive(Deserialize)]
struct Checked {
    object: Option<CheckedCommit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckedCommit {
    #[serde(default)]
    status_check_rollup: Option<Rollup>,
}

#[derive(Deserialize)]
struct Annotation {
    path: String,
    location: Span,
    #[serde(rename = "annotationLevel")]
    level: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: u32,
}

/// Ends of a check run that are no failure: <https://docs.github.com/en/graphql/reference/enums#checkconclusionstate>.
const FINE: [&str; 4] = ["SUCCESS", "NEUTRAL", "SKIPPED", "STALE"];
/// States of a commit status that are one: <https://docs.github.com/en/graphql/reference/enums#statusstate>.
const FAILED: [&str; 2] = ["FAILURE", "ERROR"];

/// What became of a branch that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletedBranch {
    Deleted,
    /// It is gone, or stands at another commit.
    Elsewhere,
}

impl Client {
    /// The check runs and commit statuses of a commit that have failed, of the first hundred, the newest of each name; of each
    /// run the first twenty annotations.
    pub async fn failed_checks(&self, repository: &RepositoryName, sha: &str) -> Result<FailedChecks, Error> {
        let variables = json!({"owner": repository.owner, "name": repository.name, "commit": sha});
        let call = call(Operation::ListFailedChecks, FAILED_CHECKS, &variables)
            .about(repository)
            .needs(Made::Commit(sha.to_owned()));
        let answer: Answer<InRepository<Checked>> = self.read(call).await?;
        let rollup = answer.data.repository.object.and_then(|commit| commit.status_check_rollup);
        let mut unread = words(&answer.errors).map(with_cure);
        let Some(Rollup { contexts, .. }) = rollup else {
            return Ok(FailedChecks { unread, checks: Vec::new() });
        };
        if contexts.page_info.has_next_page {
            unread = unread.or(Some("there are more than a hundred".to_owned()));
        }
        let (read, odd) = contexts.contexts();
        let checks = newest(read, Suite::is_of).into_iter().filter_map(failed).collect();
        Ok(FailedChecks { checks, unread: unread.or(odd) })
    }

    /// Deletes a branch where it stands at `sha`, in one step; one that is gone or has moved is left as it is.
    pub async fn delete_branch_at(
        &self,
        repository: &RepositoryName,
        branch: &str,
        sha: &str,
    ) -> Result<DeletedBranch, Error> {
        // The id that the write names is found by a name, which may be another's by now.
        let repository = &self.name_today(repository, Operation::DeleteRef).await?;
        let variables = json!({"owner": repository.owner, "name": repository.name});
        let identify = call(Operation::GetRepositoryId, REPOSITORY_ID, &variables).about(repository);
        let Identified { id, database_id } =
            self.read::<Answer<InRepository<Identified>>>(identify).await?.data.repository;
        if self.repository.is_some_and(|own| database_id.is_some_and(|found| found != own)) {
            // It was renamed within the seconds for which a name is believed: the next look asks again.
            return Err(Error { class: Class::Transient, ..gone(Operation::DeleteRef, self.repository) });
        }
        let update = json!({
            "name": format!("refs/heads/{branch}"), "beforeOid": sha, "afterOid": NO_COMMIT, "force": true,
        });
        let variables = json!({"input": {"repositoryId": id, "refUpdates": [update]}});
        let call = call(Operation::DeleteRef, UPDATE_REFS, &variables)
            .about(repository)
            .needs(Made::Branch(branch.to_owned()));
        let Err(refused) = self.read::<Answer<Value>>(call).await else {
            self.recent().deleted(repository, Made::Branch(branch.into()));
            return Ok(DeletedBranch::Deleted);
        };
        // GitHub has no stable word for a branch that has moved: where it stands says so.
        if refused.class.is_retryable()
            || self.get_branch_sha(repository, branch).await?.as_deref() == Some(sha)
        {
            return Err(refused);
        }
        Ok(DeletedBranch::Elsewhere)
    }
}

pub(super) fn call<'a>(operation: Operation, document: &str, variables: &Value) -> Call<'a> {
    Call::post(operation, GRAPHQL.to_owned(), &json!({"query": document, "variables": variables}))
}

fn failed(context: Context) -> Option<FailedCheck> {
    match context {
        Context::CheckRun(run) => {
            let conclusion = run.conclusion.filter(|conclusion| !FINE.contains(&conclusion.as_str()))?;
            let Connection { nodes, total_count, .. } = run.annotations.unwrap_or_default();
            let nodes = nodes.unwrap_or_default().into_iter();
            let annotations: Vec<_> = nodes.filter_map(annotation).collect();
            Some(FailedCheck {
                name: run.name,
                conclusion: conclusion.to_lowercase(),
                title: run.title.unwrap_or_default(),
                summary: run.summary.unwrap_or_default(),
                more: total_count.saturating_sub(annotations.len()),
                annotations,
            })
        }
        Context::StatusContext(Status { context, state, description, .. }) => {
            FAILED.contains(&state.as_str()).then(|| FailedCheck {
                name: context,
                conclusion: state.to_lowercase(),
                title: description.unwrap_or_default(),
                ..FailedCheck::default()
            })
        }
    }
}

fn annotation(node: Value) -> Option<CheckAnnotation> {
    let annotation: Annotation = serde_json::from_value(node).ok()?;
    Some(CheckAnnotation {
        path: annotation.path,
        line: annotation.location.start.line,
        level: annotation.level.unwrap_or_else(|| "NOTICE".to_owned()).to_lowercase(),
        message: annotation.message,
    })
}

/// What a token lacks the right to is left out of an answer that is fine otherwise.
fn with_cure(words: String) -> String {
    if !words.to_lowercase().contains("not accessible by") {
        return words;
    }
    format!(
        "{words}; they are shown to a GitHub App with \"Checks: read\" and to a classic token with the scope repo; a fine-grained token \
         can't have that"
    )
}

/// What GitHub says beside the data, each once; but for the runs of workflows, without which nothing is lost.
pub(super) fn words(errors: &[Value]) -> Option<String> {
    let is_of_run = |error: &&Value| {
        error["path"].as_array().and_then(|path| path.last()).is_some_and(|last| last == "workflowRun")
    };
    let errors = errors.iter().filter(|error| !is_of_run(error));
    let mut words: Vec<&str> = errors.filter_map(|error| error["message"].as_str()).collect();
    words.sort_unstable();
    words.dedup();
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_leaves_out_is_said_beside_the_rest() {
        let suite = json!({"app": {"databaseId": 1}, "workflowRun": {"event": "push", "workflow": {"databaseId": 2}}});
        let run = |id: u64, name: &str, conclusion: Value| {
            json!({"__typename": "CheckRun", "databaseId": id, "name": name, "conclusion": conclusion, "title": null,
                   "summary": "s", "checkSuite": suite, "annotations": {"totalCount": 2, "nodes": null}})
        };
        let mut lint = run(1, "lint", json!("FAILURE"));
        lint["annotations"]["nodes"] = json!([
            null, {"path": "a", "location": {"start": {"line": 3}}, "annotationLevel": "FAILURE", "message": "m"}]);
        let mut other = run(9, "flaky", json!("SUCCESS"));
        other["checkSuite"] = json!({"databaseId": 5, "app": {"databaseId": 3}, "workflowRun": null});
        // Two workflows, of which it is not known which they are.
        let [mut one, mut two] = [run(10, "build", json!("FAILURE")), run(11, "build", json!("SUCCESS"))];
        for (run, suite) in [(&mut one, 6), (&mut two, 7)] {
            run["checkSuite"] = json!({"databaseId": suite, "app": {"databaseId": 1}, "workflowRun": null});
        }
        let contexts = [
            lint,
            run(2, "runs", Value::Null),
            run(5, "flaky", json!("SUCCESS")),
            run(4, "flaky", json!("FAILURE")),
            other,
            one,
            two,
            run(6, "again", json!("TIMED_OUT")),
            run(7, "again", Value::Null),
            json!({"__typename": "StatusContext", "context": "ci/x", "state": "ERROR", "description": "no runner"}),
            json!({"__typename": "StatusContext", "context": "ci/y", "state": "PENDING", "description": null}),
        ];
        let read = contexts.map(|node| serde_json::from_value(node).expect("a context"));
        let failed: Vec<_> = newest(read.into(), Suite::is_of).into_iter().filter_map(failed).collect();
        let told: Vec<_> =
            failed.iter().map(|check| (&*check.name, &*check.conclusion, check.more)).collect();
        assert_eq!(told, [("lint", "failure", 1), ("build", "failure", 2), ("ci/x", "error", 0)]);
        assert_eq!(failed[2].title, "no runner");
        let hidden = json!({"message": "c", "path": ["nodes", 0, "checkSuite", "workflowRun"]});
        let errors = [hidden, json!({"message": "b"}), json!({"message": "a"}), json!({"message": "b"})];
        assert_eq!(words(&errors).as_deref(), Some("a; b"));
    }
}
