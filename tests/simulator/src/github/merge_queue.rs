//! The merge queue of a branch: who stands in it, the groups that are checked, and how a pull request leaves it.
//! GraphQL lets in and out (`graphql_queue`); what the queue itself does, tests do step by step.

use git2::Oid;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::branch_rules::RuleKind;
use super::events::brief;
use super::objects::git_commit;
use super::request::Request;
use super::state::{Mergeability, Repository, State};
use super::{GitHub, Refused, merge, refs};

/// Who merges and dequeues where no person does.
pub(super) const BOT: &str = "github-merge-queue[bot]";

/// The state of an entry, in GraphQL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntryState {
    Queued,
    AwaitingChecks,
    Mergeable,
    Unmergeable,
    /// It is about to be merged, and can't be taken out.
    Locked,
}

/// Why a pull request has left the queue, as the webhook says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RemovalReason {
    UnknownRemovalReason,
    Manual,
    Merge,
    MergeConflict,
    CiFailure,
    CiTimeout,
    AlreadyMerged,
    QueueCleared,
    RollBack,
    BranchProtections,
    GitTreeInvalid,
    InvalidMergeCommit,
}

impl RemovalReason {
    /// The timeline has words of its own.
    pub(super) fn on_timeline(self) -> String {
        match self {
            Self::Merge | Self::AlreadyMerged => "merged".to_owned(),
            Self::CiFailure => "failed_checks".to_owned(),
            other => json!(other).as_str().unwrap_or_default().to_lowercase(),
        }
    }
}

/// What a queue does next with a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum QueueStep {
    /// Makes the merge group, whose checks are awaited then; a conflict throws the pull request out.
    Build,
    Mergeable,
    Unmergeable,
    Lock,
    /// Merges the group, by the queue's own method.
    Merge,
    Remove {
        reason: RemovalReason,
    },
}

/// A pull request in the queue; those of all branches stand in one list.
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) base: String,
    pub(super) enqueuer: String,
    pub(super) at: Timestamp,
    pub(super) jump: bool,
    pub(super) state: EntryState,
    pub(super) group: Option<Group>,
}

/// The commit that is checked, and what it stands on.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) base: Oid,
    pub(super) head: Oid,
}

/// That a pull request has left, as its timeline keeps it.
pub(super) struct Removal {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) reason: RemovalReason,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) before: Option<Oid>,
}

impl Entry {
    fn branch(&self) -> Option<String> {
        let group = self.group?;
        Some(format!("gh-readonly-queue/{}/pr-{}-{}", self.base, self.number, group.base))
    }
}

impl Repository {
    pub(super) fn entry(&self, number: u64) -> Option<&Entry> {
        self.queue.iter().find(|entry| entry.number == number)
    }

    /// The entries of a branch, in line.
    pub(super) fn line(&self, base: &str) -> Vec<&Entry> {
        self.queue.iter().filter(|entry| entry.base == base).collect()
    }

    pub(super) fn position(&self, entry: &Entry) -> usize {
        self.line(&entry.base).iter().position(|one| one.id == entry.id).map_or(0, |at| at + 1)
    }

    /// Refuses to move or delete a branch whose pull request is in the queue, with the line breaks that GitHub has there.
    pub(super) fn not_queued(&self, branch: &str) -> Result<(), Answer> {
        let queued = |entry: &Entry| {
            self.pulls.iter().any(|pull| pull.number == entry.number && pull.head_ref == branch)
        };
        if !self.queue.iter().any(queued) {
            return Ok(());
        }
        let body = json!({
            "message": "A pull request for this branch has been added to a merge queue. Branches that\nare queued for merging cannot \
                        be updated. To modify this branch, dequeue the\nassociated pull request.\n",
            "documentation_url": "https://docs.github.com/articles/about-protected-branches",
        });
        Err(Answer::new(StatusCode::UNPROCESSABLE_ENTITY, body))
    }
}

