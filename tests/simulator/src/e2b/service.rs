//! What all parts of the E2B stand-in share: records, clock, isolation; and the loop that ends lifetimes.
//! `E2b` is its handle for tests, the lifecycle API and `gateway` its faces on the wire.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::machine::Machine;
use super::sandbox::Isolation;
use super::snapshots::Snapshot;
use super::store::{State, Store};
use crate::core::Clock;

pub struct Service {
    store: Mutex<Store>,
    clock: Clock,
    isolation: Isolation,
    directory: PathBuf,
    changed: Notify,
    /// Every machine, also those whose record is gone while they are still being killed.
    machines: Mutex<Vec<Weak<Machine>>>,
    /// The stand-in's own runtime: callers may come from any thread.
    runtime: Handle,
}

impl Service {
    /// To be called on the runtime that the stand-in is to live on.
    pub fn new(store: Store, clock: Clock, isolation: Isolation, directory: PathBuf) -> Self {
        let runtime = Handle::current();
        let (store, changed, machines) = (Mutex::new(store), Notify::new(), Mutex::default());
        Self { store, clock, isolation, directory, changed, machines, runtime }
    }

    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The records, with every lifetime that is over already ended. Never held across an await.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        for followup in store.expire(self.clock.now()) {
            self.runtime.spawn(followup.run());
        }
        store
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// Where the sandboxes' directories are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn machines(&self) -> MutexGuard<'_, Vec<Weak<Machine>>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called for every machine that came up.
    pub fn register(&self, machine: &Arc<Machine>) {
        let mut machines = self.machines();
        machines.retain(|machine| machine.strong_count() > 0);
        machines.push(Arc::downgrade(machine));
    }

    /// Kills every machine that there is.
    pub async fn kill_all(&self) {
        self.store().sandboxes.clear();
        let machines: Vec<_> = self.machines().iter().filter_map(Weak::upgrade).collect();
        futures::future::join_all(machines.iter().map(|machine| machine.kill())).await;
    }

    /// To be called when a lifetime was added or changed.
    pub fn lifetimes_changed(&self) {
        self.changed.notify_one();
    }

    /// Ends lifetimes when they are over, by the simulated clock. Runs for ever.
    pub async fn expire(self: Arc<Self>) {
        loop {
            let next = self.store().next_expiry();
            tokio::select! {
                () = self.changed.notified() => {}
                () = async {
                    match next {
                        Some(next) => self.clock.sleep_until(next).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// Pauses a running sandbox; `false` when it is not running.
    pub async fn pause(&self, id: &str) -> anyhow::Result<bool> {
        let (machine, turn, keeps) = {
            let now = self.now();
            let mut store = self.store();
            let Some(record) = store.sandboxes.get_mut(id).filter(|record| record.state == State::Running)
            else {
                return Ok(false);
            };
            record.state = State::Paused;
            record.end_at = now;
            // An automatic pause replaces the snapshot; a kill by time-out leaves it.
            let keeps = !record.auto_pause;
            let machine = Arc::clone(&record.machine);
            let turn = machine.next_turn();
            let degraded = store.degraded_pauses > 0;
            store.degraded_pauses = store.degraded_pauses.saturating_sub(1);
            if let Some(record) = store.sandboxes.get_mut(id) {
                record.without_memory = degraded;
            }
            store.counters.pauses += 1;
            (machine, turn, keeps)
        };
        let turn = machine.pause(turn).await?;
        if keeps {
            let snapshot = Snapshot::take(&machine, self.now())?;
            self.store().snapshots.insert(id.to_owned(), Arc::new(snapshot));
        }
        drop(turn);
        Ok(true)
    }

    /// Removes a sandbox, running or paused; `None` when there is none.
    pub fn remove(&self, id: &str) -> Option<Arc<Machine>> {
        let mut store = self.store();
        store.snapshots.remove(id);
        let record = store.sandboxes.remove(id);
        drop(store);
        record.map(|record| record.machine)
    }
}
