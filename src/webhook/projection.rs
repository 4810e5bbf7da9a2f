//! The receiver's knowledge of the cluster: an extract of every Task and Repository, kept by a watch.
//! Composes `tasks` and `repositories`, which say what is kept; a miss in either is final while both are current.

use super::{repositories::Repositories, tasks::Tasks, view::Kept};
use crate::cluster::Events;
use kube::Client;

/// Extract of the cluster.
#[derive(Default)]
pub(super) struct Projection {
    pub(super) tasks: Kept<Tasks>,
    pub(super) repositories: Kept<Repositories>,
}

impl Projection {
    /// Returns whether both have been listed once.
    pub(super) fn is_synced(&self) -> bool {
        self.tasks.ask(|_| ()).is_some() && self.repositories.ask(|_| ()).is_some()
    }

    /// Returns whether a miss is final.
    pub(super) fn is_current(&self) -> bool {
        self.tasks.is_current() && self.repositories.is_current()
    }

    /// Keeps both up to date. Ends only if a watch ends, which none should.
    pub(super) async fn follow(&self, client: &Client, namespace: Option<&str>, events: &Events) {
        tokio::select! {
            () = self.tasks.follow(client, namespace, events) => {}
            () = self.repositories.follow(client, namespace, events) => {}
        }
    }
}
