//! One decision about a Repository: what each thing that can be seen makes of its status.
//! Beside `repository`, which says what was seen and whether the Repository is settled.

use super::{Base, Credentials, Found, Step, asked_again, is_settled, standing_retry, sync::Move};
use crate::{
    api::{CreatePolicy, Repository, RepositoryStatus, bounds, common::Retry, conditions::reason},
    domain::{
        conditions::{self, Standing},
        failure::{Class, Failure, operation},
        plan::{Next, Note, Plan},
        retry::{self, Verdict},
    },
};
use jiff::Timestamp;
use kube::ResourceExt;

/// A Repository under decision.
pub(super) struct Case<'a> {
    repository: &'a Repository,
    status: RepositoryStatus,
    retry: Option<Retry>,
    settled: bool,
    next_sync: Timestamp,
    now: Timestamp,
}

pub(super) type Decided = Plan<RepositoryStatus, Step>;

impl<'a> Case<'a> {
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
    fn name(&self) -> String {
        format!("{}/{}", self.repository.spec.owner, self.repository.spec.name)
    }

    fn uid(&self) -> String {
        self.repository.uid().unwrap_or_default()
    }

    fn secret(&self) -> &str {
        &self.repository.spec.credentials_secret_ref.name
    }

    /// Status now speaks of this spec.
    fn stand(&mut self, standing: Standing, reason: &str, message: &str) {
        let generation = self.repository.metadata.generation.unwrap_or_default();
        self.status.observed_generation = generation;
        self.status.observed_reconcile = asked_again(self.repository);
        conditions::stand(&mut self.status.conditions, generation, self.now, standing, reason, message);
    }

    pub(super) fn suspended(mut self) -> Decided {
        self.status.retry = retry::hurry(self.retry.take(), self.now);
        self.stand(Standing::Ready, reason::SUSPENDED, "spec.suspend is true: GitHub is not called");
        Plan::settle(self.status, Next::AwaitChange)
    }

    /// Nothing was asked: the status stays as it is, word for word.
    pub(super) fn waiting(self) -> Decided {
        let next = retry::wait_until(self.retry.as_ref(), self.now).unwrap_or(self.next_sync);
        Plan::settle(self.status, Next::At(next))
    }

    pub(super) fn no_secret(self) -> Decided {
        let message = format!(
            "Secret {} does not exist in this namespace: create it with the key token",
            self.secret()
        );
        self.missing(operation::GET_SECRET, reason::SECRET_NOT_FOUND, &message)
    }

    /// Something that others have to make: looked for on a schedule of its own.
    fn missing(mut self, operation: &'static str, reason: &'static str, message: &str) -> Decided {
        let verdict =
            retry::not_found(self.retry.as_ref(), operation, reason, message, &self.uid(), self.now);
        self.verdict(verdict)
    }

    pub(super) fn no_token(self, credentials: Credentials) -> Decided {
        let (reason, message) = credentials.complaint(self.secret());
        self.failed(&Failure { operation: operation::GET_SECRET, class: Class::Invalid, reason, message })
    }

    /// GitHub knows no such repository, or shows it to this token as if there were none.
    pub(super) fn absent(mut self) -> Decided {
        if let Some(id) = self.status.repository_id {
            let message = format!(
                "GitHub does not show the repository with id {id} ({}) to this token any more: restore it or the token's access to it; \
                 it is never created again. For another repository create another Repository",
                self.status.full_name.clone().unwrap_or_else(|| self.name())
            );
            let failure = Failure {
                operation: "getRepository",
                class: Class::NotFound,
                reason: reason::REPOSITORY_GONE,
                message,
            };
            return self.failed(&failure);
        }
        if self.repository.spec.create_policy == CreatePolicy::IfMissing {
            let create = self.repository.spec.create.clone().unwrap_or_default();
            let message = format!("creating {}", self.name());
            self.stand(Standing::Reconciling, reason::CREATING, &message);
            return Plan::act(self.status, Step::Create(create));
        }
        let message = format!(
            "there is no repository {} that this token may see: create it, give the token access to it, or set createPolicy: IfMissing",
            self.name()
        );
        self.missing(operation::FIND_REPOSITORY, reason::REPOSITORY_NOT_FOUND, &message)
    }

    /// It is there now; the next pass looks at it like at any other.
    pub(super) fn created(mut self, found: &Found) -> Decided {
        self.identify(found);
        self.status.retry = None;
        let message = format!("{} was created", found.full_name);
        self.stand(Standing::Reconciling, reason::CREATING, &message);
        Plan::settle(self.status, Next::Now)
    }

    pub(super) fn found(mut self, found: &Found) -> Decided {
        self.identify(found);
        if found.archived {
            let failure = Failure {
                operation: "getRepository",
                class: Class::Invalid,
                reason: reason::REPOSITORY_ARCHIVED,
                message: format!("{} is archived and read-only: unarchive it", found.full_name),
            };
            return self.failed(&failure);
        }
        self.status.retry = None;
        let message = self.description(found);
        self.stand(Standing::Ready, reason::SYNCED, &message);
        Plan::settle(self.status, Next::At(self.next_sync))
    }

    pub(super) fn synced(mut self, moves: &[Move], renamed: Option<&Found>) -> Decided {
        if let Some(found) = renamed {
            self.identify(found);
            let message = self.description(found);
            self.stand(Standing::Ready, reason::SYNCED, &message);
        }
        self.status.retry = None;
        if moves.is_empty() {
            return Plan::settle(self.status, Next::At(self.next_sync));
        }
        let mut plan = Plan::act(self.status, Step::Move(moves.to_vec()));
        plan.next = Next::At(self.next_sync);
        plan
    }

    pub(super) fn failed(mut self, failure: &Failure) -> Decided {
        // Credentials and a repository that have turned up since are progress: a new count.
        let own = [operation::GET_SECRET, operation::FIND_REPOSITORY];
        let previous = self.retry.take().filter(|retry| !own.contains(&retry.operation.as_str()));
        let verdict = retry::after(previous.as_ref(), failure, &self.uid(), self.now);
        self.verdict(verdict)
    }

    fn verdict(&mut self, verdict: Verdict) -> Decided {
        let next = Next::At(verdict.retry.next_attempt_at.0);
        self.status.retry = Some(verdict.retry);
        // A failed sync of a settled Repository is told only when the attempts are used up: nothing waits for it.
        let quiet = self.settled
            && verdict.standing == Standing::Reconciling
            && verdict.reason != reason::RETRIES_EXHAUSTED;
        if !quiet {
            self.stand(verdict.standing, verdict.reason, &verdict.message);
        }
        let plan = Plan::settle(self.status.clone(), next);
        if verdict.exhausted_now {
            plan.with_note(Note::warning(reason::RETRIES_EXHAUSTED, verdict.message))
        } else {
            plan
        }
    }

    fn identify(&mut self, found: &Found) {
        self.status.repository_id = Some(found.id);
        self.status.owner_id = Some(found.owner_id);
        self.status.full_name = Some(bounds::cut(&found.full_name, 256));
        self.status.default_branch = Some(bounds::cut(&found.default_branch, bounds::BRANCH));
        self.status.html_url = Some(bounds::cut(&found.html_url, bounds::URL));
    }

    /// What `Ready` says: where pull requests go, and what stands in their way.
    fn description(&self, found: &Found) -> String {
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
