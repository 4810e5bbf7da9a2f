//! The values of webhook secrets, and when a Secret may be read: nobody without a secret can make the receiver load the API
//! server. Below `keyring`, which checks signatures with them; `cluster::secrets` makes the calls.

use super::{
    bucket::Bucket,
    repositories::SecretSource,
    weak_secrets::{Ignored, WeakSecrets},
};
use crate::{
    cluster::{Error, SecretValues, Secrets},
    domain::signature::{SHORTEST_SECRET, is_webhook_secret},
};
use secrecy::ExposeSecret;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// Values of one Secret that are tried, the last by key: each takes a pass over a whole delivery, which nothing interrupts.
pub(super) const MOST_SECRETS: usize = 32;
/// A value that is older is believed only after a look at the Secret.
const BELIEVED: Duration = Duration::from_secs(30);
/// A Secret is read again because a signature failed at most this often.
const REREAD: Duration = Duration::from_secs(10);
/// The same of one that was not there: manifests arrive in any order.
const ABSENT_REREAD: Duration = Duration::from_secs(2);
/// Reads per second that unsigned requests may cause, all together.
const READS_PER_SECOND: u32 = 20;
/// Reads that stay for Secrets that have never been read.
const KEPT_FOR_FIRST_READS: u32 = 10;
/// Time limit for a read because a signature failed: what hangs on it is a refusal.
const REREAD_DEADLINE: Duration = Duration::from_secs(2);
/// What nobody has asked for during this time is forgotten.
const UNUSED: Duration = Duration::from_mins(10);

/// Requests that wait for a Secret at a time: each holds a connection.
const WAITING: usize = 64;

/// One Secret as it was read last.
#[derive(Clone, Default)]
pub(super) struct Known {
    values: Option<Arc<SecretValues>>,
    /// The API server refuses to give it.
    denied: bool,
}

impl Known {
    fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.values.iter().flat_map(|values| values.iter());
        let all = all.map(|(key, value)| (key, value.expose_secret()));
        all.filter(|(key, _)| is_webhook_secret(key))
    }

    fn strong(&self) -> impl Iterator<Item = &[u8]> {
        self.all().map(|(_, value)| value).filter(|value| value.len() >= SHORTEST_SECRET)
    }

    fn beyond(&self) -> usize {
        self.strong().count().saturating_sub(MOST_SECRETS)
    }

    /// The values that count as webhook secrets.
    pub(super) fn usable(&self) -> impl Iterator<Item = &[u8]> {
        self.strong().skip(self.beyond())
    }

    /// What does not count.
    fn ignored(&self) -> Ignored {
        let short = self.all().filter(|(_, value)| value.len() < SHORTEST_SECRET);
        Ignored { short: short.map(|(key, _)| key.to_owned()).collect(), beyond: self.beyond() }
    }
}

/// What is known of one Secret, and whose turn it is to find out more.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    last: Option<(Instant, Known)>,
    /// Time of the last read because a signature failed, whether or not it was answered.
    reread: Option<Instant>,
    used: Option<Instant>,
}

impl State {
    fn may_reread(&self) -> bool {
        let Some((read, known)) = &self.last else { return true };
        let pause = if known.values.is_none() && !known.denied { ABSENT_REREAD } else { REREAD };
        self.reread.map_or(*read, |reread| reread.max(*read)).elapsed() >= pause
    }
}

impl Slot {
    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How much a request may wait for a Secret that has never been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until it is its turn.
    Waits,
    /// Not at all: it asks for many.
    Goes,
}

/// Reason why it can't be told whether a Secret has the secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Failed(#[from] Error),
    #[error("too many Secrets are asked for at once")]
    Busy,
}

/// The webhook secrets in Secrets, as far as they have been read.
pub(super) struct SecretStore {
    secrets: Secrets,
    slots: Mutex<HashMap<SecretSource, Arc<Slot>>>,
    reads: Bucket,
    waiting: Semaphore,
    pub(super) weak: WeakSecrets,
}

