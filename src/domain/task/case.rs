//! One Task under decision: its status as it will stand, and the moves all parts of the decision share.
//! Used by every module of this folder; the rows of the board stand in `board`.

use super::{
    Health,
    board::{BUILDING, FAILED_EARLY, FAILED_LATE, PENDING, Row},
};
use crate::{
    api::{BuildStatus, Task, TaskStatus, bounds, common::Retry, conditions as names, conditions::reason},
    domain::{
        conditions::{self, Standing},
        failure::{Class, Failure, operation},
        need,
        retry::{self, Verdict},
    },
};
use jiff::Timestamp;
use kube::ResourceExt;

/// Objects that may arrive after the Task: looked for on a schedule of their own.
const ARRIVES_LATER: [&str; 3] =
    [reason::SECRET_NOT_FOUND, reason::REPOSITORY_NOT_FOUND, reason::SANDBOX_NOT_FOUND];

/// A Task under decision, its status as it will stand.
#[derive(Debug, Clone)]
pub(super) struct Case<'a> {
    pub task: &'a Task,
    pub status: TaskStatus,
    pub now: Timestamp,
}

impl<'a> Case<'a> {
    pub(super) fn new(task: &'a Task, status: TaskStatus, now: Timestamp) -> Self {
        Self { task, status, now }
    }

    pub(super) fn uid(&self) -> String {
        self.task.uid().unwrap_or_default()
    }

    fn generation(&self) -> i64 {
        self.task.metadata.generation.unwrap_or_default()
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
    }

    pub(super) fn ready(&mut self, reason: &str, message: &str) {
        self.status.retry = None;
        self.stand(Standing::Ready, reason, message);
    }

    pub(super) fn working(&mut self, reason: &str, message: &str) {
        self.unstuck();
        self.stand(Standing::Reconciling, reason, message);
    }

    /// A call failed: `status.retry`, the conditions, and the board when a person has to act.
    pub(super) fn failed(&mut self, failure: &Failure) {
        if failure.class == Class::NotFound && ARRIVES_LATER.contains(&failure.reason) {
            self.missing(failure.operation, failure.reason, &failure.message);
            return;
        }
        // Looking for an object has its own schedule: it uses up no attempt of a call.
        let looked_for = [operation::FIND_REPOSITORY, operation::FIND_SANDBOX, operation::GET_SECRET];
        let previous =
            self.status.retry.as_ref().filter(|retry| !looked_for.contains(&retry.operation.as_str()));
        let verdict = retry::after(previous, failure, &self.uid(), self.now);
        self.verdict(verdict);
    }

    pub(super) fn verdict(&mut self, verdict: Verdict) {
        if verdict.standing == Standing::Stalled {
            self.stuck();
        } else {
            self.unstuck();
        }
        self.status.retry = Some(verdict.retry);
        self.stand(verdict.standing, verdict.reason, &verdict.message);
    }

    /// Something that a person has to mend, without a call to repeat.
    pub(super) fn stalled(&mut self, reason: &str, message: &str) {
        self.stuck();
        self.status.retry = retry::hurry(self.status.retry.take(), self.now);
        self.stand(Standing::Stalled, reason, message);
    }

    /// Waits as `status.retry` says; the conditions that came with it stand.
    pub(super) fn hold(&mut self) {
        let Some(retry) = &self.status.retry else { return };
        let message = format!("{}: {}", retry.operation, retry.last_error);
        self.stay(reason::RETRYING, &message);
    }

    /// What was said last stands, for this spec too. `reason` and `message` are for a Task of which it was said that
    /// nothing is to be done, or nothing at all.
    pub(super) fn stay(&mut self, reason: &str, message: &str) {
        let ready = conditions::find(&self.status.conditions, names::READY).cloned();
        match ready.filter(|ready| ready.status == "False") {
            Some(ready) if conditions::is_true(&self.status.conditions, names::STALLED) => {
                self.stand(Standing::Stalled, &ready.reason, &ready.message);
            }
            Some(ready) => self.stand(Standing::Reconciling, &ready.reason, &ready.message),
            None => self.working(reason, message),
        }
    }

    /// The board row of a Task that can't go on. With a pull request the board is that of the pull request.
    fn stuck(&mut self) {
        if self.status.pull_request.is_none() {
            let late = conditions::is_true(&self.status.conditions, names::GENERATED);
            self.row(if late { FAILED_LATE } else { FAILED_EARLY });
        }
    }

    /// Work goes on: the row of a Task that was stuck is that of one at work again.
    fn unstuck(&mut self) {
        if self.status.pull_request.is_none() && self.status.build_status == BuildStatus::Failed {
            let asked = conditions::find(&self.status.conditions, names::SANDBOX_READY).is_some();
            self.row(if asked { BUILDING } else { PENDING });
        }
    }

    /// What was missing is there: its schedule is over.
    pub(super) fn found(&mut self, operation: &str) {
        if self.status.retry.as_ref().is_some_and(|retry| retry.operation == operation) {
            self.status.retry = None;
        }
    }

    /// A referenced object that is not there yet.
    pub(super) fn missing(
        &mut self,
        operation: &'static str,
        reason: &'static str,
        message: &str,
    ) -> Timestamp {
        if let Some(retry) = self.due_later(operation) {
            // Looked at before its time, by another event: the schedule stands.
            let at = retry.next_attempt_at.0;
            let standing = if retry::missing(retry.attempt - 1).is_some() {
                Standing::Reconciling
            } else {
                Standing::Stalled
            };
            self.stand(standing, reason, message);
            return at;
        }
        let verdict =
            retry::not_found(self.status.retry.as_ref(), operation, reason, message, &self.uid(), self.now);
        let at = verdict.retry.next_attempt_at.0;
        self.verdict(verdict);
        at
    }

    fn due_later(&self, operation: &str) -> Option<&Retry> {
        self.status
            .retry
            .as_ref()
            .filter(|retry| retry.operation == operation && retry.next_attempt_at.0 > self.now)
    }

    /// The same words for a Sandbox that is still to be made and for one that comes up: each change costs a write.
    pub(super) fn waits_for_sandbox(&mut self, health: &Health) {
        let name = need::sandbox_name(self.task);
        self.row(BUILDING);
        self.condition(
            names::SANDBOX_READY,
            false,
            reason::SANDBOX_REQUESTED,
            "waiting for the sandbox to run",
        );
        let why = reason::SANDBOX_NOT_READY;
        match health {
            Health::Stalled(message) => self.stalled(why, &format!("Sandbox {name} is stalled: {message}")),
            Health::Ready => self.working(why, &format!("waiting for Sandbox {name} to run")),
            Health::NotReady(message) => {
                self.working(why, &format!("Sandbox {name} is not ready: {message}"));
            }
        }
    }

    /// The retry's time, if there is one.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        self.status.retry.as_ref().map(|retry| retry.next_attempt_at.0)
    }
}

/// Cuts a name to the schema's bound for ids.
pub(super) fn id(text: &str) -> String {
    bounds::cut(text, bounds::ID)
}
