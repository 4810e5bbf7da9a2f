//! The Repository controller: asks GitHub what `domain::repository` wants to know, creates what it decides to create,
//! and applies what a sync finds to the Tasks. Reads Secrets and writes Tasks through `cluster`.

mod apply_sync;
mod change_hook;
mod hook;
mod memory;
mod observe;
mod perform;
mod pulls;

use super::{
    credentials,
    shell::{MANAGER, PlanOf, Reconciler},
};
use crate::{
    api::{Limits, Repository, Task, conditions::reason},
    cluster::{Age, Secrets},
    domain::{
        asker::Asker,
        failure::Failure,
        line::Named,
        repository::{self, Account, Base, Found, HookSeen, Observed, Outcome, Step},
    },
    github::{self, GitHub, RepositoryName},
    telemetry::{self, Metrics},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt, runtime::reflector::Store};
use memory::Memory;
use std::time::Duration;

/// The longest a pass may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// The Repository controller: everything it takes to reconcile Repositories.
pub struct RepositoryController {
    client: kube::Client,
    secrets: Secrets,
    github: GitHub,
    tasks: Store<Task>,
    metrics: Metrics,
    /// Public address of the receiver, if it is known.
    receiver: Option<String>,
    memory: Memory,
}

impl RepositoryController {
    /// `tasks`: all Tasks that are watched, complete before the first pass. `receiver`: its public address, for the webhooks that
    /// are managed.
    pub fn new(
        client: kube::Client,
        secrets: Secrets,
        github: GitHub,
        tasks: Store<Task>,
        metrics: Metrics,
        receiver: Option<String>,
    ) -> Self {
        Self { client, secrets, github, tasks, metrics, receiver, memory: Memory::default() }
    }

    /// GitHub under the Repository's credentials.
    async fn client(&self, object: &Repository, age: Age) -> Result<github::Client, Failure> {
        let client = credentials::client(&self.github, &self.secrets, object, age).await?;
        let since = object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        Ok(client.on_behalf_of(&Asker::of(object).id(), since))
    }

    /// The account that the Repository's calls count for, as far as this process has learned it.
    fn account(&self, uid: &str) -> Option<Account> {
        let account = self.memory.account(uid)?;
        let limits = account.limited().map(|limit| Limits {
            until: Time(limit.until),
            reason: match limit.named {
                Named::Told | Named::Silent => reason::RATE_LIMITED,
                Named::Spent => reason::QUOTA_SPENT,
            }
            .to_owned(),
        });
        Some(Account { name: account.name().map(str::to_owned), limits })
    }
}

impl Reconciler for RepositoryController {
    type Kind = Repository;
    type Observed = Observed;
    type Step = Step;
    type Outcome = Outcome;

    const CONTROLLER: telemetry::Controller = telemetry::Controller::Repository;
    const FINALIZER: &'static str = repository::FINALIZER;

    fn deadline(&self, _: &Repository) -> Duration {
        DEADLINE
    }

    async fn observe(&self, object: &Repository, now: Timestamp) -> Observed {
        self.look(object, now).await
    }

    fn decide(&self, object: &Repository, observed: &Observed, now: Timestamp) -> PlanOf<Self> {
        repository::decide(object, observed, now)
    }

    async fn perform(&self, object: &Repository, step: &Step) -> Outcome {
        self.execute(object, step).await
    }

    fn record(
        &self,
        object: &Repository,
        plan: PlanOf<Self>,
        outcome: Outcome,
        now: Timestamp,
    ) -> PlanOf<Self> {
        let uid = object.uid().unwrap_or_default();
        let next_sync = self.memory.next_sync(&uid, repository::interval(object), now);
        repository::record(object, plan, outcome, next_sync, now)
    }

    fn timed_out(&self, object: &Repository, failure: &Failure, now: Timestamp) -> PlanOf<Self> {
        let uid = object.uid().unwrap_or_default();
        let next_sync = self.memory.next_sync(&uid, repository::interval(object), now);
        let finding = repository::timed_out(object, failure.clone());
        let (account, next_hook) = (self.account(&uid), self.memory.hook(&uid).next);
        let observed = Observed { finding, next_sync, account, hook: HookSeen::NotAsked, next_hook };
        repository::decide(object, &observed, now)
    }
}

/// The repository's name as the spec has it: good until its id is known.
fn name_in_spec(object: &Repository) -> RepositoryName {
    RepositoryName::new(&object.spec.owner, &object.spec.name)
}

/// The repository's name as GitHub spelled it last.
fn name_today(object: &Repository) -> RepositoryName {
    let full_name = object.status.as_ref().and_then(|status| status.full_name.as_deref());
    full_name.and_then(RepositoryName::parse).unwrap_or_else(|| name_in_spec(object))
}

/// What GitHub says of the repository, and under whose eyes.
fn of_github(github: &github::Client, found: &github::Repository, base: Base) -> Found {
    let signed = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
    Found {
        id: signed(found.id),
        owner_id: signed(found.owner.id),
        full_name: found.full_name.clone(),
        default_branch: found.default_branch.clone(),
        html_url: found.html_url.clone(),
        archived: found.archived,
        base,
        app_id: github.app_id().map(signed),
    }
}
