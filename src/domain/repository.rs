//! What to do about a Repository: look it up, create it where that is wanted and it was never seen, and re-read its
//! pull requests once per interval. Pure; fed and carried out by `controllers::repository`.

mod credentials;
pub mod sync;

pub use credentials::{Credentials, TOKEN, credentials};

use super::{
    conditions::{self, Standing},
    failure::{Class, Failure},
    plan::{Next, Note, Plan},
    retry::{self, Verdict},
};
use crate::api::{
    CreatePolicy, CreateRepository, RECONCILE_ANNOTATION, Repository, RepositoryStatus, bounds,
    common::Retry, conditions as names, conditions::reason,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use sync::Move;

/// Operations that `status.retry` may name beside GitHub's own.
pub mod operation {
    /// Reading the Secret with the credentials.
    pub const GET_SECRET: &str = "getSecret";
    /// Looking for a repository that is not there.
    pub const FIND_REPOSITORY: &str = "findRepository";
}

/// How long after a failed write to a Task the sync is made again.
const MOVE_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// A repository as GitHub describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: i64,
    pub owner_id: i64,
    /// `owner/name` as it is today.
    pub full_name: String,
    pub default_branch: String,
    pub html_url: String,
    pub archived: bool,
    pub base: Base,
}

/// What is known of the branch that pull requests go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nobody asked.
    Unknown,
    Exists,
    Missing,
    /// The repository has no commit at all.
    Empty,
}

/// What a pass has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Suspended, waiting for a retry, or nothing is due.
    Nothing,
    /// The repository itself.
    LookUp,
    /// What changed since the last time.
    Sync,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    NotAsked,
    /// The Secret with the credentials is not there.
    NoSecret,
    /// The Secret is of no use; why.
    NoToken(Credentials),
    Failed(Failure),
    Absent,
    Found(Found),
    /// Pull requests were re-read. `renamed`: the repository had to be looked up by its id on the way.
    Synced {
        moves: Vec<Move>,
        renamed: Option<Found>,
    },
}

/// What was seen, and when the next sync is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub seen: Seen,
    pub next_sync: Timestamp,
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Create(CreateRepository),
    /// Tasks whose pull requests have moved.
    Move(Vec<Move>),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Created(Result<Found, Failure>),
    /// Whether every Task was written.
    Moved {
        all: bool,
    },
}

/// When a sync of this Repository is due first: anywhere in its interval, so that a start does not ask for all at once.
pub fn first_sync(uid: &str, interval: SignedDuration, now: Timestamp) -> Timestamp {
    let seconds = interval.as_secs().max(1);
    let hash = uid.bytes().fold(11_i64, |hash, byte| (hash * 31 + i64::from(byte)) % 1_000_003);
    now + SignedDuration::from_secs(hash % seconds)
}

/// The Repository's sync interval.
pub fn interval(repository: &Repository) -> SignedDuration {
    SignedDuration::from_secs(repository.spec.sync_interval_seconds.into())
}

/// What to ask for now; nothing that `status.retry` still forbids.
pub fn wanted(repository: &Repository, next_sync: Timestamp, now: Timestamp) -> Wanted {
    let retry = standing_retry(repository, now);
    if repository.spec.suspend || retry::wait_until(retry.as_ref(), now).is_some() {
        Wanted::Nothing
    } else if !is_settled(repository) {
        Wanted::LookUp
    } else if retry.is_some() || now >= next_sync {
        Wanted::Sync
    } else {
        Wanted::Nothing
    }
}

/// Total: every state of the world has its plan.
pub fn decide(repository: &Repository, observed: &Observed, now: Timestamp) -> Plan<RepositoryStatus, Step> {
    let pass = Pass::new(repository, observed.next_sync, now);
    if repository.spec.suspend {
        return pass.suspended();
    }
    match &observed.seen {
        Seen::NotAsked => pass.waiting(),
        Seen::NoSecret => pass.no_secret(),
        Seen::NoToken(credentials) => pass.no_token(*credentials),
        Seen::Failed(failure) => pass.failed(failure),
        Seen::Absent => pass.absent(),
        Seen::Found(found) => pass.found(found),
        Seen::Synced { moves, renamed } => pass.synced(moves, renamed.as_ref()),
    }
}

