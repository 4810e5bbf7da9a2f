//! GitHub as it counts, and Tasks as their controller carries them, on a turned clock.
//! Used by `load` and `leaders`.

use super::{
    time::{HOUR, MINUTE},
    *,
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// Counts each call at a moment between its begin and its end that nobody else knows, and punishes what is too much: at first a
/// minute, then twice as long each
/// time, up to eight.
pub(super) struct GitHub {
    pub(super) counted: Vec<Moment>,
    pub(super) violations: usize,
    /// What it takes in an hour.
    pub(super) per_hour: usize,
    punished_until: Moment,
    punishment: i64,
}

impl GitHub {
    pub(super) fn new() -> Self {
        Self { counted: Vec::new(), violations: 0, per_hour: 500, punished_until: 0, punishment: MINUTE }
    }

    /// Returns whether the call is refused.
    pub(super) fn call(&mut self, begin: Moment, end: Moment, dice: &mut Dice) -> bool {
        let moment = match dice.roll(4) {
            0 => begin,
            1 => end,
            _ => begin + i64::try_from(dice.roll((end - begin + 1).unsigned_abs())).unwrap(),
        };
        let place = self.counted.partition_point(|counted| *counted <= moment);
        self.counted.insert(place, moment);
        let last =
            |span: i64| self.counted.len() - self.counted.partition_point(|counted| *counted < moment - span);
        let refused = moment < self.punished_until || last(MINUTE) > 80 || last(HOUR) > self.per_hour;
        if refused {
            self.violations += 1;
            // What is refused does not count, but for how long the punishment lasts.
            self.counted.remove(place);
            self.punished_until = moment + self.punishment;
            self.punishment = (2 * self.punishment).min(8 * MINUTE);
        }
        refused
    }

    /// Calls in each whole hour.
    pub(super) fn by_hour(&self, from: Moment, hours: i64) -> Vec<usize> {
        let count = |hour: i64| {
            let begin = from + hour * HOUR;
            self.counted.iter().filter(|counted| (begin..begin + HOUR).contains(*counted)).count()
        };
        (0..hours).map(count).collect()
    }
}

/// A Task: its writes one after the other, and what it has lived through.
pub(super) struct Task {
    pub(super) uid: Arc<str>,
    since: Timestamp,
    writes: Vec<Write>,
    next: usize,
    /// When it first asked for its next write.
    asked: Option<Moment>,
    /// What it comes for: an event that is not this one is old.
    turn: u64,
    pub(super) finished: Option<Moment>,
    pub(super) opened: Option<Moment>,
    pub(super) longest: i64,
}

impl Task {
    fn new(number: usize, blobs: usize, since: Moment) -> Self {
        let mut writes = vec![Write::Blob; blobs];
        writes.extend([Write::Tree, Write::Commit, Write::Ref, Write::PullRequest, Write::Merge]);
        Self {
            uid: format!("task-{number}").into(),
            since: timestamp(since),
            writes,
            next: 0,
            asked: None,
            turn: 0,
            finished: None,
            opened: None,
            longest: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes(usize, u64),
    /// With a refusal that says nothing, if it is one; seen by the leader of that term.
    Done(usize, bool, u64),
    Tick,
}

/// What clients do beyond the usual.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// One in so many does not come when it should. 0: all come.
    pub(super) sleepy: u64,
    /// Whether those that `call` names are woken.
    pub(super) called: bool,
}

pub(super) struct World {
    pub(super) now: Moment,
    pub(super) line: Line,
    pub(super) github: GitHub,
    pub(super) tasks: Vec<Task>,
    pub(super) dice: Dice,
    pub(super) asks: usize,
    pub(super) habits: Habits,
    /// How far the leader's clock is ahead.
    pub(super) skew: i64,
    term: u64,
    /// Own calls that GitHub has refused.
    pub(super) refused: usize,
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    ticket: Option<Ticket>,
}

impl World {
    pub(super) fn new(line: Line, begin: Moment, seed: u64, habits: Habits) -> Self {
        let mut world = Self {
            now: begin,
            line,
            github: GitHub::new(),
            tasks: Vec::new(),
            dice: Dice(seed),
            asks: 0,
            habits,
            skew: 0,
            term: 0,
            refused: 0,
            events: BinaryHeap::new(),
            ticket: None,
        };
        world.at(begin, Event::Tick);
        world
    }

    fn at(&mut self, time: Moment, event: Event) {
        self.events.push(Reverse((time, event)));
    }

    pub(super) fn random(&mut self, below: i64) -> i64 {
        i64::try_from(self.dice.roll(below.unsigned_abs().max(1))).unwrap()
    }

    /// A Task whose files are ready at `time`.
    pub(super) fn task(&mut self, blobs: usize, time: Moment) {
        let number = self.tasks.len();
        self.tasks.push(Task::new(number, blobs, time));
        self.at(time, Event::Comes(number, 0));
    }

    /// The Task comes at this time, and not when it was to come before.
    fn comes(&mut self, number: usize, time: Moment) {
        self.tasks[number].turn += 1;
        let turn = self.tasks[number].turn;
        self.at(time, Event::Comes(number, turn));
    }

    pub(super) fn run(&mut self, until: Moment) {
        while let Some(Reverse((time, event))) = self.events.peek().copied().filter(|next| next.0.0 <= until)
        {
            self.events.pop();
            self.now = time;
            match event {
                Event::Tick => {
                    self.call();
                    self.at(self.now + SECOND, Event::Tick);
                }
                Event::Done(number, refused, term) if self.term == term => self.done(number, refused),
                Event::Comes(number, turn) if self.tasks[number].turn == turn => self.asks(number),
                Event::Comes(..) | Event::Done(..) => {}
            }
        }
        self.now = until;
    }

    fn asks(&mut self, number: usize) {
        let clock = self.clock();
        let task = &mut self.tasks[number];
        let Some(write) = task.writes.get(task.next).copied() else { return };
        let asked = *task.asked.get_or_insert(self.now);
        let waiter = Waiter { uid: task.uid.clone(), write, since: task.since };
        self.asks += 1;
        match self.line.ask(clock, &waiter) {
            Asked::Go(ticket) => {
                assert!(self.ticket.is_none(), "two writes at a time");
                assert!(self.line.blocked(clock).is_none(), "a write while GitHub's limit holds");
                task.longest = task.longest.max(self.now - asked);
                self.ticket = Some(ticket);
                let end = self.now + 100 + self.random(900);
                let refused = self.github.call(self.now, end, &mut self.dice);
                let task = &mut self.tasks[number];
                task.asked = None;
                task.next += usize::from(!refused);
                self.at(end, Event::Done(number, refused, self.term));
            }
            Asked::Wait(wait) => {
                assert!(wait.until > clock, "{wait}");
                let until = ceil(wait.until) - self.skew;
                // A short wait is a sleep, a long one comes back by a controller's queue.
                let late = if until - self.now > 5 * SECOND { self.random(500) } else { 0 };
                let sleepy = self.habits.sleepy > 0 && self.dice.one_in(self.habits.sleepy);
                let late = late + if sleepy { self.random(2 * HOUR) } else { 0 };
                self.comes(number, until + late);
            }
        }
    }

    /// Others make calls with this account at once, until one is refused.
    pub(super) fn others(&mut self, calls: usize) {
        let (now, dice, github) = (self.now, &mut self.dice, &mut self.github);
        let _ = (0..calls).find(|_| github.call(now, now, dice));
    }

    /// The time by the leader's clock.
    pub(super) fn clock(&self) -> Timestamp {
        timestamp(self.now + self.skew)
    }

    /// Another leader begins, with this line; what was under way ends unseen, and all Tasks are looked at again.
    pub(super) fn leader(&mut self, line: Line) {
        (self.line, self.ticket) = (line, None);
        self.term += 1;
        self.habits.called = true;
        for number in 0..self.tasks.len() {
            let pass = self.random(3 * SECOND);
            self.comes(number, self.now + pass);
        }
    }

    /// No Task comes before another leader begins.
    pub(super) fn stop_asking(&mut self) {
        self.habits.called = false;
        for task in &mut self.tasks {
            task.turn += 1;
        }
    }

    /// Nobody leads for so long.
    pub(super) fn pause(&mut self, length: i64) {
        self.stop_asking();
        self.term += 1;
        self.run(self.now + length);
    }

    pub(super) fn is_writing(&self) -> bool {
        self.ticket.is_some()
    }

    fn done(&mut self, number: usize, refused: bool) {
        let ticket = self.ticket.take().expect("a write is under way");
        let now = self.clock();
        self.line.done(now, ticket);
        if refused {
            self.refused += 1;
            let until = self.line.limit(now, Duration::ZERO, Named::Silent);
            self.comes(number, ceil(until) - self.skew);
            return;
        }
        self.line.unlimited(now);
        let task = &mut self.tasks[number];
        match task.writes.get(task.next.wrapping_sub(1)) {
            Some(Write::PullRequest) if task.opened.is_none() => {
                task.opened = Some(self.now);
                let review = 10 * SECOND + self.random(HOUR / 2);
                self.comes(number, self.now + review);
            }
            Some(Write::Merge) => task.finished = Some(self.now),
            _ => {
                let pass = 50 + self.random(2 * SECOND);
                self.comes(number, self.now + pass);
            }
        }
        self.call();
    }

    /// Whom the line calls passes through its controller.
    fn call(&mut self) {
        for uid in self.line.call(self.clock()) {
            let number = self.tasks.iter().position(|task| task.uid == uid).expect("a Task of this world");
            assert!(self.tasks[number].asked.is_some(), "who is called waits");
            let sleepy = self.habits.sleepy > 0 && self.dice.one_in(self.habits.sleepy);
            if self.habits.called && !sleepy {
                let pass = 20 + self.random(800);
                self.comes(number, self.now + pass);
            }
        }
    }

    pub(super) fn longest_wait(&self) -> i64 {
        self.tasks.iter().map(|task| task.longest).max().unwrap_or_default()
    }
}
