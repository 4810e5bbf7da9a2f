//! GraphQL, for what REST can't do or takes many calls for: a branch that is deleted only while it stands at a commit, and all
//! checks of a commit with what they say. Beside `pulls` and `git`; refusals have their meaning from the one `table`.
//!
//! Source: <https://docs.github.com/en/graphql>. The documents in `graphql/` are held against GitHub's published schema.

use super::{
    Client, Error,
    call::{Call, GRAPHQL, Reply},
    name::RepositoryName,
    operation::Operation,
    recent::Made,
};
use crate::domain::feedback::{CheckAnnotation, FailedCheck};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

const FAILED_CHECKS: &str = include_str!("graphql/failed_checks.graphql");
const BRANCH_TIP: &str = include_str!("graphql/branch_tip.graphql");
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
struct Answer<T> {
    data: T,
    #[serde(default)]
    errors: Vec<Value>,
}

#[derive(Deserialize)]
struct InRepository<T> {
    repository: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection<T> {
    nodes: Vec<Option<T>>,
    #[serde(default)]
    total_count: usize,
    #[serde(default)]
    page_info: PageInfo,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
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
struct Rollup {
    contexts: Connection<Context>,
}

#[derive(Deserialize)]
#[serde(tag = "__typename")]
enum Context {
    CheckRun(Run),
    StatusContext { context: String, state: String, description: Option<String> },
}

#[derive(Deserialize)]
struct Run {
    name: String,
    /// Absent while it runs.
    conclusion: Option<String>,
    title: Option<String>,
    summary: Option<String>,
    annotations: Option<Connection<Annotation>>,
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

#[derive(Deserialize)]
struct Tip {
    id: String,
    #[serde(rename = "ref")]
    reference: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    oid: String,
}

/// Ends of a check run that are no failure: <https://docs.github.com/en/graphql/reference/enums#checkconclusionstate>.
const FINE: [&str; 4] = ["SUCCESS", "NEUTRAL", "SKIPPED", "STALE"];
/// States of a commit status that are one: <https://docs.github.com/en/graphql/reference/enums#statusstate>.
const FAILED: [&str; 2] = ["FAILURE", "ERROR"];

impl Client {
    /// The check runs and commit statuses of a commit that have failed, of the first hundred, the newest of each name; of each
    /// run the first fifty annotations.
    pub async fn failed_checks(&self, repository: &RepositoryName, sha: &str) -> Result<FailedChecks, Error> {
        let variables = json!({"owner": repository.owner, "name": repository.name, "commit": sha});
        let call = call(Operation::ListFailedChecks, FAILED_CHECKS, &variables)
            .about(repository)
            .needs(Made::Commit(sha.to_owned()));
        let answer: Answer<InRepository<Checked>> = self.ask(call).await?;
        let rollup = answer.data.repository.object.and_then(|commit| commit.status_check_rollup);
        let Some(Rollup { contexts }) = rollup else {
            return Ok(FailedChecks { unread: words(&answer.errors), checks: Vec::new() });
        };
        let more = contexts.page_info.has_next_page.then(|| "there are more than a hundred".to_owned());
        let checks = contexts.nodes.into_iter().flatten().filter_map(failed).collect();
        Ok(FailedChecks { checks, unread: words(&answer.errors).or(more) })
    }

    /// Deletes a branch where it stands at `sha`, in one step; one that is gone or has moved is left as it is. Returns whether
    /// it was deleted now.
    pub async fn delete_branch_at(
        &self,
        repository: &RepositoryName,
        branch: &str,
        sha: &str,
    ) -> Result<bool, Error> {
        let (id, tip) = self.branch_tip(repository, branch).await?;
        let operation = Operation::DeleteRef;
        if tip.as_deref() != Some(sha) {
            return Ok(false);
        }
        let update = json!({
            "name": format!("refs/heads/{branch}"), "beforeOid": sha, "afterOid": NO_COMMIT, "force": true,
        });
        let variables = json!({"input": {"repositoryId": id, "refUpdates": [update]}});
        let call =
            call(operation, UPDATE_REFS, &variables).about(repository).needs(Made::Branch(branch.to_owned()));
        match self.ask::<Answer<Value>>(call).await {
            Ok(_) => {
                self.recent().deleted(repository, Made::Branch(branch.into()));
                Ok(true)
            }
            // GitHub has no stable word for a branch that has moved: where it stands now says so.
            Err(refused) if !refused.class.is_retryable() => match self.branch_tip(repository, branch).await?
            {
                (_, tip) if tip.as_deref() != Some(sha) => Ok(false),
                _ => Err(refused),
            },
            Err(error) => Err(error),
        }
    }

    /// The repository's node id, and the commit that the branch stands at.
    async fn branch_tip(
        &self,
        repository: &RepositoryName,
        branch: &str,
    ) -> Result<(String, Option<String>), Error> {
        let branch = format!("refs/heads/{branch}");
        let variables = json!({"owner": repository.owner, "name": repository.name, "branch": branch});
        let call = call(Operation::GetBranchTip, BRANCH_TIP, &variables).about(repository);
        let Tip { id, reference } = self.ask::<Answer<InRepository<Tip>>>(call).await?.data.repository;
        Ok((id, reference.and_then(|reference| reference.target).map(|target| target.oid)))
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let operation = call.operation;
        match self.send(call).await? {
            Reply::Success(success) => success.json(operation),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}

fn call<'a>(operation: Operation, document: &str, variables: &Value) -> Call<'a> {
    Call::post(operation, GRAPHQL.to_owned(), &json!({"query": document, "variables": variables}))
}

fn failed(context: Context) -> Option<FailedCheck> {
    let none = || Connection { nodes: Vec::new(), total_count: 0, page_info: PageInfo::default() };
    match context {
        Context::CheckRun(run) => {
            let conclusion = run.conclusion.filter(|conclusion| !FINE.contains(&conclusion.as_str()))?;
            let Connection { nodes, total_count, .. } = run.annotations.unwrap_or_else(none);
            let annotations: Vec<_> = nodes.into_iter().flatten().map(annotation).collect();
            Some(FailedCheck {
                name: run.name,
                conclusion: conclusion.to_lowercase(),
                title: run.title.unwrap_or_default(),
                summary: run.summary.unwrap_or_default(),
                more: total_count.saturating_sub(annotations.len()),
                annotations,
            })
        }
        Context::StatusContext { context, state, description } => {
            FAILED.contains(&state.as_str()).then(|| FailedCheck {
                name: context,
                conclusion: state.to_lowercase(),
                title: description.unwrap_or_default(),
                ..FailedCheck::default()
            })
        }
    }
}

fn annotation(annotation: Annotation) -> CheckAnnotation {
    CheckAnnotation {
        path: annotation.path,
        line: annotation.location.start.line,
        level: annotation.level.unwrap_or_else(|| "NOTICE".to_owned()).to_lowercase(),
        message: annotation.message,
    }
}

/// What GitHub says beside the data, each once.
fn words(errors: &[Value]) -> Option<String> {
    let mut words: Vec<&str> = errors.iter().filter_map(|error| error["message"].as_str()).collect();
    words.sort_unstable();
    words.dedup();
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_leaves_out_is_said_beside_the_rest() {
        let contexts = json!([
            null,
            {"__typename": "CheckRun", "name": "lint", "conclusion": "FAILURE", "title": null, "summary": "s",
             "annotations": {"totalCount": 2, "nodes": [
                {"path": "a", "location": {"start": {"line": 3}}, "annotationLevel": "FAILURE", "message": "m"}]}},
            {"__typename": "CheckRun", "name": "runs", "conclusion": null, "annotations": null},
            {"__typename": "StatusContext", "context": "ci/x", "state": "ERROR", "description": "no runner"},
            {"__typename": "StatusContext", "context": "ci/y", "state": "PENDING", "description": null}
        ]);
        let nodes: Vec<Option<Context>> = serde_json::from_value(contexts).expect("contexts");
        let failed: Vec<_> = nodes.into_iter().flatten().filter_map(failed).collect();
        let told: Vec<_> =
            failed.iter().map(|check| (&*check.name, &*check.conclusion, check.more)).collect();
        assert_eq!(told, [("lint", "failure", 1), ("ci/x", "error", 0)]);
        assert_eq!(failed[1].title, "no runner");
        let errors = [json!({"message": "b"}), json!({"message": "a"}), json!({"message": "b"})];
        assert_eq!(words(&errors).as_deref(), Some("a; b"));
    }
}