impl SecretStore {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            slots: Mutex::default(),
            reads: Bucket::new(READS_PER_SECOND),
            waiting: Semaphore::new(WAITING),
            weak: WeakSecrets::default(),
        }
    }

    /// Returns whether the Secret `name` has what passes the `check`.
    ///
    /// Only what is not older than 30 s passes; an older value that does is read again at once, because only who has (or
    /// had) the secret can cause that. What fails is read again at most once in 10 s, within the limit of all such reads.
    pub(super) async fn verify(
        &self,
        source: &SecretSource,
        (namespace, name): (&str, &str),
        patience: Patience,
        check: impl Fn(&Known) -> bool,
    ) -> Result<bool, Unread> {
        let slot = self.slot(source);
        let state = slot.state();
        if let Some((read, known)) = &state.last {
            if check(known) {
                if read.elapsed() <= BELIEVED {
                    return Ok(true);
                }
                let values = Box::pin(self.secrets.get(namespace, name)).await;
                return Ok(check(&self.learn(source, &slot, values)?));
            }
            if !state.may_reread() {
                return Ok(false);
            }
        }
        // Seldom, and large: every delivery would carry its state about.
        Box::pin(self.read(source, &slot, (namespace, name), patience, check)).await
    }

    /// Reads a Secret that has never been read or has not passed the `check`, unless somebody else does or too many would.
    async fn read(
        &self,
        source: &SecretSource,
        slot: &Slot,
        (namespace, name): (&str, &str),
        patience: Patience,
        check: impl Fn(&Known) -> bool,
    ) -> Result<bool, Unread> {
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return if slot.state().last.is_some() { Ok(false) } else { Err(Unread::Busy) };
        };
        let _turn = slot.turn.lock().await;
        let now = slot.state();
        let may_reread = now.may_reread();
        match now.last {
            // Somebody else has read it meanwhile, or has just tried to.
            Some((_, known)) if !may_reread => Ok(check(&known)),
            Some((_, known)) => {
                if !self.reads.try_acquire_above(KEPT_FOR_FIRST_READS) {
                    return Ok(false);
                }
                slot.change(|state| state.reread = Some(Instant::now()));
                let values = timeout(REREAD_DEADLINE, self.secrets.fresh(namespace, name)).await;
                // Without an answer, what is known decides.
                let fresh = values.ok().and_then(|values| self.learn(source, slot, values).ok());
                Ok(check(&fresh.unwrap_or(known)))
            }
            None => {
                match patience {
                    Patience::Waits => self.reads.acquire().await,
                    Patience::Goes if self.reads.try_acquire_above(KEPT_FOR_FIRST_READS) => {}
                    Patience::Goes => return Err(Unread::Busy),
                }
                let values = self.secrets.get(namespace, name).await;
                Ok(check(&self.learn(source, slot, values)?))
            }
        }
    }

    /// Takes note of an answer of the API server.
    fn learn(
        &self,
        source: &SecretSource,
        slot: &Slot,
        values: Result<Option<Arc<SecretValues>>, Error>,
    ) -> Result<Known, Error> {
        let known = match values {
            Ok(values) => Known { values, denied: false },
            Err(error @ Error::Denied(_)) => {
                // Nobody's deliveries but this Repository's suffer.
                tracing::warn!(?source, %error, "webhook secret can't be read");
                Known { values: None, denied: true }
            }
            Err(error) => return Err(error),
        };
        self.weak.note(source, known.ignored());
        slot.change(|state| state.last = Some((Instant::now(), known.clone())));
        Ok(known)
    }

    /// Number of values of a Secret that are tried, as far as they are known.
    pub(super) fn count(&self, source: &SecretSource) -> Option<usize> {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned()?;
        slot.state().last.map(|(_, known)| known.usable().count())
    }

    /// Where a Secret is kept. Those that nobody has asked for are forgotten on the way to a new one.
    fn slot(&self, source: &SecretSource) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = if let Some(slot) = slots.get(source) {
            slot.clone()
        } else {
            let used = |slot: &Slot| slot.state().used.is_some_and(|used| used.elapsed() < UNUSED);
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || used(slot));
            slots.entry(source.clone()).or_default().clone()
        };
        slot.change(|state| state.used = Some(Instant::now()));
        slot
    }
}
