//! Keeps the receiver's extract of each Repository: its ids, its names and where its webhook secret is.
//! Fed by `projection`, asked by `keyring` and `delivery`.

use super::{
    extract::{Extract, key_of},
    view::View,
};
use crate::api::{Repository, common::LocalRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

/// Place of a webhook secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SecretSource {
    /// A Secret by namespace and name.
    Own(Arc<str>, Arc<str>),
    OperatorWide,
}

/// Place where a hook says it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Repository(i64),
    Organization(i64),
    /// A GitHub App, which has one hook for all its installations.
    App(i64),
}

/// A repository as a payload names it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct NamedRepository {
    #[serde(default)]
    pub(super) id: Option<i64>,
    #[serde(default)]
    pub(super) full_name: Option<String>,
}

/// What the API server's text of a Repository is read into.
type SeenRepository = Extract<Repository, Spec, Status>;

/// What is read of a Repository's spec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    owner: String,
    name: String,
    webhook_secret_ref: Option<LocalRef>,
}

/// What is read of a Repository's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(rename = "repositoryID")]
    repository_id: Option<i64>,
    #[serde(rename = "ownerID")]
    owner_id: Option<i64>,
    #[serde(rename = "appID")]
    app_id: Option<i64>,
    full_name: Option<String>,
}

/// One Repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackedRepository {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
    pub(super) secret: SecretSource,
    id: Option<i64>,
    owner_id: Option<i64>,
    app_id: Option<i64>,
    /// `owner/name` of the spec, in lower case.
    spec_name: String,
    /// `owner/name` as GitHub spells it today, in lower case.
    full_name: Option<String>,
}

impl From<SeenRepository> for TrackedRepository {
    fn from(repository: SeenRepository) -> Self {
        let (namespace, name) = key_of(&repository.metadata);
        let (namespace, name): (Arc<str>, Arc<str>) = (namespace.into(), name.into());
        let (spec, status) = (repository.spec, repository.status.unwrap_or_default());
        let secret = match spec.webhook_secret_ref {
            Some(secret) => SecretSource::Own(namespace.clone(), secret.name.into()),
            None => SecretSource::OperatorWide,
        };
        Self {
            namespace,
            name,
            uid: repository.metadata.uid,
            version: repository.metadata.resource_version,
            secret,
            id: status.repository_id,
            owner_id: status.owner_id,
            app_id: status.app_id,
            spec_name: format!("{}/{}", spec.owner, spec.name).to_lowercase(),
            full_name: status.full_name.map(|name| name.to_lowercase()),
        }
    }
}

impl TrackedRepository {
    /// Returns whether this is the repository that a payload names: by id; by name where one of the two has no id.
    fn is(&self, named: &NamedRepository) -> bool {
        if let Some((ours, theirs)) = self.id.zip(named.id) {
            return ours == theirs;
        }
        let Some(full_name) = named.full_name.as_deref().map(str::to_lowercase) else { return false };
        full_name == self.spec_name || self.full_name.as_ref() == Some(&full_name)
    }

    /// The hooks that may be this Repository's.
    fn targets(&self) -> impl Iterator<Item = Target> {
        let repository = self.id.map(Target::Repository);
        let owner = self.owner_id.map(Target::Organization);
        repository.into_iter().chain(owner).chain(self.app_id.map(Target::App))
    }

    /// The names it goes by, each once.
    fn names(&self) -> impl Iterator<Item = &String> {
        let today = self.full_name.as_ref().filter(|name| **name != self.spec_name);
        [&self.spec_name].into_iter().chain(today)
    }
}

/// All Repositories, and the ways to them: no delivery looks at all of them.
#[derive(Default)]
pub(super) struct Repositories {
    all: HashMap<(Arc<str>, Arc<str>), Arc<TrackedRepository>>,
    by_id: Index<i64>,
    by_name: Index<String>,
    by_secret: Index<SecretSource>,
    /// The places of secrets, and of how many Repositories each is there.
    secrets_by_target: HashMap<Target, HashMap<SecretSource, u32>>,
}

