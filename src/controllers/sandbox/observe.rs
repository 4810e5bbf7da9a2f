//! What is asked of a Sandbox by its Tasks, and what E2B shows of it.
//! Part of the Sandbox controller; `domain::sandbox` says which read a pass makes.

use super::{SandboxController, answer, uid};
use crate::{
    api::{OperatingMode, Sandbox, Task},
    cluster,
    domain::{
        demand,
        sandbox::{self, Asked, Observed, Read},
        turn::{self, Turn},
    },
    e2b::Account,
};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use std::sync::Arc;

impl SandboxController {
    /// The Tasks that work in the Sandbox, or would like to.
    pub(super) fn tasks_of(&self, object: &Sandbox) -> Vec<Arc<Task>> {
        let name = object.name_any();
        let mut tasks = self.tasks.state();
        tasks.retain(|task| {
            task.metadata.namespace == object.metadata.namespace && demand::works_in(task, &name)
        });
        tasks
    }

    pub(super) fn asked(&self, object: &Sandbox, tasks: &[Arc<Task>]) -> Asked {
        let keeps_up = |task: &Arc<Task>| demand::keeps_up(demand::of(task), &object.spec);
        Asked {
            needed: object.spec.operating_mode == OperatingMode::Running || tasks.iter().any(keeps_up),
            unreachable: tasks.iter().any(|task| demand::reports_unreachable(task)),
            last_look: self.memory.last_look(&uid(object)),
        }
    }

    /// Whose turn it is. The store may be older than the grant, so the end of a turn is confirmed by the API server.
    pub(super) async fn turn(&self, object: &Sandbox, mut tasks: Vec<Arc<Task>>) -> Turn {
        // Nothing begins in a sandbox that is about to go.
        if !turn::is_shared(object) || object.metadata.deletion_timestamp.is_some() {
            return Turn::default();
        }
        let name = object.name_any();
        let current = object.status.as_ref().and_then(|status| status.holder.as_ref());
        if let Some(holder) = turn::ending(current, &name, tasks.iter().map(Arc::as_ref)) {
            let api = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
            match api.get_opt(&holder.task).await.map_err(cluster::Error::from) {
                Ok(live) => tasks = turn::confirmed(tasks, holder, live.map(Arc::new)),
                Err(error) => {
                    tracing::debug!(task = holder.task, %error, "the end of a turn can't be confirmed yet");
                    return turn::unconfirmed(holder, object);
                }
            }
        }
        turn::grant(current, &name, tasks.iter().map(Arc::as_ref))
    }

    pub(super) async fn read(
        &self,
        object: &Sandbox,
        account: &Account,
        read: Read,
        now: Timestamp,
        observed: &mut Observed,
    ) {
        let uid = uid(object);
        match read {
            Read::Nothing => {}
            Read::Get => {
                let id = object.status.as_ref().and_then(|status| status.sandbox_id.as_deref());
                let look = account.get(id.unwrap_or_default()).await;
                let look = look.map(|detail| detail.map(|detail| detail.seen)).map_err(answer::failure);
                self.memory.looked(&uid, now);
                match &look {
                    Ok(Some(_)) => self.memory.worked(&uid, account),
                    Ok(None) => {}
                    Err(failure) => self.memory.failed(&uid, account, failure.class),
                }
                observed.look = Some(look);
            }
            Read::List => {
                let marks = sandbox::own_marks(object, &self.installation);
                let listed = account.list(&marks).await;
                let listed = listed.map_err(answer::failure);
                if let Err(failure) = &listed {
                    self.memory.failed(&uid, account, failure.class);
                }
                observed.listed = Some(listed);
            }
        }
    }
}
