//! One account of GitHub's: the line of its writes, asked under a lock, and the waits for turns that are near.
//! `domain::line` decides whose turn it is; `client` sends what has its turn.

use crate::domain::line::{Asked, Line, Named, Ticket, Wait, Waiter};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Longest wait for a turn inside a call. A longer one is the object's: no pass is held for it.
const NEAR: Duration = Duration::from_secs(5);
/// The same for one that has written in this pass: what follows is near by the rules of the line, and what it has done by then may
/// have to be done again if it goes away.
const NEAR_AGAIN: Duration = Duration::from_secs(30);
/// Who goes away is not called again before this: others go first, or a write takes long.
const AWAY: SignedDuration = SignedDuration::from_secs(1);
/// At most so many wait inside their calls: the passes of other accounts' objects need room too.
const INSIDE: usize = 8;

/// A limit that moves by less is no news.
const MOVED: SignedDuration = SignedDuration::from_mins(1);

/// The time of day that the lines go by. It goes on while the machine's clock is set back, and follows it when that is set forward.
#[derive(Debug)]
pub(super) struct Clock {
    machine: fn() -> Timestamp,
    last: Mutex<(Timestamp, Instant)>,
}

impl Clock {
    /// `machine`: what the machine's clock says.
    pub(super) fn start(machine: fn() -> Timestamp) -> Self {
        Self { machine, last: Mutex::new((machine(), Instant::now())) }
    }

    pub(super) fn now(&self) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = SignedDuration::try_from(last.1.elapsed()).unwrap_or(SignedDuration::MAX);
        let went_on = last.0.saturating_add(gone).unwrap_or(Timestamp::MAX);
        *last = (went_on.max((self.machine)()), Instant::now());
        last.0
    }

    /// The same moment on the machine's clock, which what is written and waited for elsewhere goes by.
    fn told(&self, at: Timestamp) -> Timestamp {
        let ahead = self.now().duration_since((self.machine)());
        // Less is the time between two looks at clocks that agree.
        if ahead < SignedDuration::from_secs(1) { at } else { at.saturating_sub(ahead).unwrap_or(at) }
    }
}

/// One account, shared by all clients that call through it.
#[derive(Debug)]
pub struct Account {
    line: Mutex<Line>,
    clock: Arc<Clock>,
    /// Wakes those that wait inside their calls.
    free: Notify,
    /// Wakes whoever calls the others.
    moved: Arc<Notify>,
    waiting: Mutex<Waiting>,
    /// The login of its user, or which installation of an App it is.
    name: OnceLock<String>,
    watchers: Mutex<Watchers>,
}

/// A limit that GitHub has named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimit {
    pub until: Timestamp,
    pub named: Named,
}

/// Those that are called when a limit begins, moves or ends.
#[derive(Debug, Default)]
struct Watchers {
    ids: HashSet<Arc<str>>,
    /// The limit that they have been called for.
    told: Option<Timestamp>,
}

impl Watchers {
    /// Whether they have to hear of the limit as it is now.
    fn hear(&mut self, until: Option<Timestamp>) -> bool {
        let is_news = match (self.told, until) {
            (Some(told), Some(until)) => until.duration_since(told).abs() > MOVED,
            (told, until) => told.is_some() != until.is_some(),
        };
        if is_news {
            self.told = until;
        }
        is_news
    }
}

/// Where those wait who are in the line.
#[derive(Debug, Default)]
struct Waiting {
    /// Inside their calls: they come by themselves.
    inside: HashSet<Arc<str>>,
    /// Elsewhere: they are called at the times that they were told.
    away: HashMap<Arc<str>, Timestamp>,
    due: BTreeSet<(Timestamp, Arc<str>)>,
}

impl Waiting {
    fn comes(&mut self, uid: &Arc<str>) {
        self.forget(uid);
        self.inside.insert(uid.clone());
    }

    fn forget(&mut self, uid: &str) {
        if let Some((uid, until)) = self.away.remove_entry(uid) {
            self.due.remove(&(until, uid));
        }
    }

    fn goes_away(&mut self, uid: &Arc<str>, until: Timestamp) {
        self.away.insert(uid.clone(), until);
        self.due.insert((until, uid.clone()));
    }

    /// Those whose time has come; each is named once.
    fn due(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        while let Some((_, uid)) = self.due.first().filter(|(until, _)| *until <= now).cloned() {
            self.due.pop_first();
            self.away.remove(&uid);
            due.push(uid);
        }
        due
    }
}

impl Account {
    pub(super) fn new(line: Line, clock: Arc<Clock>, moved: Arc<Notify>) -> Self {
        Self {
            line: Mutex::new(line),
            clock,
            free: Notify::new(),
            moved,
            waiting: Mutex::default(),
            name: OnceLock::new(),
            watchers: Mutex::default(),
        }
    }

