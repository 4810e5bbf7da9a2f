//! The Repository controller: asks GitHub what `domain::repository` wants to know, creates what it decides to create,
//! and carries what a sync finds to the Tasks. Reads Secrets and writes Tasks through `cluster`.

mod memory;
mod moves;
mod pulls;

use super::shell::{Conditioned, MANAGER, PlanOf, Reconciler};
use crate::{
    api::{Repository, RepositoryStatus, Task, common::Retry, conditions::reason},
    cluster::Secrets,
    domain::{
        failure::{Class, Failure, operation},
        repository::{self, Base, Credentials, Found, Looking, Observed, Outcome, Seen, Step, sync},
    },
    github::{self, GitHub, RepositoryName},
    telemetry,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, runtime::reflector::Store};
use memory::Memory;
use secrecy::ExposeSecret;
use std::{sync::Arc, time::Duration};

/// The longest a pass may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// What it takes to reconcile Repositories.
pub struct RepositoryController {
    client: kube::Client,
    secrets: Secrets,
    github: GitHub,
    tasks: Store<Task>,
    memory: Memory,
}

impl RepositoryController {
    /// `tasks`: all Tasks that are watched, complete before the first pass.
    pub fn new(client: kube::Client, secrets: Secrets, github: GitHub, tasks: Store<Task>) -> Self {
        Self { client, secrets, github, tasks, memory: Memory::default() }
    }

    /// GitHub under the Repository's credentials, or why that is impossible.
    async fn github(&self, repository: &Repository, looking: Looking) -> Result<github::Client, Seen> {
        let (namespace, name) =
            (repository.namespace().unwrap_or_default(), &repository.spec.credentials_secret_ref.name);
        // A look-up follows a change, often of the Secret itself: the cache may hold what was wrong with it.
        let secret = match looking {
            Looking::LookUp => self.secrets.fresh(&namespace, name).await,
            Looking::Sync | Looking::Nothing => self.secrets.get(&namespace, name).await,
        };
        let secret = secret.map_err(|error| Seen::Failed(error.during(operation::GET_SECRET)))?;
        let Some(secret) = secret else { return Err(Seen::NoSecret) };
        let keys = secret.iter().filter(|(_, value)| !value.expose_secret().is_empty()).map(|(key, _)| key);
        match repository::credentials(keys) {
            Credentials::Token => match secret.text(repository::TOKEN) {
                Some(token) => Ok(self.github.client(&token)),
                None => Err(Seen::NoToken(Credentials::Unknown)),
            },
            unusable => Err(Seen::NoToken(unusable)),
        }
    }

    /// The repository: by its id once that is known, so that it is followed through a rename and never mistaken for
    /// another one that took its name.
    async fn look_up(
        &self,
        github: &github::Client,
        object: &Repository,
    ) -> Result<Option<Found>, github::Error> {
        let id = object
            .status
            .as_ref()
            .and_then(|status| status.repository_id)
            .and_then(|id| u64::try_from(id).ok());
        let found = match id {
            Some(id) => github.get_repository_by_id(id).await?,
            None => github.get_repository(&name_in_spec(object)).await?,
        };
        Ok(found.map(|found| of_github(&found, Base::Unknown)))
    }

    /// The repository and whether its base branch is there; the branch is asked for until it has been seen.
    async fn inspect(&self, github: &github::Client, object: &Repository, looking: Looking) -> Seen {
        let mut found = match self.look_up(github, object).await {
            Ok(Some(found)) => found,
            Ok(None) => return Seen::Absent,
            Err(error) => return Seen::Failed(error.into()),
        };
        let uid = object.uid().unwrap_or_default();
        if looking == Looking::LookUp || !self.memory.has_branch(&uid) {
            found.base = match base_of(github, object, &found).await {
                Ok(base) => base,
                Err(error) => return Seen::Failed(error.into()),
            };
            self.memory.set_branch(&uid, found.base == Base::Exists);
        }
        Seen::Found(found)
    }

    /// One call per interval: the list of what changed. Where no Task has a pull request that could move there is
    /// nothing to list; the call then looks at the repository itself, which is free of limits while unchanged (`ETag`).
    async fn sync(&self, github: &github::Client, object: &Repository, now: Timestamp) -> Seen {
        let tasks = self.open_tasks(object);
        if tasks.is_empty() {
            return self.inspect(github, object, Looking::Sync).await;
        }
        match self.changes(github, object, &tasks).await {
            Ok((listed, renamed)) => Seen::Synced { moves: sync::moves(&tasks, &listed, now), renamed },
            Err(error) => Seen::Failed(error.into()),
        }
    }

