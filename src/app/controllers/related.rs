//! Whom an event concerns in addition to its own object: a Task's Sandbox, the Tasks that use a Sandbox or a Repository.
//! Kinds meet here and in API objects; their controllers never call each other.

use crate::{
    api::{Repository, Sandbox, Task},
    domain::{asker::Asker, demand},
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::{
    Resource, ResourceExt,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher::Event,
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// Sends the references. The queues need no bound: controllers read them all the time and merge what is equal.
#[derive(Clone)]
pub(super) struct Related {
    work: Store<Task>,
    synced: watch::Receiver<bool>,
    sandboxes: UnboundedSender<ObjectRef<Sandbox>>,
    tasks: UnboundedSender<ObjectRef<Task>>,
    repositories: UnboundedSender<ObjectRef<Repository>>,
    /// The Sandbox that each Task worked in by its last event, by the Task's uid.
    worked_in: Arc<Mutex<HashMap<String, ObjectRef<Sandbox>>>>,
}

/// Channels on which each controller hears of objects that others' events concern.
pub(super) struct Triggers {
    pub(super) sandboxes: UnboundedReceiver<ObjectRef<Sandbox>>,
    pub(super) tasks: UnboundedReceiver<ObjectRef<Task>>,
    pub(super) repositories: UnboundedReceiver<ObjectRef<Repository>>,
}

impl Related {
    /// `work`: all Tasks; `synced`: whether all stores are complete. Before that nothing needs to be told: every
    /// object has its first pass still before it.
    pub(super) fn new(work: Store<Task>, synced: watch::Receiver<bool>) -> (Self, Triggers) {
        let (sandboxes, to_sandboxes) = unbounded();
        let (tasks, to_tasks) = unbounded();
        let (repositories, to_repositories) = unbounded();
        let worked_in = Arc::default();
        (
            Self { work, synced, sandboxes, tasks, repositories, worked_in },
            Triggers { sandboxes: to_sandboxes, tasks: to_tasks, repositories: to_repositories },
        )
    }

    /// A Task's need may have begun or ended, and with it its turn. Both Sandboxes hear of a Task that has changed from
    /// one to the other: the one that it left gives the turn to the next.
    pub(super) fn of_task(&self, event: &Event<Task>) {
        let mut worked_in = self.worked_in.lock().unwrap_or_else(PoisonError::into_inner);
        let concerned: Vec<_> = match event {
            Event::Apply(task) | Event::InitApply(task) => {
                let (now, before) = (sandbox_of(task), worked_in.insert(uid(task), sandbox_of(task)));
                before.filter(|before| *before != now).into_iter().chain([now]).collect()
            }
            Event::Delete(task) => {
                let (now, before) = (sandbox_of(task), worked_in.remove(&uid(task)));
                before.filter(|before| *before != now).into_iter().chain([now]).collect()
            }
            // Tasks that were deleted while the watch was down have no event of their own.
            Event::InitDone => {
                let known: HashSet<_> = self.work.state().iter().map(|task| uid(task)).collect();
                worked_in.extract_if(|uid, _| !known.contains(uid)).map(|(_, sandbox)| sandbox).collect()
            }
            Event::Init => Vec::new(),
        };
        if *self.synced.borrow() {
            for sandbox in concerned {
                send(&self.sandboxes, sandbox);
            }
        }
    }

    /// Tasks wait for their Sandbox, work in it, or own it.
    pub(super) fn of_sandbox(&self, event: &Event<Sandbox>) {
        if let Some(sandbox) = self.concerned(event) {
            let name = sandbox.name_any();
            let owner = sandbox.owner_references().iter().find(|owner| owner.controller == Some(true));
            let owner = owner.map(|owner| owner.uid.as_str());
            self.tell(&namespace(sandbox), |task| {
                demand::works_in(task, &name) || (owner.is_some() && task.metadata.uid.as_deref() == owner)
            });
        }
    }

    /// Tasks wait for their Repository.
    pub(super) fn of_repository(&self, event: &Event<Repository>) {
        if let Some(repository) = self.concerned(event) {
            let name = repository.name_any();
            self.tell(&namespace(repository), |task| task.spec.repository_ref.name == name);
        }
    }

    /// The turn of this object to write at GitHub has come.
    pub(super) fn of_turn(&self, asker: &Asker) {
        let Asker { kind, namespace, name } = asker;
        if *kind == Task::kind(&()) {
            send(&self.tasks, ObjectRef::new(name).within(namespace));
        } else if *kind == Repository::kind(&()) {
            send(&self.repositories, ObjectRef::new(name).within(namespace));
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

fn sandbox_of(task: &Task) -> ObjectRef<Sandbox> {
    ObjectRef::new(&demand::sandbox_name(task)).within(&namespace(task))
}

fn uid(task: &Task) -> String {
    task.uid().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use kube::runtime::reflector::{self, store::Writer};
    use serde_json::json;

    struct Heard {
        related: Related,
        triggers: Triggers,
        store: Writer<Task>,
    }

    impl Heard {
        fn new() -> Self {
            let (reader, store) = reflector::store();
            let (_, synced) = watch::channel(true);
            let (related, triggers) = Related::new(reader, synced);
            Self { related, triggers, store }
        }

        /// The Sandboxes that are woken by the event.
        fn woken(&mut self, event: &Event<Task>) -> Vec<String> {
            self.store.apply_watcher_event(event);
            self.related.of_task(event);
            let queue = &mut self.triggers.sandboxes;
            let next = || futures::FutureExt::now_or_never(queue.next()).flatten();
            std::iter::from_fn(next).map(|sandbox| sandbox.name).collect()
        }
    }

    fn task(sandbox_ref: &str, request: Option<&str>) -> Task {
        let request =
            request.map(|name| json!({"id": "q", "sandboxName": name, "since": "2026-01-01T00:00:00Z"}));
        let task = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Task",
            "metadata": {"name": "t", "namespace": "n", "uid": "u"},
            "spec": {
                "title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/app"},
                "sandboxRef": {"name": sandbox_ref},
            },
            "status": {"sandboxRequest": request},
        });
        serde_json::from_value(task).expect("a Task")
    }

    #[test]
    fn the_sandbox_that_a_task_leaves_hears_of_it_whatever_the_spec_names_by_then() {
        let mut heard = Heard::new();
        assert_eq!(heard.woken(&Event::Apply(task("a", Some("a")))), ["a"]);
        assert_eq!(heard.woken(&Event::Apply(task("b", Some("a")))), ["a"], "the spec alone changes nothing");
        assert_eq!(heard.woken(&Event::Apply(task("b", None))), ["a", "b"]);
        assert_eq!(heard.woken(&Event::Apply(task("b", Some("b")))), ["b"]);
    }

    #[test]
    fn the_end_of_a_task_wakes_its_sandbox() {
        let mut heard = Heard::new();
        heard.woken(&Event::Apply(task("a", Some("a"))));
        assert_eq!(
            heard.woken(&Event::Delete(task("b", None))),
            ["a", "b"],
            "the last state may name another"
        );
        assert!(heard.related.worked_in.lock().expect("no panic").is_empty());
    }

    #[test]
    fn a_task_that_went_while_the_watch_was_down_wakes_its_sandbox() {
        let mut heard = Heard::new();
        heard.woken(&Event::Apply(task("a", Some("a"))));
        assert_eq!(heard.woken(&Event::Init), [""; 0]);
        assert_eq!(heard.woken(&Event::InitDone), ["a"]);
        assert_eq!(heard.woken(&Event::InitDone), [""; 0], "once");
    }
}
