//! Pull requests: create, list, get, update. `merge` merges them, `graphql` turns drafts.
//! Only between branches of one repository: forks are outside of what the stand-in offers.

use git2::Oid;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::merge_queue::{self, RemovalReason};
use super::request::{Request, not_a, paginate};
use super::state::{Mergeability, Pull, Repository, State};

impl Pull {
    pub(super) fn close(&mut self, now: Timestamp) {
        self.open = false;
        self.closed_at = Some(now);
        self.updated_at = now;
    }
}

pub(super) fn create_pull(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let missing = |field: &str| {
        Answer::invalid(json!({ "resource": "PullRequest", "code": "missing_field", "field": field }))
    };
    let title = match request.optional("title")? {
        Some(title) if !title.trim().is_empty() => title.to_owned(),
        _ => return Err(missing("title")),
    };
    let base = request.optional("base")?.ok_or_else(|| missing("base"))?.to_owned();
    let head = request.optional("head")?.ok_or_else(|| missing("head"))?;
    let body = request.optional("body")?.map(str::to_owned);
    let draft = request.flag("draft")?;
    let repository = &state.repositories[at];
    let (head, head_id, base_id) = check_new(repository, head, &base, request)?;
    let author = request.caller.login()?.to_owned();
    repository.takes_pull(&author, request.now)?;
    let number = repository.pulls.len() as u64 + 1;
    repository.git.reference(&format!("refs/pull/{number}/head"), head_id, true, "pull request")?;
    let pull = Pull {
        id: 0,
        number,
        title,
        body,
        author: author.clone(),
        open: true,
        draft,
        head_ref: head,
        head_sha: head_id.to_string(),
        base_ref: base,
        base_sha: base_id.to_string(),
        created_at: request.now,
        updated_at: request.now,
        closed_at: None,
        merged_at: None,
        merged_by: None,
        merge_commit_sha: None,
        mergeability: Mergeability::Unknown,
        labels: Vec::new(),
        reviewers: Vec::new(),
        team_reviewers: Vec::new(),
        forced_state: None,
    };
    let id = state.next_id();
    let pulls = &mut state.repositories[at].pulls;
    pulls.push(Pull { id, ..pull });
    let index = pulls.len() - 1;
    state.repositories[at].made(format!("pull/{number}"), request.now);
    state.counts.pulls_created += 1;
    state.emit_pull(at, index, "opened", &json!({}), &author);
    Ok(Answer::created(state.pull_view(at, &state.repositories[at].pulls[index])))
}

/// The head's branch and the commits of both sides, if a pull request can be made of them.
fn check_new(
    repository: &Repository,
    head: &str,
    base: &str,
    request: &Request,
) -> Result<(String, Oid, Oid), Answer> {
    let invalid = |field: &str| {
        Answer::invalid(json!({ "resource": "PullRequest", "field": field, "code": "invalid" }))
    };
    let head = match head.split_once(':') {
        Some((owner, branch)) if owner.eq_ignore_ascii_case(&repository.owner) => branch,
        Some(_) => return Err(invalid("head")),
        None => head,
    };
    let shown = |_: &Oid| repository.shows(&format!("heads/{head}"), request.now);
    let head_id = repository.tip(head).filter(shown).ok_or_else(|| invalid("head"))?;
    let base_id = repository.tip(base).ok_or_else(|| invalid("base"))?;
    let label = |branch: &str| format!("{}:{branch}", repository.owner);
    let Ok(common) = repository.git.merge_base(head_id, base_id) else {
        let message = format!("The {} branch has no history in common with {}", label(head), label(base));
        return Err(Answer::custom("PullRequest", message));
    };
    if common == head_id {
        return Err(Answer::custom("PullRequest", format!("No commits between {base} and {head}")));
    }
    if repository.pulls.iter().any(|pull| pull.open && pull.head_ref == head && pull.base_ref == base) {
        let message = format!("A pull request already exists for {}.", label(head));
        return Err(Answer::custom("PullRequest", message));
    }
    Ok((head.to_owned(), head_id, base_id))
}

