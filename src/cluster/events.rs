//! Kubernetes events (`events.k8s.io/v1`) that never fail a pass: what can't be published is logged.
//! Unlike kube's Recorder, an event whose note changes is a new event, not the first note counted again.

use super::Error;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

pub use kube::runtime::events::EventType;

/// Time for which equal events are counted in one object, from the last of them (as client-go does).
const SERIES_TTL: Duration = Duration::from_mins(6);
/// An event is a courtesy: a slow API server must not hold up the pass that publishes it.
const DEADLINE: Duration = Duration::from_secs(3);
/// The API server's bound on notes, in bytes.
const NOTE_BYTES: usize = 1024;

/// Content of an event. Two events are the same when all of it is.
struct Said<'a> {
    object: &'a ObjectReference,
    kind: EventType,
    reason: &'a str,
    action: &'a str,
    note: &'a str,
}

impl Said<'_> {
    fn type_(&self) -> &'static str {
        match self.kind {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }

    fn key(&self) -> String {
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        let object = self.object;
        let words = [&of(&object.kind), &of(&object.namespace), &of(&object.name), &of(&object.uid)];
        let words =
            words.map(String::as_str).into_iter().chain([self.type_(), self.reason, self.action, self.note]);
        words.collect::<Vec<_>>().join("\0")
    }
}

struct Series {
    name: String,
    count: i32,
    last: Instant,
}

/// Publishes events under one reporter.
#[derive(Clone)]
pub struct Events {
    client: Client,
    /// `slipway-controller` or `slipway-webhook`.
    controller: String,
    /// The Pod.
    instance: String,
    series: Arc<Mutex<HashMap<String, Series>>>,
    complained: Arc<Mutex<HashMap<&'static str, Instant>>>,
}

impl Events {
    /// `controller` names the component (a qualified name), `instance` the Pod or process it runs in.
    pub fn new(client: Client, controller: &str, instance: &str) -> Self {
        Self {
            client,
            controller: controller.to_owned(),
            instance: cut_bytes(instance, 128).to_owned(),
            series: Arc::default(),
            complained: Arc::default(),
        }
    }

    /// Publishes one event about `object`. `reason` and `action` are CamelCase; the note is cut to 1 kB.
    /// Returns when the API server has answered or after 3 s; a failure is only logged.
    pub async fn publish(
        &self,
        object: &ObjectReference,
        kind: EventType,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        let said = Said { object, kind, reason, action, note: cut_bytes(note, NOTE_BYTES) };
        let failure = match tokio::time::timeout(DEADLINE, self.send(&said)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => Error::Unavailable("no answer within 3 s".to_owned()),
        };
        let (name, namespace) = (object.name.as_deref(), object.namespace.as_deref());
        if self.is_first_complaint(failure.reason()) {
            tracing::warn!(name, namespace, reason, error = %failure, "event not published");
        } else {
            tracing::debug!(name, namespace, reason, error = %failure, "event not published");
        }
    }

    async fn send(&self, said: &Said<'_>) -> Result<(), Error> {
        let key = said.key();
        let namespace = said.object.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        if let Some((name, count)) = self.counted(&key) {
            let series = EventSeries { count, last_observed_time: MicroTime(Timestamp::now()) };
            let patch = Patch::Merge(json!({ "series": series }));
            match api.patch(&name, &PatchParams::default(), &patch).await.map_err(Error::from) {
                // It outlived its time to live: it is published anew below.
                Err(Error::NotFound(_)) => {}
                other => return other.map(drop),
            }
        }
        let event = self.event(said, namespace);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.insert(key, Series { name, count: 1, last: Instant::now() });
        Ok(())
    }

    /// Name and new count of the event that `key` repeats.
    fn counted(&self, key: &str) -> Option<(String, i32)> {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.retain(|_, series| series.last.elapsed() < SERIES_TTL);
        let series = series.get_mut(key)?;
        series.count = series.count.saturating_add(1);
        series.last = Instant::now();
        Some((series.name.clone(), series.count))
    }

    fn event(&self, said: &Said<'_>, namespace: &str) -> Event {
        let now = Timestamp::now();
        // `<object>.<nanoseconds>`, within the 253 characters of a name even for the longest object.
        let stem = cut_bytes(said.object.name.as_deref().unwrap_or(&self.controller), 220);
        let name = format!("{}.{:x}", stem.trim_end_matches(['.', '-']), now.as_nanosecond());
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(said.type_().to_owned()),
            reason: Some(said.reason.to_owned()),
            action: Some(said.action.to_owned()),
            note: Some(said.note.to_owned()),
            regarding: Some(said.object.clone()),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }

    /// One warning per kind of failure and 10 minutes; a missing right would otherwise fill the log.
    fn is_first_complaint(&self, reason: &'static str) -> bool {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        match complained.get(reason) {
            Some(last) if last.elapsed() < Duration::from_mins(10) => false,
            _ => {
                complained.insert(reason, Instant::now());
                true
            }
        }
    }
}

/// At most `max` bytes of `text`, cut between characters.
fn cut_bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_between_characters() {
        assert_eq!(cut_bytes("aä", 2), "a");
        assert_eq!(cut_bytes("aä", 3), "aä");
        assert_eq!(cut_bytes(&"€".repeat(1000), NOTE_BYTES).len(), 1023);
    }
}