/// Puts a pull request into the queue of its base; `Err` is why not, in GitHub's words.
pub(super) fn enqueue(
    state: &mut State,
    (at, index): (usize, usize),
    request: &Request,
    expected: Option<&str>,
    jump: bool,
) -> Result<(), String> {
    let repository = &state.repositories[at];
    let pull = &repository.pulls[index];
    let number = pull.number;
    if !pull.open {
        return Err("Pull request is not open".to_owned());
    }
    if repository.rule(&pull.base_ref, RuleKind::MergeQueue).is_none() {
        return Err("Pull request base branch does not have a merge queue".to_owned());
    }
    if repository.entry(number).is_some() {
        return Err("Pull request is already in the queue".to_owned());
    }
    if expected.is_some_and(|sha| sha != pull.head_sha) {
        return Err(format!(
            "Failed to add PR #{number}: expected head oid does not match the current head oid"
        ));
    }
    if pull.draft {
        return Err("Pull request is in draft state".to_owned());
    }
    let tested = merge::test_merge(state, at, index);
    let (repository, pull) = (&state.repositories[at], &state.repositories[at].pulls[index]);
    if tested.is_err() || pull.mergeability != Mergeability::Known(true) {
        return Err("Pull request is not mergeable".to_owned());
    }
    let violations = repository.violations(pull, request.now, true);
    if !violations.is_empty() {
        return Err(format!("Pull request {}", violations.join(" ")));
    }
    let enqueuer = request.caller.login().map(str::to_owned).unwrap_or_default();
    let base = pull.base_ref.clone();
    let entry = Entry {
        id: state.next_id(),
        number,
        base: base.clone(),
        enqueuer: enqueuer.clone(),
        at: request.now,
        jump,
        state: EntryState::Queued,
        group: None,
    };
    let queue = &mut state.repositories[at].queue;
    let waits = |one: &Entry| one.base == base && one.state != EntryState::Locked && !one.jump;
    let place = if jump { queue.iter().position(waits) } else { None };
    queue.insert(place.unwrap_or(queue.len()), entry);
    state.emit_pull(at, index, "enqueued", &json!({}), &enqueuer);
    if jump {
        invalidate(state, at, &base, place.map_or(usize::MAX, |place| place + 1), request);
    }
    Ok(())
}

/// Takes a pull request out; what was built on it has to be built again.
pub(super) fn leave(
    state: &mut State,
    at: usize,
    number: u64,
    reason: RemovalReason,
    request: &Request,
) -> Option<Entry> {
    let place = state.repositories[at].queue.iter().position(|entry| entry.number == number)?;
    let entry = state.repositories[at].queue.remove(place);
    let actor = request.caller.login().map(str::to_owned).unwrap_or_default();
    let removal = Removal {
        id: state.next_id(),
        number,
        reason,
        at: request.now,
        actor: actor.clone(),
        before: entry.group.map(|group| group.head),
    };
    state.repositories[at].removals.push(removal);
    let merged = reason == RemovalReason::Merge;
    destroy(state, at, &entry, if merged { "merged" } else { "dequeued" }, request);
    if !merged {
        invalidate(state, at, &entry.base, place, request);
    }
    let index = state.repositories[at].pulls.iter().position(|pull| pull.number == number);
    if let Some(index) = index {
        state.emit_pull(at, index, "dequeued", &json!({ "reason": reason }), &actor);
    }
    Some(entry)
}

/// Forgets the groups of a branch from this place in the line on.
fn invalidate(state: &mut State, at: usize, base: &str, from: usize, request: &Request) {
    for place in from..state.repositories[at].queue.len() {
        let entry = &mut state.repositories[at].queue[place];
        if entry.base != base || entry.group.is_none() {
            continue;
        }
        let shown = Entry { base: entry.base.clone(), enqueuer: String::new(), ..*entry };
        (entry.group, entry.state) = (None, EntryState::Queued);
        destroy(state, at, &shown, "invalidated", request);
    }
}

/// Removes the branch of a group, if there is one.
fn destroy(state: &mut State, at: usize, entry: &Entry, reason: &str, request: &Request) {
    let Some(branch) = entry.branch() else { return };
    // Somebody may have deleted it by hand.
    if state.repositories[at].tip(&branch).is_some() {
        let _ = refs::remove_branch(state, at, &branch, request);
    }
    emit_group(state, at, entry, "destroyed", json!({ "reason": reason }));
}

