//! A Repository under decision: what is known of it, and the ways its status is written.
//! Used by `decide` and `record`.

use super::{
    Base, Found, Step,
    current::{asked_again, standing_retry},
    stage::is_settled,
};
use crate::{
    api::{CreatePolicy, Repository, RepositoryStatus, bounds, common::Retry, conditions::reason},
    domain::{
        conditions::{self, Standing},
        failure::{Failure, operation},
        plan::{Next, Note, Plan},
        retry::{self, Verdict},
    },
};
use jiff::Timestamp;
use kube::ResourceExt;

/// A Repository under decision.
pub(super) struct Scope<'a> {
    pub(super) repository: &'a Repository,
    pub(super) status: RepositoryStatus,
    /// The retry as it holds now.
    pub(super) retry: Option<Retry>,
    settled: bool,
    pub(super) next_sync: Timestamp,
    pub(super) now: Timestamp,
}

pub(super) type Decided = Plan<RepositoryStatus, Step>;

impl<'a> Scope<'a> {
    pub(super) fn new(repository: &'a Repository, next_sync: Timestamp, now: Timestamp) -> Self {
        Self {
            repository,
            status: repository.status.clone().unwrap_or_default(),
            retry: standing_retry(repository, now),
            settled: is_settled(repository),
            next_sync,
            now,
        }
    }

    /// The spec as people write it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.repository.spec.owner, self.repository.spec.name)
    }

    /// Whether a repository that is not there is to be made: never one that was there before.
    pub(super) fn may_create(&self) -> bool {
        self.status.repository_id.is_none() && self.repository.spec.create_policy == CreatePolicy::IfMissing
    }

    /// Whatever fails is told at once: something waits for it.
    pub(super) fn unsettled(self) -> Self {
        Self { settled: false, ..self }
    }

    fn uid(&self) -> String {
        self.repository.uid().unwrap_or_default()
    }

    /// Status now speaks of this spec.
    pub(super) fn stand(&mut self, standing: Standing, reason: &str, message: &str) {
        let generation = self.repository.metadata.generation.unwrap_or_default();
        self.status.observed_generation = generation;
        self.status.observed_reconcile = asked_again(self.repository);
        conditions::stand(&mut self.status.conditions, generation, self.now, standing, reason, message);
    }

    /// Something that others have to make: looked for on a schedule of its own.
    pub(super) fn missing(self, operation: &'static str, reason: &'static str, message: &str) -> Decided {
        let verdict =
            retry::not_found(self.retry.as_ref(), operation, reason, message, &self.uid(), self.now);
        self.conclude(verdict)
    }

    pub(super) fn failed(mut self, failure: &Failure) -> Decided {
        // Credentials and a repository that have turned up since are progress: a new count.
        let own = [operation::GET_SECRET, operation::FIND_REPOSITORY];
        let previous = self.retry.take().filter(|retry| !own.contains(&retry.operation.as_str()));
        let verdict = retry::after(previous.as_ref(), failure, &self.uid(), self.now);
        self.conclude(verdict)
    }

    fn conclude(mut self, verdict: Verdict) -> Decided {
        let next = Next::At(verdict.retry.next_attempt_at.0);
        // A failed sync of a settled Repository is told only when the attempts are used up: nothing waits for it.
        let quiet = self.settled
            && verdict.standing == Standing::Reconciling
            && verdict.reason != reason::RETRIES_EXHAUSTED;
        if quiet {
            self.status.retry = Some(Retry { reason: reason::SYNCED.to_owned(), ..verdict.retry });
        } else {
            self.status.retry = Some(verdict.retry);
            self.stand(verdict.standing, verdict.reason, &verdict.message);
        }
        let plan = Plan::settle(self.status, next);
        if verdict.exhausted_now {
            plan.with_note(Note::warning(reason::RETRIES_EXHAUSTED, verdict.message))
        } else {
            plan
        }
    }

    /// Records which repository it is.
    pub(super) fn identify(&mut self, found: &Found) {
        self.status.repository_id = Some(found.id);
        self.status.owner_id = Some(found.owner_id);
        self.status.app_id = found.app_id;
        self.status.full_name = Some(bounds::cut(&found.full_name, 256));
        self.status.archived = found.archived;
        self.status.html_url = Some(bounds::cut(&found.html_url, bounds::URL));
    }

    /// Its default branch, which also says that it has been looked up.
    pub(super) fn describe_branch(&mut self, found: &Found) {
        self.status.default_branch = Some(bounds::cut(&found.default_branch, bounds::BRANCH));
    }

    /// Words `Ready`: where pull requests go, and what stands in their way.
    pub(super) fn description(&self, found: &Found) -> String {
        let branch = self.repository.spec.base_branch.as_ref().unwrap_or(&found.default_branch);
        let name = &found.full_name;
        match found.base {
            Base::Empty => format!(
                "{name} is empty: push a first commit, or no Task can start (a new repository gets one with create.autoInit: true)"
            ),
            Base::Missing => format!(
                "{name} has no branch {branch}: create it or correct baseBranch, or no Task can start"
            ),
            Base::Exists | Base::Unknown => format!("{name}, pull requests go to {branch}"),
        }
    }
}
