//! One Task under decision: its status as it will stand, and the moves all parts of the decision share.
//! Used by every module of this folder; the rows of the board stand in `domain::board`.

use super::model::{Health, Plan};
use crate::{
    api::{
        Phase, PullRequestState, RoundEnd, Task, TaskStatus, bounds, common::Retry, conditions as names,
        conditions::reason,
    },
    domain::{
        board::{BUILDING, FAILED_EARLY, FAILED_LATE, PENDING, Row},
        conditions::{self, Standing},
        failure::{Class, Failure, operation},
        plan::Next,
        retry::{self, Verdict},
    },
};
use jiff::Timestamp;
use kube::ResourceExt;

/// Reasons of `Generated` and `Committed` while the round is at work on them.
pub(super) const AT_WORK: [&str; 3] = [reason::CHECKING_OUT, reason::GENERATING, reason::COMMITTING];

/// A Task under decision, its status as it will stand.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    pub task: &'a Task,
    pub status: TaskStatus,
    pub now: Timestamp,
    /// A person has asked to look now, or has changed the spec.
    pub hurried: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(task: &'a Task, status: TaskStatus, now: Timestamp) -> Self {
        Self { task, status, now, hurried: false }
    }

    pub(super) fn uid(&self) -> String {
        self.task.uid().unwrap_or_default()
    }

    fn generation(&self) -> i64 {
        self.task.metadata.generation.unwrap_or_default()
    }

    pub(super) fn phase(&self) -> Phase {
        self.status.phase.unwrap_or_default()
    }

    /// Returns whether the round still works towards its commit, its branch or its pull request.
    pub(super) fn is_under_way(&self) -> bool {
        is_under_way(&self.status)
    }

    /// Returns whether the Task has an open pull request, from this round or an earlier one.
    pub(super) fn has_open_pull(&self) -> bool {
        self.status
            .pull_request
            .as_ref()
            .is_some_and(|pull| matches!(pull.state, PullRequestState::Open | PullRequestState::Unknown))
    }

    pub(super) fn row(&mut self, row: Row) {
        (self.status.state, self.status.column, self.status.build_status) = row;
    }

    pub(super) fn condition(&mut self, type_: &str, holds: bool, reason: &str, message: &str) {
        let generation = self.generation();
        conditions::set(&mut self.status.conditions, generation, self.now, type_, holds, reason, message);
    }

    /// Sets `Ready`, `Reconciling` and `Stalled`, and brings every condition up to this generation.
    pub(super) fn stand(&mut self, standing: Standing, reason: &str, message: &str) {
        let generation = self.generation();
        conditions::stand(&mut self.status.conditions, generation, self.now, standing, reason, message);
        self.status.observed_generation = generation;
        for condition in &mut self.status.conditions {
            condition.observed_generation = Some(generation);
        }
        if let Some(request) = &mut self.status.sandbox_request {
            // What the sandbox itself holds up still wants it: to drop the need would make the sandbox look idle.
            request.resting = standing != Standing::Reconciling && reason != reason::SANDBOX_NOT_READY;
        }
    }

    pub(super) fn ready(&mut self, reason: &str, message: &str) {
        self.status.retry = None;
        self.stand(Standing::Ready, reason, message);
    }

    /// Says that the Task is at work, or waits for something that comes without a person.
    pub(super) fn working(&mut self, reason: &str, message: &str) {
        let (open, none) = (self.has_open_pull(), self.status.pull_request.is_none());
        match self.phase() {
            Phase::Pending | Phase::Ended if none => self.row(PENDING),
            _ if self.is_under_way() && (open || none) => self.row(BUILDING),
            // The board is that of the pull request.
            _ => {}
        }
        self.stand(Standing::Reconciling, reason, message);
    }

    /// Says that a person has to fix something; there is no call to repeat.
    pub(super) fn stalled(&mut self, reason: &str, message: &str) {
        self.stuck();
        self.status.retry = retry::clear_backoff(self.status.retry.take(), self.now);
        self.stand(Standing::Stalled, reason, message);
    }

    /// Records a failed call: `status.retry`, the conditions, and the board when a person has to act.
    pub(super) fn failed(&mut self, failure: &Failure) {
        if failure.class == Class::NotFound && retry::ARRIVES_LATER.contains(&failure.reason) {
            self.missing(failure.operation, failure.reason, &failure.message);
            return;
        }
        // Looking for an object has its own schedule: it uses up no attempt of a call.
        let looked_for = |retry: &&Retry| {
            operation::LOOKED_FOR.contains(&retry.operation.as_str())
                || retry::ARRIVES_LATER.contains(&retry.reason.as_str())
        };
        let previous = self.status.retry.as_ref().filter(|retry| !looked_for(retry));
        let verdict = retry::after(previous, failure, &self.uid(), self.now);
        self.verdict(verdict);
    }

    /// Records a failed call as [`Self::failed`] does, and comes back when `status.retry` says so.
    pub(super) fn failed_plan(mut self, failure: &Failure) -> Plan {
        self.note_unreachable(failure);
        self.failed(failure);
        self.requeue()
    }

    /// Comes back when `status.retry` says so; without one, when something changes.
    pub(super) fn requeue(self) -> Plan {
        let next = self.status.retry.as_ref().map(|retry| Next::At(retry.next_attempt_at.0));
        Plan::settle(self.status, next.unwrap_or(Next::AwaitChange))
    }

    fn verdict(&mut self, verdict: Verdict) {
        if verdict.standing == Standing::Stalled {
            self.stuck();
            self.stand(Standing::Stalled, verdict.reason, &verdict.message);
        } else {
            self.working(verdict.reason, &verdict.message);
        }
        self.status.retry = Some(verdict.retry);
    }

    /// Waits as `status.retry` says, and says why.
    pub(super) fn hold(&mut self) {
        let Some(retry) = self.status.retry.clone() else { return };
        let (reason, message) = retry::said(&retry);
        if retry.stalled {
            self.stuck();
            self.stand(Standing::Stalled, &reason, &message);
        } else {
            self.working(&reason, &message);
        }
    }

    /// Shows the board row of a Task that can't go on. A pull request that waits for people keeps its own.
    pub(super) fn stuck(&mut self) {
        let phase = self.phase();
        if self.has_open_pull() {
            if self.is_under_way() {
                self.row(FAILED_LATE);
            }
        } else if self.status.pull_request.is_none() {
            let generated = match &self.status.ended {
                Some(ended) => ended.generated,
                None => phase >= Phase::Collecting && phase < Phase::Ended,
            };
            self.row(if generated { FAILED_LATE } else { FAILED_EARLY });
        }
    }

    /// Looks for a referenced object that is not there yet, on a schedule of its own.
    pub(super) fn missing(&mut self, operation: &'static str, reason: &'static str, message: &str) {
        let due_later = self.status.retry.as_ref().is_some_and(|retry| {
            retry.operation == operation && retry.reason == reason && retry.next_attempt_at.0 > self.now
        });
        if due_later {
            // Looked at before its time, by another event: the schedule stands.
            self.hold();
            return;
        }
        let verdict =
            retry::not_found(self.status.retry.as_ref(), operation, reason, message, &self.uid(), self.now);
        self.verdict(verdict);
    }

    /// Ends the schedule of looking for an object, because it is there.
    pub(super) fn found(&mut self, operation: &str) {
        if self.status.retry.as_ref().is_some_and(|retry| retry.operation == operation) {
            self.status.retry = None;
        }
    }

    /// Says that the Task waits for its Sandbox, in the same words for one still to be made and one that comes up: each change
    /// costs a write.
    pub(super) fn waits_for_sandbox(&mut self, name: &str, health: &Health) {
        let why = reason::SANDBOX_NOT_READY;
        match health {
            Health::Stalled(message) => self.stalled(why, &format!("Sandbox {name} is stalled: {message}")),
            Health::Ready => self.working(why, &format!("waiting for Sandbox {name} to run")),
            Health::NotReady(message) => {
                self.working(why, &format!("Sandbox {name} is not ready: {message}"));
            }
        }
        let message = "waiting for the sandbox to run";
        self.condition(names::SANDBOX_READY, false, reason::SANDBOX_REQUESTED, message);
    }

    /// Reports a sandbox that gives no answer: its controller looks at it at once.
    pub(super) fn note_unreachable(&mut self, failure: &Failure) {
        if failure.reason != reason::SANDBOX_UNREACHABLE {
            return;
        }
        self.condition(names::SANDBOX_READY, false, reason::SANDBOX_UNREACHABLE, &failure.message);
        let now = self.now;
        if let Some(request) = &mut self.status.sandbox_request {
            request
                .unreachable_since
                .get_or_insert(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        }
    }

    /// Records that the sandbox answers again.
    pub(super) fn reached(&mut self) {
        self.condition(names::SANDBOX_READY, true, reason::RUNNING, "the sandbox runs");
        if let Some(request) = &mut self.status.sandbox_request {
            request.unreachable_since = None;
        }
    }

    /// Ends the round where it stands; only a changed input or a rerun leaves that.
    pub(super) fn end(&mut self, reason: &str, message: &str) {
        let generated = self.phase() >= Phase::Collecting;
        self.status.ended = Some(RoundEnd {
            reason: bounds::cut(reason, bounds::ID),
            message: bounds::cut(message, bounds::CONDITION_MESSAGE),
            generated,
        });
        self.status.phase = Some(Phase::Ended);
        self.status.retry = None;
        self.leave_work(reason, message);
    }

    /// Ends what the conditions say of work under way: with the round nothing goes on any more.
    pub(super) fn leave_work(&mut self, reason: &str, message: &str) {
        for type_ in [names::GENERATED, names::COMMITTED] {
            let said = conditions::find(&self.status.conditions, type_);
            if said.is_some_and(|said| AT_WORK.contains(&said.reason.as_str())) {
                self.condition(type_, false, reason, message);
            }
        }
    }

    /// Names a new request. The version that the pass has read is another after every write: no two requests share a name,
    /// so that a grant of the one before is never taken for one of this.
    pub(super) fn request_id(&self) -> String {
        let version = self.task.resource_version().unwrap_or_else(|| self.now.as_second().to_string());
        id(&format!("{}-{}-{version}", self.uid(), self.status.round.unwrap_or(1)))
    }

    /// Takes back a commit that GitHub has and no branch shows: what was published before is the last again.
    pub(super) fn unpublish(&mut self) {
        if self.phase() == Phase::Committed {
            self.status.commit_sha = self.status.published_sha.take();
        }
        self.status.published_sha = None;
    }

    /// Takes the request for the sandbox away: the result is safe, or the need has ended. What becomes of the sandbox then is
    /// not followed.
    pub(super) fn release_sandbox(&mut self) {
        self.status.sandbox_request = None;
        if conditions::find(&self.status.conditions, names::SANDBOX_READY).is_some() {
            let message = "the Task does not need its sandbox now";
            self.condition(names::SANDBOX_READY, false, reason::NOT_NEEDED, message);
        }
    }
}

/// Returns whether the round still works towards its commit, its branch or its pull request.
pub(super) fn is_under_way(status: &TaskStatus) -> bool {
    status.round.is_some()
        && !matches!(status.phase, Some(Phase::PullRequestOpen | Phase::Ended | Phase::Unknown))
}

/// Returns whether the round's own commit is at GitHub.
pub(super) fn has_committed(status: &TaskStatus) -> bool {
    matches!(status.phase, Some(Phase::Committed | Phase::BranchCreated))
}

/// Cuts a name to the schema's bound for ids.
pub(super) fn id(text: &str) -> String {
    bounds::cut(text, bounds::ID)
}