    /// The login of its user, or which installation of an App it is; `None` where GitHub does not tell.
    pub fn name(&self) -> Option<&str> {
        self.name.get().map(String::as_str)
    }

    /// Returns the limit that holds now.
    pub fn limited(&self) -> Option<AccountLimit> {
        let (now, line) = (self.now(), self.line());
        Some(AccountLimit { until: self.clock.told(line.blocked(now)?), named: line.named(now)? })
    }

    pub(super) fn named(&self, name: impl FnOnce() -> String) {
        self.name.get_or_init(name);
    }

    /// The object `id` is called when a limit begins, moves or ends.
    pub(super) fn watch(&self, id: &Arc<str>) {
        self.watchers().ids.insert(id.clone());
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns until when nothing may be sent, if a limit holds.
    pub(super) fn blocked(&self) -> Option<Timestamp> {
        let until = self.line().blocked(self.now())?;
        Some(self.clock.told(until))
    }

    /// GitHub named a limit: keeps it and says when it ends.
    pub(super) fn limit(&self, wait: Duration, named: Named) -> Timestamp {
        let until = self.line().limit(self.now(), wait, named);
        self.moved.notify_one();
        self.clock.told(until)
    }

    /// Another process has led meanwhile, and left this line. A limit that this process knows of ends no sooner for it.
    pub(super) fn go_on_with(&self, mut line: Line) {
        let now = self.now();
        let mut known = self.line();
        if let (Some(until), Some(named)) = (known.blocked(now), known.named(now)) {
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            line.limit(now, wait, if named == Named::Silent { Named::Told } else { named });
        }
        *known = line;
    }

    /// The object `id` does not want to write any more.
    pub(super) fn leave(&self, id: &str) {
        let mut waiting = self.waiting();
        waiting.forget(id);
        if !waiting.inside.contains(id) {
            drop(waiting);
            self.line().leave(id);
        }
    }

    /// Whether the object `id` was told to come later, and it is not later yet.
    pub(super) fn awaits(&self, id: &str) -> bool {
        self.waiting().away.contains_key(id)
    }

    /// A call was answered without a limit.
    pub(super) fn unlimited(&self) {
        self.line().unlimited(self.now());
    }

    /// The turn of `waiter` to write. One that is near is waited for, longer by who has written in this pass; else the error says
    /// where it stands in the line, and it will be called.
    pub(super) async fn turn(&self, waiter: &Waiter, again: bool) -> Result<Turn<'_>, Wait> {
        let deadline = Instant::now() + if again { NEAR_AGAIN } else { NEAR };
        let _inside = Inside::enter(self, &waiter.uid);
        loop {
            let mut free = pin!(self.free.notified());
            // From here on a write that ends is heard of, also one that ends before the wait below begins.
            free.as_mut().enable();
            let now = self.now();
            let asked = self.line().ask(now, waiter);
            let wait = match asked {
                Asked::Go(ticket) => return Ok(Turn { account: self, ticket: Some(ticket) }),
                Asked::Wait(wait) => wait,
            };
            let due = Instant::now() + Duration::try_from(wait.until.duration_since(now)).unwrap_or_default();
            if due > deadline || Instant::now() >= deadline || wait.place > INSIDE {
                self.waiting().goes_away(&waiter.uid, wait.until.max(now + AWAY));
                return Err(Wait { until: self.clock.told(wait.until), ..wait });
            }
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = free => {}
            }
        }
    }

    /// Those that wait elsewhere and whose turn has come, and those that have to hear of a limit.
    pub(super) fn called(&self, now: Timestamp) -> Vec<Arc<str>> {
        let sooner = self.line().call(now);
        let mut waiting = self.waiting();
        let mut called = waiting.due(now);
        for uid in sooner.into_iter().filter(|uid| !waiting.inside.contains(uid)).collect::<Vec<_>>() {
            waiting.forget(&uid);
            called.push(uid);
        }
        drop(waiting);
        let (until, mut watchers) = (self.line().blocked(now), self.watchers());
        if watchers.hear(until) {
            called.extend(watchers.ids.iter().cloned());
        }
        called
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next of those that wait elsewhere was told to come.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.waiting().due.first().map(|(until, _)| *until)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while a write is under way.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    account: &'a Account,
    ticket: Option<Ticket>,
}

impl Drop for Turn<'_> {
    // A write whose future is dropped has been sent all the same.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        self.account.line().done(self.account.now(), ticket);
        self.account.free.notify_waiters();
        self.account.moved.notify_one();
    }
}

/// Stands for one that waits inside its call.
struct Inside<'a> {
    account: &'a Account,
    uid: &'a Arc<str>,
}

impl<'a> Inside<'a> {
    fn enter(account: &'a Account, uid: &'a Arc<str>) -> Self {
        account.waiting().comes(uid);
        Self { account, uid }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.account.waiting().inside.remove(self.uid);
        // Its turn may come to nothing now, and another's with it.
        self.account.moved.notify_one();
    }
}
