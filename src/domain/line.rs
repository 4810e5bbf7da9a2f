//! The one line of a GitHub account: who writes next, when, and what holds all of them up. Time comes in as an argument.
//! Neighbours: `github` has one per account; who has to wait long is a Task, whose status says so.

mod forecast;
mod lane;
mod limits;
mod past;
mod queue;
mod ranked;
mod settings;
mod state;
mod time;
mod wait;
mod window;
mod write;

pub use limits::Named;
pub use queue::Waiter;
pub use settings::Settings;
pub use wait::{Wait, Why};
pub use write::Write;

use forecast::{Forecast, Start};
use jiff::Timestamp;
use lane::Load;
use limits::Limits;
use past::{LONGEST_WRITE, Past};
use queue::{PATIENCE, Queue};
use state::State;
use std::{sync::Arc, time::Duration};
use time::{Moment, SECOND, ceil, factor, floor, span, timestamp};
use window::Window;

/// A waiter is never told to come back sooner than after this: it would ask in a circle.
const SOON: i64 = 5;
/// A write takes about so long until one has been seen.
const TAKES: i64 = SECOND / 2;
/// A write that takes longer is an exception, and no measure of the next.
const TAKES_MOST: i64 = 10 * SECOND;
/// Who is called has so long to come before its turn.
const LEAD: i64 = 2 * SECOND;
/// Who will come by itself within this is not called.
const SLACK: i64 = SECOND;
/// At most so many are called at once, and come early at worst.
const CALLED: usize = 8;

/// The answer to who asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Send the write now, and say when it is [`done`](Line::done).
    Go(Ticket),
    Wait(Wait),
}

/// A write under way.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the next write waits until this one is done"]
pub struct Ticket(u64);

#[derive(Debug)]
struct UnderWay {
    ticket: u64,
    began: Moment,
}

/// The line of one account.
///
/// Writes are serial, begin `interval` apart (three after one that tells people), and keep under GitHub's numbers in any minute
/// and any hour. Whoever wants to write asks; the answer is a turn, which must be ended with [`Line::done`], or a time to ask again
/// at. [`Line::call`] names those to wake because their turn comes sooner than they were told: to be asked after each write, and
/// each second or two.
#[derive(Debug)]
pub struct Line {
    settings: Settings,
    queue: Queue,
    window: Window,
    limits: Limits,
    under_way: Option<UnderWay>,
    /// When the next write may begin, by spacing.
    next: Moment,
    /// How long writes have taken lately.
    takes: i64,
    /// Since when the turn at hand is there, as far as it has been seen.
    free_since: Option<Moment>,
    tickets: u64,
    /// The latest time that has come in. A clock that was set back stands here until it is there again: nothing goes twice.
    seen: Moment,
    forecast: Option<Forecast>,
}

impl Line {
    /// The line of an account that nobody has written to within an hour.
    pub fn new(settings: Settings) -> Self {
        Self::after(settings, Past::default())
    }

    /// Goes on where the leader before has stopped, which wrote this state down; `None` (or what can't be read) if it wrote none
    /// at all, about no account. Then nothing is known: the first write waits 3 s, and for an hour about one goes in 8 s.
    ///
    /// The line's own state has to be written down before its first turn is given: a leader that is gone before it has written
    /// anything would leave that of the one before, which may say that nothing was sent after it.
    pub fn restore(settings: Settings, state: Option<&str>, gained_at: Timestamp) -> Self {
        let gained = ceil(gained_at);
        let past = match state.and_then(State::decode) {
            Some(state) => past::written(&settings, &state, gained),
            None => past::unknown(&settings, gained),
        };
        Self::after(settings, past)
    }

    /// The line of an account that the leader before has said nothing about, though it has written down others, or that
    /// there were none: only what it may have sent in its last seconds counts.
    pub fn unmentioned(settings: Settings, gained_at: Timestamp) -> Self {
        Self::after(settings, past::unmentioned(&settings, ceil(gained_at)))
    }

    fn after(settings: Settings, past: Past) -> Self {
        Self {
            settings,
            queue: Queue::default(),
            window: past.window,
            limits: past.limits,
            under_way: None,
            next: past.next,
            takes: TAKES,
            free_since: None,
            tickets: 0,
            seen: 0,
            forecast: None,
        }
    }

