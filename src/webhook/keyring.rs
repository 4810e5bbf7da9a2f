//! Finds whose secret signed a delivery. What is not signed may choose which secrets are tried; the verdict hangs on the
//! signature alone. Neighbours: `repositories` knows where the secrets are, `cluster::secrets` reads them.

use super::{
    admission::Signed,
    answer::Refusal,
    repositories::{SecretSource, TrackedRepository},
    weak_secrets::WeakSecrets,
};
use crate::{
    cluster::{Error, SecretValues, Secrets},
    domain::signature::SHORTEST_SECRET,
};
use futures::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Keys of a Secret that hold credentials of another kind, whatever Secret they are in.
const NOT_WEBHOOK_SECRETS: [&str; 5] = ["token", "appID", "installationID", "privateKey", "apiKey"];
/// Deliveries per second that may try every secret, because they name no hook that we know.
const TRIES_PER_SECOND: u32 = 20;
/// A Secret is read past the cache because a signature failed, or asked for again after a refusal, at most this often.
const REREAD: Duration = Duration::from_secs(10);
/// Secrets that are read at a time for one delivery.
const PARALLEL: usize = 8;

/// All webhook secrets.
pub(super) struct Keyring {
    secrets: Secrets,
    operator_wide: Option<SecretString>,
    bucket: Bucket,
    reread: Recent,
    denied: Recent,
    pub(super) weak_secrets: WeakSecrets,
}

/// Time at which something was done about a Secret, during the last [`REREAD`].
#[derive(Default)]
struct Recent(Mutex<HashMap<SecretSource, Instant>>);

impl Recent {
    fn contains(&self, source: &SecretSource) -> bool {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, last| last.elapsed() < REREAD);
        recent.contains_key(source)
    }

    /// Notes `source`; false when it was there.
    fn insert(&self, source: &SecretSource) -> bool {
        let new = !self.contains(source);
        if new {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(source.clone(), Instant::now());
        }
        new
    }
}

/// A token bucket: how many deliveries that name no known hook may try every secret. Refills `rate` tokens a second up
/// to `rate`.
struct Bucket {
    rate: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self { rate, state: Mutex::new((rate, Instant::now())) }
    }

    /// Takes one token; false when none is left.
    fn try_acquire(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *state;
        let now = Instant::now();
        let tokens = (tokens + now.duration_since(since).as_secs_f64() * self.rate).min(self.rate);
        let taken = tokens >= 1.0;
        *state = (if taken { tokens - 1.0 } else { tokens }, now);
        taken
    }
}

impl Keyring {
    pub(super) fn new(secrets: Secrets, operator_wide: Option<SecretString>) -> Self {
        Self {
            secrets,
            operator_wide: operator_wide.filter(|secret| !secret.expose_secret().is_empty()),
            bucket: Bucket::new(TRIES_PER_SECOND),
            reread: Recent::default(),
            denied: Recent::default(),
            weak_secrets: WeakSecrets::default(),
        }
    }

    /// Starts checking one delivery.
    pub(super) fn check<'a>(&'a self, signed: &'a Signed) -> Check<'a> {
        Check { keyring: self, signed, verdicts: HashMap::new(), spent: false }
    }

    /// Returns whether there is a usable secret.
    pub(super) async fn is_usable(&self, source: &SecretSource) -> Result<bool, Error> {
        match source {
            SecretSource::OperatorWide => Ok(self.operator_wide.is_some()),
            SecretSource::Own(namespace, name) => {
                let values = self.secrets.get(namespace, name).await?;
                self.note_short(source, values.as_deref());
                Ok(values.is_some_and(|values| usable(&values).next().is_some()))
            }
        }
    }

    /// Returns whether a secret of `source` signed the delivery.
    async fn verify(&self, source: &SecretSource, signed: &Signed) -> Result<bool, Error> {
        let SecretSource::Own(namespace, name) = source else {
            let secret = self.operator_wide.as_ref().map(|secret| secret.expose_secret().as_bytes());
            return Ok(signed.signature.verifies_any(&signed.body, secret));
        };
        if self.denied.contains(source) {
            return Ok(false);
        }
        match self.verify_own(source, namespace, name, signed).await {
            Err(error @ Error::Denied(_)) => {
                // Nobody's deliveries but this Repository's suffer.
                tracing::warn!(namespace, name, %error, "webhook secret can't be read");
                self.denied.insert(source);
                Ok(false)
            }
            other => other,
        }
    }

    async fn verify_own(
        &self,
        source: &SecretSource,
        namespace: &str,
        name: &str,
        signed: &Signed,
    ) -> Result<bool, Error> {
        let known = self.secrets.get(namespace, name).await?;
        self.note_short(source, known.as_deref());
        let verified = verifies(signed, known.as_deref());
        if verified || !self.reread.insert(source) {
            return Ok(verified);
        }
        let fresh = self.secrets.fresh(namespace, name).await?;
        self.note_short(source, fresh.as_deref());
        Ok(verifies(signed, fresh.as_deref()))
    }

