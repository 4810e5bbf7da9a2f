//! The mutations that make a draft of a pull request, and end that.
//! Part of `graphql`; `pulls` has the rest of a pull request.

use serde_json::{Value, json};

use super::auth::{Access, authorize};
use super::graphql::Refused;
use super::graphql_pull::{find, state_word};
use super::permissions::permit;
use super::request::{Request, stamp};
use super::state::State;

pub(super) const READY: &str = "markPullRequestReadyForReview";
pub(super) const DRAFT: &str = "convertPullRequestToDraft";

/// Makes a draft of a pull request, or ends that; the answer is the mutation's payload.
pub(super) fn set(
    state: &mut State,
    request: &Request,
    input: &Value,
    draft: bool,
) -> Result<Value, Refused> {
    let id = input["pullRequestId"].as_str();
    let id = id.ok_or(("INVALID_ARGUMENT", "Field needs the argument input.pullRequestId".to_owned()))?;
    let unresolved = || ("NOT_FOUND", format!("Could not resolve to a node with the global id of '{id}'"));
    let (at, index) = find(state, id).ok_or_else(unresolved)?;
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
    let pull = json!({
        "__typename": "PullRequest",
        "id": id,
        "number": pull.number,
        "isDraft": pull.draft,
        "state": state_word(pull),
        "updatedAt": stamp(pull.updated_at),
    });
    Ok(json!({ "__typename": "Payload", "pullRequest": pull }))
}
