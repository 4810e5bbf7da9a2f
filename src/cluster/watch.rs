//! Watches every kind in one way: consistent lists, dead connections noticed, undecodable objects set aside.
//! Serves the controllers' stores and the receiver's projection.

use super::{Events, events::EventType, guard::Guarded, patience::patient};
use crate::api::conditions::reason;
use futures::{Stream, StreamExt};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::ObjectReference};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::error_boundary::InvalidObject,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Seconds a watch may stay silent before its connection counts as dead.
const IDLE_SECONDS: u32 = 60;
/// Objects on each page of a list. A page is held as text and as objects at once: with kube's 500 a start peaks at it.
const PAGE_OBJECTS: u32 = 100;
/// kube waits this much longer than it tells the server to.
const KUBE_MARGIN_SECONDS: u32 = 5;

/// Item of a stream of watched objects.
pub type Watched<K> = Result<Event<K>, watcher::Error>;

/// The settings of every watch.
///
/// Lists are paged and consistent. Streaming lists would save memory, but kube asks for them from version 0, and an API
/// server whose cache of a freshly installed CRD has seen no write yet then holds back the bookmark that ends the list.
fn config() -> watcher::Config {
    watcher::Config::default().timeout(IDLE_SECONDS - KUBE_MARGIN_SECONDS).page_size(PAGE_OBJECTS)
}

/// All objects of a kind: of one namespace, or of all when `namespace` is `None`.
pub fn api<K>(client: Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// A store of all objects of a kind and the stream that fills it; the stream must be polled.
///
/// Errors are yielded and followed by a growing wait. `managedFields` are dropped. An object that can't be decoded
/// (a value of another release) leaves the store, and is named in the log and in a Warning `Undecodable`; the others go on.
pub fn reflect<K>(
    client: &Client,
    namespace: Option<&str>,
    events: &Events,
) -> (Store<K>, impl Stream<Item = Watched<K>> + Send + use<K>)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static,
{
    let (reader, writer) = store::<K>();
    let known = reader.clone();
    let lookup = move |invalid: &InvalidObject| {
        let mut key = ObjectRef::<K>::new(invalid.metadata.name.as_deref()?);
        key.namespace.clone_from(&invalid.metadata.namespace);
        known.get(&key).map(|object| K::clone(&object))
    };
    let stream = decoded(api(client.clone(), namespace), events.clone(), lookup).reflect(writer);
    (reader, stream)
}

/// The same events, and a flag that turns true once the first list is complete, so that absence means something.
///
/// Instead of `Store::wait_until_ready`, which wakes only the last of several waiters (kube 5.0), and a controller
/// always waits for its own store.
pub fn listed<K: 'static>(
    events: impl Stream<Item = Watched<K>> + Send,
) -> (impl Stream<Item = Watched<K>> + Send, tokio::sync::watch::Receiver<bool>) {
    let (complete, listed) = tokio::sync::watch::channel(false);
    let events = events.inspect(move |event| {
        if matches!(event, Ok(Event::InitDone)) {
            complete.send_replace(true);
        }
    });
    (events, listed)
}

/// Watches a kind without keeping it: for those who keep their own extract. `forget` gives back the last decodable
/// state of an object that has become undecodable, so that the stream can report it as deleted.
pub fn decoded<K>(
    api: Api<Guarded<K>>,
    events: Events,
    forget: impl Fn(&InvalidObject) -> Option<K> + Send + 'static,
) -> impl Stream<Item = Watched<K>> + Send
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static,
{
    let events_of = move || watcher(api.clone(), config());
    let answered = |event: &Event<_>| !matches!(event, Event::Init);
    patient(events_of, answered).filter_map(move |watched| {
        let event = watched.map(|event| decode(event, &events, &forget)).transpose();
        std::future::ready(event)
    })
}

fn decode<K>(
    event: Event<Guarded<K>>,
    events: &Events,
    forget: impl Fn(&InvalidObject) -> Option<K>,
) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()>,
{
    let (object, listed, wrap): (_, bool, fn(K) -> Event<K>) = match event {
        Event::Init => return Some(Event::Init),
        Event::InitDone => return Some(Event::InitDone),
        Event::Apply(object) => (object, false, Event::Apply),
        Event::InitApply(object) => (object, true, Event::InitApply),
        Event::Delete(object) => (object, false, Event::Delete),
    };
    match object.0 {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            Some(wrap(object))
        }
        Err(invalid) => {
            complain::<K>(&invalid, events);
            // A list replaces what was known, so leaving the object out is enough there.
            if listed { None } else { forget(&invalid).map(Event::Delete) }
        }
    }
}

/// Says in the log and in an event which object is left alone, and why.
fn complain<K: Resource<DynamicType = ()>>(invalid: &InvalidObject, events: &Events) {
    let kind = K::kind(&()).into_owned();
    let object = ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(kind.clone()),
        name: invalid.metadata.name.clone(),
        namespace: invalid.metadata.namespace.clone(),
        uid: invalid.metadata.uid.clone(),
        ..ObjectReference::default()
    };
    tracing::warn!(kind, name = object.name, namespace = object.namespace, error = %invalid.error, "object can't be decoded, left alone");
    let (events, note) = (
        events.clone(),
        format!("This release can't read the object and leaves it alone: {}", invalid.error),
    );
    tokio::spawn(async move {
        events.publish(&object, EventType::Warning, reason::UNDECODABLE, "Watch", &note).await
    });
}
