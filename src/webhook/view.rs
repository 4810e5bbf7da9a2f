//! Keeps the receiver's extract of all objects of a kind up to date, from one watch, and knows whether it is current.
//! Below `projection`, which holds a view of each kind; `tasks` and `repositories` say what is kept.

use super::extract::Extract;
use crate::cluster::{
    Events, Guarded,
    watch::{self, Watched},
};
use futures::{Stream, StreamExt};
use http::{Request, Response};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Client, Resource, api::ObjectMeta, client::Body, core::error_boundary::InvalidObject,
    runtime::watcher::Event,
};
use serde::de::DeserializeOwned;
use std::{
    fmt::Debug,
    pin::pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The extract of one object.
pub(super) type Seen<V> = Extract<<V as View>::Kind, <V as View>::Spec, <V as View>::Status>;

/// An extract of all objects of a kind.
pub(super) trait View: Default {
    type Kind: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Send + Sync + 'static;
    /// What is read of a spec.
    type Spec: DeserializeOwned + Default + Clone + Debug + Send + Sync + 'static;
    /// What is read of a status.
    type Status: DeserializeOwned + Clone + Debug + Send + Sync + 'static;

    /// The object is new or has changed.
    fn put(&mut self, object: Seen<Self>);
    /// The object is gone.
    fn remove(&mut self, object: &ObjectMeta);
}

/// A view, once it has been listed, and the state of the watch that feeds it.
pub(super) struct Kept<V> {
    view: RwLock<Option<V>>,
    /// A request of the watch has failed or a list has begun, and no watch has been answered since.
    failed: Arc<AtomicBool>,
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self { view: RwLock::default(), failed: Arc::default() }
    }
}

impl<V> Kept<V> {
    /// Asks the view; `None` before it is synced.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&V) -> T) -> Option<T> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask)
    }

    /// Changes the view, if it is synced.
    pub(super) fn change(&self, change: impl FnOnce(&mut V)) {
        if let Some(view) = self.view.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            change(view);
        }
    }

    /// Returns whether what the view does not have does not exist: it is synced, and its watch is not interrupted.
    pub(super) fn is_current(&self) -> bool {
        !self.failed.load(Ordering::Relaxed) && self.ask(|_| ()).is_some()
    }
}

impl<V: View> Kept<V> {
    /// Keeps the view up to date. Ends only if the watch ends, which it should not.
    pub(super) async fn follow(&self, client: &Client, namespace: Option<&str>, events: &Events) {
        self.read(watched::<V>(&self.noticing(client), namespace, events)).await;
    }

    /// Keeps the view up to date from these events, until they end.
    pub(super) async fn read(&self, stream: impl Stream<Item = Watched<Seen<V>>>) {
        let mut stream = pin!(stream);
        let mut listing = V::default();
        while let Some(watched) = stream.next().await {
            let event = match watched {
                Ok(event) => event,
                Err(error) => {
                    // What is known stays: a patch made from it is refused if it is out of date.
                    self.failed.store(true, Ordering::Relaxed);
                    tracing::warn!(kind = %V::Kind::kind(&()), %error, "watch interrupted, resuming");
                    continue;
                }
            };
            match event {
                Event::Init => {
                    // Something was missed: what is known is not all until the watch after the list has begun.
                    self.failed.store(true, Ordering::Relaxed);
                    listing = V::default();
                }
                Event::InitApply(object) => listing.put(object),
                Event::InitDone => {
                    let listed = std::mem::take(&mut listing);
                    *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(listed);
                }
                Event::Apply(object) => self.change(|view| view.put(object)),
                Event::Delete(object) => self.change(|view| view.remove(&object.metadata)),
            }
        }
    }

    /// The same client, for the watch: notes how each request ended. A watch over objects that do not change brings no
    /// event that would tell; that the API server has begun to answer it does.
    fn noticing(&self, client: &Client) -> Client {
        let (inner, failed) = (client.clone(), self.failed.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (inner, failed) = (inner.clone(), failed.clone());
            async move {
                let watches = is_watch(&request);
                let answer = inner.send(request).await;
                match answer.as_ref().map(Response::status) {
                    Ok(status) if status.is_success() && watches => failed.store(false, Ordering::Relaxed),
                    Ok(status) if status.is_success() => {}
                    _ => failed.store(true, Ordering::Relaxed),
                }
                answer
            }
        });
        Client::new(service, client.default_namespace())
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

/// The events of a kind, where what can't be decoded counts as gone: the receiver can do nothing for it.
fn watched<V: View>(
    client: &Client,
    namespace: Option<&str>,
    events: &Events,
) -> impl Stream<Item = Watched<Seen<V>>> + use<V> {
    let forget = |invalid: &InvalidObject| Some(Extract::bare(invalid.metadata.clone()));
    let api = watch::api::<Guarded<Seen<V>>>(client.clone(), namespace);
    watch::decoded(api, events.clone(), forget)
}