/// Lists by `state`, `head` (`owner:branch`; without a colon GitHub ignores it), `base`, `sort`, `direction`.
pub(super) fn list_pulls(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    let wanted = request.query("state").unwrap_or("open");
    let head = request.query("head").and_then(|head| head.split_once(':'));
    let base = request.query("base");
    let mut pulls: Vec<&Pull> = Vec::new();
    let shown = |pull: &&Pull| repository.shows(&format!("pull/{}", pull.number), request.now);
    for pull in repository.pulls.iter().filter(shown) {
        let state = match wanted {
            "open" => pull.open,
            "closed" => !pull.open,
            _ => true,
        };
        let head = head.is_none_or(|(owner, branch)| {
            owner.eq_ignore_ascii_case(&repository.owner) && branch == pull.head_ref
        });
        if state && head && base.is_none_or(|base| base == pull.base_ref) {
            pulls.push(pull);
        }
    }
    let sort = request.query("sort").unwrap_or("created");
    match sort {
        "updated" => pulls.sort_by_key(|pull| (pull.updated_at.as_second(), pull.number)),
        _ => pulls.sort_by_key(|pull| pull.number),
    }
    let descending = match request.query("direction") {
        Some(direction) => direction == "desc",
        None => sort == "created",
    };
    if descending {
        pulls.reverse();
    }
    let (page, link) = paginate(request, &state.url, pulls);
    let everybodys = state.repositories[at].manners.foreign_pulls && head.is_none();
    let mut views = Vec::new();
    for pull in page {
        let view = state.pull_summary(at, pull);
        if everybodys {
            views.extend(super::manners::foreign(&view));
        }
        views.push(view);
    }
    Ok(Answer::page(Value::Array(views), link))
}

/// The position of the pull request that a request names.
pub(super) fn find(state: &State, at: usize, request: &Request) -> Result<usize, Answer> {
    let number = request.number("pull_number")?;
    let pulls = &state.repositories[at].pulls;
    pulls.iter().position(|pull| pull.number == number).ok_or_else(Answer::not_found)
}

/// One pull request. Its mergeability is computed in the background: the first read after a change says `null`.
pub(super) fn get_pull(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let index = find(state, at, request)?;
    let repository = &state.repositories[at];
    let pull = &repository.pulls[index];
    if !repository.shows(&format!("pull/{}", pull.number), request.now) {
        return Err(Answer::not_found());
    }
    if pull.open {
        match pull.mergeability {
            Mergeability::Unknown if state.settings.mergeable_lag => {
                state.repositories[at].pulls[index].mergeability = Mergeability::Computing;
            }
            Mergeability::Unknown | Mergeability::Computing => super::merge::test_merge(state, at, index)?,
            Mergeability::Known(_) => {}
        }
    }
    Ok(Answer::ok(state.pull_view(at, &state.repositories[at].pulls[index])))
}

pub(super) fn update_pull(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let index = find(state, at, request)?;
    let sender = request.caller.login()?.to_owned();
    let mut changes = serde_json::Map::new();
    let before = state.repositories[at].pulls[index].clone();
    let mut after = before.clone();
    if let Some(title) = request.optional("title")? {
        if title.trim().is_empty() {
            return Err(Answer::invalid(
                json!({ "resource": "PullRequest", "code": "missing_field", "field": "title" }),
            ));
        }
        title.clone_into(&mut after.title);
    }
    match request.body.get("body") {
        None => {}
        Some(Value::Null) => after.body = None,
        Some(Value::String(body)) => after.body = Some(body.clone()),
        Some(other) => return Err(not_a("body", other, "string")),
    }
    if let Some(base) = request.optional("base")? {
        change_base(state, at, &mut after, base)?;
    }
    let action = change_state(state, at, &mut after, request)?;
    if before.title != after.title {
        changes.insert("title".into(), json!({ "from": before.title }));
    }
    if before.body != after.body {
        changes.insert("body".into(), json!({ "from": before.body }));
    }
    if before.base_ref != after.base_ref {
        let from = json!({ "ref": { "from": before.base_ref }, "sha": { "from": before.base_sha } });
        changes.insert("base".into(), from);
    }
    if action.is_some() || !changes.is_empty() {
        after.updated_at = request.now;
    }
    // Closed, or meant for another branch: it is no longer in that queue.
    let stays = after.open && after.base_ref == before.base_ref;
    let number = after.number;
    state.repositories[at].pulls[index] = after;
    if !stays {
        merge_queue::leave(state, at, number, RemovalReason::Manual, request);
    }
    if !changes.is_empty() {
        state.emit_pull(at, index, "edited", &json!({ "changes": changes }), &sender);
    }
    if let Some(action) = action {
        state.emit_pull(at, index, action, &json!({}), &sender);
    }
    Ok(Answer::ok(state.pull_view(at, &state.repositories[at].pulls[index])))
}

