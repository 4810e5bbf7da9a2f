//! When the next writes may begin, one after the other: spacing, the limit that holds, and the places of the window.
//! Asked by `line` for the turn at hand and for those who wait; `past` asks it how much a crashed leader could send.

use super::{
    settings::Settings,
    time::{Moment, factor, places, span},
    wait::Why,
    window::{Rule, Window},
};

/// More turns than this are not computed one by one: what lies behind them repeats them.
const COMPUTED: usize = 1000;

/// What the turns follow from, besides the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Before this nothing begins, and why.
    pub(super) earliest: Moment,
    pub(super) why: Why,
    /// A write under way is expected to end then.
    pub(super) pending: Option<Moment>,
    /// How long a write takes.
    pub(super) takes: i64,
}

/// Turns from 1, computed as far as somebody asked. Holds as long as no write begins or ends, no limit is named, and the
/// first turn has not come.
#[derive(Debug)]
pub(super) struct Forecast {
    start: Start,
    settings: Settings,
    turns: Vec<(Moment, Why)>,
}

impl Forecast {
    pub(super) fn new(settings: Settings, start: Start) -> Self {
        Self { start, settings, turns: Vec::new() }
    }

    /// When the turn of this number comes, and what binds it.
    pub(super) fn turn(&mut self, window: &Window, number: usize) -> (Moment, Why) {
        let index = number.saturating_sub(1);
        let period = self.period();
        while self.turns.len() <= index.min(period - 1) {
            let next = self.next(window);
            self.turns.push(next);
        }
        let (begin, why) = self.turns[index % period];
        match factor(index / period) {
            0 => (begin, why),
            times => {
                let (length, why) = self.length(period);
                (begin.saturating_add(times.saturating_mul(length)), why)
            }
        }
    }

    /// The first turn, if it has been asked for.
    pub(super) fn first(&self) -> Option<Moment> {
        self.turns.first().map(|(begin, _)| *begin)
    }

    /// Beginnings are at least so far apart.
    pub(super) fn step(&self) -> i64 {
        span(self.settings.interval).max(self.start.takes)
    }

    fn next(&self, window: &Window) -> (Moment, Why) {
        let mut found = match self.turns.last() {
            Some((last, _)) => (last + self.step(), Why::Spacing(self.settings.interval)),
            None => (self.start.earliest, self.start.why),
        };
        for rule in Rule::of(&self.settings) {
            let free = self.end(window, places(rule.calls)).map(|end| end + rule.span);
            if let Some(free) = free.filter(|free| *free > found.0) {
                found = (free, rule.why);
            }
        }
        found
    }

    /// The end of the `n`th write before the next turn: one that is foreseen, under way, or done.
    fn end(&self, window: &Window, n: usize) -> Option<Moment> {
        let Some(before) = n.checked_sub(self.turns.len()).filter(|before| *before > 0) else {
            return self.turns.get(self.turns.len() - n).map(|(begin, _)| begin + self.start.takes);
        };
        match self.start.pending {
            Some(pending) if before == 1 => Some(pending),
            Some(_) => window.nth_last(before - 1),
            None => window.nth_last(before),
        }
    }

    /// So many turns come again in the same way once the window is full.
    fn period(&self) -> usize {
        Rule::of(&self.settings).map(|rule| places(rule.calls)).max().unwrap_or(1).min(COMPUTED)
    }

    /// How long so many turns take at least once the window is full, and what binds them.
    fn length(&self, period: usize) -> (i64, Why) {
        let spacing = (factor(period).saturating_mul(self.step()), Why::Spacing(self.settings.interval));
        let full = |rule: Rule| {
            let span = factor(period).saturating_mul(rule.span + self.start.takes);
            (span / i64::from(rule.calls), rule.why)
        };
        let longer = |a: (i64, Why), b: (i64, Why)| if b.0 > a.0 { b } else { a };
        Rule::of(&self.settings).map(full).fold(spacing, longer)
    }
}
