//! Lets passes run once the stores are complete, while this process leads.
//! Part of `app::controllers`; every pass of every kind goes through it.

use crate::{
    api::Task,
    app::ops::Readiness,
    cluster::Leadership,
    controllers::{
        shell::{Doubt, Reconciler, Shell},
        task::{Stores, files::Spool},
    },
    domain::task::spool_id,
};
use anyhow::Context;
use kube::runtime::{
    controller::Action,
    reflector::{ObjectRef, Store},
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::watch as flag;
use tokio_util::sync::CancellationToken;

/// Open while passes may begin and go on.
#[derive(Clone)]
pub(super) struct Gate(flag::Receiver<bool>);

impl Gate {
    /// The gate, closed, and what opens it.
    pub(super) fn new() -> (flag::Sender<bool>, Self) {
        let (sender, receiver) = flag::channel(false);
        (sender, Self(receiver))
    }

    /// One pass over the object as it is once the gate is open; cut off, like by a crash, when the gate closes.
    pub(super) async fn pass<R: Reconciler>(
        mut self,
        shell: Arc<Shell<R>>,
        known: Store<R::Kind>,
        object: Arc<R::Kind>,
    ) -> Result<Action, Infallible> {
        if self.0.wait_for(|open| *open).await.is_err() {
            return Ok(Action::await_change());
        }
        // A standby has waited here, perhaps for days.
        let Some(object) = known.get(&ObjectRef::from_obj(&*object)) else {
            return Ok(Action::await_change());
        };
        tokio::select! {
            action = shell.reconcile(object) => action,
            Ok(_) = self.0.wait_for(|open| !*open) => Ok(Action::requeue(Duration::ZERO)),
        }
    }
}

/// Opens and closes the gate.
pub(super) struct Keeper {
    pub(super) stores: Stores,
    pub(super) spool: Spool,
    pub(super) leadership: Leadership,
    /// Turns true once all three stores are complete: before that, absence from a store means nothing.
    pub(super) synced: flag::Sender<bool>,
    pub(super) open: flag::Sender<bool>,
    pub(super) doubt: Doubt,
    pub(super) ready: Readiness,
}

impl Keeper {
    /// Until `stop`, which leaves the gate as it is: the passes that run are waited for. `listed`: per store, whether its
    /// first list is complete.
    pub(super) async fn run(
        self,
        listed: [flag::Receiver<bool>; 3],
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        tokio::select! {
            ended = self.keep(listed) => ended,
            () = stop.cancelled() => Ok(()),
        }
    }

    async fn keep(&self, mut listed: [flag::Receiver<bool>; 3]) -> anyhow::Result<()> {
        for kind in &mut listed {
            kind.wait_for(|listed| *listed).await.context("a watch ended")?;
        }
        let Stores { tasks, sandboxes, repositories } = &self.stores;
        let (repositories, sandboxes, tasks) = (repositories.len(), sandboxes.len(), tasks.len());
        tracing::info!(repositories, sandboxes, tasks, "caches synced");
        self.synced.send_replace(true);
        self.ready.set();
        loop {
            self.leadership.gained().await;
            // What another replica has finished meanwhile is still in the spool of this one.
            self.sweep_spool().await?;
            // The last writes of that replica may still be on their way to the stores.
            self.doubt.raise();
            self.open.send_replace(true);
            self.leadership.lost().await;
            self.open.send_replace(false);
        }
    }

    async fn sweep_spool(&self) -> anyhow::Result<()> {
        let owned = self.stores.tasks.state().iter().filter_map(|task| spooled(task)).collect();
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || spool.sweep(&owned)).await?.context("SLIPWAY_SPOOL_DIR")
    }
}

/// The spooled files that a Task may still need.
fn spooled(task: &Task) -> Option<String> {
    spool_id(task, task.status.as_ref()?)
}