impl Repositories {
    /// What is known of a Repository.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<TrackedRepository>> {
        self.all.get(&(namespace.into(), name.into()))
    }

    /// Up to `most` places of secrets that a hook installed there may sign with.
    pub(super) fn candidates(&self, target: Target, most: usize) -> Vec<SecretSource> {
        let secrets = self.secrets_by_target.get(&target);
        secrets.map_or(Vec::new(), |secrets| secrets.keys().take(most).cloned().collect())
    }

    /// How many such places there are.
    pub(super) fn candidate_count(&self, target: Target) -> usize {
        self.secrets_by_target.get(&target).map_or(0, HashMap::len)
    }

    /// The Repositories that are the one that a payload names.
    pub(super) fn named(&self, named: &NamedRepository) -> Vec<Arc<TrackedRepository>> {
        let by_id = named.id.map_or(&[][..], |id| self.by_id.at(&id));
        let name = named.full_name.as_deref().map(str::to_lowercase);
        let by_name = name.map_or(&[][..], |name| self.by_name.at(&name));
        let mut found: Vec<_> =
            by_id.iter().chain(by_name).filter(|found| found.is(named)).cloned().collect();
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        found.dedup_by(|a, b| Arc::ptr_eq(a, b));
        found
    }

    /// The Repositories whose secret is there.
    pub(super) fn by_secret(&self, source: &SecretSource) -> &[Arc<TrackedRepository>] {
        self.by_secret.at(source)
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<TrackedRepository>> {
        self.all.values().cloned().collect()
    }

    /// How many places of secrets there are.
    pub(super) fn secret_count(&self) -> usize {
        self.by_secret.0.len()
    }

    /// Every place of a secret, once.
    pub(super) fn secrets(&self) -> Vec<SecretSource> {
        self.by_secret.0.keys().cloned().collect()
    }

    fn forget(&mut self, metadata: &ObjectMeta) {
        let (namespace, name) = key_of(metadata);
        let Some(repository) = self.all.remove(&(namespace.into(), name.into())) else { return };
        repository.id.into_iter().for_each(|id| self.by_id.remove(id, &repository));
        repository.names().for_each(|name| self.by_name.remove(name.clone(), &repository));
        self.by_secret.remove(repository.secret.clone(), &repository);
        for target in repository.targets() {
            let secrets = self.secrets_by_target.entry(target).or_default();
            if let Entry::Occupied(mut count) = secrets.entry(repository.secret.clone()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
            if secrets.is_empty() {
                self.secrets_by_target.remove(&target);
            }
        }
    }
}

impl View for Repositories {
    type Kind = Repository;
    type Spec = Spec;
    type Status = Status;

    fn put(&mut self, repository: SeenRepository) {
        self.forget(&repository.metadata);
        let repository = Arc::new(TrackedRepository::from(repository));
        repository.id.into_iter().for_each(|id| self.by_id.insert(id, &repository));
        repository.names().for_each(|name| self.by_name.insert(name.clone(), &repository));
        self.by_secret.insert(repository.secret.clone(), &repository);
        for target in repository.targets() {
            let secrets = self.secrets_by_target.entry(target).or_default();
            *secrets.entry(repository.secret.clone()).or_default() += 1;
        }
        self.all.insert((repository.namespace.clone(), repository.name.clone()), repository);
    }

    fn remove(&mut self, repository: &ObjectMeta) {
        self.forget(repository);
    }
}

/// One way to Repositories.
struct Index<K>(HashMap<K, Vec<Arc<TrackedRepository>>>);

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Index<K> {
    fn at(&self, key: &K) -> &[Arc<TrackedRepository>] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn insert(&mut self, key: K, repository: &Arc<TrackedRepository>) {
        self.0.entry(key).or_default().push(repository.clone());
    }

    fn remove(&mut self, key: K, repository: &Arc<TrackedRepository>) {
        if let Entry::Occupied(mut there) = self.0.entry(key) {
            there.get_mut().retain(|other| !Arc::ptr_eq(other, repository));
            if there.get().is_empty() {
                there.remove();
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A Repository that nothing is known of.
    pub(in crate::webhook) fn repository(name: &str) -> TrackedRepository {
        seen(name, "o/n", None, &json!({})).into()
    }

    fn seen(name: &str, full_name: &str, secret: Option<&str>, status: &Value) -> SeenRepository {
        let (owner, short) = full_name.split_once('/').expect("owner/name");
        let mut repository = json!({
            "metadata": {"namespace": "n", "name": name, "resourceVersion": "1"},
            "spec": {"owner": owner, "name": short, "credentialsSecretRef": {"name": "c"}},
            "status": status,
        });
        if let Some(secret) = secret {
            repository["spec"]["webhookSecretRef"] = json!({ "name": secret });
        }
        serde_json::from_value(repository).expect("a Repository")
    }

    fn names(found: &[Arc<TrackedRepository>]) -> Vec<&str> {
        found.iter().map(|repository| &*repository.name).collect()
    }

    #[test]
    fn a_repository_is_found_in_every_way_once_and_left_by_all() {
        let mut repositories = Repositories::default();
        let own = SecretSource::Own("n".into(), "s".into());
        let status = json!({"repositoryID": 7, "ownerID": 1, "appID": 1, "fullName": "New/Name"});
        repositories.put(seen("a", "Old/Name", Some("s"), &status));
        repositories.put(seen("b", "old/name", None, &json!({})));
        let named =
            |id: Option<i64>, name: Option<&str>| NamedRepository { id, full_name: name.map(Into::into) };
        for (asked, expected) in [
            (named(Some(7), Some("old/name")), &["a", "b"][..]),
            (named(Some(7), Some("new/NAME")), &["a"]),
            (named(Some(7), None), &["a"]),
            (named(Some(8), Some("new/name")), &[]),
            (named(Some(8), Some("old/name")), &["b"]),
            (named(None, Some("OLD/NAME")), &["a", "b"]),
            (named(None, None), &[]),
        ] {
            assert_eq!(names(&repositories.named(&asked)), expected, "{asked:?}");
        }
        for target in [Target::Organization(1), Target::App(1), Target::Repository(7)] {
            assert_eq!(repositories.candidates(target, 9), std::slice::from_ref(&own));
        }
        assert_eq!(repositories.candidate_count(Target::App(7)), 0);
        assert_eq!(names(repositories.by_secret(&own)), ["a"]);
        assert_eq!(names(repositories.by_secret(&SecretSource::OperatorWide)), ["b"]);
        // Another state of the same one leaves nothing of the last behind.
        repositories.put(seen("a", "old/name", None, &json!({})));
        assert_eq!(repositories.candidate_count(Target::Repository(7)), 0);
        assert_eq!(repositories.secrets(), [SecretSource::OperatorWide]);
        for name in ["a", "b"] {
            repositories.remove(&seen(name, "o/n", None, &json!({})).metadata);
        }
        assert!(repositories.all.is_empty() && repositories.by_id.0.is_empty());
        assert!(repositories.by_name.0.is_empty() && repositories.by_secret.0.is_empty());
        assert!(repositories.secrets_by_target.is_empty());
    }
}
