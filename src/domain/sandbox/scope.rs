//! One Sandbox under decision: its status as it will stand, and the moves all decisions share.
//! Used by every other file of this folder that decides; stands on `pauses` and `mark`.

use super::{E2bSandbox, Life, Listing, Step, mark, pauses};
use crate::{
    api::{
        Creating, OnTimeout, PastSandbox, RECONCILE_ANNOTATION, Sandbox, SandboxState, SandboxStatus, bounds,
        common::{Retry, whole_seconds},
        conditions::reason,
    },
    domain::{
        conditions::{self, Standing},
        failure::{Class, Failure, operation},
        plan::{Next, Note, Plan},
        retry::{self, Verdict},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// Time after an intent from which on no sandbox appears any more: E2B gives up a request after 70 s.
pub(super) const CREATE_OVER: SignedDuration = SignedDuration::from_secs(100);

/// Reasons in `history` for the end of an E2B sandbox.
pub(super) const EXPIRED: &str = "Expired";
pub(super) const NOT_FOUND: &str = reason::NOT_FOUND;
pub(super) const NOT_OURS: &str = "NotOurs";
pub(super) const KILLED: &str = "Killed";

/// Longest wait before a failed call is made again while a needed sandbox lives: it would be lost with the wait.
pub(super) const WHILE_IT_LIVES: SignedDuration = SignedDuration::from_secs(10);

/// Time between the two looks that make a sandbox with uncommitted files gone: one that is just being snapshotted is
/// missing from lists.
const LOOK_TWICE: SignedDuration = SignedDuration::from_secs(10);

/// What a 404 and the list after it mean for the recorded sandbox.
pub(super) enum Absence {
    /// It is gone, and that is noted.
    Gone,
    /// A second look has to say the same.
    Once,
    /// The list shows it: it lives.
    Listed(E2bSandbox),
    /// They prove nothing.
    Unclear(Failure),
}

pub(super) struct Scope<'a> {
    pub sandbox: &'a Sandbox,
    pub now: Timestamp,
    /// As it will stand.
    pub status: SandboxStatus,
    /// A person asked to look at once: a new spec, a new value of the annotation, the deletion.
    pub hurried: bool,
    /// Somebody needs the sandbox: while it lives, no failure is waited out for long.
    pub needed: bool,
    /// Last end of a command that a Task ran in the sandbox.
    pub last_finished: Option<Timestamp>,
}

/// Makes room in the history: first goes what needs no protection, then what may have files but was not found alive. What is kept at
/// E2B goes last: whatever the history does not name is killed as an orphan.
fn forget_one(history: &mut Vec<PastSandbox>) {
    if history.len() > bounds::LIST {
        let gone = history.iter().position(|past| !past.kept && !past.uncommitted_files);
        let at = gone.or_else(|| history.iter().position(|past| !past.kept)).unwrap_or(0);
        history.remove(at);
    }
}

impl<'a> Scope<'a> {
    /// The object as it was read. A new spec, a new value of `slipway.dev/reconcile` and the beginning of its deletion
    /// cut a wait short, unless a limit asked for it.
    pub fn open(sandbox: &'a Sandbox, now: Timestamp) -> Self {
        let mut scope = Self::resume(sandbox, sandbox.status.clone().unwrap_or_default(), now);
        let annotation = sandbox
            .annotations()
            .get(RECONCILE_ANNOTATION)
            .map(|value| bounds::cut(value, bounds::ANNOTATION));
        let poked = annotation.is_some() && annotation != scope.status.observed_reconcile;
        // The API server counts the beginning of a deletion as a generation of its own.
        scope.hurried = scope.status.observed_generation != scope.generation() || poked;
        if scope.hurried {
            scope.status.retry = retry::clear_backoff(scope.status.retry.take(), now);
            scope.status.observed_generation = scope.generation();
            scope.status.observed_reconcile = annotation.or(scope.status.observed_reconcile.take());
        }
        scope
    }

    /// The object between its step and its record.
    pub fn resume(sandbox: &'a Sandbox, status: SandboxStatus, now: Timestamp) -> Self {
        Self { sandbox, now, status, hurried: false, needed: false, last_finished: None }
    }

    pub fn generation(&self) -> i64 {
        self.sandbox.metadata.generation.unwrap_or_default()
    }

    pub fn is_deleting(&self) -> bool {
        self.sandbox.metadata.deletion_timestamp.is_some()
    }

    pub fn uid(&self) -> &str {
        self.sandbox.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The id, for messages.
    pub fn id(&self) -> String {
        self.status.sandbox_id.clone().unwrap_or_default()
    }

    /// Returns whether there is a sandbox that is not known to be gone.
    pub fn exists(&self) -> bool {
        self.status.sandbox_id.is_some() && self.status.state != Some(SandboxState::Gone)
    }

    /// Returns whether it runs, and its time is not over.
    pub fn lives(&self) -> bool {
        let running = self.status.state == Some(SandboxState::Running);
        running && self.status.expires_at.as_ref().is_some_and(|at| at.0 > self.now)
    }

    /// `spec.timeoutSeconds` as a duration.
    pub fn time_to_live(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.sandbox.spec.timeout_seconds))
    }

    /// A new value of the annotation on a sandbox that the present key does not see says that the key is right. Returns what a person
    /// has to know then, where this key does not show the sandbox.
    pub fn accept_credential(&mut self, credential: &str) -> Option<Note> {
        let before = self.sandbox.status.as_ref();
        let poked = before.and_then(|status| status.observed_reconcile.as_ref())
            != self.status.observed_reconcile.as_ref();
        let retry = before.and_then(|status| status.retry.as_ref());
        let not_visible = retry.is_some_and(|retry| retry.reason == reason::SANDBOX_NOT_VISIBLE);
        if !(poked && not_visible) {
            return None;
        }
        self.status.missing_since = None;
        let known = self.status.credential.replace(bounds::cut(credential, bounds::SHA));
        let (id, pauses) = (self.id(), self.sandbox.spec.on_timeout == OnTimeout::Pause);
        let fate = if pauses { "stays paused until killed" } else { "is killed at its time-out" };
        let message = format!(
            "E2B sandbox {id} is given up, because the key that is said to be right does not see it: where it still lives under the key \
             before, it {fate}"
        );
        (known != self.status.credential).then(|| Note::warning(reason::SANDBOX_LEAKED, message))
    }

    /// Writes the three conditions. While suspended the object is ready whatever happens; the message tells.
    pub fn stand(&mut self, standing: Standing, reason: &str, message: &str) {
        let (generation, now) = (self.generation(), self.now);
        let list = &mut self.status.conditions;
        if self.sandbox.spec.suspend && self.sandbox.metadata.deletion_timestamp.is_none() {
            let quiet = "spec.suspend is true: only renewal and deletion go on";
            let message =
                if standing == Standing::Ready { quiet.to_owned() } else { format!("{quiet}; {message}") };
            conditions::stand(list, generation, now, Standing::Ready, reason::SUSPENDED, &message);
        } else {
            conditions::stand(list, generation, now, standing, reason, message);
        }
    }

    /// Leaves the status as it is, and looks again at `next`.
    pub fn settle(self, next: Next) -> Plan<SandboxStatus, Step> {
        Plan::settle(self.status, next)
    }

    /// Asks nothing before `until`. What was said stays true for the present spec.
    pub fn wait(mut self, until: Timestamp) -> Plan<SandboxStatus, Step> {
        let generation = self.generation();
        for condition in &mut self.status.conditions {
            condition.observed_generation = Some(generation);
        }
        if self.sandbox.spec.suspend {
            self.stand(Standing::Ready, reason::SUSPENDED, "");
        }
        self.settle(Next::At(until))
    }

    /// Records a failed call: when it is made again, and how the object stands until then.
    pub fn fail(mut self, failure: &Failure) -> Plan<SandboxStatus, Step> {
        let verdict = self.verdict(failure);
        self.apply(verdict)
    }

    /// Judges a failed call. Waiting for a Secret used up none of its attempts.
    pub fn verdict(&self, failure: &Failure) -> Verdict {
        let previous = self.status.retry.as_ref();
        let previous = previous.filter(|retry| {
            (retry.operation == operation::GET_SECRET) == (failure.operation == operation::GET_SECRET)
        });
        retry::after(previous, failure, self.uid(), self.now)
    }

    /// Records that a Secret does not give what it should.
    pub fn without_secret(mut self, failure: &Failure) -> Plan<SandboxStatus, Step> {
        let verdict = self.verdict_on_secret(failure);
        self.apply(verdict)
    }

    /// One that does not exist may still come: it is looked for on a schedule of its own.
    pub fn verdict_on_secret(&self, failure: &Failure) -> Verdict {
        if failure.class != Class::NotFound {
            return self.verdict(failure);
        }
        let (previous, uid) = (self.status.retry.as_ref(), self.uid());
        retry::not_found(previous, failure.operation, failure.reason, &failure.message, uid, self.now)
    }

    fn apply(&mut self, mut verdict: Verdict) -> Plan<SandboxStatus, Step> {
        let latest = self.now + WHILE_IT_LIVES;
        if self.needed && self.lives() && !verdict.retry.limited && verdict.retry.next_attempt_at.0 > latest {
            verdict.retry.next_attempt_at = Time(latest);
            if verdict.reason == reason::RETRIES_EXHAUSTED {
                let Retry { operation, last_error, attempt, .. } = &verdict.retry;
                verdict.message = format!(
                    "{operation}: {last_error}; tried {attempt} times, trying again every {} s while the sandbox lives",
                    WHILE_IT_LIVES.as_secs()
                );
            }
        }
        self.stand(verdict.standing, verdict.reason, &verdict.message);
        let next = Next::At(verdict.retry.next_attempt_at.0);
        self.status.retry = Some(verdict.retry);
        Plan::settle(self.status.clone(), next)
    }

    /// Takes over what E2B shows of the sandbox, under a key that therefore is one that sees it.
    pub fn adopt_observation(&mut self, seen: &E2bSandbox, credential: &str) {
        self.status.retry = None;
        self.status.missing_since = None;
        self.status.credential = Some(bounds::cut(credential, bounds::SHA));
        if seen.life == Life::Other {
            // Without a state it is looked at again, and no Task works in it.
            self.status.state = None;
            return;
        }
        mark::check_pause(&mut self.status, self.last_finished, seen, self.now);
        let counted = pauses::count(&mut self.status, self.sandbox.spec.on_timeout, seen, self.now);
        if seen.life == Life::Running && counted {
            // Somebody else began this run: before a Task works in it, it has to tell with which files.
            self.status.unmarked_since = Some(Time(self.now));
            self.status.reconnects += 1;
        }
        let status = &mut self.status;
        let ran = status.state == Some(SandboxState::Running);
        status.started_at = Some(Time(whole_seconds(seen.started_at)));
        match seen.life {
            Life::Running => {
                status.state = Some(SandboxState::Running);
                status.expires_at = Some(Time(whole_seconds(seen.end_at)));
                status.lifetime_limited &= ran;
            }
            Life::Paused => {
                // The next run may drop its memory once again.
                status.memory_dropped &= status.state == Some(SandboxState::Paused);
                status.state = Some(SandboxState::Paused);
                status.expires_at = None;
                status.lifetime_limited = false;
            }
            Life::Other => {}
        }
    }

    /// Records that the create has made the sandbox `id`: the intent is fulfilled, and a new incarnation begins.
    pub fn own(&mut self, id: &str, creating: &Creating) {
        if self.status.sandbox_id.is_some() {
            self.status.recreations += 1;
            // What was replaced may turn out to be there still.
            self.doubt(self.now);
        }
        let status = &mut self.status;
        status.sandbox_id = Some(id.to_owned());
        status.incarnation = Some(creating.incarnation);
        status.last_runs.clear();
        status.secret_versions.clone_from(&creating.secret_versions);
        // Only a look tells the state of the new one.
        status.state = None;
        status.expires_at = None;
        status.missing_since = None;
        status.mark = None;
        status.unmarked_since = None;
        status.last_running_at = None;
        status.memory_dropped = false;
        status.creating = None;
        status.retry = None;
        status.lifetime_limited = false;
        status.paused_at = None;
        status.paused_seconds = 0;
    }

    /// Records the end of the sandbox in the history, once. `uncommitted`: files may be lost with it.
    pub fn lose(&mut self, why: &str, uncommitted: bool) {
        let status = &mut self.status;
        let Some(id) = status.sandbox_id.clone() else { return };
        status.retry = None;
        status.missing_since = None;
        status.state = Some(SandboxState::Gone);
        status.expires_at = None;
        status.paused_at = None;
        status.lifetime_limited = false;
        if status.history.last().is_none_or(|last| last.sandbox_id != id) {
            status.history.push(PastSandbox {
                sandbox_id: id,
                incarnation: status.incarnation.unwrap_or_default(),
                started_at: status.started_at.clone(),
                ended_at: Time(self.now),
                reason: why.to_owned(),
                uncommitted_files: uncommitted,
                kept: false,
            });
            forget_one(&mut status.history);
        }
    }

    /// Weighs a 404 and the list that was made after it, the two witnesses of a loss. `uncommitted`: files may be lost, so that
    /// both have to say it twice.
    pub fn not_found(&mut self, listed: &Listing, credential: &str, uncommitted: bool) -> Absence {
        let id = self.id();
        match listed {
            Err(failure) => return Absence::Unclear(failure.clone()),
            Ok(listed) => {
                if let Some(seen) = listed.iter().find(|seen| seen.id == id) {
                    return Absence::Listed(seen.clone());
                }
            }
        }
        if self.status.credential.as_deref() != Some(credential) {
            self.status.missing_since = None;
            return Absence::Unclear(self.not_visible());
        }
        let since = self.status.missing_since.get_or_insert(Time(self.now)).0;
        if uncommitted && self.now < since + LOOK_TWICE {
            return Absence::Once;
        }
        let expired = self.sandbox.spec.on_timeout == OnTimeout::Kill
            && self.status.expires_at.as_ref().is_some_and(|at| at.0 <= self.now);
        self.lose(if expired { EXPIRED } else { NOT_FOUND }, uncommitted);
        Absence::Gone
    }

    /// Returns until when the second look at a missing sandbox is not made.
    pub fn looks_again_at(&self) -> Option<Timestamp> {
        self.status.missing_since.as_ref().map(|since| since.0 + LOOK_TWICE).filter(|at| *at > self.now)
    }

    /// The first look has missed it: it is kept until a second one has.
    pub fn look_twice(mut self) -> Plan<SandboxStatus, Step> {
        let message = format!(
            "E2B neither shows nor lists sandbox {}, which may hold files that are not committed: it is looked at once more \
             before it counts as gone",
            self.id()
        );
        self.stand(Standing::Reconciling, reason::SANDBOX_MISSING, &message);
        self.status.retry = None;
        let next = self.looks_again_at().map_or(Next::Now, Next::At);
        self.settle(next)
    }

    pub fn not_visible(&self) -> Failure {
        Failure {
            operation: "getSandbox",
            class: Class::NotFound,
            reason: reason::SANDBOX_NOT_VISIBLE,
            message: format!(
                "E2B answers 404 for {} under an API key or URL that has never seen it, so it may belong to another team; \
                 restore the key it was made with, or set the annotation {RECONCILE_ANNOTATION} to a new value to say that \
                 this key is right: the sandbox then counts as gone",
                self.id()
            ),
        }
    }

    /// Notes that the create of `requested_at` may still make a sandbox although its answer said otherwise or was lost.
    pub fn doubt(&mut self, requested_at: Timestamp) {
        let over = requested_at + CREATE_OVER;
        let known = self.status.orphan_check_at.as_ref().map(|at| at.0);
        self.status.orphan_check_at = Some(Time(known.map_or(over, |at| at.max(over))));
    }
}