    /// The Tasks of this Repository that a pull request can still move.
    fn open_tasks(&self, object: &Repository) -> Vec<Arc<Task>> {
        let name = object.name_any();
        let mut tasks = self.tasks.state();
        tasks.retain(|task| {
            task.metadata.namespace == object.metadata.namespace
                && task.spec.repository_ref.name == name
                && sync::is_open(task)
        });
        tasks
    }

    async fn create(
        &self,
        object: &Repository,
        create: &crate::api::CreateRepository,
    ) -> Result<Found, Failure> {
        let github = self.github(object, Looking::Sync).await.map_err(|seen| match seen {
            Seen::Failed(failure) => failure,
            // The Secret was there when the pass began: the next one says what has become of it.
            _ => Failure {
                operation: operation::GET_SECRET,
                class: Class::Transient,
                reason: reason::SECRET_NOT_FOUND,
                message: "the Secret with the credentials has just changed".to_owned(),
            },
        })?;
        let wanted = github::CreateRepository {
            private: create.private,
            description: create.description.clone(),
            auto_init: create.auto_init,
        };
        let created = github.create_repository(&name_in_spec(object), &wanted).await?;
        tracing::info!(repository = created.full_name, id = created.id, "repository created at GitHub");
        Ok(of_github(&created, Base::Unknown))
    }
}

impl Reconciler for RepositoryController {
    type Kind = Repository;
    type Observed = Observed;
    type Step = Step;
    type Outcome = Outcome;

    const CONTROLLER: telemetry::Controller = telemetry::Controller::Repository;
    // Never set: deleting a Repository deletes nothing at GitHub.
    const FINALIZER: &'static str = "slipway.dev/repository";

    fn deadline(&self, _: &Repository) -> Duration {
        DEADLINE
    }

    async fn observe(&self, object: &Repository, now: Timestamp) -> Observed {
        let uid = object.uid().unwrap_or_default();
        let interval = repository::interval(object);
        let due = self.memory.next_sync(&uid, interval, now);
        let looking = repository::wants(object, due, now);
        let seen = match looking {
            Looking::Nothing => Seen::NotAsked,
            _ => match self.github(object, looking).await {
                Err(seen) => seen,
                Ok(github) if looking == Looking::LookUp => self.inspect(&github, object, looking).await,
                Ok(github) => self.sync(&github, object, now).await,
            },
        };
        if looking == Looking::Sync && matches!(seen, Seen::Found(_) | Seen::Synced { .. }) {
            self.memory.synced(&uid, now + interval);
        }
        Observed { seen, next_sync: self.memory.next_sync(&uid, interval, now) }
    }

    fn decide(&self, object: &Repository, observed: &Observed, now: Timestamp) -> PlanOf<Self> {
        repository::decide(object, observed, now)
    }

    async fn perform(&self, object: &Repository, step: &Step) -> Outcome {
        match step {
            Step::Create(create) => Outcome::Created(self.create(object, create).await),
            Step::Move(moves) => {
                let all = self.carry(object, moves).await;
                if !all {
                    self.memory.again(&object.uid().unwrap_or_default(), Timestamp::now());
                }
                Outcome::Moved { all }
            }
        }
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
        repository::decide(object, &Observed { seen: Seen::Failed(failure.clone()), next_sync }, now)
    }
}

impl Conditioned for RepositoryStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn retry(&self) -> Option<&Retry> {
        self.retry.as_ref()
    }

    fn retry_mut(&mut self) -> Option<&mut Retry> {
        self.retry.as_mut()
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

/// Whether the branch that pull requests go to is there.
async fn base_of(github: &github::Client, object: &Repository, found: &Found) -> Result<Base, github::Error> {
    let branch = object.spec.base_branch.as_ref().unwrap_or(&found.default_branch);
    let name = RepositoryName::parse(&found.full_name).unwrap_or_else(|| name_in_spec(object));
    match github.get_branch_sha(&name, branch).await {
        Ok(Some(_)) => Ok(Base::Exists),
        Ok(None) => Ok(Base::Missing),
        Err(error) if error.reason == reason::REPOSITORY_EMPTY => Ok(Base::Empty),
        Err(error) => Err(error),
    }
}

fn of_github(found: &github::Repository, base: Base) -> Found {
    let signed = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
    Found {
        id: signed(found.id),
        owner_id: signed(found.owner.id),
        full_name: found.full_name.clone(),
        default_branch: found.default_branch.clone(),
        html_url: found.html_url.clone(),
        archived: found.archived,
        base,
    }
}