/// Closes or reopens as the request says; returns the action that hooks are told.
fn change_state(
    state: &State,
    at: usize,
    pull: &mut Pull,
    request: &Request,
) -> Result<Option<&'static str>, Answer> {
    match request.optional("state")? {
        Some("open") if !pull.open => {
            reopen(state, at, pull)?;
            Ok(Some("reopened"))
        }
        Some("closed") if pull.open => {
            pull.close(request.now);
            Ok(Some("closed"))
        }
        None | Some("open" | "closed") => Ok(None),
        Some(_) => {
            Err(Answer::invalid(json!({ "resource": "PullRequest", "code": "invalid", "field": "state" })))
        }
    }
}

fn change_base(state: &State, at: usize, pull: &mut Pull, base: &str) -> Result<(), Answer> {
    if base == pull.base_ref {
        return Ok(());
    }
    let invalid = |message: &str| {
        Answer::invalid(
            json!({ "message": message, "resource": "PullRequest", "field": "base", "code": "invalid" }),
        )
    };
    if !pull.open {
        return Err(invalid("Cannot change the base branch of a closed pull request."));
    }
    let Some(id) = state.repositories[at].tip(base) else {
        return Err(invalid(&format!("Proposed base branch '{base}' was not found")));
    };
    base.clone_into(&mut pull.base_ref);
    pull.base_sha = id.to_string();
    pull.mergeability = Mergeability::Unknown;
    Ok(())
}

/// Opens a closed pull request again, unless it is merged or its branch is gone, rewritten or taken.
fn reopen(state: &State, at: usize, pull: &mut Pull) -> Result<(), Answer> {
    let repository = &state.repositories[at];
    let refuse = |why: String| {
        Answer::invalid(json!({
            "resource": "PullRequest",
            "code": "custom",
            "field": "state",
            "message": format!("state cannot be changed. {why}"),
        }))
    };
    if pull.merged_at.is_some() {
        return Err(refuse("The pull request cannot be reopened.".into()));
    }
    let Some(head) = repository.tip(&pull.head_ref) else {
        return Err(refuse(format!("The {} branch has been deleted.", pull.head_ref)));
    };
    if repository.tip(&pull.base_ref).is_none() {
        return Err(refuse(format!("The {} branch has been deleted.", pull.base_ref)));
    }
    let closed_at = Oid::from_str(&pull.head_sha)?;
    if head != closed_at && !repository.git.graph_descendant_of(head, closed_at)? {
        return Err(refuse(format!("The {} branch was force-pushed or recreated.", pull.head_ref)));
    }
    let taken =
        |other: &&Pull| other.open && other.head_ref == pull.head_ref && other.base_ref == pull.base_ref;
    if let Some(other) = repository.pulls.iter().find(taken) {
        return Err(refuse(format!(
            "There is already an open pull request (#{}) from {} to {}.",
            other.number, pull.head_ref, pull.base_ref
        )));
    }
    repository.git.reference(&format!("refs/pull/{}/head", pull.number), head, true, "reopen")?;
    pull.head_sha = head.to_string();
    pull.open = true;
    pull.closed_at = None;
    pull.mergeability = Mergeability::Unknown;
    Ok(())
}
