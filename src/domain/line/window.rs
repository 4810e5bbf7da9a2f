//! The content-creating calls of the last hour, each at its end: GitHub may have counted it as late as that.
//! Neighbours: `forecast` says when the next ones fit, `past` fills one after a change of leader.

use super::{
    settings::Settings,
    time::{HOUR, MINUTE, Moment, SECOND, places},
    wait::Why,
};
use std::collections::VecDeque;

/// Between the moments that GitHub counts and those seen here: a call is counted somewhere between its begin and its end, and
/// travels on where its answer was given up; clocks are adjusted by parts of a second.
pub(super) const MARGIN: i64 = SECOND / 2;

/// More calls than this are remembered only as far as the limits ask for.
const REMEMBERED: usize = 500;

/// At most so many calls within the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) calls: u32,
    pub(super) span: i64,
    pub(super) why: Why,
}

impl Rule {
    /// The rules that bind, the hour's first.
    pub(super) fn of(settings: &Settings) -> impl Iterator<Item = Self> + Clone {
        let (hour, minute) = (settings.per_hour, settings.per_minute);
        let rules = [
            Self { calls: hour, span: HOUR + MARGIN, why: Why::PerHour(hour) },
            Self { calls: minute, span: MINUTE + MARGIN, why: Why::PerMinute(minute) },
        ];
        rules.into_iter().filter(|rule| rule.calls > 0)
    }
}

/// Ends of calls, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Window(VecDeque<Moment>);

impl Window {
    /// A call has ended. They are serial: it is the latest.
    pub(super) fn add(&mut self, end: Moment) {
        self.0.push_back(end);
    }

    /// The end of the `n`th call from the last, from 1.
    pub(super) fn nth_last(&self, n: usize) -> Option<Moment> {
        self.0.get(self.0.len().checked_sub(n)?).copied()
    }

    /// Forgets the calls that bind nothing any more.
    pub(super) fn forget(&mut self, now: Moment, settings: &Settings) {
        let most = places(settings.per_hour.max(settings.per_minute)).max(REMEMBERED);
        while self.0.front().is_some_and(|end| end + HOUR + MARGIN <= now) || self.0.len() > most {
            self.0.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The calls, the latest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = Moment> + '_ {
        self.0.iter().rev().copied()
    }
}
