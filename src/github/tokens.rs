//! The tokens of GitHub Apps: one for each App, repository and set of permissions, bought once for all who wait for it.
//! `client` asks for one per call; `mint` buys it.

use super::{
    Error,
    app::App,
    grant::Grant,
    mint::{Minted, Place, mint},
    session::Shared,
    token::Fingerprint,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::time::Instant;

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Purpose {
    /// With its key: who has not that key is not given what another's was answered.
    app: Fingerprint,
    repository: Repository,
    grant: Grant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Repository {
    Id(u64),
    /// In lower case.
    Name(String),
    /// All that the installation has.
    All,
}

/// What is known of one token, and whose turn it is to buy it.
#[derive(Debug, Default)]
struct Slot {
    known: Mutex<Option<Known>>,
    /// GitHub has refused the token that was here last.
    refused: AtomicBool,
    turn: tokio::sync::Mutex<()>,
}

/// The last answer.
#[derive(Debug, Clone)]
struct Known {
    at: Instant,
    outcome: Result<Minted, Error>,
}

impl Slot {
    /// What serves one who asks since `asked`: a token that is good, or a refusal that came while he waited.
    fn serves(&self, asked: Instant) -> Option<Result<Minted, Error>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref()?;
        let good = match &known.outcome {
            Ok(minted) => Instant::now() < minted.renewal,
            Err(_) => known.at > asked,
        };
        good.then(|| known.outcome.clone())
    }

    fn is_of_use(&self) -> bool {
        matches!(self.serves(Instant::now()), Some(Ok(_)))
    }

    fn set(&self, outcome: Result<Minted, Error>) {
        let known = Known { at: Instant::now(), outcome };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

/// A token, and where it is kept.
#[derive(Debug, Clone)]
pub(super) struct Bought {
    pub(super) minted: Minted,
    slot: Arc<Slot>,
}

impl Bought {
    /// Forgets a token that GitHub does not know any more. The next one is the last that is bought for that reason: a server that
    /// refuses this one too would refuse all.
    pub(super) fn refused(&self) {
        if self.forget() {
            self.slot.refused.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets a token; another one in its place stays. Returns whether it was there.
    pub(super) fn forget(&self) -> bool {
        let mut known = self.slot.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &Known| {
            known.outcome.as_ref().is_ok_and(|minted| Arc::ptr_eq(&minted.token, &self.minted.token))
        };
        let is_it = known.as_ref().is_some_and(is_it);
        if is_it {
            *known = None;
        }
        is_it
    }
}

#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<Purpose, Arc<Slot>>>);

impl Tokens {
    /// The token for this App and repository with these permissions. Whoever stops waiting leaves his turn to the next.
    pub(super) async fn get(
        &self,
        shared: &Shared,
        app: &App,
        place: Place<'_>,
        grant: &Grant,
    ) -> Result<Bought, Error> {
        let repository = match place.id {
            _ if grant.whole_account => Repository::All,
            Some(id) => Repository::Id(id),
            None => Repository::Name(place.name.to_string().to_lowercase()),
        };
        let purpose = Purpose { app: app.fingerprint(), repository, grant: grant.clone() };
        let slot = self.slot(&purpose);
        let bought = |minted: Minted| Bought { minted, slot: slot.clone() };
        let asked = Instant::now();
        if let Some(Ok(minted)) = slot.serves(asked) {
            return Ok(bought(minted));
        }
        let _turn = slot.turn.lock().await;
        if let Some(outcome) = slot.serves(asked) {
            return outcome.map(bought);
        }
        let mut outcome = mint(shared, app, place, grant).await;
        if let Ok(minted) = &mut outcome {
            minted.replaces_refused = slot.refused.swap(false, Ordering::Relaxed);
        }
        slot.set(outcome.clone());
        // The repository is asked for by its id from now on.
        if let (Ok(Minted { repository: Some(id), .. }), None) = (&outcome, place.id) {
            self.slot(&Purpose { repository: Repository::Id(*id), ..purpose }).set(outcome.clone());
        }
        outcome.map(bought)
    }

    /// Where a token is kept. Others that are of no use and that nobody waits for are forgotten on the way to a new one.
    fn slot(&self, purpose: &Purpose) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(purpose) {
            return slot.clone();
        }
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.is_of_use());
        slots.entry(purpose.clone()).or_default().clone()
    }
}
