//! One line of a GitHub account with many Tasks waiting, on a turned clock: what it lets through, and what a turn costs.
//! `cargo bench --bench line`; `SIZES=100` for one number of Tasks.

mod support;

use jiff::{SignedDuration, Timestamp};
use slipway::domain::line::{Asked, Line, Settings, Ticket, Waiter, Write};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

const HOURS: i64 = 5;
/// How long a write takes.
const TAKES: SignedDuration = SignedDuration::from_millis(300);
/// How long a Task takes from one write to the next, and to come when it is called.
const PASS: SignedDuration = SignedDuration::from_millis(400);
const WRITES: [Write; 6] =
    [Write::Blob, Write::Blob, Write::Tree, Write::Commit, Write::Ref, Write::PullRequest];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Done,
    Tick,
    /// A Task comes, if nothing has called it since it was told to.
    Comes(usize, u32),
}

struct World {
    line: Line,
    waiters: Vec<(Waiter, usize, u32)>,
    events: BinaryHeap<Reverse<(Timestamp, Event)>>,
    ticket: Option<Ticket>,
    writes: Vec<Timestamp>,
    asks: u32,
    /// In the line itself.
    spent: Duration,
    encoding: Duration,
    encoded: u32,
    largest: usize,
}

fn main() {
    let mut rows = Vec::new();
    for size in support::sizes(&[100, 1000, 10_000]) {
        for settings in [
            Settings::default(),
            Settings { per_hour: 0, interval: Duration::from_millis(500), ..Settings::default() },
        ] {
            rows.push(run(size, settings));
        }
    }
    let head = [
        "waiting",
        "limit an hour",
        "writes an hour",
        "of the limit",
        "asks/turn",
        "us/turn",
        "us/ask",
        "us/state",
        "state bytes",
    ];
    support::table("One line, every Task asks again when it was told to", &head, &rows);
}

fn run(size: usize, settings: Settings) -> Vec<String> {
    let begin: Timestamp = "2026-11-30T00:00:00Z".parse().expect("a time");
    let mut world = World::new(size, settings, begin);
    world.run(begin + SignedDuration::from_hours(HOURS));
    // The first hour begins with an empty window.
    let counted =
        world.writes.iter().filter(|write| **write >= begin + SignedDuration::from_hours(1)).count();
    let limit = if settings.per_hour > 0 { settings.per_hour } else { settings.per_minute * 60 };
    let hourly = f64::from(u32::try_from(counted).unwrap_or(u32::MAX))
        / f64::from(i32::try_from(HOURS - 1).unwrap_or(1));
    let turns = f64::from(u32::try_from(world.writes.len()).unwrap_or(u32::MAX));
    vec![
        size.to_string(),
        limit.to_string(),
        format!("{hourly:.0}"),
        format!("{:.1} %", hourly * 100.0 / f64::from(limit)),
        format!("{:.1}", f64::from(world.asks) / turns),
        format!("{:.1}", world.spent.as_secs_f64() * 1e6 / turns),
        format!("{:.1}", world.spent.as_secs_f64() * 1e6 / f64::from(world.asks)),
        format!("{:.0}", world.encoding.as_secs_f64() * 1e6 / f64::from(world.encoded)),
        world.largest.to_string(),
    ]
}

impl World {
    fn new(size: usize, settings: Settings, begin: Timestamp) -> Self {
        let waiter = |n: usize| Waiter { uid: n.to_string().into(), write: Write::Blob, since: begin };
        let mut world = Self {
            line: Line::new(settings),
            waiters: (0..size).map(|n| (waiter(n), 0, 0)).collect(),
            events: BinaryHeap::new(),
            ticket: None,
            writes: Vec::new(),
            asks: 0,
            spent: Duration::ZERO,
            encoding: Duration::ZERO,
            encoded: 0,
            largest: 0,
        };
        for n in 0..size {
            world.events.push(Reverse((begin, Event::Comes(n, 0))));
        }
        world.events.push(Reverse((begin, Event::Tick)));
        world
    }

    fn run(&mut self, until: Timestamp) {
        while let Some(Reverse((now, event))) = self.events.pop().filter(|Reverse((now, _))| *now < until) {
            match event {
                Event::Comes(n, told) => self.asks(now, n, told),
                Event::Done => {
                    let ticket = self.ticket.take().expect("a write is under way");
                    let started = Instant::now();
                    self.line.done(now, ticket);
                    self.spent += started.elapsed();
                    self.call(now);
                }
                Event::Tick => {
                    self.call(now);
                    let started = Instant::now();
                    self.largest = self.largest.max(self.line.encode(now, false).len());
                    self.encoding += started.elapsed();
                    self.encoded += 1;
                    self.events.push(Reverse((now + SignedDuration::from_secs(2), Event::Tick)));
                }
            }
        }
    }

    fn asks(&mut self, now: Timestamp, n: usize, told: u32) {
        let (waiter, step, last) = &mut self.waiters[n];
        if told != *last {
            return;
        }
        self.asks += 1;
        let started = Instant::now();
        let asked = self.line.ask(now, waiter);
        self.spent += started.elapsed();
        let next = match asked {
            Asked::Wait(wait) => wait.until,
            Asked::Go(ticket) => {
                self.ticket = Some(ticket);
                self.writes.push(now);
                self.events.push(Reverse((now + TAKES, Event::Done)));
                *step = (*step + 1) % WRITES.len();
                // The Task is opened, another one takes its place.
                if *step == 0 {
                    waiter.since = now;
                }
                waiter.write = WRITES[*step];
                now + TAKES + PASS
            }
        };
        *last += 1;
        self.events.push(Reverse((next, Event::Comes(n, *last))));
    }

    fn call(&mut self, now: Timestamp) {
        let started = Instant::now();
        let called = self.line.call(now);
        self.spent += started.elapsed();
        for uid in called {
            let n: usize = uid.parse().expect("a number");
            let (_, _, last) = &mut self.waiters[n];
            *last += 1;
            self.events.push(Reverse((now + PASS, Event::Comes(n, *last))));
        }
    }
}
