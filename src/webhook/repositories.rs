//! Keeps the receiver's extract of each Repository: its ids, its names and where its webhook secret is.
//! Fed by `projection`, asked by `keyring` and `delivery`.

use super::view::{View, key_of};
use crate::api::Repository;
use kube::ResourceExt;
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};

/// Place of a webhook secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SecretSource {
    /// A Secret by namespace and name.
    Own(String, String),
    OperatorWide,
}

/// Place where a hook says it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Repository(i64),
    Organization(i64),
}

/// A repository as a payload names it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct NamedRepository {
    #[serde(default)]
    pub(super) id: Option<i64>,
    #[serde(default)]
    pub(super) full_name: Option<String>,
}

/// One Repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackedRepository {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: Option<String>,
    id: Option<i64>,
    owner_id: Option<i64>,
    /// `owner/name` of the spec, in lower case.
    spec_name: String,
    /// `owner/name` as GitHub spells it today, in lower case.
    full_name: Option<String>,
    pub(super) secret: SecretSource,
    version: Option<String>,
}

impl TrackedRepository {
    fn of(repository: &Repository) -> Self {
        let (namespace, name) = key_of(repository);
        let (spec, status) = (&repository.spec, repository.status.as_ref());
        let secret = match &spec.webhook_secret_ref {
            Some(secret) => SecretSource::Own(namespace.clone(), secret.name.clone()),
            None => SecretSource::OperatorWide,
        };
        Self {
            namespace,
            name,
            uid: repository.uid(),
            id: status.and_then(|status| status.repository_id),
            owner_id: status.and_then(|status| status.owner_id),
            spec_name: format!("{}/{}", spec.owner, spec.name).to_lowercase(),
            full_name: status.and_then(|status| status.full_name.as_deref()).map(str::to_lowercase),
            secret,
            version: repository.resource_version(),
        }
    }

    /// Returns whether this is the repository that a payload names: by id; by name where one of the two has no id.
    pub(super) fn is(&self, named: &NamedRepository) -> bool {
        if let Some((ours, theirs)) = self.id.zip(named.id) {
            return ours == theirs;
        }
        let Some(full_name) = named.full_name.as_deref().map(str::to_lowercase) else { return false };
        full_name == self.spec_name || self.full_name.as_ref() == Some(&full_name)
    }

    /// Returns whether a hook that is installed there may be this Repository's.
    pub(super) fn is_candidate(&self, target: Target) -> bool {
        match target {
            Target::Repository(id) => self.id == Some(id),
            Target::Organization(id) => self.owner_id == Some(id),
        }
    }
}

/// All Repositories.
#[derive(Default)]
pub(super) struct Repositories(HashMap<(String, String), Arc<TrackedRepository>>);

impl Repositories {
    /// The version that is known of a Repository.
    pub(super) fn version(&self, namespace: &str, name: &str) -> Option<String> {
        self.0.get(&(namespace.to_owned(), name.to_owned()))?.version.clone()
    }

    pub(super) fn all(&self) -> Vec<Arc<TrackedRepository>> {
        self.0.values().cloned().collect()
    }
}

impl View for Repositories {
    type Kind = Repository;

    fn put(&mut self, repository: &Repository) {
        let tracked = TrackedRepository::of(repository);
        self.0.insert(key_of(repository), Arc::new(tracked));
    }

    fn remove(&mut self, repository: &Repository) {
        self.0.remove(&key_of(repository));
    }
}
