//! The receiver's knowledge of the cluster: an extract of every Task and Repository, kept by a watch.
//! Neighbours: `tasks` and `repositories` say what is kept; a miss in either is final once both are synced.

use super::{repositories::Repositories, tasks::Tasks};
use crate::cluster::{
    Events,
    watch::{self, Watched},
};
use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Client, Resource, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::watcher::Event,
};
use serde::de::DeserializeOwned;
use std::{
    fmt::Debug,
    pin::pin,
    sync::{PoisonError, RwLock},
};

/// An extract of all objects of a kind.
pub(super) trait View: Default {
    type Kind: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Blank
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static;

    /// The object is new or has changed.
    fn put(&mut self, object: &Self::Kind);
    /// The object is gone.
    fn remove(&mut self, object: &Self::Kind);
}

/// A kind that can be made from a name alone, to say that the object of that name is gone.
pub(super) trait Blank: Resource {
    fn blank() -> Self;
}

impl Blank for crate::api::Task {
    fn blank() -> Self {
        Self::new("", crate::api::TaskSpec::default())
    }
}

impl Blank for crate::api::Repository {
    fn blank() -> Self {
        Self::new("", crate::api::RepositorySpec::default())
    }
}

/// Namespace and name of an object.
pub(super) fn key_of<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// What is known; `None` until it has been listed once.
#[derive(Default)]
pub(super) struct Projection {
    tasks: RwLock<Option<Tasks>>,
    repositories: RwLock<Option<Repositories>>,
}

impl Projection {
    pub(super) fn is_synced(&self) -> bool {
        self.tasks(|_| ()).is_some() && self.repositories(|_| ()).is_some()
    }

    /// Asks the Tasks; `None` before they are synced.
    pub(super) fn tasks<T>(&self, ask: impl FnOnce(&Tasks) -> T) -> Option<T> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask)
    }

    /// Asks the Repositories; `None` before they are synced.
    pub(super) fn repositories<T>(&self, ask: impl FnOnce(&Repositories) -> T) -> Option<T> {
        self.repositories.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask)
    }

    /// Keeps both up to date. Ends only if a watch ends, which none should.
    pub(super) async fn follow(&self, client: &Client, namespace: Option<&str>, events: &Events) {
        tokio::select! {
            () = follow(watched::<Tasks>(client, namespace, events), &self.tasks) => {}
            () = follow(watched::<Repositories>(client, namespace, events), &self.repositories) => {}
        }
    }
}

fn watched<V: View>(
    client: &Client,
    namespace: Option<&str>,
    events: &Events,
) -> impl Stream<Item = Watched<V::Kind>> + use<V> {
    // Undecodable: to the receiver it is as good as gone.
    let forget = |invalid: &InvalidObject| {
        let mut object = V::Kind::blank();
        *object.meta_mut() = invalid.metadata.clone();
        Some(object)
    };
    let api = watch::api::<DeserializeGuard<V::Kind>>(client.clone(), namespace);
    watch::decoded(api, events.clone(), forget)
}

async fn follow<V: View>(stream: impl Stream<Item = Watched<V::Kind>>, view: &RwLock<Option<V>>) {
    let mut stream = pin!(stream);
    let mut listing = V::default();
    while let Some(watched) = stream.next().await {
        let event = match watched {
            Ok(event) => event,
            Err(error) => {
                // What is known stays: a patch made from it is refused if it is out of date.
                tracing::warn!(kind = %V::Kind::kind(&()), %error, "watch interrupted, resuming");
                continue;
            }
        };
        match event {
            Event::Init => listing = V::default(),
            Event::InitApply(object) => listing.put(&object),
            Event::InitDone => {
                let listed = std::mem::take(&mut listing);
                *view.write().unwrap_or_else(PoisonError::into_inner) = Some(listed);
            }
            Event::Apply(object) => with(view, |view| view.put(&object)),
            Event::Delete(object) => with(view, |view| view.remove(&object)),
        }
    }
}

fn with<V>(view: &RwLock<Option<V>>, change: impl FnOnce(&mut V)) {
    if let Some(view) = view.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
        change(view);
    }
}