    fn note_short(&self, source: &SecretSource, values: Option<&SecretValues>) {
        let short = values.into_iter().flat_map(SecretValues::iter).filter(|(key, value)| {
            !NOT_WEBHOOK_SECRETS.contains(key) && value.expose_secret().len() < SHORTEST_SECRET
        });
        self.weak_secrets.note(source, short.map(|(key, _)| key.to_owned()).collect());
    }
}

/// The values of a Secret that count as webhook secrets.
fn usable(values: &SecretValues) -> impl Iterator<Item = &[u8]> {
    values
        .iter()
        .filter(|(key, value)| {
            !NOT_WEBHOOK_SECRETS.contains(key) && value.expose_secret().len() >= SHORTEST_SECRET
        })
        .map(|(_, value)| value.expose_secret())
}

fn verifies(signed: &Signed, values: Option<&SecretValues>) -> bool {
    values.is_some_and(|values| signed.signature.verifies_any(&signed.body, usable(values)))
}

/// The verdicts on one delivery, one per secret, each found once.
pub(super) struct Check<'a> {
    keyring: &'a Keyring,
    signed: &'a Signed,
    verdicts: HashMap<SecretSource, bool>,
    spent: bool,
}

impl Check<'_> {
    /// Returns whether any secret that may belong to the delivery signed it. Tries the secrets of the hook that the headers
    /// name, and the operator-wide one; where they name none that we know, all.
    pub(super) async fn is_authentic(
        &mut self,
        repositories: &[Arc<TrackedRepository>],
    ) -> Result<bool, Refusal> {
        let candidates: Vec<_> = match self.signed.target {
            Some(target) => {
                repositories.iter().filter(|repository| repository.is_candidate(target)).cloned().collect()
            }
            None => Vec::new(),
        };
        if self.verify(sources(&candidates)).await? {
            return Ok(true);
        }
        if !candidates.is_empty() {
            return Ok(false);
        }
        self.spend()?;
        self.verify(sources(repositories)).await
    }

    /// Those of `repositories` whose own secret signed the delivery.
    pub(super) async fn verified(
        &mut self,
        repositories: Vec<Arc<TrackedRepository>>,
    ) -> Result<Vec<Arc<TrackedRepository>>, Refusal> {
        self.verify(repositories.iter().map(|repository| repository.secret.clone()).collect()).await?;
        let signed =
            |repository: &Arc<TrackedRepository>| self.verdicts.get(&repository.secret) == Some(&true);
        Ok(repositories.into_iter().filter(signed).collect())
    }

    /// Takes the delivery's share of the work of trying every secret, once.
    pub(super) fn spend(&mut self) -> Result<(), Refusal> {
        self.spent = self.spent || self.keyring.bucket.try_acquire();
        if self.spent {
            Ok(())
        } else {
            Err(Refusal::Unavailable("Too many deliveries of unknown hooks, try again later"))
        }
    }

    /// Finds the verdicts that are missing; whether any is good. Fails if a missing one can't be found and none is good.
    async fn verify(&mut self, sources: BTreeSet<SecretSource>) -> Result<bool, Refusal> {
        let (keyring, signed) = (self.keyring, self.signed);
        let missing: Vec<_> =
            sources.iter().filter(|source| !self.verdicts.contains_key(*source)).cloned().collect();
        let many = missing.len() > 2;
        let found = stream::iter(missing).map(|source| async move {
            if many {
                // Each is tried over the whole body: other deliveries get their turn in between.
                tokio::task::yield_now().await;
            }
            let verdict = keyring.verify(&source, signed).await;
            (source, verdict)
        });
        let found: Vec<_> = found.buffer_unordered(PARALLEL).collect().await;
        let mut unknown = false;
        for (source, verdict) in found {
            match verdict {
                Ok(verdict) => {
                    self.verdicts.insert(source, verdict);
                }
                Err(error) => {
                    tracing::warn!(?source, %error, "webhook secret can't be read");
                    unknown = true;
                }
            }
        }
        let good = sources.iter().any(|source| self.verdicts.get(source) == Some(&true));
        if unknown && !good {
            Err(Refusal::Unavailable("A webhook secret can't be read now"))
        } else {
            Ok(good)
        }
    }
}

/// The secrets of `repositories`, and the operator-wide one.
fn sources(repositories: &[Arc<TrackedRepository>]) -> BTreeSet<SecretSource> {
    let own = repositories.iter().map(|repository| repository.secret.clone());
    own.chain([SecretSource::OperatorWide]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_gives_its_rate_and_then_refuses() {
        let bucket = Bucket::new(20);
        let started = Instant::now();
        let taken: u32 = (0..1_000).map(|_| u32::from(bucket.try_acquire())).sum();
        let most = 20.0 + 20.0 * started.elapsed().as_secs_f64() + 1.0;
        assert!(taken >= 20 && f64::from(taken) < most, "{taken}, {most}");
    }
}
