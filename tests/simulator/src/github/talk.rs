//! What people and checks say: reviews, comments on lines and of the conversation, annotations, and who may write.
//! Neighbour of `pulls` and `refs`, which have the rest of a pull request and its checks.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::{Access, authorize};
use super::request::{Request, paginate, stamp};
use super::state::{Repository, State};

/// One thing that was said of a pull request.
#[derive(Clone)]
pub(super) struct Said {
    id: u64,
    number: u64,
    what: What,
    author: String,
    body: String,
    at: Timestamp,
}

#[derive(Clone, PartialEq)]
enum What {
    Review(&'static str),
    Line { path: String, line: Option<u64> },
    Comment,
}

/// What a check run says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckOutput {
    pub title: Option<String>,
    pub summary: Option<String>,
    pub annotations: Vec<CheckAnnotation>,
}

/// What a check run says of a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckAnnotation {
    pub path: String,
    pub line: u64,
    pub message: String,
}

/// Who of those that may write has said what of a pull request, the last word of each.
pub(super) fn verdicts(repository: &Repository, number: u64) -> BTreeMap<&str, &'static str> {
    let mut verdicts = BTreeMap::new();
    for said in repository.talk.iter().filter(|said| said.number == number) {
        match said.what {
            What::Review(word) if word != "COMMENTED" && repository.writers.contains(&said.author) => {
                verdicts.insert(said.author.as_str(), word);
            }
            _ => {}
        }
    }
    verdicts
}

fn list(state: &mut State, request: &Request, number: &str, is: fn(&What) -> bool) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let number = request.number(number)?;
    let repository = &state.repositories[at];
    if repository.pulls.iter().all(|pull| pull.number != number) {
        return Err(Answer::not_found());
    }
    let since = request.query("since").map(str::parse::<Timestamp>);
    let since = since.transpose().map_err(|_| Answer::unprocessable("Invalid request.\n\nInvalid since"))?;
    let mut said: Vec<&Said> = repository
        .talk
        .iter()
        .filter(|said| said.number == number && is(&said.what))
        // Whole seconds, as the answers have them.
        .filter(|said| since.is_none_or(|since| said.at.as_second() >= since.as_second()))
        .collect();
    if request.query("direction") == Some("desc") && request.query("sort").is_some() {
        said.reverse();
    }
    let views = said.into_iter().map(|said| view(state, said)).collect();
    let (page, link) = paginate(request, &state.url, views);
    Ok(Answer::page(json!(page), link))
}

fn view(state: &State, said: &Said) -> Value {
    let mut view = json!({
        "id": said.id,
        "user": state.user_view(&said.author),
        "body": said.body,
        "author_association": "NONE",
        "html_url": format!("https://github.com/said/{}", said.id),
    });
    match &said.what {
        What::Review(word) => {
            view["state"] = json!(word);
            view["submitted_at"] = json!(stamp(said.at));
        }
        What::Line { path, line } => {
            view["path"] = json!(path);
            view["line"] = json!(line);
            view["subject_type"] = json!("line");
        }
        What::Comment => {}
    }
    if !matches!(said.what, What::Review(_)) {
        view["created_at"] = json!(stamp(said.at));
        view["updated_at"] = json!(stamp(said.at));
    }
    view
}

fn say(state: &mut State, request: &Request, number: &str, what: What, body: &str) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let number = request.number(number)?;
    let author = request.caller.login()?.to_owned();
    let pull = state.repositories[at].pulls.iter().find(|pull| pull.number == number);
    let own = pull.ok_or_else(Answer::not_found)?.author == author;
    let verdict = matches!(what, What::Review(word) if word != "COMMENTED");
    if own && verdict {
        return Err(Answer::unprocessable("Can not approve your own pull request"));
    }
    let said = Said { id: state.next_id(), number, what, author, body: body.to_owned(), at: request.now };
    let view = view(state, &said);
    state.repositories[at].talk.push(said);
    Ok(Answer::created(view))
}

pub(super) fn list_reviews(state: &mut State, request: &Request) -> Outcome {
    list(state, request, "pull_number", |what| matches!(what, What::Review(_)))
}

pub(super) fn create_review(state: &mut State, request: &Request) -> Outcome {
    let word = match request.optional("event")? {
        Some("APPROVE") => "APPROVED",
        Some("REQUEST_CHANGES") => "CHANGES_REQUESTED",
        Some("COMMENT") => "COMMENTED",
        _ => return Err(Answer::unprocessable("Invalid request.\n\nNo event was given")),
    };
    let body = request.optional("body")?.unwrap_or_default();
    if body.is_empty() && word != "APPROVED" {
        return Err(Answer::unprocessable("Unprocessable Entity: body is missing"));
    }
    let mut answer = say(state, request, "pull_number", What::Review(word), body)?;
    // A review is answered with 200.
    answer.status = StatusCode::OK;
    Ok(answer)
}

pub(super) fn list_line_comments(state: &mut State, request: &Request) -> Outcome {
    list(state, request, "pull_number", |what| matches!(what, What::Line { .. }))
}

pub(super) fn create_line_comment(state: &mut State, request: &Request) -> Outcome {
    let path = request.required("path")?.to_owned();
    let line = request.body.get("line").and_then(Value::as_u64);
    say(state, request, "pull_number", What::Line { path, line }, request.required("body")?)
}

pub(super) fn list_comments(state: &mut State, request: &Request) -> Outcome {
    list(state, request, "issue_number", |what| *what == What::Comment)
}

pub(super) fn create_comment(state: &mut State, request: &Request) -> Outcome {
    say(state, request, "issue_number", What::Comment, request.required("body")?)
}

/// Those who may push: whoever the repository's owner has asked in.
pub(super) fn list_collaborators(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    if authorize(&request.caller, repository, Access::Administer).is_err() {
        return Err(Answer::forbidden("Must have push access to view repository collaborators."));
    }
    let views = repository.writers.iter().map(|login| state.user_view(login)).collect();
    let (page, link) = paginate(request, &state.url, views);
    Ok(Answer::page(json!(page), link))
}

pub(super) fn list_annotations(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let id = request.number("check_run_id")?;
    let check = state.repositories[at].run(id).ok_or_else(Answer::not_found)?;
    let views = check.output.annotations.iter().map(|annotation| {
        json!({
            "path": annotation.path,
            "start_line": annotation.line,
            "end_line": annotation.line,
            "annotation_level": "failure",
            "message": annotation.message,
        })
    });
    let (page, link) = paginate(request, &state.url, views.collect::<Vec<_>>());
    Ok(Answer::page(json!(page), link))
}
