//! Collects what is known of a Task's surroundings without a call: from the stores and from memory, as data for the decision.
//! Part of the Task controller.

use super::TaskController;
use crate::{
    api::{Phase, Repository, Sandbox, Task},
    domain::{
        asker::Asker,
        demand,
        task::{Context, RepositoryView, SandboxView, source_generation, spool_id},
        turn,
    },
};
use jiff::Timestamp;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::sync::Arc;

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
            repository: self.repository(task).map(|repository| RepositoryView::of(&repository)),
            sandboxes: sandboxes.iter().map(|sandbox| SandboxView::of(sandbox)).collect(),
            place,
            others_began: self.others_began(task),
            dead_since: memory.dead_since(&generation),
            signalled_since: memory.signalled_since(&generation),
            pull_read: memory.pull_read(&uid),
            spooled,
            awaits_turn: self.github.awaits(&Asker::of(task).id()),
        }
    }

    pub(super) fn repository(&self, task: &Task) -> Option<Arc<Repository>> {
        self.stores.repositories.get(&near(task, &task.spec.repository_ref.name))
    }

    /// Returns the Sandbox the Task works in or would like to.
    pub(super) fn sandbox(&self, task: &Task) -> Option<Arc<Sandbox>> {
        self.sandbox_named(task, &demand::sandbox_name(task))
    }

    pub(super) fn sandbox_named(&self, task: &Task, name: &str) -> Option<Arc<Sandbox>> {
        self.stores.sandboxes.get(&near(task, name))
    }

    /// Returns the Sandboxes that the Task asks for, names in its spec, or may own: by their names, not by a search.
    fn sandboxes_of(&self, task: &Task) -> Vec<Arc<Sandbox>> {
        let names = demand::sandbox_names(task);
        names.iter().filter_map(|name| self.sandbox_named(task, name)).collect()
    }

    /// Finds the Task's place in the line for a shared Sandbox, if it stands in one.
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

    /// Finds when another Task last started a command in the sandbox that has this Task's files.
    fn others_began(&self, task: &Task) -> Option<Timestamp> {
        let status = task.status.as_ref()?;
        if !matches!(
            status.phase,
            Some(Phase::Pending | Phase::Preparing | Phase::Generating | Phase::Collecting)
        ) {
            return None;
        }
        task.spec.sandbox_ref.as_ref()?;
        let made_in = source_generation(task, status).map(|run| &run.sandbox_id);
        let sandbox = made_in.or(status.sandbox_id.as_ref())?;
        let own = self.sandbox(task);
        let shared = own.as_ref().and_then(|own| own.status.as_ref());
        let shared = shared.filter(|status| status.sandbox_id.as_ref() == Some(sandbox));
        let on_record = shared.and_then(|status| turn::others_began(status, &task.uid().unwrap_or_default()));
        // What the Sandbox's status does not have yet the Tasks' own has.
        let all = self.stores.tasks.state();
        let others = all.iter().filter(|other| {
            other.metadata.namespace == task.metadata.namespace && other.metadata.uid != task.metadata.uid
        });
        let runs = others.flat_map(|other| {
            let runs = other.status.iter().flat_map(|status| &status.code_generations);
            runs.filter(|run| run.sandbox_id == *sandbox).map(|run| run.started_at.0).collect::<Vec<_>>()
        });
        runs.chain(on_record).max()
    }
}

/// An object of the Task's namespace.
fn near<K: Resource<DynamicType = ()>>(task: &Task, name: &str) -> ObjectRef<K> {
    ObjectRef::new(name).within(&task.namespace().unwrap_or_default())
}
