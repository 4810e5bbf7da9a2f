//! Keeps what only this process knows of each Sandbox; losing it costs a look, or the key of a Secret that is gone.
//! Part of the Sandbox controller. One pass of an object at a time writes here.

use crate::{
    api::SecretVersion,
    domain::{
        failure::Class,
        sandbox::{ConnectEnd, Ended, LookupResult, PauseEnd},
        secrets::SecretValue,
    },
    e2b::Account,
};
use jiff::Timestamp;
use secrecy::SecretString;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Time for which an object that was let go is remembered: its last write may conflict, and the pass come again.
const AFTERLIFE: Duration = Duration::from_mins(10);

/// What a sandbox is given by its Sandbox's own `env`, all of it from one reading.
#[derive(Clone, Default)]
pub(super) struct Environment {
    pub variables: BTreeMap<String, SecretString>,
    /// The Secrets that it takes, as they were read.
    pub versions: Vec<SecretVersion>,
    /// Their values.
    pub values: Vec<SecretValue>,
}

/// Key and values that a pass resolved for the step that may follow: they stay the same, whatever changes in between.
#[derive(Clone)]
pub(super) struct Prepared {
    pub account: Account,
    pub env: Environment,
}

#[derive(Default)]
struct Entry {
    prepared: Option<Prepared>,
    /// The last key that E2B showed the sandbox to.
    worked: Option<Account>,
    last_look: Option<Timestamp>,
    /// The sandbox of which it was told that another installation has made it.
    told: Option<String>,
    /// Time at which the object was let go.
    left: Option<Instant>,
}

/// By uid.
#[derive(Default)]
pub(super) struct Memory(Mutex<HashMap<String, Entry>>);

impl Memory {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, uid: &str, change: impl FnOnce(&mut Entry)) {
        change(self.entries().entry(uid.to_owned()).or_default());
    }

    pub(super) fn prepare(&self, uid: &str, prepared: Prepared) {
        self.change(uid, |entry| entry.prepared = Some(prepared));
    }

    /// Gives what the pass resolved, once.
    pub(super) fn prepared(&self, uid: &str) -> Option<Prepared> {
        self.entries().get_mut(uid)?.prepared.take()
    }

    pub(super) fn last_worked(&self, uid: &str) -> Option<Account> {
        self.entries().get(uid)?.worked.clone()
    }

    pub(super) fn worked(&self, uid: &str, account: &Account) {
        self.change(uid, |entry| entry.worked = Some(account.clone()));
    }

    pub(super) fn last_look(&self, uid: &str) -> Option<Timestamp> {
        self.entries().get(uid)?.last_look
    }

    pub(super) fn looked(&self, uid: &str, now: Timestamp) {
        self.change(uid, |entry| entry.last_look = Some(now));
    }

    /// Returns whether it was not told yet that another installation has made the sandbox `id`.
    pub(super) fn tells(&self, uid: &str, id: &str) -> bool {
        let mut new = false;
        self.change(uid, |entry| new = entry.told.replace(id.to_owned()).is_none_or(|told| told != id));
        new
    }

    /// Notes what a step says of the key it was made with.
    pub(super) fn note(&self, uid: &str, account: &Account, ended: &Ended) {
        let class = match ended {
            Ended::Created { .. }
            | Ended::Connected(Ok(ConnectEnd::Resumed | ConnectEnd::Ran))
            | Ended::Renewed(Ok(LookupResult::Found(_)))
            | Ended::Paused { result: Ok(PauseEnd::Paused | PauseEnd::Unclear), .. } => None,
            Ended::Marked
            | Ended::Kept(_)
            | Ended::Connected(Ok(ConnectEnd::NotFound(_)))
            | Ended::Renewed(Ok(LookupResult::NotFound(_)))
            | Ended::Killed { result: Ok(_), .. }
            | Ended::Paused { result: Ok(PauseEnd::Gone), .. } => return,
            Ended::NotCreated { failure, .. }
            | Ended::Connected(Err(failure))
            | Ended::Renewed(Err(failure))
            | Ended::Killed { result: Err(failure), .. }
            | Ended::Paused { result: Err(failure), .. } => Some(failure.class),
        };
        match class {
            None => self.worked(uid, account),
            Some(class) => self.failed(uid, account, class),
        }
    }

    /// A key that is refused works no longer.
    pub(super) fn failed(&self, uid: &str, account: &Account, class: Class) {
        if class == Class::Denied {
            self.change(uid, |entry| {
                entry.worked.take_if(|worked| worked.fingerprint() == account.fingerprint());
            });
        }
    }

    /// The object is let go.
    pub(super) fn leaves(&self, uid: &str) {
        let mut entries = self.entries();
        entries.retain(|_, entry| entry.left.is_none_or(|left| left.elapsed() < AFTERLIFE));
        if let Some(entry) = entries.get_mut(uid) {
            entry.left = Some(Instant::now());
        }
    }
}
