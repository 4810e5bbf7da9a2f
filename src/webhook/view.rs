//! Keeps the receiver's extract of all objects of a kind up to date, from one watch.
//! Below `tasks` and `repositories`, which say what is kept, and `projection`, which holds both.

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

/// The events of a kind, where what can't be decoded counts as gone.
pub(super) fn watched<V: View>(
    client: &Client,
    namespace: Option<&str>,
    events: &Events,
) -> impl Stream<Item = Watched<V::Kind>> + use<V> {
    // The receiver can do nothing for an object that can't be decoded.
    let forget = |invalid: &InvalidObject| {
        let mut object = V::Kind::blank();
        *object.meta_mut() = invalid.metadata.clone();
        Some(object)
    };
    let api = watch::api::<DeserializeGuard<V::Kind>>(client.clone(), namespace);
    watch::decoded(api, events.clone(), forget)
}

/// Keeps a view up to date. Ends only if the watch ends, which it should not.
pub(super) async fn follow<V: View>(stream: impl Stream<Item = Watched<V::Kind>>, view: &RwLock<Option<V>>) {
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
