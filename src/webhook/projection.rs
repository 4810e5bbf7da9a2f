//! The receiver's knowledge of the cluster: an extract of every Task and Repository, kept by a watch.
//! Composes `tasks` and `repositories`, which say what is kept; a miss in either is final once both are synced.

use super::{
    repositories::Repositories,
    tasks::Tasks,
    view::{follow, watched},
};
use crate::cluster::Events;
use kube::Client;
use std::sync::{PoisonError, RwLock};

/// Extract of the cluster; `None` until it has been listed once.
#[derive(Default)]
pub(super) struct Projection {
    tasks: RwLock<Option<Tasks>>,
    repositories: RwLock<Option<Repositories>>,
}

impl Projection {
    pub(super) fn is_synced(&self) -> bool {
        self.tasks(|_| ()).is_some() && self.repositories(|_| ()).is_some()
    }

    /// Asks the Tasks; `None` before they are synced.
    pub(super) fn tasks<T>(&self, ask: impl FnOnce(&Tasks) -> T) -> Option<T> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask)
    }

    /// Asks the Repositories; `None` before they are synced.
    pub(super) fn repositories<T>(&self, ask: impl FnOnce(&Repositories) -> T) -> Option<T> {
        self.repositories.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask)
    }

    /// Keeps both up to date. Ends only if a watch ends, which none should.
    pub(super) async fn follow(&self, client: &Client, namespace: Option<&str>, events: &Events) {
        tokio::select! {
            () = follow(watched::<Tasks>(client, namespace, events), &self.tasks) => {}
            () = follow(watched::<Repositories>(client, namespace, events), &self.repositories) => {}
        }
    }
}
