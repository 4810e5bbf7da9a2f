//! Labels of pull requests, and who is asked for a review. Neighbour of `pulls`, whose requests carry them.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::permissions::has;
use super::request::{Request, not_a};
use super::state::State;

/// A list of strings of the body; absent is empty.
fn names(request: &Request, name: &str) -> Result<Vec<String>, Answer> {
    let Some(value) = request.body.get(name) else { return Ok(Vec::new()) };
    let entries = value.as_array().ok_or_else(|| not_a(name, value, "array"))?;
    let text = |entry: &Value| entry.as_str().map(str::to_owned).ok_or_else(|| not_a(name, entry, "string"));
    entries.iter().map(text).collect()
}

fn find(state: &State, request: &Request, number: &str) -> Result<(usize, usize), Answer> {
    let at = state.repository(request, Access::Write)?;
    let number = request.number(number)?;
    let index = state.repositories[at].pulls.iter().position(|pull| pull.number == number);
    Ok((at, index.ok_or_else(Answer::not_found)?))
}

pub(super) fn add_labels(state: &mut State, request: &Request) -> Outcome {
    let (at, index) = find(state, request, "issue_number")?;
    let labels = names(request, "labels")?;
    if let Some(long) = labels.iter().find(|label| label.chars().count() > 50) {
        let error = json!({"resource": "Label", "field": "name", "code": "invalid", "value": long});
        return Err(Answer::invalid(error));
    }
    let known = &state.repositories[at].labels;
    let new: Vec<String> =
        labels.iter().map(|label| label.to_lowercase()).filter(|label| !known.contains(label)).collect();
    let may_create = request.caller.granted().is_none_or(|granted| has(granted, "issues", "write"));
    if !new.is_empty() && !may_create {
        return Err(Answer::forbidden("You do not have permission to create labels on this repository."));
    }
    state.repositories[at].labels.extend(new);
    let pull = &mut state.repositories[at].pulls[index];
    let before = pull.labels.len();
    for label in labels {
        if !pull.labels.iter().any(|known| known.eq_ignore_ascii_case(&label)) {
            pull.labels.push(label);
        }
    }
    if pull.labels.len() > before {
        pull.updated_at = request.now;
        let sender = request.caller.login()?.to_owned();
        state.emit_pull(at, index, "labeled", &json!({}), &sender);
    }
    Ok(Answer::ok(views(&state.repositories[at].pulls[index].labels)))
}

/// Labels as they appear in answers.
pub(super) fn views(labels: &[String]) -> Value {
    labels.iter().map(|name| json!({ "name": name, "color": "ededed", "default": false })).collect()
}

/// One who is no collaborator makes GitHub refuse all.
pub(super) fn request_reviewers(state: &mut State, request: &Request) -> Outcome {
    let (at, index) = find(state, request, "pull_number")?;
    let (people, teams) = (names(request, "reviewers")?, names(request, "team_reviewers")?);
    // Teams are looked up before anything else, as far as the caller may see them.
    let sees_teams = request.caller.granted().is_none_or(|granted| has(granted, "members", "read"));
    if !teams.is_empty() && !sees_teams {
        return Err(Answer::unprocessable(
            "Could not resolve to a node with the global id of 'T_kwDOBWcAAs4Ab1cD'.",
        ));
    }
    let repository = &state.repositories[at];
    let pull = &repository.pulls[index];
    if people.contains(&pull.author) {
        return Err(Answer::unprocessable("Review cannot be requested from pull request author."));
    }
    let unknown = people.iter().any(|person| !repository.writers.contains(person));
    if unknown || teams.iter().any(|team| !repository.teams.contains(team)) {
        return Err(Answer::unprocessable(
            "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a \
             collaborator of this repository.",
        ));
    }
    let pull = &mut state.repositories[at].pulls[index];
    pull.reviewers.extend(people);
    pull.team_reviewers.extend(teams);
    pull.updated_at = request.now;
    let sender = request.caller.login()?.to_owned();
    state.emit_pull(at, index, "review_requested", &json!({}), &sender);
    let view = state.pull_summary(at, &state.repositories[at].pulls[index]);
    Ok(Answer::new(StatusCode::CREATED, view))
}
