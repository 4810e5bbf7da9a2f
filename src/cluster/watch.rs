//! Watches every kind in one way: consistent lists, dead connections noticed, undecodable objects set aside.
//! Serves the controllers' stores and the receiver's projection.

use super::{Events, events::EventType};
use crate::api::conditions::reason;
use futures::{Stream, StreamExt};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::ObjectReference};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store},
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, time::Duration};
use tokio::time::Instant;

/// Seconds a watch may stay silent before its connection counts as dead.
const IDLE_SECONDS: u32 = 60;
/// kube waits this much longer than it tells the server to.
const KUBE_MARGIN_SECONDS: u32 = 5;
/// The longest wait after a watch failed.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Item of a stream of watched objects.
pub type Watched<K> = Result<Event<K>, watcher::Error>;

/// The settings of every watch.
///
/// Lists are paged and consistent. Streaming lists would save memory, but kube asks for them from version 0, and an API
/// server whose cache of a freshly installed CRD has seen no write yet then holds back the bookmark that ends the list.
fn config() -> watcher::Config {
    watcher::Config::default().timeout(IDLE_SECONDS - KUBE_MARGIN_SECONDS)
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
    api: Api<DeserializeGuard<K>>,
    events: Events,
    forget: impl Fn(&InvalidObject) -> Option<K> + Send + 'static,
) -> impl Stream<Item = Watched<K>> + Send
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static,
{
    patient(watcher(api, config())).filter_map(move |watched| {
        let event = watched.map(|event| decode(event, &events, &forget)).transpose();
        std::future::ready(event)
    })
}

/// The same events with a wait after each failure, growing to [`LONGEST_WAIT`].
///
/// An answer that says the version is too old (410) is not a failure: the list that follows is made at once. One that comes
/// again within the longest wait is treated like any other, so that a server which gives nothing else is not flooded.
pub(super) fn patient<T: Send + 'static>(
    events: impl Stream<Item = Result<T, watcher::Error>> + Send,
) -> impl Stream<Item = Result<T, watcher::Error>> + Send {
    let mut expired: Option<Instant> = None;
    let events = events.filter(move |event| {
        let first = event.as_ref().is_err_and(is_expired)
            && expired.is_none_or(|last| last.elapsed() >= LONGEST_WAIT);
        if first {
            expired = Some(Instant::now());
            tracing::debug!("the watch's version is too old: listing anew");
        }
        std::future::ready(!first)
    });
    events.backoff(Waits(DefaultBackoff::default()))
}

fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

/// kube's waits, cut at [`LONGEST_WAIT`]: a store that is half a minute old costs more than a call every few seconds.
struct Waits(DefaultBackoff);

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|wait| wait.min(LONGEST_WAIT))
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.0.reset();
    }
}

fn decode<K>(
    event: Event<DeserializeGuard<K>>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use kube::core::Status;

    fn error(code: u16) -> watcher::Error {
        watcher::Error::WatchError(Status::failure("m", "r").with_code(code).boxed())
    }

    /// When each of `events` comes, in seconds from the start.
    async fn arrivals(events: Vec<Result<u8, watcher::Error>>) -> Vec<(Result<u8, u16>, u64)> {
        let start = Instant::now();
        let arriving = patient(stream::iter(events)).map(|event| {
            let event = event.map_err(|error| match error {
                watcher::Error::WatchError(status) => status.code,
                other => panic!("{other}"),
            });
            (event, start.elapsed().as_secs())
        });
        arriving.collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_is_too_old_leads_to_a_list_at_once() {
        assert_eq!(arrivals(vec![Ok(1), Err(error(410)), Ok(2)]).await, [(Ok(1), 0), (Ok(2), 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_but_too_old_is_not_flooded() {
        let arrived = arrivals(vec![Err(error(410)), Err(error(410)), Err(error(410)), Ok(1)]).await;
        assert_eq!(arrived.iter().map(|(event, _)| *event).collect::<Vec<_>>(), [Err(410), Err(410), Ok(1)]);
        assert!(arrived[2].1 >= 2, "{arrived:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_after_failures_grow_to_five_seconds_and_no_further() {
        let mut events: Vec<_> = (0..12).map(|_| Err(error(500))).collect();
        events.push(Ok(1));
        let at: Vec<_> = arrivals(events).await.iter().map(|(_, at)| *at).collect();
        let waits: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits[0] <= 2, "{waits:?}");
        assert!(waits[5..].iter().all(|wait| (4..=6).contains(wait)), "{waits:?}");
    }
}
