//! How check runs, their suites and commit statuses look over REST.
//! Used by `checks`; field names and their presence follow GitHub's `OpenAPI` description.

use git2::Oid;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::{ACTIONS, Shown, suite_id};
use super::events::brief;
use super::objects::{git_commit, node_id};
use super::request::stamp;
use super::state::State;

pub(super) fn run_view(state: &State, at: usize, sha: &str, shown: &Shown<'_>) -> Value {
    let (id, check) = (shown.id, shown.check);
    let url = format!("{}/repos/{}/check-runs/{id}", state.url, state.repositories[at].full_name());
    json!({
        "id": id,
        "node_id": node_id("CR", id),
        "external_id": "",
        "name": check.name,
        "head_sha": sha,
        "status": check.status(),
        "conclusion": check.conclusion,
        "url": url,
        "html_url": format!("https://github.com/runs/{id}"),
        "details_url": format!("https://github.com/runs/{id}"),
        "started_at": stamp(shown.at),
        "completed_at": check.conclusion.as_ref().map(|_| stamp(shown.at)),
        "output": {
            "title": check.output.title,
            "summary": check.output.summary,
            "text": null,
            "annotations_count": check.output.annotations.len(),
            "annotations_url": format!("{url}/annotations"),
        },
        "check_suite": { "id": suite_id(sha, check.suite()) },
        "app": app_view(state, check.app()),
        "pull_requests": [],
    })
}

fn app_view(state: &State, app: u64) -> Value {
    let slug = if app == ACTIONS { "github-actions".to_owned() } else { format!("app-{app}") };
    json!({
        "id": app,
        "slug": slug,
        "node_id": node_id("A", app),
        "owner": state.user_view("github"),
        "name": slug,
        "description": "",
        "external_url": "https://help.github.com",
        "html_url": format!("https://github.com/apps/{slug}"),
        "created_at": "2018-07-30T09:30:17Z",
        "updated_at": "2018-07-30T09:30:17Z",
        "permissions": { "checks": "write", "metadata": "read" },
        "events": [],
    })
}

pub(super) fn suite_view(state: &State, at: usize, sha: &str, suite: (u64, u64), now: Timestamp) -> Value {
    let repository = &state.repositories[at];
    let mut latest = repository.latest_in_suites(sha, now);
    latest.retain(|shown| !shown.check.commit_status && shown.check.suite() == suite);
    let done = !latest.is_empty() && latest.iter().all(|shown| shown.check.conclusion.is_some());
    let has = |word: &&str| latest.iter().any(|shown| shown.check.conclusion.as_deref() == Some(word));
    // The worst decides.
    let order = [
        "action_required",
        "failure",
        "startup_failure",
        "timed_out",
        "cancelled",
        "stale",
        "success",
        "neutral",
        "skipped",
    ];
    let conclusion = order.iter().find(|word| has(word)).filter(|_| done);
    let status = match (latest.is_empty(), done) {
        (true, _) => "queued",
        (false, true) => "completed",
        (false, false) => "in_progress",
    };
    let id = suite_id(sha, suite);
    let url = format!("{}/repos/{}/check-suites/{id}", state.url, repository.full_name());
    let commit = Oid::from_str(sha).and_then(|id| repository.git.find_commit(id));
    let made = repository.meant_for(sha).map(|(since, _)| stamp(since));
    json!({
        "id": id,
        "node_id": node_id("CS", id),
        "head_branch": null,
        "head_sha": sha,
        "status": status,
        "conclusion": conclusion,
        "url": url,
        "before": null,
        "after": sha,
        "pull_requests": [],
        "app": app_view(state, suite.0),
        "repository": state.repository_view(at, None),
        "head_commit": commit.map(|commit| brief(&git_commit(&state.url, repository, &commit))).ok(),
        "created_at": made,
        "updated_at": made,
        "latest_check_runs_count": latest.len(),
        "check_runs_url": format!("{url}/check-runs"),
        "rerequestable": true,
        "runs_rerequestable": true,
    })
}

pub(super) fn status_view(state: &State, at: usize, sha: &str, shown: &Shown<'_>) -> Value {
    let check = shown.check;
    let creator = state.user_view("ci");
    json!({
        "url": format!("{}/repos/{}/statuses/{sha}", state.url, state.repositories[at].full_name()),
        "avatar_url": creator["avatar_url"],
        "creator": creator,
        "id": shown.id,
        "node_id": node_id("SC", shown.id),
        "context": check.name,
        "state": check.conclusion.as_deref().unwrap_or("pending"),
        "description": check.output.title,
        "target_url": null,
        "created_at": stamp(shown.at),
        "updated_at": stamp(shown.at),
    })
}
