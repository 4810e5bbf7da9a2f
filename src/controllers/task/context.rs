//! What is known of a Task's surroundings without a call: from the stores and from memory, as data for the decision.
//! Part of the Task controller.

use super::TaskController;
use crate::{
    api::{Phase, Repository, Sandbox, SandboxState, Task, conditions as names, conditions::reason},
    domain::{
        conditions::{find, is_true},
        demand,
        task::{
            COMING_UP, Context, Health, OwnerView, RepositoryView, SandboxView, source_generation, spool_id,
        },
        turn,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::sync::Arc;

/// Own Sandboxes of so many rounds are looked for: those before are long deleted.
const ROUNDS: i64 = 10;

impl TaskController {
    pub(super) fn context(&self, task: &Task) -> Context {
        let uid = task.uid().unwrap_or_default();
        let status = task.status.clone().unwrap_or_default();
        let generation = status.code_generations.last().map(|run| run.id.clone()).unwrap_or_default();
        let sandboxes = self.sandboxes_of(task);
        let place = self.place(task, &sandboxes);
        let spooled = spool_id(task, &status).is_some_and(|id| self.spool.complete(&id));
        let memory = self.memory();
        Context {
            repository: self.repository(task).map(|repository| repository_view(&repository)),
            sandboxes: sandboxes.iter().map(|sandbox| sandbox_view(sandbox)).collect(),
            place,
            others_began: self.others_began(task),
            dead_since: memory.dead_since(&generation),
            signalled_since: memory.signalled_since(&generation),
            pull_read: memory.pull_read(&uid),
            spooled,
        }
    }

    pub(super) fn repository(&self, task: &Task) -> Option<Arc<Repository>> {
        self.stores.repositories.get(&near(task, &task.spec.repository_ref.name))
    }

    /// The Sandbox the Task works in or would like to.
    pub(super) fn sandbox(&self, task: &Task) -> Option<Arc<Sandbox>> {
        self.sandbox_named(task, &demand::sandbox_name(task))
    }

    pub(super) fn sandbox_named(&self, task: &Task, name: &str) -> Option<Arc<Sandbox>> {
        self.stores.sandboxes.get(&near(task, name))
    }

    /// Those the Task asks for, names in its spec, or may own: by their names, not by a search.
    fn sandboxes_of(&self, task: &Task) -> Vec<Arc<Sandbox>> {
        let (name, uid) = (task.name_any(), task.uid().unwrap_or_default());
        let round = task.status.as_ref().and_then(|status| status.round).unwrap_or(1);
        let mut names = vec![demand::sandbox_name(task), demand::owned_sandbox_name(&name, &uid)];
        names.extend(task.spec.sandbox_ref.iter().map(|reference| reference.name.clone()));
        let rounds = (round - ROUNDS).max(2)..=round + 1;
        names.extend(rounds.map(|round| demand::owned_sandbox_name_of_round(&name, &uid, round)));
        names.sort_unstable();
        names.dedup();
        names.iter().filter_map(|name| self.sandbox_named(task, name)).collect()
    }

    /// The Task's place in the line for a shared Sandbox, if it stands in one.
    fn place(&self, task: &Task, sandboxes: &[Arc<Sandbox>]) -> Option<usize> {
        let request = task.status.as_ref()?.sandbox_request.as_ref()?;
        let sandbox = sandboxes.iter().find(|sandbox| sandbox.name_any() == request.sandbox_name)?;
        let holder = sandbox.status.as_ref()?.holder.as_ref()?;
        if holder.request == request.id {
            return None;
        }
        let all = self.stores.tasks.state();
        let others = all.iter().map(Arc::as_ref).filter(|other| {
            other.metadata.namespace == task.metadata.namespace
                && other.metadata.uid.as_deref() != Some(holder.uid.as_str())
        });
        turn::place(task, others)
    }

    /// When another Task last started a command in the sandbox that has this Task's files.
    fn others_began(&self, task: &Task) -> Option<Timestamp> {
        let status = task.status.as_ref()?;
        if !matches!(
            status.phase,
            Some(Phase::Pending | Phase::Preparing | Phase::Generating | Phase::Collecting)
        ) {
            return None;
        }
        task.spec.sandbox_ref.as_ref()?;
        let sandbox = &source_generation(task, status)?.sandbox_id;
        let all = self.stores.tasks.state();
        let others = all.iter().filter(|other| {
            other.metadata.namespace == task.metadata.namespace && other.metadata.uid != task.metadata.uid
        });
        let runs = others.flat_map(|other| {
            let runs = other.status.iter().flat_map(|status| &status.code_generations);
            runs.filter(|run| run.sandbox_id == *sandbox).map(|run| run.started_at.0).collect::<Vec<_>>()
        });
        runs.max()
    }
}

/// An object of the Task's namespace.
fn near<K: Resource<DynamicType = ()>>(task: &Task, name: &str) -> ObjectRef<K> {
    ObjectRef::new(name).within(&task.namespace().unwrap_or_default())
}

fn repository_view(repository: &Repository) -> RepositoryView {
    let status = repository.status.clone().unwrap_or_default();
    RepositoryView {
        id: status.repository_id,
        base_branch: repository.spec.base_branch.clone().or(status.default_branch),
        health: health(&status.conditions, repository.metadata.generation, status.observed_generation),
        suspended: repository.spec.suspend,
        sync_interval: SignedDuration::from_secs(repository.spec.sync_interval_seconds.into()),
    }
}

fn sandbox_view(sandbox: &Sandbox) -> SandboxView {
    let status = sandbox.status.clone().unwrap_or_default();
    let mut health = health(&status.conditions, sandbox.metadata.generation, status.observed_generation);
    // The steps of a creation are no news: each would cost a write of the Task.
    let ready = find(&status.conditions, names::READY);
    if matches!(health, Health::NotReady(_)) && ready.is_none_or(|ready| ready.reason == reason::CREATING) {
        health = Health::NotReady(COMING_UP.into());
    }
    let is_task = |owner: &&OwnerReference| owner.controller == Some(true) && owner.kind == Task::kind(&());
    let owner = sandbox.owner_references().iter().find(is_task);
    SandboxView {
        name: sandbox.name_any(),
        id: status.sandbox_id,
        incarnation: status.incarnation.unwrap_or_default(),
        running: status.state == Some(SandboxState::Running),
        paused_seconds: status.paused_seconds,
        health,
        owner: owner.map(|owner| OwnerView { uid: owner.uid.clone(), name: format!("Task {}", owner.name) }),
        deleting: sandbox.metadata.deletion_timestamp.is_some(),
        holder: status.holder,
        spec: sandbox.spec.clone(),
    }
}

/// Where an object stands by its own conditions; what was said of an older spec does not count as ready.
fn health(conditions: &[Condition], generation: Option<i64>, observed: i64) -> Health {
    let text = |condition: Option<&Condition>| match condition {
        Some(condition) if !condition.message.is_empty() => {
            format!("{} ({})", condition.message, condition.reason)
        }
        Some(condition) => condition.reason.clone(),
        None => "the operator has not looked at it yet".to_owned(),
    };
    if is_true(conditions, names::STALLED) {
        return Health::Stalled(text(find(conditions, names::STALLED)));
    }
    if is_true(conditions, names::READY) && generation == Some(observed) {
        return Health::Ready;
    }
    Health::NotReady(text(find(conditions, names::READY)))
}