/// What a plan becomes once its step has an outcome.
pub fn record(
    repository: &Repository,
    plan: Plan<RepositoryStatus, Step>,
    outcome: Outcome,
    next_sync: Timestamp,
    now: Timestamp,
) -> Plan<RepositoryStatus, Step> {
    match outcome {
        Outcome::Created(Ok(found)) => Pass::new(repository, next_sync, now).created(&found),
        Outcome::Created(Err(failure)) => Pass::new(repository, next_sync, now).failed(&failure),
        Outcome::Moved { all: true } => plan,
        Outcome::Moved { all: false } => Plan { next: Next::After(MOVE_AGAIN), ..plan },
    }
}

/// The value of the annotation that asks to look again at once.
fn asked_again(repository: &Repository) -> Option<String> {
    repository.annotations().get(RECONCILE_ANNOTATION).map(|value| bounds::cut(value, bounds::ANNOTATION))
}

/// Whether status speaks of this spec and this `slipway.dev/reconcile`.
fn is_current(repository: &Repository) -> bool {
    repository.status.as_ref().is_some_and(|status| {
        Some(status.observed_generation) == repository.metadata.generation
            && status.observed_reconcile == asked_again(repository)
    })
}

/// Whether the repository was found and nothing about it is open.
fn is_settled(repository: &Repository) -> bool {
    is_current(repository)
        && repository.status.as_ref().is_some_and(|status| {
            status.repository_id.is_some()
                && conditions::find(&status.conditions, names::READY)
                    .is_some_and(|ready| ready.status == "True" && ready.reason == reason::SYNCED)
        })
}

/// The retry as it holds now: a new spec or a person in a hurry leaves only the wait of a limit.
fn standing_retry(repository: &Repository, now: Timestamp) -> Option<Retry> {
    let retry = repository.status.as_ref()?.retry.clone();
    if is_current(repository) { retry } else { retry::hurry(retry, now) }
}

/// One decision under way.
struct Pass<'a> {
    repository: &'a Repository,
    status: RepositoryStatus,
    retry: Option<Retry>,
    settled: bool,
    next_sync: Timestamp,
    now: Timestamp,
}

type Decided = Plan<RepositoryStatus, Step>;

impl<'a> Pass<'a> {
    fn new(repository: &'a Repository, next_sync: Timestamp, now: Timestamp) -> Self {
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

    fn suspended(mut self) -> Decided {
        self.status.retry = retry::hurry(self.retry.take(), self.now);
        self.stand(Standing::Ready, reason::SUSPENDED, "spec.suspend is true: GitHub is not called");
        Plan::settle(self.status, Next::AwaitChange)
    }

    /// Nothing was asked: the status stays as it is, word for word.
    fn waiting(self) -> Decided {
        let next = retry::wait_until(self.retry.as_ref(), self.now).unwrap_or(self.next_sync);
        Plan::settle(self.status, Next::At(next))
    }

    fn no_secret(mut self) -> Decided {
        let message = format!(
            "Secret {} does not exist in this namespace: create it with the key token",
            self.secret()
        );
        let verdict = retry::not_found(
            self.retry.as_ref(),
            operation::GET_SECRET,
            reason::SECRET_NOT_FOUND,
            &message,
            &self.uid(),
            self.now,
        );
        self.verdict(verdict)
    }

    fn no_token(self, credentials: Credentials) -> Decided {
        let (reason, message) = credentials.complaint(self.secret());
        self.failed(&Failure { operation: operation::GET_SECRET, class: Class::Invalid, reason, message })
    }

    /// GitHub knows no such repository, or shows it to this token as if there were none.
    fn absent(mut self) -> Decided {
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
        let verdict = retry::not_found(
            self.retry.as_ref(),
            operation::FIND_REPOSITORY,
            reason::REPOSITORY_NOT_FOUND,
            &message,
            &self.uid(),
            self.now,
        );
        self.verdict(verdict)
    }

    /// It is there now; the next pass looks at it like at any other.
    fn created(mut self, found: &Found) -> Decided {
        self.identify(found);
        self.status.retry = None;
        let message = format!("{} was created", found.full_name);
        self.stand(Standing::Reconciling, reason::CREATING, &message);
        Plan::settle(self.status, Next::Now)
    }

    fn found(mut self, found: &Found) -> Decided {
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

    fn synced(mut self, moves: &[Move], renamed: Option<&Found>) -> Decided {
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

    fn failed(mut self, failure: &Failure) -> Decided {
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

#[cfg(test)]
mod tests;
