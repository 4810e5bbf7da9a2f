//! A line held against a GitHub that counts, on a turned clock.
//! `model` is GitHub and its clients; each other file is one property.

mod forecasts;
mod leaders;
mod limits;
mod load;
mod model;
mod order;
mod ranked;
mod state;
mod window;

use super::*;
use crate::domain::dice::Dice;

/// So many milliseconds after the tests' midnight.
fn at(milliseconds: i64) -> Timestamp {
    timestamp(1_796_000_000_000 + milliseconds)
}

fn waiter(uid: &str, write: Write, since: i64) -> Waiter {
    Waiter { uid: uid.into(), write, since: at(since) }
}

fn settings(interval: u64, per_minute: u32, per_hour: u32) -> Settings {
    Settings { interval: Duration::from_millis(interval), per_minute, per_hour }
}

trait Answer {
    fn go(self) -> Ticket;
    fn goes(self);
    fn wait(self) -> Wait;
}

impl Answer for Asked {
    fn go(self) -> Ticket {
        match self {
            Self::Go(ticket) => ticket,
            Self::Wait(wait) => panic!("{wait}"),
        }
    }

    fn goes(self) {
        let _ = self.go();
    }

    fn wait(self) -> Wait {
        match self {
            Self::Wait(wait) => wait,
            Self::Go(ticket) => panic!("goes: {ticket:?}"),
        }
    }
}

/// One write from `begin` to `end`.
fn write(line: &mut Line, uid: &str, write: Write, begin: i64, end: i64) {
    let ticket = line.ask(at(begin), &waiter(uid, write, 0)).go();
    line.done(at(end), ticket);
}
