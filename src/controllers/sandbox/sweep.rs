//! The sweep: kills sandboxes of this installation at E2B whose Sandbox does not exist any more, whatever the reason.
//! Part of the Sandbox controller, beside its passes; `domain::sandbox` judges, `app` says when to look.

use super::{SandboxController, answer};
use crate::{
    api::Sandbox,
    cluster::{self, Age, KeptSandbox, KeptSandboxes, Secrets, watch},
    domain::{
        failure::Failure,
        sandbox::{self, E2bSandbox, Owner, Sightings},
    },
    e2b::{Account, E2b},
};
use jiff::Timestamp;
use kube::{Api, Client, api::ListParams, runtime::reflector::Store};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};

/// Objects in one page of a list.
const PAGE: u32 = 500;
/// Operations, as the log names them.
const LIST: &str = "listSandboxObjects";
const READ: &str = "readKeptSandboxes";
const KEEP: &str = "writeKeptSandboxes";

/// What is on record, by uid of the Sandbox.
type Entries = BTreeMap<String, KeptSandbox>;

/// The keys to look under, and what the looks have shown. A new leader begins with nothing, so nothing is killed in its first
/// hour.
pub struct Sweep {
    client: Client,
    secrets: Secrets,
    e2b: E2b,
    operator_key: Option<SecretString>,
    installation: String,
    kept: KeptSandboxes,
    sandboxes: Store<Sandbox>,
    /// Only this namespace is ours to sweep; `None`: all.
    namespace: Option<String>,
    unowned: Sightings,
    /// Uids on record whose sandboxes E2B does not show any more.
    gone: Sightings,
}

/// Result of one look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ids of what was killed.
    pub killed: Vec<String>,
    /// Ids of what could not be killed; the next look tries again.
    pub failed: Vec<String>,
    /// Ids of what was there before the record began, and stays.
    pub found: Vec<String>,
}

impl SandboxController {
    /// A sweep that has seen nothing yet. `sandboxes`: all that are watched, complete; `namespace`: the only one watched.
    pub fn sweep(&self, sandboxes: Store<Sandbox>, namespace: Option<&str>) -> Sweep {
        Sweep {
            client: self.client.clone(),
            secrets: self.secrets.clone(),
            e2b: self.e2b.clone(),
            operator_key: self.operator_key.clone(),
            installation: self.installation.clone(),
            kept: self.kept.clone(),
            sandboxes,
            namespace: namespace.map(str::to_owned),
            unowned: Sightings::default(),
            gone: Sightings::default(),
        }
    }
}

impl Sweep {
    /// Forgets all that it has seen: what another replica did meanwhile is not known.
    pub fn start_over(&mut self) {
        (self.unowned, self.gone) = Default::default();
    }

    /// Looks once under every key at hand, and kills what has stood for no object for an hour.
    ///
    /// Where there is no record yet of what is to stay, this release is new here, or the cluster is: what the look finds is put
    /// on record then, and nothing is killed.
    pub async fn look(&mut self, now: Timestamp) -> Swept {
        let mut swept = Swept::default();
        let looked = match self.kept.read().await {
            Ok(record) if record.complete => self.sweep(&record.entries, now, &mut swept).await,
            Ok(record) => self.begin(&record.entries, &mut swept).await,
            Err(error) => Err(error.during(READ)),
        };
        if let Err(failure) = looked {
            let Failure { operation, message, .. } = failure;
            tracing::info!(
                operation,
                error = message,
                "the sweep could not look everywhere; its next look tries again"
            );
        }
        swept
    }

    async fn sweep(&mut self, kept: &Entries, now: Timestamp, swept: &mut Swept) -> Result<(), Failure> {
        let mut looked = Ok(());
        for account in self.accounts().await {
            // What one key shows hangs on no other key.
            looked = self.sweep_under(&account, kept, now, swept).await.and(looked);
        }
        looked
    }

    /// Puts on record what stands for no object.
    async fn begin(&self, kept: &Entries, swept: &mut Swept) -> Result<(), Failure> {
        let (mut found, mut ids) = (Entries::new(), Vec::new());
        for account in self.accounts().await {
            let listed = self.list(&account).await?;
            let ours = self.ours(&listed);
            let unowned = self.unowned(&ours, kept).await?;
            for (seen, Owner { namespace, uid }) in
                ours.into_iter().filter(|(seen, _)| unowned.contains(&seen.id))
            {
                ids.push(seen.id.clone());
                let entry = KeptSandbox {
                    namespace,
                    sandbox_id: seen.id.clone(),
                    credential: account.fingerprint().to_owned(),
                    ..KeptSandbox::default()
                };
                found.insert(uid, entry);
            }
        }
        self.kept.begin(&found).await.map_err(|error| error.during(KEEP))?;
        swept.found = ids;
        Ok(())
    }

