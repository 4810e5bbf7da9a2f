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
    clock: Arc<Clock>,
    known: Mutex<Known>,
    moved: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Known {
    accounts: HashMap<String, Arc<Account>>,
    /// The account of each token whose user is known.
    tokens: BTreeMap<String, String>,
    others: Others,
    /// This process has taken over before, and may have led.
    has_led: bool,
}

/// Accounts of which the leader before has not spoken.
#[derive(Debug, Default, Clone, Copy)]
enum Others {
    /// Nobody has led before, or nothing was sent through them lately.
    #[default]
    Idle,
    /// They were idle when it last spoke, or it was of a release that does not speak of accounts; this process has led since then.
    /// Only its last seconds count: what such a release has sent before is GitHub's to refuse, once in an upgrade.
    Unmentioned(Timestamp),
}

impl Others {
    fn begin(self, settings: Settings) -> Line {
        match self {
            Self::Idle => Line::new(settings),
            Self::Unmentioned(since) => Line::unmentioned(settings, since),
        }
    }
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

impl Words {
    /// There was no Lease.
    fn is_of_nobody(&self) -> bool {
        self.ended && self.accounts.is_empty()
    }
}

impl Accounts {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: Arc::new(Clock::start(Timestamp::now)),
            known: Mutex::default(),
            moved: Arc::default(),
        }
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
        let account = self.with_line(known.others.begin(self.settings));
        known.accounts.insert(key, account.clone());
        account
    }

    fn with_line(&self, line: Line) -> Arc<Account> {
        Arc::new(Account::new(line, self.clock.clone(), self.moved.clone()))
    }

    /// Words for the next leader. `ended`: nothing is sent any more.
    pub(super) fn hand_over(&self, ended: bool) -> String {
        let now = self.clock.now();
        let known = self.known();
        let busy = known.accounts.iter().filter(|(_, account)| !account.line().is_idle(now));
        let mut states: Vec<_> =
            busy.map(|(key, account)| (key.clone(), account.line().encode(now, ended))).collect();
        // Limits first, then who has written most: those left out at the end have the least to lose.
        let limited =
            |key: &String| known.accounts.get(key).is_some_and(|account| account.blocked().is_some());
        states.sort_by_key(|(key, state)| (!limited(key), std::cmp::Reverse(state.len())));
        let mut room = MOST_PASSED_ON;
        let mut fits = |bytes: usize| {
            let left = room.checked_sub(bytes);
            room = left.unwrap_or(room);
            left.is_some()
        };
        let accounts: BTreeMap<_, _> =
            states.into_iter().take_while(|(key, state)| fits(key.len() + state.len() + 6)).collect();
        let tokens = known.tokens.iter().filter(|(_, account)| accounts.contains_key(*account));
        let tokens = tokens.take_while(|(token, account)| fits(token.len() + account.len() + 6));
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
        if words.as_ref().is_some_and(Words::is_of_nobody) && known.has_led {
            // The Lease was deleted: this process knows more than it can tell.
            return;
        }
        known.others = match &words {
            Some(words) if words.ended => Others::Idle,
            _ => Others::Unmentioned(now),
        };
        known.has_led = true;
        let Words { mut accounts, tokens, .. } = words.unwrap_or_default();
        known.tokens.extend(tokens);
        // Whoever holds an account goes on with it, and those who wait elsewhere are still called.
        let begin = |state: Option<String>| match state {
            Some(state) => Line::restore(self.settings, Some(&state), now),
            None => known.others.begin(self.settings),
        };
        for (key, account) in &known.accounts {
            account.go_on_with(begin(accounts.remove(key)));
        }
        let new = accounts.into_iter().map(|(key, state)| (key, self.with_line(begin(Some(state)))));
        let new: Vec<_> = new.collect();
        known.accounts.extend(new);
    }

    /// The object `id` does not want to write any more.
    pub(super) fn leave(&self, id: &str) {
        let accounts: Vec<_> = self.known().accounts.values().cloned().collect();
        for account in accounts {
            account.leave(id);
        }
    }

    /// Whether the object `id` was told to wait for its turn, and was not called yet.
    pub(super) fn awaits(&self, id: &str) -> bool {
        self.known().accounts.values().any(|account| account.awaits(id))
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
