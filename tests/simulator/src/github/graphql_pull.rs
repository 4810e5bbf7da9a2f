//! A pull request as GraphQL has it, with its place in the merge queue and what its timeline says of that.
//! Part of `graphql_select`; `views` shows the same pull request over REST, `graphql_queue` changes its place.

use serde_json::{Value, json};

use super::branch_rules::RuleKind;
use super::graphql_select::connection;
use super::merge_queue::{BOT, Entry, Removal};
use super::objects::node_id;
use super::request::stamp;
use super::state::{Mergeability, Pull, State};

pub(super) fn state_word(pull: &Pull) -> &'static str {
    match (pull.open, pull.merged_at) {
        (true, _) => "OPEN",
        (false, Some(_)) => "MERGED",
        (false, None) => "CLOSED",
    }
}

/// Position of repository and pull request that a node id names.
pub(super) fn find(state: &State, id: &str) -> Option<(usize, usize)> {
    let mut found = None;
    for (at, repository) in state.repositories.iter().enumerate() {
        let index = repository.pulls.iter().position(|pull| node_id("PR", pull.id) == id);
        found = found.or(index.map(|index| (at, index)));
    }
    found
}

fn user(login: &str) -> Value {
    let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
    json!({ "__typename": kind, "login": login.trim_end_matches("[bot]") })
}

pub(super) fn commit(at: usize, sha: &str) -> Value {
    json!({ "__typename": "Commit", "@at": at, "oid": sha })
}

/// What depends on nothing that the document says. Names that begin with `@` are for `graphql_select`.
pub(super) fn view(state: &State, at: usize, index: usize) -> Value {
    let repository = &state.repositories[at];
    let pull = &repository.pulls[index];
    let mergeable = match pull.mergeability {
        Mergeability::Known(mergeable) if pull.open => Some(mergeable),
        _ => None,
    };
    let url = format!("https://github.com/{}/pull/{}", repository.full_name(), pull.number);
    json!({
        "__typename": "PullRequest",
        "@at": at,
        "@index": index,
        "id": node_id("PR", pull.id),
        "number": pull.number,
        "title": pull.title,
        "body": pull.body.as_deref().unwrap_or_default(),
        "url": url,
        "state": state_word(pull),
        "closed": !pull.open,
        "merged": pull.merged_at.is_some(),
        "isDraft": pull.draft,
        "createdAt": stamp(pull.created_at),
        "updatedAt": stamp(pull.updated_at),
        "closedAt": pull.closed_at.map(stamp),
        "mergedAt": pull.merged_at.map(stamp),
        "author": user(&pull.author),
        "mergedBy": pull.merged_by.as_deref().map(user),
        "mergeCommit": pull.merged_at.and(pull.merge_commit_sha.as_deref()).map(|sha| commit(at, sha)),
        "headRefName": pull.head_ref,
        "headRefOid": pull.head_sha,
        "baseRefName": pull.base_ref,
        "baseRefOid": pull.base_sha,
        "mergeable": match mergeable {
            None => "UNKNOWN",
            Some(true) => "MERGEABLE",
            Some(false) => "CONFLICTING",
        },
        "mergeStateStatus": state.mergeable_state(at, pull, mergeable).to_uppercase(),
        "reviewDecision": repository.review_decision(pull),
        "isInMergeQueue": repository.entry(pull.number).is_some(),
        "isMergeQueueEnabled": repository.rule(&pull.base_ref, RuleKind::MergeQueue).is_some(),
        "autoMergeRequest": null,
    })
}

/// An entry of the queue; what leads to other objects is computed when it is asked for.
pub(super) fn entry_view(state: &State, at: usize, entry: &Entry) -> Value {
    let repository = &state.repositories[at];
    let position = repository.position(entry);
    let index = repository.pulls.iter().position(|pull| pull.number == entry.number);
    let of_group = |which: fn(&super::merge_queue::Group) -> git2::Oid| {
        entry.group.as_ref().map(|group| commit(at, &which(group).to_string()))
    };
    json!({
        "__typename": "MergeQueueEntry",
        "@at": at,
        "@index": index,
        "@branch": entry.base,
        "id": node_id("MQE", entry.id),
        "position": position,
        "state": entry.state,
        "enqueuedAt": stamp(entry.at),
        "enqueuer": user(&entry.enqueuer),
        "estimatedTimeToMerge": position * 300,
        "jump": entry.jump,
        "solo": false,
        "baseCommit": of_group(|group| group.base),
        "headCommit": of_group(|group| group.head),
    })
}

/// The queue of a branch; null where it has none.
pub(super) fn queue_view(state: &State, at: usize, branch: &str) -> Value {
    let repository = &state.repositories[at];
    let Some(rule) = repository.rule(branch, RuleKind::MergeQueue) else { return Value::Null };
    let line: Vec<Value> = repository.line(branch).iter().map(|entry| entry_view(state, at, entry)).collect();
    let path = format!("/{}/queue/{branch}", repository.full_name());
    json!({
        "__typename": "MergeQueue",
        "@at": at,
        "id": node_id("MQ", repository.id),
        "resourcePath": path,
        "url": format!("https://github.com{path}"),
        "nextEntryEstimatedTimeToMerge": (line.len() + 1) * 300,
        "configuration": {
            "__typename": "MergeQueueConfiguration",
            "checkResponseTimeout": rule.number("check_response_timeout_minutes"),
            "maximumEntriesToBuild": rule.number("max_entries_to_build"),
            "maximumEntriesToMerge": rule.number("max_entries_to_merge"),
            "mergeMethod": rule.word("merge_method"),
            "mergingStrategy": rule.word("grouping_strategy"),
            "minimumEntriesToMerge": rule.number("min_entries_to_merge"),
            "minimumEntriesToMergeWaitTime": rule.number("min_entries_to_merge_wait_minutes"),
        },
        "entries": connection("MergeQueueEntry", &line),
    })
}

/// What the timeline keeps of the queue: that the pull request left it, and why.
pub(super) fn timeline(state: &State, at: usize, index: usize, given: &Value) -> Value {
    let repository = &state.repositories[at];
    let wanted = |kind: &str| {
        let kinds = given["itemTypes"].as_array();
        kinds.is_none_or(|kinds| kinds.iter().any(|one| one == kind))
    };
    let number = repository.pulls[index].number;
    let of_it = repository.removals.iter().filter(|removal| removal.number == number);
    let nodes: Vec<Value> = if wanted("REMOVED_FROM_MERGE_QUEUE_EVENT") {
        of_it.map(|removal| removal_view(at, removal)).collect()
    } else {
        Vec::new()
    };
    connection("PullRequestTimelineItems", &nodes)
}

fn removal_view(at: usize, removal: &Removal) -> Value {
    json!({
        "__typename": "RemovedFromMergeQueueEvent",
        "id": node_id("RFMQE", removal.id),
        "createdAt": stamp(removal.at),
        "actor": user(&removal.actor),
        "enqueuer": if removal.actor == BOT { Value::Null } else { user(&removal.actor) },
        "reason": removal.reason.on_timeline(),
        "beforeCommit": removal.before.map(|oid| commit(at, &oid.to_string())),
    })
}