    async fn sweep_under(
        &mut self,
        account: &Account,
        kept: &Entries,
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), Failure> {
        let listed = self.list(account).await?;
        let ours = self.ours(&listed);
        let unowned = self.unowned(&ours, kept).await?;
        for id in self.unowned.note(account.fingerprint(), unowned, now) {
            kill(account, id, swept).await;
        }
        let shown: BTreeSet<_> = ours.iter().map(|(_, owner)| &owner.uid).collect();
        let is_gone = |(uid, entry): &(&String, &KeptSandbox)| {
            entry.credential == account.fingerprint()
                && self.is_watched(&entry.namespace)
                && !shown.contains(uid)
        };
        let gone = kept.iter().filter(is_gone).map(|(uid, _)| uid.clone()).collect();
        let forgotten = self.gone.note(account.fingerprint(), gone, now);
        self.kept.forget(&forgotten).await.map_err(|error| error.during(KEEP))
    }

    async fn list(&self, account: &Account) -> Result<Vec<E2bSandbox>, Failure> {
        account.list(&sandbox::installation_marks(&self.installation)).await.map_err(answer::failure)
    }

    /// What we made in a namespace of ours to sweep, and for which object. A server may ignore the filter of a list.
    fn ours<'a>(&self, listed: &'a [E2bSandbox]) -> Vec<(&'a E2bSandbox, Owner)> {
        let owner = |seen| sandbox::owner(seen, &self.installation);
        let owned = listed.iter().filter_map(|seen| Some((seen, owner(seen)?)));
        owned.filter(|(_, owner)| self.is_watched(&owner.namespace)).collect()
    }

    fn is_watched(&self, namespace: &str) -> bool {
        self.namespace.as_ref().is_none_or(|watched| watched == namespace)
    }

    /// Ids of the sandboxes that stand for no object. The store may lag: what it does not know is looked for at the API server,
    /// after E2B's list, so that whatever the list shows was made for an object that is there by now.
    async fn unowned(
        &self,
        ours: &[(&E2bSandbox, Owner)],
        kept: &Entries,
    ) -> Result<BTreeSet<String>, Failure> {
        let known = self.sandboxes.state();
        let uids: BTreeSet<_> = known.iter().filter_map(|object| object.metadata.uid.as_ref()).collect();
        let mut by_namespace: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (seen, Owner { namespace, uid }) in ours {
            if !kept.contains_key(uid) && !uids.contains(uid) {
                by_namespace.entry(namespace).or_default().push((uid, &seen.id));
            }
        }
        let mut unowned = BTreeSet::new();
        for (namespace, suspects) in by_namespace {
            let live = self.uids_in(namespace).await.map_err(|error| error.during(LIST))?;
            let without = suspects.into_iter().filter(|(uid, _)| !live.contains(*uid));
            unowned.extend(without.map(|(_, id)| id.to_owned()));
        }
        Ok(unowned)
    }

    /// Uids of all Sandboxes of a namespace, as the API server has them now.
    async fn uids_in(&self, namespace: &str) -> Result<BTreeSet<String>, cluster::Error> {
        let api: Api<Sandbox> = watch::api(self.client.clone(), Some(namespace));
        let mut uids = BTreeSet::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let listed = api.list_metadata(&page).await?;
            uids.extend(listed.items.into_iter().filter_map(|object| object.metadata.uid));
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(uids),
            }
        }
    }

    /// E2B under the operator-wide key and the keys of all Sandboxes, each once. A key that can't be read is left out.
    async fn accounts(&self) -> Vec<Account> {
        let operators = self.operator_key.clone().map(|key| self.e2b.account(key));
        let mut accounts: BTreeMap<String, Account> =
            operators.into_iter().map(|account| (account.fingerprint().to_owned(), account)).collect();
        let mut read = BTreeSet::new();
        for object in self.sandboxes.state() {
            let Some(reference) = &object.spec.credentials_secret_ref else { continue };
            if !read.insert((object.metadata.namespace.clone(), reference.name.clone())) {
                continue;
            }
            match self.secrets.e2b_key(&object, None, Age::Fresh).await {
                Ok(key) => {
                    let account = self.e2b.account(key);
                    accounts.insert(account.fingerprint().to_owned(), account);
                }
                Err(error) => {
                    tracing::debug!(namespace = object.metadata.namespace, %error, "a key can't be read");
                }
            }
        }
        accounts.into_values().collect()
    }
}

async fn kill(account: &Account, id: String, swept: &mut Swept) {
    match account.kill(&id).await {
        Ok(_) => {
            tracing::warn!(id, "killed an E2B sandbox of this installation that stood for no Sandbox");
            swept.killed.push(id);
        }
        Err(error) => {
            let error = answer::failure(error).message;
            tracing::warn!(id, error, "an E2B sandbox that stands for no Sandbox can't be killed");
            swept.failed.push(id);
        }
    }
}
