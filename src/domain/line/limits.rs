//! The limit that GitHub named last: while it holds, the account neither reads nor writes.
//! Neighbours: `forecast` takes its end as the earliest turn, `state` carries it to the next leader.

use super::time::{HOUR, MINUTE, Moment, span};
use std::time::Duration;

/// The first wait where GitHub says nothing, doubling to the longest. Source: "Rate limits for the REST API", exceeding the
/// secondary limit: at least one minute, then exponentially longer.
const SILENT_FIRST: i64 = MINUTE;
const SILENT_LONGEST: i64 = 10 * MINUTE;
/// A wait longer than this is a wrong clock or header: primary limits reset within the hour.
const LONGEST: i64 = 24 * HOUR;
/// A silent limit so long ago says nothing about the next one.
const FORGIVEN: i64 = HOUR;

/// How GitHub named a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A refusal that says how long.
    Told,
    /// A refusal that says nothing: a minute, then doubled each time.
    Silent,
    /// The answer was fine, and the last one before the reset. No punishment.
    Spent,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// The end of the limit that holds longest, and how it was named.
    pub(super) held: Option<(Moment, Named)>,
    /// Number of times in a row that GitHub named a limit without saying how long.
    pub(super) silent: u32,
}

impl Limits {
    pub(super) fn blocked(&self, now: Moment) -> Option<(Moment, Named)> {
        self.held.filter(|(until, _)| *until > now)
    }

    /// Returns when the limit ends. A shorter one never shortens a longer one.
    pub(super) fn limit(&mut self, now: Moment, wait: Duration, named: Named) -> Moment {
        let wait = match named {
            Named::Told | Named::Spent => span(wait).min(LONGEST),
            Named::Silent => self.silent_wait(now),
        };
        let until = now + wait;
        match self.held {
            Some((held, _)) if held >= until => held,
            _ => {
                self.held = Some((until, named));
                until
            }
        }
    }

    /// Refusals that come while a limit holds answer calls that were sent before it: together they are one punishment.
    fn silent_wait(&mut self, now: Moment) -> i64 {
        let again = self.silent > 0 && self.blocked(now).is_some_and(|(_, named)| named == Named::Silent);
        if !again {
            self.silent = self.silent.saturating_add(1);
        }
        (SILENT_FIRST << (self.silent - 1).min(4)).min(SILENT_LONGEST)
    }

    /// An ordinary answer. One that comes while a limit holds was under way before, and forgives nothing.
    pub(super) fn unlimited(&mut self, now: Moment) {
        if self.blocked(now).is_none() {
            self.silent = 0;
        }
    }

    /// Nothing would be lost with it.
    pub(super) fn is_idle(&self, now: Moment) -> bool {
        self.held.is_none_or(|(until, _)| {
            until <= now && (self.silent == 0 || until.saturating_add(FORGIVEN) <= now)
        })
    }
}