/// A `merge_group` event, for hooks that want it.
fn emit_group(state: &mut State, at: usize, entry: &Entry, action: &str, mut payload: Value) {
    let repository = &state.repositories[at];
    let (Some(group), Some(branch)) = (entry.group, entry.branch()) else { return };
    let commit = repository.git.find_commit(group.head).ok();
    payload["action"] = action.into();
    payload["merge_group"] = json!({
        "head_sha": group.head.to_string(),
        "head_ref": format!("refs/heads/{branch}"),
        "base_sha": group.base.to_string(),
        "base_ref": format!("refs/heads/{}", entry.base),
        "head_commit": commit.map(|commit| brief(&git_commit(&state.url, repository, &commit))),
    });
    state.emit(at, "merge_group", payload, BOT);
}

/// Makes the group of an entry on what stands before it in the line; `false`: a conflict, and the pull request is out.
fn build(state: &mut State, at: usize, number: u64, request: &Request) -> Result<bool, Answer> {
    let repository = &state.repositories[at];
    let entry = repository.entry(number).ok_or_else(Answer::not_found)?;
    let index =
        repository.pulls.iter().position(|pull| pull.number == number).ok_or_else(Answer::not_found)?;
    let before = repository.line(&entry.base).into_iter().take_while(|one| one.number != number).last();
    let base =
        before.and_then(|one| one.group).map(|group| group.head).or_else(|| repository.tip(&entry.base));
    let base = base.ok_or_else(Answer::not_found)?;
    let rule = repository.rule(&entry.base, RuleKind::MergeQueue);
    let method = rule.map(|rule| rule.word("merge_method").to_lowercase()).unwrap_or_default();
    let old = Entry { base: entry.base.clone(), enqueuer: String::new(), ..*entry };
    destroy(state, at, &old, "invalidated", request);
    let Some(head) = merge::onto(state, (at, index), &method, base, request)? else {
        leave(state, at, number, RemovalReason::MergeConflict, request);
        return Ok(false);
    };
    let mut built = None;
    for entry in state.repositories[at].queue.iter_mut().filter(|entry| entry.number == number) {
        (entry.group, entry.state) = (Some(Group { base, head }), EntryState::AwaitingChecks);
        built = Some(Entry { base: entry.base.clone(), enqueuer: String::new(), ..*entry });
    }
    if let Some(built) = built
        && let Some(branch) = built.branch()
    {
        refs::set_branch(state, at, &branch, head, request)?;
        emit_group(state, at, &built, "checks_requested", json!({}));
    }
    Ok(true)
}

/// Merges what is first in the line.
fn merge_group(state: &mut State, at: usize, number: u64, request: &Request) -> Result<(), Answer> {
    let repository = &state.repositories[at];
    let entry = repository.entry(number).ok_or_else(Answer::not_found)?;
    if repository.position(entry) != 1 {
        return Err(Answer::unprocessable("stand-in: another pull request is before it in the queue"));
    }
    let current = entry.group.is_some_and(|group| repository.tip(&entry.base) == Some(group.base));
    if !current && !build(state, at, number, request)? {
        return Ok(());
    }
    let repository = &state.repositories[at];
    let group = repository.entry(number).and_then(|entry| entry.group).ok_or_else(Answer::not_found)?;
    let index =
        repository.pulls.iter().position(|pull| pull.number == number).ok_or_else(Answer::not_found)?;
    // Out of the queue first: its branch may go with the merge.
    leave(state, at, number, RemovalReason::Merge, request);
    merge::finish(state, at, index, group.head, request)
}

impl GitHub {
    /// Has the queue do something with a pull request that is in it.
    pub fn queue_step(&self, full_name: &str, number: u64, step: QueueStep) -> Result<(), Refused> {
        let request = self.request_of(BOT, full_name);
        let done = self.with_state(BOT, |state| {
            let at = state.repository(&request, super::auth::Access::Read)?;
            let queue = &mut state.repositories[at].queue;
            let entry =
                queue.iter_mut().find(|entry| entry.number == number).ok_or_else(Answer::not_found)?;
            match step {
                QueueStep::Build => build(state, at, number, &request).map(drop),
                QueueStep::Merge => merge_group(state, at, number, &request),
                QueueStep::Remove { reason } => {
                    leave(state, at, number, reason, &request);
                    Ok(())
                }
                QueueStep::Mergeable => {
                    entry.state = EntryState::Mergeable;
                    Ok(())
                }
                QueueStep::Unmergeable => {
                    entry.state = EntryState::Unmergeable;
                    Ok(())
                }
                QueueStep::Lock => {
                    entry.state = EntryState::Locked;
                    Ok(())
                }
            }
        });
        done.map_err(Refused::from)
    }
}