    /// The waiter wants to write now. Who asks again keeps its place, and may ask for another write.
    pub fn ask(&mut self, now: Timestamp, waiter: &Waiter) -> Asked {
        let now = self.pass(now);
        let number = self.queue.enter(now, waiter);
        if self.is_free(now) && self.may_go(now, number) {
            self.queue.served(now, number);
            return Asked::Go(self.begin(now, waiter.write));
        }
        Asked::Wait(self.wait(now, number))
    }

    /// The write has ended, with whatever answer, or nobody waits for it any longer.
    #[expect(clippy::needless_pass_by_value, reason = "a write ends once")]
    pub fn done(&mut self, now: Timestamp, ticket: Ticket) {
        let end = ceil(now).max(self.pass(now));
        if let Some(under_way) = self.under_way.take_if(|under_way| under_way.ticket == ticket.0) {
            let took = (end - under_way.began).min(TAKES_MOST);
            self.takes = (3 * self.takes + took) / 4;
        }
        // One that was given up here is counted once more: GitHub may have counted it as late as now.
        self.window.add(end);
        self.forecast = None;
    }

    /// The object is gone, or does not want to write any more.
    pub fn leave(&mut self, uid: &str) {
        self.queue.leave(uid);
    }

    /// Names those to wake: their turn has come, or comes at once, and they were told a later time; or they have not come when
    /// they were to. Each is named once until it asks again. One that does not come loses its turn.
    pub fn call(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let now = self.pass(now);
        if self.is_free(now) && self.first_is_late(now) {
            self.free_since = Some(now);
        }
        let mut called = Vec::new();
        for (ahead, number) in self.queue.next(CALLED).into_iter().enumerate() {
            let (turn, _) = self.turn(now, ahead + 1);
            if turn > now + LEAD {
                break;
            }
            let Some(promise) = self.queue.promise(number) else { continue };
            let is_late = promise.until > turn + SLACK || promise.until + SLACK < now;
            if is_late && !promise.called {
                called.push(promise.uid.clone());
                self.queue.called(number);
            }
        }
        called
    }

    /// GitHub has named a limit, for reads and writes; `wait` is what it said, if it did. Returns when the limit ends.
    pub fn limit(&mut self, now: Timestamp, wait: Duration, named: Named) -> Timestamp {
        let now = self.pass(now);
        self.forecast = None;
        timestamp(self.limits.limit(now, wait, named))
    }

    /// GitHub has answered without a limit.
    pub fn unlimited(&mut self, now: Timestamp) {
        self.limits.unlimited(floor(now));
    }

    /// Returns until when nothing may be sent at all, neither reads nor writes.
    pub fn blocked(&self, now: Timestamp) -> Option<Timestamp> {
        self.limits.blocked(floor(now)).map(|(until, _)| timestamp(until))
    }

    /// Returns how the limit that holds was named.
    pub fn named(&self, now: Timestamp) -> Option<Named> {
        self.limits.blocked(floor(now)).map(|(_, named)| named)
    }

    /// Returns whether nothing would be lost with this line: nobody waits, nothing binds the next write or counts for it.
    pub fn is_idle(&mut self, now: Timestamp) -> bool {
        let now = self.pass(now);
        self.under_way.is_none()
            && self.next <= now
            && self.queue.is_empty()
            && self.window.is_empty()
            && self.limits.is_idle(now)
    }

    /// The state for the next leader. `handed_over`: nothing will be sent after this.
    pub fn encode(&self, now: Timestamp, handed_over: bool) -> String {
        let last = self.window.latest().next().unwrap_or_default();
        let written = ceil(now).max(self.seen).max(last);
        let held = self.limits.held.map(|(until, named)| (until - written, named));
        let under_way = self.under_way.is_some();
        State {
            written,
            is_last: handed_over && !under_way,
            under_way,
            settings: self.settings,
            next: (self.next - written).max(0),
            limits: Limits { held, ..self.limits },
            ages: self.window.latest().map(|end| written - end).collect(),
            step: 0,
        }
        .encode()
    }

