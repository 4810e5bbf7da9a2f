//! The accounts that this process calls GitHub through, and what outlives the process of them: one line of writes each.
//! Asked by `client` for the account of its credential; the words for the next leader ride in the Lease.

use super::account::{Account, Clock};
use crate::domain::line::{Line, Settings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Turns are called at least this often: one may have become due by time alone.
const CALL: Duration = Duration::from_secs(1);
/// Most that is passed on. All annotations of an object may have 256 KiB together.
/// Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>.
const MOST_PASSED_ON: usize = 200 << 10;

/// All of them, by a hash of what names them: the Lease is no place for names or tokens.
#[derive(Debug)]
pub(super) struct Accounts {
    settings: Settings,
    clock: Clock,
    known: Mutex<Known>,
    moved: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Known {
    accounts: HashMap<String, Arc<Account>>,
    /// The account of each token whose user is known.
    tokens: BTreeMap<String, String>,
    others: Others,
}

/// Accounts of which the leader before has not spoken.
#[derive(Debug, Default, Clone, Copy)]
enum Others {
    /// Nobody has led before, or nothing was sent through them lately.
    #[default]
    Idle,
    /// They were idle when it last spoke; this process has led since then.
    Unmentioned(Timestamp),
    /// It says nothing of accounts, as older releases; this process has led since then.
    Unknown(Timestamp),
}

/// What is passed on, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Words {
    /// Nothing was sent after this.
    ended: bool,
    /// States of the lines that are not idle, by account.
    accounts: BTreeMap<String, String>,
    /// Accounts of tokens, so that no call has to ask for them while a limit holds.
    #[serde(default)]
    tokens: BTreeMap<String, String>,
}

impl Accounts {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, clock: Clock::start(), known: Mutex::default(), moved: Arc::default() }
    }

    /// The account that is named so, by whatever tells it from others.
    pub(super) fn of(&self, name: &[u8]) -> Arc<Account> {
        self.account(key(name))
    }

    /// The account of a token, if this process or the leader before has learned whose it is.
    pub(super) fn of_token(&self, token: &[u8]) -> Option<Arc<Account>> {
        let key = self.known().tokens.get(&key(token)).cloned()?;
        Some(self.account(key))
    }

    /// This is the token of the account that is named so.
    pub(super) fn learned(&self, token: &[u8], name: &[u8]) {
        let mut known = self.known();
        let Known { accounts, tokens, .. } = &mut *known;
        if tokens.len().is_power_of_two() {
            tokens.retain(|_, account| accounts.contains_key(account));
        }
        tokens.insert(key(token), key(name));
    }

    fn account(&self, key: String) -> Arc<Account> {
        let mut known = self.known();
        if let Some(account) = known.accounts.get(&key) {
            return account.clone();
        }
        let now = self.clock.now();
        // Rotated tokens would pile up; one that nobody holds and that nothing binds can be forgotten. Looked for now and then.
        if known.accounts.len().is_power_of_two() {
            known
                .accounts
                .retain(|_, account| Arc::strong_count(account) > 1 || !account.line().is_idle(now));
        }
        let line = match known.others {
            Others::Idle => Line::new(self.settings),
            Others::Unmentioned(since) => Line::unmentioned(self.settings, since),
            Others::Unknown(since) => Line::restore(self.settings, None, since),
        };
        let account = self.with_line(line);
        known.accounts.insert(key, account.clone());
        account
    }

    fn with_line(&self, line: Line) -> Arc<Account> {
        Arc::new(Account::new(line, self.clock, self.moved.clone()))
    }

    /// Words for the next leader. `ended`: nothing is sent any more.
    pub(super) fn hand_over(&self, ended: bool) -> String {
        let now = self.clock.now();
        let known = self.known();
        let busy = known.accounts.iter().filter(|(_, account)| !account.line().is_idle(now));
        let mut states: Vec<_> =
            busy.map(|(key, account)| (key.clone(), account.line().encode(now, ended))).collect();
        // Who has written most comes first: those left out at the end have the least to lose.
        states.sort_by_key(|(_, state)| std::cmp::Reverse(state.len()));
        let mut room = MOST_PASSED_ON;
        let accounts = states.into_iter().map_while(|(key, state)| {
            room = room.checked_sub(key.len() + state.len() + 6)?;
            Some((key, state))
        });
        let accounts: BTreeMap<_, _> = accounts.collect();
        let tokens = known.tokens.iter().filter(|(_, account)| accounts.contains_key(*account));
        let tokens = tokens.map(|(token, account)| (token.clone(), account.clone())).collect();
        let words = Words { ended, accounts, tokens };
        serde_json::to_string(&words).expect("strings by strings always serialize")
    }

    /// Takes over what [`Self::hand_over`] has said; absent: the leader before passes nothing on; empty: there was none.
    pub(super) fn take_over(&self, words: Option<&str>) {
        let now = self.clock.now();
        let mut known = self.known();
        let nobody = || Words { ended: true, ..Words::default() };
        let words = words.and_then(|words| match words {
            "" => Some(nobody()),
            _ => serde_json::from_str::<Words>(words).ok(),
        });
        known.others = match &words {
            Some(words) if words.ended => Others::Idle,
            Some(_) => Others::Unmentioned(now),
            None => Others::Unknown(now),
        };
        let Words { accounts, tokens, .. } = words.unwrap_or_default();
        known.tokens = tokens;
        known.accounts = accounts
            .into_iter()
            .map(|(key, state)| (key, self.with_line(Line::restore(self.settings, Some(&state), now))))
            .collect();
    }

    /// Waits until the turns of some have come who wait outside of this process's calls, and returns who they are.
    pub(super) async fn called(&self) -> Vec<Arc<str>> {
        loop {
            let moved = self.moved.notified();
            let now = self.clock.now();
            let accounts: Vec<_> = self.known().accounts.values().cloned().collect();
            let called: Vec<_> = accounts.iter().flat_map(|account| account.called(now)).collect();
            if !called.is_empty() {
                return called;
            }
            let due = accounts.iter().filter_map(|account| account.due()).min();
            let wait = due.map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
            let _ = tokio::time::timeout(wait.unwrap_or(CALL).min(CALL), moved).await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an account or a token is known by outside of memory.
fn key(name: &[u8]) -> String {
    hex::encode(&Sha256::digest(name)[..8])
}

#[cfg(test)]
mod tests;
