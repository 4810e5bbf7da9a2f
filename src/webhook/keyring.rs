//! Finds whose secret signed a delivery. What is not signed may choose which secrets are tried; the verdict hangs on the
//! signature alone. Neighbours: `repositories` knows where the secrets are, `secret_store` what they are.

use super::{
    admission::Signed,
    answer::Refusal,
    bucket::Bucket,
    repositories::{Repositories, SecretSource, TrackedRepository},
    secret_store::{Known, Patience, SecretStore, Unread},
    view::Kept,
};
use crate::cluster::Secrets;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Secrets that any request may have tried; more are tried only within the limits below.
const FEW: usize = 4;
/// The same with that of its hook and the operator-wide one.
const FREE: usize = FEW + 2;
/// Bytes that are hashed for one request in any case: a Secret with a value for each of several Repositories costs an ordinary
/// delivery less than a large body costs with few.
const FREE_BYTES: f64 = 6.0 * 1024.0 * 1024.0;
/// Deliveries per second that may try many secrets, because they name no hook that we know or one of many.
const TRIES_PER_SECOND: u32 = 20;
/// Bytes that are hashed for them in a second: each secret takes a pass over the whole body. A few percent of a core.
const HASHED_PER_SECOND: u32 = 64 << 20;
/// Hooks whose secret is remembered.
const HOOKS: usize = 4096;

/// All webhook secrets.
pub(super) struct Keyring {
    pub(super) store: SecretStore,
    operator_wide: Option<SecretString>,
    tries: Bucket,
    hashed: Bucket,
    /// The secret that last verified a delivery of each hook.
    hooks: Mutex<HashMap<u64, SecretSource>>,
}

impl Keyring {
    pub(super) fn new(secrets: Secrets, operator_wide: Option<SecretString>) -> Self {
        Self {
            store: SecretStore::new(secrets),
            operator_wide: operator_wide.filter(|secret| !secret.expose_secret().is_empty()),
            tries: Bucket::new(TRIES_PER_SECOND),
            hashed: Bucket::new(HASHED_PER_SECOND),
            hooks: Mutex::default(),
        }
    }

    /// Starts checking one delivery.
    pub(super) fn check<'a>(&'a self, signed: &'a Signed) -> Check<'a> {
        Check { keyring: self, signed, verdicts: HashMap::new(), authentic: false, tried: 0, spent: 0 }
    }

    /// Returns whether there is a usable secret.
    pub(super) async fn is_usable(&self, source: &SecretSource) -> Result<bool, Unread> {
        let SecretSource::Own(namespace, name) = source else { return Ok(self.operator_wide.is_some()) };
        let usable = |known: &Known| known.usable().next().is_some();
        self.store.verify(source, (namespace, name), Patience::Goes, usable).await
    }

    /// Returns whether a secret of `source` signed the delivery.
    async fn verify(
        &self,
        source: &SecretSource,
        signed: &Signed,
        patience: Patience,
    ) -> Result<bool, Unread> {
        let SecretSource::Own(namespace, name) = source else {
            let secret = self.operator_wide.as_ref().map(|secret| secret.expose_secret().as_bytes());
            return Ok(signed.signature.verifies_any(&signed.body, secret));
        };
        let signed = |known: &Known| signed.signature.verifies_any(&signed.body, known.usable());
        self.store.verify(source, (namespace, name), patience, signed).await
    }

    fn secret_of_hook(&self, hook: Option<u64>) -> Option<SecretSource> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).get(&hook?).cloned()
    }

    /// Only signed deliveries get here, so nobody else can push a hook out.
    fn remember(&self, hook: Option<u64>, source: &SecretSource) {
        let Some(hook) = hook else { return };
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        if hooks.get(&hook) == Some(source) {
            return;
        }
        if hooks.len() >= HOOKS {
            hooks.clear();
        }
        hooks.insert(hook, source.clone());
    }
}

/// The verdicts on one delivery, one per secret, each found once.
pub(super) struct Check<'a> {
    keyring: &'a Keyring,
    signed: &'a Signed,
    verdicts: HashMap<SecretSource, bool>,
    /// Somebody whose secret we know has signed it.
    authentic: bool,
    /// Secrets that have been tried: a Secret may have several.
    tried: usize,
    /// Secrets for which it has taken its share.
    spent: usize,
}

