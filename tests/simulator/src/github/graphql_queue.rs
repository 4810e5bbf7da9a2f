//! The mutations that put a pull request into its merge queue, and take it out.
//! Part of `graphql`; `merge_queue` has the queue itself.

use serde_json::{Value, json};

use super::auth::{Access, authorize};
use super::graphql::Refused;
use super::graphql_pull::{entry_view, find};
use super::merge_queue::{self, EntryState, RemovalReason};
use super::permissions::permit;
use super::request::Request;
use super::state::State;

pub(super) const ENQUEUE: &str = "enqueuePullRequest";
pub(super) const DEQUEUE: &str = "dequeuePullRequest";

/// Input type, what it must have, what it may have.
type Input = (&'static str, &'static str, &'static [&'static str]);

const ENQUEUE_INPUT: Input =
    ("EnqueuePullRequestInput", "pullRequestId", &["expectedHeadOid", "jump", "clientMutationId"]);
/// Its name differs, and so does the name of the id.
const DEQUEUE_INPUT: Input = ("DequeuePullRequestInput", "id", &["clientMutationId"]);

/// What the caller needs of a token's permissions.
const NEEDS: &str = "contents=write,pull_requests=write";

/// Refuses a document whose input does not fit the schema.
pub(super) fn fits(mutation: &str, input: &Value) -> Result<(), String> {
    let (name, must, may) = if mutation == ENQUEUE { ENQUEUE_INPUT } else { DEQUEUE_INPUT };
    let Value::Object(fields) = input else {
        return Err(format!("Field '{mutation}' is missing required arguments: input"));
    };
    if let Some(unknown) = fields.keys().find(|key| *key != must && !may.contains(&key.as_str())) {
        return Err(format!("InputObject '{name}' doesn't accept argument '{unknown}'"));
    }
    if !input[must].is_string() {
        return Err(format!("Argument '{must}' on InputObject '{name}' is required. Expected type ID!"));
    }
    Ok(())
}

/// The pull request that may be touched.
fn touched(state: &State, request: &Request, id: &Value) -> Result<(usize, usize), Refused> {
    let id = id.as_str().unwrap_or_default();
    let unresolved = || ("NOT_FOUND", format!("Could not resolve to a node with the global id of '{id}'"));
    let (at, index) = find(state, id).ok_or_else(unresolved)?;
    let (caller, repository) = (&request.caller, &state.repositories[at]);
    authorize(caller, repository, Access::Read).map_err(|_| unresolved())?;
    authorize(caller, repository, Access::Write)
        .and_then(|()| permit(caller, repository, NEEDS))
        .map_err(|refusal| ("FORBIDDEN", refusal.message().to_owned()))?;
    Ok((at, index))
}

fn payload(kind: &str, entry: &Value, input: &Value) -> Value {
    json!({ "__typename": kind, "mergeQueueEntry": entry, "clientMutationId": input["clientMutationId"] })
}

pub(super) fn enqueue(state: &mut State, request: &Request, input: &Value) -> Result<Value, Refused> {
    let (at, index) = touched(state, request, &input["pullRequestId"])?;
    let jump = input["jump"] == true;
    merge_queue::enqueue(state, (at, index), request, input["expectedHeadOid"].as_str(), jump)
        .map_err(|message| ("UNPROCESSABLE", message))?;
    let repository = &state.repositories[at];
    let entry = repository.entry(repository.pulls[index].number);
    let entry = entry.map_or(Value::Null, |entry| entry_view(state, at, entry));
    Ok(payload("EnqueuePullRequestPayload", &entry, input))
}

/// Only the pull request's own id is taken, not its entry's.
pub(super) fn dequeue(state: &mut State, request: &Request, input: &Value) -> Result<Value, Refused> {
    let (at, index) = touched(state, request, &input["id"])?;
    let pull = &state.repositories[at].pulls[index];
    let (number, failed) = (pull.number, format!("Failed to remove PR #{} \"{}\"", pull.number, pull.title));
    let entry = state.repositories[at].entry(number).filter(|entry| entry.state != EntryState::Locked);
    let shown = entry.map(|entry| entry_view(state, at, entry));
    let shown = shown.ok_or_else(|| ("UNPROCESSABLE", failed.clone()))?;
    merge_queue::leave(state, at, number, RemovalReason::Manual, request);
    if state.repositories[at].manners.dequeues_in_silence {
        return Err(("UNPROCESSABLE", failed));
    }
    Ok(payload("DequeuePullRequestPayload", &shown, input))
}
