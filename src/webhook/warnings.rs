//! Warning events on Repositories and Tasks: what a person should know and no answer to GitHub can tell.
//! Called by `delivery`.

use super::{
    receiver::Inner,
    repositories::{SecretSource, TrackedRepository},
    secret_store::MOST_SECRETS,
    tasks::TrackedTask,
    weak_secrets::Ignored,
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
        for (source, ignored) in self.keyring.store.weak.drain() {
            let SecretSource::Own(_, secret) = &source else { continue };
            let there = self.projection.repositories.ask(|known| known.by_secret(&source).to_vec());
            let there = there.unwrap_or_default();
            for (reason, note) in told(secret, &ignored) {
                for repository in &there {
                    let (events, object, note) = (self.events.clone(), reference(repository), note.clone());
                    tokio::spawn(async move {
                        events.publish(&object, EventType::Warning, reason, "Receive", &note).await
                    });
                }
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

/// What a person should know of a Secret, and under which reason.
fn told(secret: &str, ignored: &Ignored) -> impl Iterator<Item = (&'static str, String)> {
    let short = (!ignored.short.is_empty()).then(|| {
        let note = format!(
            "Secret {secret} has webhook secrets that are too short, so they are ignored: {}. Use at least {SHORTEST_SECRET} bytes, \
             for example from `openssl rand -hex 32`, here and in the webhook's settings at GitHub",
            ignored.short.join(", "),
        );
        (reason::WEBHOOK_SECRET_TOO_SHORT, note)
    });
    let many = (ignored.beyond > 0).then(|| {
        let note = format!(
            "Secret {secret} has {} more webhook secrets than the {MOST_SECRETS} that are tried: those under the first keys are \
             ignored. Give each Repository a Secret of its own",
            ignored.beyond
        );
        (reason::WEBHOOK_SECRETS_TOO_MANY, note)
    });
    short.into_iter().chain(many)
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
