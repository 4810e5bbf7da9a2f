//! Checks of a commit as GraphQL has them: the rollup, its contexts, and which of them a pull request needs.
//! Part of `graphql_select`; `checks` has the same for REST.

use serde_json::{Value, json};

use super::checks::{ACTIONS, Check, Shown};
use super::graphql_select::connection;
use super::objects::node_id;
use super::state::Repository;

/// `state` of a rollup: the worst of all.
pub(super) fn rollup_state(all: &[Shown<'_>]) -> &'static str {
    let failed = |shown: &Shown<'_>| shown.check.has_failed();
    let error = |shown: &Shown<'_>| shown.check.conclusion.as_deref() == Some("error");
    if all.iter().any(error) {
        "ERROR"
    } else if all.iter().any(failed) {
        "FAILURE"
    } else if all.iter().all(|shown| shown.check.has_passed()) {
        "SUCCESS"
    } else {
        "PENDING"
    }
}

/// One of the rollup's contexts.
pub(super) fn context(shown: &Shown<'_>, repository_at: &Value) -> Value {
    let (id, check) = (shown.id, shown.check);
    let conclusion = check.conclusion.as_ref().map(|word| word.to_uppercase());
    if check.commit_status {
        return json!({
            "__typename": "StatusContext",
            "@at": repository_at,
            "id": node_id("SC", id),
            "context": check.name,
            "state": conclusion.unwrap_or_else(|| "PENDING".to_owned()),
            "description": check.output.title,
        });
    }
    json!({
        "__typename": "CheckRun",
        "@at": repository_at,
        "@app": check.app(),
        "id": node_id("CR", id),
        "databaseId": id,
        "checkSuite": {
            "__typename": "CheckSuite",
            "databaseId": check.app() * 10_000 + check.workflow * 10 + check.run,
            "app": { "__typename": "App", "databaseId": check.app() },
            "workflowRun": workflow_run(check),
        },
        "name": check.name,
        "status": check.status().to_uppercase(),
        "conclusion": conclusion,
        "title": check.output.title,
        "summary": check.output.summary,
        "annotations": annotations(check),
    })
}

/// Only GitHub Actions has them.
fn workflow_run(check: &Check) -> Value {
    if check.app() != ACTIONS {
        return Value::Null;
    }
    json!({
        "__typename": "WorkflowRun",
        "event": "push",
        "workflow": { "__typename": "Workflow", "databaseId": check.workflow },
    })
}

fn annotations(check: &Check) -> Value {
    let nodes = check.output.annotations.iter().map(|annotation| {
        let position =
            |line: u64| json!({ "__typename": "CheckAnnotationPosition", "line": line, "column": null });
        json!({
            "__typename": "CheckAnnotation",
            "path": annotation.path,
            "location": {
                "__typename": "CheckAnnotationSpan",
                "start": position(annotation.line),
                "end": position(annotation.line),
            },
            "annotationLevel": "FAILURE",
            "message": annotation.message,
        })
    });
    connection("CheckAnnotation", &nodes.collect::<Vec<_>>())
}

/// Whether the pull request that is named needs this context.
pub(super) fn is_required(repository: &Repository, of: &Value, given: &Value) -> Result<Value, String> {
    let wanted = |number: u64, id: u64| {
        given["pullRequestNumber"] == number || given["pullRequestId"] == node_id("PR", id)
    };
    let pull = repository.pulls.iter().find(|pull| wanted(pull.number, pull.id));
    let pull = pull.ok_or("Either pullRequestId or pullRequestNumber of a pull request must be given")?;
    let name = of["name"].as_str().or(of["context"].as_str()).unwrap_or_default();
    Ok(json!(repository.requires(&pull.base_ref, name, of["@app"].as_u64())))
}
