//! Applies what a sync found to the status of Tasks, the way a delivery would.
//! Writes through `cluster::status`; the transition itself is `domain`'s.

use super::{MANAGER, RepositoryController};
use crate::{
    api::{Repository, Task},
    cluster::{self, Written, status},
    domain::repository::sync::{self, Move},
};
use jiff::Timestamp;
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};

/// Number of times a Task is read again because somebody else wrote first.
const TRIES: usize = 3;

impl RepositoryController {
    /// Writes every move; whether all of them landed.
    pub(super) async fn apply_sync(&self, object: &Repository, moves: &[Move]) -> bool {
        let namespace = object.namespace().unwrap_or_default();
        let mut all = true;
        for one in moves {
            match self.apply_one(&namespace, one).await {
                Ok(true) => {}
                Ok(false) => all = false,
                Err(error) => {
                    tracing::warn!(task = one.task, %namespace, %error, "a pull request that moved could not be written to its Task");
                    all = false;
                }
            }
        }
        all
    }

    async fn apply_one(&self, namespace: &str, one: &Move) -> Result<bool, cluster::Error> {
        let api: Api<Task> = Api::namespaced(self.client.clone(), namespace);
        let mut task =
            self.tasks.get(&ObjectRef::new(&one.task).within(namespace)).map(|task| Task::clone(&task));
        for _ in 0..TRIES {
            let Some(seen) = task else { return Ok(true) };
            let Some(moved) = sync::apply(&seen, &one.observed, Timestamp::now()) else { return Ok(true) };
            match status::write(&api, &seen, seen.status.as_ref(), &moved, MANAGER).await? {
                Written::Patched(_) => {
                    if sync::is_news(&seen, &moved) {
                        self.metrics.undelivered();
                    }
                    tracing::info!(task = one.task, namespace, pull_request = one.observed.number, state = ?one.observed.state, "sync moved a Task");
                    return Ok(true);
                }
                Written::Unchanged => return Ok(true),
                Written::Conflict => task = api.get_opt(&one.task).await?,
            }
        }
        Ok(false)
    }
}
