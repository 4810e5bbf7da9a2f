//! Webhook secrets that are too short to count: noticed where a Secret is read, told in a Warning on its Repositories.
//! Fed by `keyring`, told by `delivery`; no value is ever kept or repeated.

use super::{
    Inner,
    repositories::{SecretSource, TrackedRepository},
};
use crate::{
    api::{Repository, conditions::reason},
    cluster::events::EventType,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

/// Keys of Secrets that have been found too short.
#[derive(Default)]
pub(super) struct Complaints(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: HashMap<SecretSource, Vec<String>>,
    untold: BTreeSet<SecretSource>,
}

impl Complaints {
    /// Takes note of the keys of a Secret that are too short, in their order. Only a change is news.
    pub(super) fn note(&self, source: &SecretSource, keys: Vec<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.keys.get(source).map(Vec::as_slice).unwrap_or_default() == keys {
            return;
        }
        if !keys.is_empty() {
            known.untold.insert(source.clone());
        }
        known.keys.insert(source.clone(), keys);
    }

    /// What has not been told yet.
    fn take(&self) -> Vec<(SecretSource, Vec<String>)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = std::mem::take(&mut known.untold);
        untold
            .into_iter()
            .filter_map(|source| Some((source.clone(), known.keys.get(&source)?.clone())))
            .collect()
    }
}

impl Inner {
    /// Tells what is news, beside the answer: a delivery does not wait for an event.
    pub(super) fn tell_of_short_secrets(&self, repositories: &[Arc<TrackedRepository>]) {
        for (source, keys) in self.keyring.complaints.take() {
            let SecretSource::Own(_, secret) = &source else { continue };
            let note = format!(
                "Secret {secret} has webhook secrets that are too short, so they are ignored: {}. Use at least {} bytes, \
                 for example from `openssl rand -hex 32`, here and in the webhook's settings at GitHub",
                keys.join(", "),
                crate::domain::signature::SHORTEST_SECRET
            );
            for repository in repositories.iter().filter(|repository| repository.secret == source) {
                let (events, object, note) = (self.events.clone(), reference(repository), note.clone());
                let short = reason::WEBHOOK_SECRET_TOO_SHORT;
                tokio::spawn(async move {
                    events.publish(&object, EventType::Warning, short, "Receive", &note).await
                });
            }
        }
    }
}

/// The Repository as the subject of an event.
fn reference(repository: &TrackedRepository) -> ObjectReference {
    ObjectReference {
        api_version: Some(Repository::api_version(&()).into_owned()),
        kind: Some(Repository::kind(&()).into_owned()),
        namespace: Some(repository.namespace.clone()),
        name: Some(repository.name.clone()),
        uid: repository.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_told_and_once() {
        let (complaints, source) = (Complaints::default(), SecretSource::Own("n".into(), "s".into()));
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        complaints.note(&source, keys(&[]));
        assert!(complaints.take().is_empty());
        complaints.note(&source, keys(&["a"]));
        complaints.note(&source, keys(&["a"]));
        assert_eq!(complaints.take(), [(source.clone(), keys(&["a"]))]);
        assert!(complaints.take().is_empty());
        complaints.note(&source, keys(&["a", "b"]));
        assert_eq!(complaints.take(), [(source.clone(), keys(&["a", "b"]))]);
        complaints.note(&source, keys(&[]));
        assert!(complaints.take().is_empty());
        complaints.note(&source, keys(&["a"]));
        assert_eq!(complaints.take().len(), 1, "it was mended and is broken again");
    }
}