impl Check<'_> {
    /// Returns whether any secret that may belong to the delivery signed it. Tries the secret that last verified a delivery
    /// of this hook, those of the place that the headers name, and the operator-wide one; where they name none that we
    /// know, all.
    pub(super) async fn is_authentic(&mut self, repositories: &Kept<Repositories>) -> Result<bool, Refusal> {
        let (target, hook) = (self.signed.target, self.keyring.secret_of_hook(self.signed.hook));
        let is_known = |secret: &SecretSource| repositories.ask(|known| !known.by_secret(secret).is_empty());
        if let Some(hook) = hook.filter(|secret| is_known(secret) == Some(true))
            && self.any(vec![hook], Patience::Waits).await?
        {
            return Ok(true);
        }
        let few = repositories.ask(|known| target.map(|target| known.candidates(target, FEW + 1)));
        let mut candidates = few.ok_or(NOT_SYNCED)?.unwrap_or_default();
        let known_hook = !candidates.is_empty();
        if candidates.len() > FEW {
            let all = repositories.ask(|known| target.map_or(0, |target| known.candidate_count(target)));
            self.spend(all.unwrap_or_default())?;
            let all = repositories.ask(|known| target.map(|target| known.candidates(target, usize::MAX)));
            candidates = all.flatten().unwrap_or_default();
        }
        candidates.push(SecretSource::OperatorWide);
        if self.any(candidates, Patience::Waits).await? {
            return Ok(true);
        }
        if known_hook {
            return Ok(false);
        }
        self.spend(repositories.ask(Repositories::secret_count).unwrap_or_default())?;
        self.any(repositories.ask(Repositories::secrets).unwrap_or_default(), Patience::Goes).await
    }

    /// Those of `repositories` whose own secret signed the delivery.
    pub(super) async fn verified(
        &mut self,
        repositories: Vec<Arc<TrackedRepository>>,
        patience: Patience,
    ) -> Result<Vec<Arc<TrackedRepository>>, Refusal> {
        let (mut signed, mut unknown) = (Vec::new(), None);
        for repository in repositories {
            match self.verdict(&repository.secret, patience).await {
                Ok(true) => signed.push(repository),
                Ok(false) => {}
                Err(refusal) => unknown = Some(refusal),
            }
        }
        match unknown {
            Some(refusal) if signed.is_empty() => Err(refusal),
            _ => Ok(signed),
        }
    }

    /// The one Repository of `repositories` whose secret signed the delivery, for a payload that names none.
    pub(super) async fn only(
        &mut self,
        repositories: &Kept<Repositories>,
    ) -> Result<Vec<Arc<TrackedRepository>>, Refusal> {
        let (all, secrets) =
            repositories.ask(|known| (known.all(), known.secret_count())).ok_or(NOT_SYNCED)?;
        self.spend(secrets)?;
        let signed = self.verified(all, Patience::Goes).await?;
        if signed.len() > 1 { Err(Refusal::Ambiguous) } else { Ok(signed) }
    }

    /// Takes the delivery's share of the work of trying so many secrets in all, once.
    fn spend(&mut self, secrets: usize) -> Result<(), Refusal> {
        if self.spent == 0 {
            let Keyring { tries, hashed, .. } = self.keyring;
            if !(tries.try_acquire() && hashed.try_owe(self.bytes(secrets))) {
                return Err(TOO_MANY);
            }
            self.spent = secrets;
        }
        Ok(())
    }

    /// Counts what a delivery that is not refused any more has had tried beyond its share.
    fn owe(&mut self) {
        self.keyring.hashed.owe(self.bytes(self.tried.saturating_sub(self.spent)));
        self.spent = self.spent.max(self.tried);
    }

    #[allow(clippy::cast_precision_loss, reason = "an estimate of work")]
    fn bytes(&self, secrets: usize) -> f64 {
        secrets as f64 * self.signed.body.len() as f64
    }

    /// Returns whether any of `sources` signed it. Fails if none is known to have, and one can't be read.
    async fn any(&mut self, sources: Vec<SecretSource>, patience: Patience) -> Result<bool, Refusal> {
        let mut unknown = None;
        for source in sources {
            match self.verdict(&source, patience).await {
                Ok(true) => {
                    self.authentic = true;
                    self.keyring.remember(self.signed.hook, &source);
                    return Ok(true);
                }
                Ok(false) => {}
                Err(refusal) => unknown = Some(refusal),
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    async fn verdict(&mut self, source: &SecretSource, patience: Patience) -> Result<bool, Refusal> {
        if let Some(verdict) = self.verdicts.get(source) {
            return Ok(*verdict);
        }
        // Unsigned requests must not be able to have more tried by naming a Secret that has many.
        self.tried += self.keyring.store.count(source).unwrap_or(1);
        if self.tried > FREE && self.bytes(self.tried) > FREE_BYTES {
            if !self.authentic {
                self.spend(self.tried)?;
            }
            self.owe();
        }
        if self.spent > 0 {
            // One of many, each tried over the whole body: other deliveries get their turn in between.
            tokio::task::yield_now().await;
        }
        match self.keyring.verify(source, self.signed, patience).await {
            Ok(verdict) => {
                self.verdicts.insert(source.clone(), verdict);
                Ok(verdict)
            }
            Err(error) => {
                tracing::debug!(?source, %error, "webhook secret can't be read");
                Err(Refusal::Unavailable("A webhook secret can't be read now"))
            }
        }
    }
}

pub(super) const NOT_SYNCED: Refusal =
    Refusal::Unavailable("The receiver has just started, try again in a moment");
const TOO_MANY: Refusal = Refusal::Unavailable("Too many deliveries of unknown hooks, try again later");
