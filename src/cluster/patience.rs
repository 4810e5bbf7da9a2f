//! Keeps a watch going: waits between failed tries, and lists at once when its version is too old.
//! Used by `watch` and `lease`; `app` waits in the same way for its first answers.

use futures::{Stream, StreamExt, stream};
use kube::{core::Status, runtime::watcher};
use std::{
    hash::{BuildHasher as _, RandomState},
    pin::Pin,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Wait after the first failure, doubling with each further one up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// A store that is half a minute old costs more than a call every few seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A try that failed later than this after the one before was a working watch in between: one over objects that do not
/// change brings no event that would say so. Longer than any wait and the connect that follows it.
const WORKED: Duration = Duration::from_secs(30);

/// Waits between tries that fail. Of each wait the half is left to chance: many that lost the same API server must not
/// all come back at once.
#[derive(Debug)]
pub struct Waits {
    next: Duration,
    failed: Option<Instant>,
}

impl Default for Waits {
    fn default() -> Self {
        Self { next: FIRST_WAIT, failed: None }
    }
}

impl Waits {
    /// The wait after one more failure.
    pub fn after_failure(&mut self) -> Duration {
        if self.failed.replace(Instant::now()).is_some_and(|last| last.elapsed() > WORKED) {
            self.next = FIRST_WAIT;
        }
        let longest = self.next;
        self.next = (longest * 2).min(LONGEST_WAIT);
        longest / 2 + (longest / 2).mul_f64(chance())
    }

    /// A try has worked.
    pub fn reset(&mut self) {
        self.next = FIRST_WAIT;
    }
}

/// From 0 to 1: a share of a wait that is left to chance.
pub fn chance() -> f64 {
    // The keys of each state are random; 32 bits are exact in the number.
    let random = RandomState::new().hash_one(0) >> 32;
    u32::try_from(random).map_or(0.0, |random| f64::from(random) / f64::from(u32::MAX))
}

/// A watch, what begins it anew, and what it has to wait for.
struct Watch<S, B> {
    events: Pin<Box<S>>,
    begin: B,
    waits: Waits,
    wait: Option<Duration>,
    /// Time of the last list that was made because the version was too old.
    expired: Option<Instant>,
}

/// The events of the watch that `begin` begins, with a wait after each failure. `works` tells which events show that the
/// API server has answered; the mere begin of a list does not.
///
/// An answer that says that the version is too old (410) is no failure: the list that follows is made at once. One that
/// comes again within the longest wait is treated like any other, so that a server that gives nothing else is not flooded.
pub(super) fn patient<T, S>(
    begin: impl Fn() -> S + Send,
    works: fn(&T) -> bool,
) -> impl Stream<Item = Result<T, watcher::Error>> + Send
where
    T: Send + 'static,
    S: Stream<Item = Result<T, watcher::Error>> + Send,
{
    let watch =
        Watch { events: Box::pin(begin()), begin, waits: Waits::default(), wait: None, expired: None };
    stream::unfold(watch, move |mut watch| async move {
        loop {
            if let Some(wait) = watch.wait.take() {
                sleep(wait).await;
            }
            match watch.events.next().await? {
                Ok(event) => {
                    if works(&event) {
                        watch.waits.reset();
                    }
                    return Some((Ok(event), watch));
                }
                Err(error) => {
                    if !watch.lists_at_once(&error) {
                        watch.wait = Some(watch.waits.after_failure());
                        return Some((Err(error), watch));
                    }
                }
            }
        }
    })
}

impl<S, B: Fn() -> S> Watch<S, B> {
    /// Whether the error says that the version is too old, for the first time in a while.
    fn lists_at_once(&mut self, error: &watcher::Error) -> bool {
        if !is_expired(error) {
            return false;
        }
        if matches!(error, watcher::Error::WatchStartFailed(_)) {
            // kube would ask for the same version for ever.
            self.events = Box::pin((self.begin)());
        }
        let first = self.expired.is_none_or(|last| last.elapsed() >= LONGEST_WAIT);
        if first {
            self.expired = Some(Instant::now());
            tracing::debug!("the watch's version is too old: listing anew");
        }
        first
    }
}

/// 410, for a watch or for the next page of a list.
fn is_expired(error: &watcher::Error) -> bool {
    let expired = |status: &Status| status.code == 410;
    match error {
        watcher::Error::WatchError(status) => expired(status),
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::InitialListFailed(kube::Error::Api(status)) => expired(status),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    /// Stands for the begin of a list.
    const BEGIN: u8 = 0;

    fn error(code: u16) -> watcher::Error {
        watcher::Error::WatchError(Status::failure("m", "r").with_code(code).boxed())
    }

    fn code(error: watcher::Error) -> u16 {
        match error {
            watcher::Error::WatchError(status) => status.code,
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code,
            other => panic!("{other}"),
        }
    }

    /// When each of `events` comes, in milliseconds from the start.
    async fn arrivals(
        events: impl IntoIterator<Item = Result<u8, watcher::Error>>,
    ) -> Vec<(Result<u8, u16>, u128)> {
        let start = Instant::now();
        let events = std::sync::Mutex::new(Some(events.into_iter().collect::<Vec<_>>()));
        let begin = || stream::iter(events.lock().unwrap().take().unwrap_or_default());
        let arriving = patient(begin, |event| *event != BEGIN);
        arriving.map(|event| (event.map_err(code), start.elapsed().as_millis())).collect().await
    }

    /// The waits before each event but the first.
    async fn waits(events: impl IntoIterator<Item = Result<u8, watcher::Error>>) -> Vec<u128> {
        let at: Vec<_> = arrivals(events).await.iter().map(|(_, at)| *at).collect();
        at.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_is_too_old_leads_to_a_list_at_once() {
        assert_eq!(arrivals([Ok(1), Err(error(410)), Ok(2)]).await, [(Ok(1), 0), (Ok(2), 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_refused_for_its_version_begins_anew() {
        let begun = Arc::new(AtomicUsize::new(0));
        let begins = begun.clone();
        let begin = move || {
            let first = begins.fetch_add(1, Ordering::Relaxed) == 0;
            let status = Status::failure("m", "Expired").with_code(410).boxed();
            let refused = watcher::Error::WatchStartFailed(kube::Error::Api(status));
            // The first would be refused for ever.
            let events = if first { vec![Ok(1), Err(refused)] } else { vec![Ok(BEGIN), Ok(2)] };
            stream::iter(events)
        };
        let events: Vec<_> = patient(begin, |_| true).map(|event| event.map_err(code)).collect().await;
        assert_eq!((events, begun.load(Ordering::Relaxed)), (vec![Ok(1), Ok(BEGIN), Ok(2)], 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_but_too_old_is_not_flooded() {
        let arrived = arrivals([Err(error(410)), Err(error(410)), Err(error(410)), Ok(1)]).await;
        assert_eq!(arrived.iter().map(|(event, _)| *event).collect::<Vec<_>>(), [Err(410), Err(410), Ok(1)]);
        assert!(arrived[2].1 >= 750, "{arrived:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_after_failures_double_to_five_seconds_and_no_further() {
        let waits = waits((0..12).map(|_| Err(error(500))).chain([Ok(1)])).await;
        for (wait, longest) in waits.iter().zip([500, 1000, 2000, 4000].into_iter().chain([5000; 8])) {
            assert!((longest / 2..=longest + 1).contains(wait), "{waits:?}");
        }
        assert_eq!(waits.len(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_begins_the_waits_anew_and_the_begin_of_a_list_does_not() {
        let failing = || (0..5).map(|_| Err(error(500)));
        let answered = waits(failing().chain([Ok(1), Err(error(500)), Ok(1)])).await;
        assert!(answered[6] <= 501, "{answered:?}");
        let begun = waits(failing().chain([Ok(BEGIN), Err(error(500)), Ok(1)])).await;
        assert!(begun[6] >= 2500, "{begun:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_was_silent_for_long_has_worked() {
        let mut waits = Waits::default();
        for _ in 0..6 {
            sleep(waits.after_failure()).await;
        }
        assert!(waits.after_failure() >= LONGEST_WAIT / 2);
        sleep(WORKED + Duration::from_secs(1)).await;
        assert!(waits.after_failure() <= FIRST_WAIT);
    }
}
