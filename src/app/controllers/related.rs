//! Whom an event concerns beside its own object: a Task's Sandbox, the Tasks that use a Sandbox or a Repository.
//! Kinds meet here and in API objects; their controllers never call each other.

use crate::{
    api::{Repository, Sandbox, Task},
    domain::demand,
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::{
    Resource, ResourceExt,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher::Event,
    },
};
use tokio::sync::watch;

/// Sends the references. The queues need no bound: controllers read them all the time and merge what is equal.
#[derive(Clone)]
pub(super) struct Related {
    work: Store<Task>,
    synced: watch::Receiver<bool>,
    sandboxes: UnboundedSender<ObjectRef<Sandbox>>,
    tasks: UnboundedSender<ObjectRef<Task>>,
}

/// Where each controller hears of objects that others' events concern.
pub(super) struct Triggers {
    pub(super) sandboxes: UnboundedReceiver<ObjectRef<Sandbox>>,
    pub(super) tasks: UnboundedReceiver<ObjectRef<Task>>,
}

impl Related {
    /// `work`: all Tasks; `synced`: whether all stores are complete. Before that nothing needs to be told: every
    /// object has its first pass still before it.
    pub(super) fn new(work: Store<Task>, synced: watch::Receiver<bool>) -> (Self, Triggers) {
        let (sandboxes, to_sandboxes) = unbounded();
        let (tasks, to_tasks) = unbounded();
        (Self { work, synced, sandboxes, tasks }, Triggers { sandboxes: to_sandboxes, tasks: to_tasks })
    }

    /// A Task's need may have begun or ended.
    pub(super) fn of_task(&self, event: &Event<Task>) {
        if let Some(task) = self.concerned(event) {
            let sandbox = ObjectRef::new(&demand::sandbox_name(task)).within(&namespace(task));
            send(&self.sandboxes, sandbox);
        }
    }

    /// Tasks wait for their Sandbox, or work in it.
    pub(super) fn of_sandbox(&self, event: &Event<Sandbox>) {
        if let Some(sandbox) = self.concerned(event) {
            let name = sandbox.name_any();
            self.tell(&namespace(sandbox), |task| demand::works_in(task, &name));
        }
    }

    /// Tasks wait for their Repository.
    pub(super) fn of_repository(&self, event: &Event<Repository>) {
        if let Some(repository) = self.concerned(event) {
            let name = repository.name_any();
            self.tell(&namespace(repository), |task| task.spec.repository_ref.name == name);
        }
    }

    fn concerned<'a, K>(&self, event: &'a Event<K>) -> Option<&'a K> {
        let (Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event else {
            return None;
        };
        self.synced.borrow().then_some(object)
    }

    fn tell(&self, namespace: &str, concerns: impl Fn(&Task) -> bool) {
        for task in self.work.state() {
            if task.metadata.namespace.as_deref() == Some(namespace) && concerns(&task) {
                send(&self.tasks, ObjectRef::from_obj(&*task));
            }
        }
    }
}

fn namespace(object: &impl Resource) -> String {
    object.namespace().unwrap_or_default()
}

fn send<K: Resource>(to: &UnboundedSender<ObjectRef<K>>, object: ObjectRef<K>)
where
    K::DynamicType: std::hash::Hash + Eq,
{
    // The other controller has ended: so does the process.
    let _ = to.unbounded_send(object);
}
