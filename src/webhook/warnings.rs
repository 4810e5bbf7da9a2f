//! Warning events on Repositories and Tasks: what a person should know and no answer to GitHub can tell.
//! Called by `delivery`.

use super::{
    receiver::Inner,
    repositories::{SecretSource, TrackedRepository},
    tasks::TrackedTask,
};
use crate::{
    api::{Repository, conditions::reason},
    cluster::events::EventType,
    domain::signature::SHORTEST_SECRET,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use std::sync::Arc;

impl Inner {
    /// Tells what is news in a task of its own: a delivery does not wait for an event.
    pub(super) fn warn_of_weak_secrets(&self) {
        for (source, keys) in self.keyring.store.weak.drain() {
            let SecretSource::Own(_, secret) = &source else { continue };
            let note = format!(
                "Secret {secret} has webhook secrets that are too short, so they are ignored: {}. Use at least {} bytes, \
                 for example from `openssl rand -hex 32`, here and in the webhook's settings at GitHub",
                keys.join(", "),
                SHORTEST_SECRET
            );
            let there = self.projection.repositories.ask(|known| known.by_secret(&source).to_vec());
            for repository in there.unwrap_or_default() {
                let (events, object, note) = (self.events.clone(), reference(&repository), note.clone());
                let short = reason::WEBHOOK_SECRET_TOO_SHORT;
                tokio::spawn(async move {
                    events.publish(&object, EventType::Warning, short, "Receive", &note).await
                });
            }
        }
    }

    /// A pull request of an earlier round was closed, reopened or merged: its Task stays, but a person should know. A delivery does
    /// not wait for that either.
    pub(super) fn warn_of_old(&self, tasks: &[Arc<TrackedTask>], event: &str, number: i64) {
        let note = format!(
            "{event}: pull request #{number} of an earlier round; the Task does not follow it any more"
        );
        let objects: Vec<_> = tasks.iter().map(|task| task.reference()).collect();
        let events = self.events.clone();
        self.runtime.spawn(async move {
            for object in objects {
                let old = reason::OLD_PULL_REQUEST_MOVED;
                events.publish(&object, EventType::Warning, old, "Receive", &note).await;
            }
        });
    }
}

/// The Repository as the subject of an event.
fn reference(repository: &TrackedRepository) -> ObjectReference {
    ObjectReference {
        api_version: Some(Repository::api_version(&()).into_owned()),
        kind: Some(Repository::kind(&()).into_owned()),
        namespace: Some(repository.namespace.to_string()),
        name: Some(repository.name.to_string()),
        uid: repository.uid.clone(),
        ..ObjectReference::default()
    }
}