    /// Lets time go on, and returns it.
    fn pass(&mut self, now: Timestamp) -> Moment {
        let now = floor(now).max(self.seen);
        self.seen = now;
        if self.under_way.take_if(|under_way| under_way.began + LONGEST_WRITE <= now).is_some() {
            self.window.add(now);
            self.forecast = None;
        }
        self.window.forget(now, &self.settings);
        self.queue.tidy(now);
        now
    }

    fn is_free(&mut self, now: Moment) -> bool {
        let is_free = self.under_way.is_none() && self.turn(now, 1).0 <= now;
        self.free_since = is_free.then(|| self.free_since.unwrap_or(now));
        is_free
    }

    /// Returns whether the turn at hand is this waiter's, who has asked: as the first, or because the first does not come. However
    /// many of those before it are not there, the turn waits for them once.
    fn may_go(&mut self, now: Moment, number: u64) -> bool {
        self.queue.first() == Some(number) || self.first_is_late(now)
    }

    /// Passes over the first if the turn at hand has waited for it long enough.
    fn first_is_late(&mut self, now: Moment) -> bool {
        let Some(first) = self.queue.first() else { return false };
        self.queue.missed(now, first);
        let is_late = self.free_since.is_some_and(|since| since + PATIENCE <= now);
        if is_late {
            self.queue.pass_over(first);
        }
        is_late
    }

    fn begin(&mut self, now: Moment, write: Write) -> Ticket {
        self.tickets += 1;
        let interval = span(self.settings.interval);
        self.next = now + if write.notifies() { 3 * interval } else { interval };
        self.free_since = None;
        self.under_way = Some(UnderWay { ticket: self.tickets, began: now });
        self.forecast = None;
        Ticket(self.tickets)
    }

    fn wait(&mut self, now: Moment, number: u64) -> Wait {
        let ahead = self.queue.ahead(number).unwrap_or_default();
        let (nearest, why) = self.turn(now, ahead.waiters + 1);
        // Who may be next in a moment has to be there, in case that nobody comes with another write before it.
        let (turn, why) =
            if nearest <= now + LEAD { (nearest, why) } else { self.turn_behind(now, ahead.load) };
        let until = turn.max(now + SOON);
        self.queue.promised(number, until);
        Wait { place: ahead.waiters + 1, why, until: timestamp(until) }
    }

    /// When the turn behind all these writes comes.
    fn turn_behind(&mut self, now: Moment, load: Load) -> (Moment, Why) {
        let (first, _) = self.turn(now, 1);
        let interval = span(self.settings.interval);
        let spaced = first + factor(load.writes + 2 * load.notices) * interval;
        let (turn, why) = self.turn(now, load.writes + 1);
        if spaced > turn { (spaced, Why::Spacing(self.settings.interval)) } else { (turn, why) }
    }

    /// When the turn of this number comes, from 1, and what binds it.
    fn turn(&mut self, now: Moment, number: usize) -> (Moment, Why) {
        if self.forecast.as_ref().is_some_and(|forecast| forecast.first().is_some_and(|first| first < now)) {
            self.forecast = None;
        }
        let start = self.start(now);
        let forecast = self.forecast.get_or_insert_with(|| Forecast::new(self.settings, start));
        forecast.turn(&self.window, number)
    }

    fn start(&self, now: Moment) -> Start {
        let spacing = Why::Spacing(self.settings.interval);
        let pending = self.under_way.as_ref().map(|write| {
            // One that takes longer than others goes on for half as long again: nobody asks in a circle meanwhile.
            (write.began + self.takes).max(now + SOON.max((now - write.began) / 2))
        });
        let limit = self.limits.blocked(now);
        let bounds = [
            Some((self.next, spacing)),
            pending.map(|pending| (pending, Why::AWriteUnderWay)),
            limit.map(|(until, named)| (until, Why::Limit(named))),
        ];
        let later = |a: (Moment, Why), b: (Moment, Why)| if b.0 > a.0 { b } else { a };
        let (earliest, why) = bounds.into_iter().flatten().fold((now, spacing), later);
        Start { earliest, why, pending, takes: self.takes }
    }
}

#[cfg(test)]
mod tests;
