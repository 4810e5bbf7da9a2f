//! Who is connected: a place for each, and who has to go when all are taken.
//! Used by `server` and `wire`, and by `routes`, which takes a request's headers from it and tells when it is complete.

use http::HeaderMap;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Connections at a time.
const MOST: usize = 512;
/// A client that keeps the receiver waiting for less is not slow: many may come at once.
const PATIENCE: Duration = Duration::from_millis(250);
/// Interval at which a new connection looks again for a place.
const LOOK: Duration = Duration::from_millis(10);

/// All places.
pub(super) struct Connections {
    most: usize,
    started: Instant,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    next: u64,
    places: HashMap<u64, Arc<State>>,
}

/// What is known of one connection. Changed by itself alone, without a lock: once or twice per request.
#[derive(Debug, Default)]
struct State {
    /// Milliseconds from the start to the opening of the connection or the end of its last answer.
    since: AtomicU64,
    /// All that the client has sent has been read, and it is not a whole request.
    waited_for: AtomicBool,
    /// A whole request has come and is not answered yet.
    complete: AtomicBool,
    /// Answers so far.
    answers: AtomicU64,
    /// The request has a length of two kinds.
    ambiguous: AtomicBool,
    /// Of the request that is being answered: a connection has one at a time.
    headers: Mutex<HeaderMap>,
    end: CancellationToken,
}

impl State {
    fn is_slow(&self, now: u64) -> bool {
        let waited = now.saturating_sub(self.since.load(Ordering::Relaxed));
        self.waited_for.load(Ordering::Relaxed)
            && !self.complete.load(Ordering::Relaxed)
            && u128::from(waited) >= PATIENCE.as_millis()
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Connections {
    fn new(most: usize) -> Self {
        Self { most, started: Instant::now(), taken: Mutex::default(), freed: Notify::new() }
    }

    /// A place for a connection that has just been opened. When all are taken, that one ends whose client has kept us waiting
    /// for a whole request for longest: who is slow gives way, who waits for an answer never. Waits while nobody is slow.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            let freed = self.freed.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            // A place may become free by patience that ends as well as by a connection that does.
            let _ = tokio::time::timeout(LOOK, freed).await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.places.len() >= self.most {
            let slow = taken.places.iter().filter(|(_, place)| place.is_slow(self.now()));
            let oldest = slow.min_by_key(|(number, place)| (place.since.load(Ordering::Relaxed), **number));
            let number = *oldest?.0;
            if let Some(place) = taken.places.remove(&number) {
                place.end.cancel();
            }
        }
        let (number, state) = (taken.next, Arc::new(State::default()));
        state.since.store(self.now(), Ordering::Relaxed);
        taken.next += 1;
        taken.places.insert(number, state.clone());
        Some(Place(Arc::new(Held { number, state, connections: self.clone() })))
    }

    /// Returns whether more than three of four places are taken.
    fn is_crowded(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).places.len() * 4 > self.most * 3
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The place of one connection. Cheap to clone; free when the last clone is gone.
#[derive(Clone)]
pub(super) struct Place(Arc<Held>);

struct Held {
    number: u64,
    state: Arc<State>,
    connections: Arc<Connections>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.connections.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.places.remove(&self.number);
        drop(taken);
        self.connections.freed.notify_waiters();
    }
}

impl Place {
    /// Whether the client has to send more before anything can go on.
    pub(super) fn waits(&self, waits: bool) {
        self.0.state.waited_for.store(waits, Ordering::Relaxed);
    }

    /// A request has come with these headers, which nobody copies.
    pub(super) fn arrived(&self, headers: HeaderMap) {
        *self.0.state.headers.lock().unwrap_or_else(PoisonError::into_inner) = headers;
    }

    /// The headers of the request that has come, once.
    pub(super) fn take_headers(&self) -> HeaderMap {
        std::mem::take(&mut self.0.state.headers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The whole request is there.
    pub(super) fn complete(&self) {
        self.0.state.complete.store(true, Ordering::Relaxed);
    }

    /// The request is answered; the next one may begin.
    pub(super) fn answered(&self) {
        let state = &self.0.state;
        // Nobody took those of a route that is not there: an idle connection holds none.
        drop(self.take_headers());
        state.since.store(self.0.connections.now(), Ordering::Relaxed);
        state.complete.store(false, Ordering::Relaxed);
        state.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests have been answered.
    pub(super) fn answers(&self) -> u64 {
        self.0.state.answers.load(Ordering::Relaxed)
    }

    /// The header of the request gives its length twice over, by `Content-Length` and by chunks.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.0.state.ambiguous.load(Ordering::Relaxed)
    }

    pub(super) fn set_ambiguous(&self) {
        self.0.state.ambiguous.store(true, Ordering::Relaxed);
    }

    /// Ready when the connection has to give way.
    pub(super) async fn ended(&self) {
        self.0.state.end.cancelled().await;
    }

    /// Returns whether places are scarce.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.connections.is_crowded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn is_ended(place: &Place) -> bool {
        place.ended().now_or_never().is_some()
    }

    /// A new connection of a client that sends nothing.
    async fn silent(connections: &Arc<Connections>) -> Place {
        let place = connections.take().await;
        place.waits(true);
        tokio::time::advance(PATIENCE).await;
        place
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_for_longest_gives_way_and_who_waits_for_an_answer_does_not() {
        let connections = Arc::new(Connections::new(3));
        let places = [silent(&connections).await, silent(&connections).await, silent(&connections).await];
        places[0].complete();
        places[1].answered();
        let fourth = silent(&connections).await;
        assert_eq!(places.each_ref().map(is_ended), [false, false, true]);
        let fifth = silent(&connections).await;
        assert!(is_ended(&places[1]) && !is_ended(&places[0]) && !is_ended(&fourth));
        // All busy: one more waits until one has been answered, and has then been silent.
        fourth.complete();
        fifth.complete();
        let mut waiting = Box::pin(connections.take());
        assert!((&mut waiting).now_or_never().is_none());
        fifth.answered();
        let started = Instant::now();
        let _sixth = waiting.await;
        assert!(is_ended(&fifth) && started.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_come_at_once_are_not_slow() {
        let connections = Arc::new(Connections::new(2));
        let first = connections.take().await;
        let second = connections.take().await;
        // What it has sent has not been read yet, so nobody waits for it.
        tokio::time::advance(PATIENCE * 4).await;
        second.waits(true);
        second.answered();
        let started = Instant::now();
        let _third = connections.take().await;
        assert!(is_ended(&second) && !is_ended(&first) && started.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn an_idle_connection_holds_no_headers_of_its_last_request() {
        let place = Arc::new(Connections::new(1)).take().await;
        let headers = HeaderMap::from_iter([(http::header::HOST, http::HeaderValue::from_static("slipway"))]);
        place.arrived(headers.clone());
        assert_eq!(place.take_headers(), headers);
        // Nobody asks for those of a path that is not there.
        place.arrived(headers);
        place.answered();
        assert!(place.take_headers().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_when_its_connection_ends() {
        let connections = Arc::new(Connections::new(1));
        let first = connections.take().await;
        first.complete();
        let (second, ()) = tokio::join!(connections.take(), async { drop(first) });
        assert!(!is_ended(&second) && second.is_crowded());
    }
}
