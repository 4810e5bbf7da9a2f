//! What is known of a Task's surroundings without a call: from the stores and from memory, as data for the decision.
//! Part of the Task controller.

use super::TaskController;
use crate::{
    api::{Repository, Sandbox, SandboxState, Task, conditions as names, conditions::reason},
    domain::{
        conditions::{find, is_true},
        need,
        task::{COMING_UP, Context, Drift, Health, RepositoryView, SandboxView},
    },
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::sync::Arc;

impl TaskController {
    pub(super) fn context(&self, task: &Task) -> Context {
        let uid = task.uid().unwrap_or_default();
        let generation =
            task.status.as_ref().and_then(|status| status.code_generations.last()).map(|run| run.id.clone());
        let (dead_since, pull_read) = {
            let memory = self.memory();
            let dead = generation.and_then(|id| memory.dead.get(&id).copied());
            (dead, memory.pulls.get(&uid).copied())
        };
        Context {
            repository: self.repository(task).map(|repository| repository_view(&repository)),
            sandbox: self.sandbox(task).map(|sandbox| sandbox_view(task, &sandbox)),
            holder: self.holder(task),
            dead_since,
            pull_read,
        }
    }

    pub(super) fn repository(&self, task: &Task) -> Option<Arc<Repository>> {
        self.stores.repositories.get(&near(task, &task.spec.repository_ref.name))
    }

    pub(super) fn sandbox(&self, task: &Task) -> Option<Arc<Sandbox>> {
        self.stores.sandboxes.get(&near(task, &need::sandbox_name(task)))
    }

    /// Whose turn it is in a shared Sandbox, if not this Task's.
    fn holder(&self, task: &Task) -> Option<String> {
        task.spec.sandbox_ref.as_ref()?;
        let all = self.stores.tasks.state();
        let others = all.iter().map(Arc::as_ref).filter(|other| {
            other.metadata.namespace == task.metadata.namespace
                && other.spec.sandbox_ref == task.spec.sandbox_ref
        });
        need::holder(task, others).map(ResourceExt::name_any)
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

fn sandbox_view(task: &Task, sandbox: &Sandbox) -> SandboxView {
    let status = sandbox.status.clone().unwrap_or_default();
    let mut health = health(&status.conditions, sandbox.metadata.generation, status.observed_generation);
    // The steps of a creation are no news: each would cost a write of the Task.
    let ready = find(&status.conditions, names::READY);
    if matches!(health, Health::NotReady(_)) && ready.is_none_or(|ready| ready.reason == reason::CREATING) {
        health = Health::NotReady(COMING_UP.into());
    }
    let template = task.spec.sandbox_template.as_ref();
    let owner = sandbox.owner_references().iter().find(|owner| owner.controller == Some(true));
    SandboxView {
        id: status.sandbox_id,
        incarnation: status.incarnation.unwrap_or_default(),
        running: status.state == Some(SandboxState::Running),
        health,
        owner: owner.map(|owner| owner.uid.clone()),
        deleting: sandbox.metadata.deletion_timestamp.is_some(),
        drift: template.map_or_else(Drift::default, |template| Drift::between(&sandbox.spec, &template.spec)),
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
