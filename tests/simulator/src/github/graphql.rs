//! The two GraphQL mutations that REST does not have: a draft becomes ready, and back.
//! Anything else is refused with an error that names what is offered.

use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::{Access, Caller, authorize};
use super::objects::node_id;
use super::permissions::permit;
use super::request::{Request, stamp};
use super::state::State;

const READY: &str = "markPullRequestReadyForReview";
const DRAFT: &str = "convertPullRequestToDraft";

pub(super) fn graphql(state: &mut State, request: &Request) -> Outcome {
    if matches!(request.caller, Caller::Anonymous) {
        let message = "This endpoint requires you to be authenticated.";
        return Err(Answer::refused(http::StatusCode::UNAUTHORIZED, message));
    }
    let query = request.required("query")?;
    let (mutation, draft) = if query.contains(READY) {
        (READY, false)
    } else if query.contains(DRAFT) {
        (DRAFT, true)
    } else {
        let message = format!("stand-in: only the mutations {READY} and {DRAFT} are offered");
        return Ok(Answer::ok(json!({ "errors": [{ "message": message }] })));
    };
    let Some(id) = pull_id(request.body.get("variables"), query) else {
        let message = format!("Field '{mutation}' needs the argument input.pullRequestId");
        return Ok(Answer::ok(json!({ "errors": [{ "type": "INVALID_ARGUMENT", "message": message }] })));
    };
    match set_draft(state, request, &id, draft) {
        Ok(pull) => Ok(Answer::ok(json!({ "data": { mutation: { "pullRequest": pull } } }))),
        Err((kind, message)) => Ok(Answer::ok(json!({
            "data": { mutation: null },
            "errors": [{ "type": kind, "path": [mutation], "message": message }],
        }))),
    }
}

/// The id of the pull request: a variable, or a literal in the query.
fn pull_id(variables: Option<&Value>, query: &str) -> Option<String> {
    fn search(value: &Value) -> Option<&str> {
        match value {
            Value::String(text) if text.starts_with("PR_") => Some(text),
            Value::Object(object) => object.values().find_map(search),
            _ => None,
        }
    }
    if let Some(id) = variables.and_then(search) {
        return Some(id.to_owned());
    }
    let literal = query.split("pullRequestId").nth(1)?.split('"').nth(1)?;
    Some(literal.to_owned())
}

fn set_draft(
    state: &mut State,
    request: &Request,
    id: &str,
    draft: bool,
) -> Result<Value, (&'static str, String)> {
    let unresolved = || ("NOT_FOUND", format!("Could not resolve to a node with the global id of '{id}'"));
    let mut found = None;
    for (at, repository) in state.repositories.iter().enumerate() {
        let index = repository.pulls.iter().position(|pull| node_id("PR", pull.id) == id);
        found = found.or(index.map(|index| (at, index)));
    }
    let (at, index) = found.ok_or_else(unresolved)?;
    authorize(&request.caller, &state.repositories[at], Access::Read).map_err(|_| unresolved())?;
    let (caller, repository) = (&request.caller, &state.repositories[at]);
    authorize(caller, repository, Access::Write)
        .and_then(|()| permit(caller, repository, "pull_requests=write"))
        .map_err(|refusal| ("FORBIDDEN", refusal.message().to_owned()))?;
    let pull = &mut state.repositories[at].pulls[index];
    if !pull.open {
        return Err(("UNPROCESSABLE", "Pull request is closed".to_owned()));
    }
    if pull.draft != draft {
        pull.draft = draft;
        pull.updated_at = request.now;
        let sender = request.caller.login().unwrap_or_default().to_owned();
        let action = if draft { "converted_to_draft" } else { "ready_for_review" };
        state.emit_pull(at, index, action, &json!({}), &sender);
    }
    let pull = &state.repositories[at].pulls[index];
    let word = match (pull.open, pull.merged_at) {
        (true, _) => "OPEN",
        (false, Some(_)) => "MERGED",
        (false, None) => "CLOSED",
    };
    Ok(json!({
        "id": id,
        "number": pull.number,
        "isDraft": pull.draft,
        "state": word,
        "updatedAt": stamp(pull.updated_at),
    }))
}
