//! The shell's reads and writes of the object itself: each write goes against the version that was read.
//! Between `shell` and `cluster`; `versions` remembers what the stores have not seen yet.

use super::{
    cut::Cut,
    doubt::Doubt,
    kind::Kind,
    versions::{Freshness, Versions},
};
use crate::cluster::{self, Written, finalizer, status};
use kube::{Api, Client, ResourceExt};

/// Field manager of everything the controllers write.
pub const MANAGER: &str = "slipway-controller";

/// Reads and writes objects of any kind.
pub(super) struct Objects {
    client: Client,
    versions: Versions,
    doubt: Doubt,
}

impl Objects {
    pub(super) fn new(client: Client) -> Self {
        Self { client, versions: Versions::default(), doubt: Doubt::default() }
    }

    /// The same with a doubt that others raise.
    pub(super) fn doubted_by(self, doubt: Doubt) -> Self {
        Self { doubt, ..self }
    }

    pub(super) fn freshness<K: Kind>(&self, object: &K) -> Freshness {
        self.versions.freshness(object)
    }

    /// Whether the object may be older than it looks: it comes from a store that is in doubt, and was neither written nor
    /// read since.
    pub(super) fn is_doubtful<K: Kind>(&self, object: &K) -> bool {
        self.doubt.since().is_some_and(|since| !self.versions.is_confirmed(object, since))
    }

    /// The object as the API server has it; `None` when it is gone, or another has its name.
    pub(super) async fn read<K: Kind>(&self, object: &K) -> Result<Option<K>, Cut> {
        let found = self.api(object).get_opt(&object.name_any()).await.map_err(cluster::Error::from)?;
        let found = found.filter(|found| found.uid() == object.uid());
        match &found {
            Some(found) => self.versions.read(found),
            None => self.versions.forget(object),
        }
        Ok(found)
    }

    /// Writes the difference between two statuses of `object`; the object as it stands then.
    pub(super) async fn write_status<K: Kind>(
        &self,
        object: K,
        stored: Option<&K::Status>,
        desired: &K::Status,
    ) -> Result<K, Cut> {
        self.versions.writing(&object);
        let written = status::write(&self.api(&object), &object, stored, desired, MANAGER).await?;
        self.written(object, written)
    }

    /// Puts a finalizer on, or takes it off; the object as it stands then.
    pub(super) async fn set_finalizer<K: Kind>(
        &self,
        object: K,
        finalizer: &str,
        wanted: bool,
    ) -> Result<K, Cut> {
        let api = self.api(&object);
        self.versions.writing(&object);
        let written = if wanted {
            finalizer::add(&api, &object, finalizer, MANAGER).await?
        } else {
            finalizer::remove(&api, &object, finalizer, MANAGER).await?
        };
        self.written(object, written)
    }

    pub(super) fn forget<K: Kind>(&self, object: &K) {
        self.versions.forget(object);
    }

    fn written<K: Kind>(&self, object: K, written: Written<K>) -> Result<K, Cut> {
        match written {
            Written::Patched(newer) => {
                self.versions.wrote(&newer);
                Ok(newer)
            }
            Written::Unchanged => {
                self.versions.wrote_nothing(&object);
                Ok(object)
            }
            Written::Conflict => Err(Cut::Conflict { wait: self.versions.conflicted(&object) }),
        }
    }

    fn api<K: Kind>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }
}
