//! What a new leader has to assume: what the one before it wrote down, and what it may have sent unseen since.
//! Neighbours: `state` is what was written down, `line` begins with what is found here.

use super::{
    forecast::{Forecast, Start},
    limits::Limits,
    settings::Settings,
    state::State,
    time::{HOUR, MINUTE, Moment, SECOND, factor, places, span},
    wait::Why,
    window::Window,
};

/// A leader writes its state down every 2 s, and leads no longer than this after the last time it could.
const UNSEEN: i64 = 10 * SECOND;
/// The longest that a write is under way, its deadline and some more.
pub(super) const LONGEST_WRITE: i64 = 3 * MINUTE;
/// The clocks of two Pods differ by less.
const SKEW: i64 = 2 * SECOND;

/// Where a line begins.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) window: Window,
    pub(super) limits: Limits,
    /// When the next write may begin, by spacing.
    pub(super) next: Moment,
}

/// After a state that was written down.
pub(super) fn written(settings: &Settings, state: &State, gained: Moment) -> Past {
    // A clock that is ahead of this one can't make what happened before now happen later.
    let anchor = (state.written + SKEW).min(gained);
    let mut past = Past {
        window: Window::default(),
        limits: Limits {
            held: state.limits.held.map(|(until, named)| (anchor + until, named)),
            silent: state.limits.silent,
        },
        next: anchor + state.next,
    };
    state.ages.iter().rev().for_each(|age| past.window.add(anchor - age));
    if !state.is_last {
        let late = (anchor + UNSEEN + LONGEST_WRITE).min(gained + SKEW);
        for _ in 0..unseen(settings, state, &past, anchor) {
            past.window.add(late);
        }
        past.next = late + 3 * span(state.settings.interval.max(settings.interval));
    }
    past
}

/// How many writes may have ended since the state was written: the one that was under way, and as many as the leader's
/// own line would have let through.
fn unseen(settings: &Settings, state: &State, past: &Past, anchor: Moment) -> usize {
    let most = places(settings.per_hour.max(settings.per_minute));
    let limit = past.limits.held.map_or(anchor, |(until, _)| until);
    let earliest = anchor.max(past.next).max(limit);
    let start = Start { earliest, why: Why::Spacing(state.settings.interval), pending: None, takes: 0 };
    let mut forecast = Forecast::new(state.settings, start);
    // What ended earlier than it is told left its place earlier.
    let mut window = Window::default();
    state.ages.iter().rev().for_each(|age| window.add(anchor - age - state.step));
    let begun = (1..=most).take_while(|turn| forecast.turn(&window, *turn).0 <= anchor + UNSEEN).count();
    begun + usize::from(state.under_way)
}

/// Nothing was written down about this account by a leader that wrote: it may have begun to write unseen.
pub(super) fn unmentioned(settings: &Settings, gained: Moment) -> Past {
    let state = State {
        written: gained - UNSEEN,
        is_last: false,
        under_way: false,
        settings: *settings,
        next: 0,
        limits: Limits::default(),
        ages: Vec::new(),
        step: 0,
    };
    written(settings, &state, gained)
}

/// Nothing at all is known: neither whether somebody has written, nor how much.
///
/// In the minute before, as many calls are assumed as spacing allows, so no minute can be overdrawn. The rest of the hour's
/// calls are spread evenly over the rest of the hour. This costs 3 s before the first write, and for an hour the burst: about
/// one write in 8 s goes, not one a second. If the hour's calls were all made just before, this hour has up to twice as many; to be
/// sure of that too, an hour without writes would have to follow each loss of the state.
pub(super) fn unknown(settings: &Settings, gained: Moment) -> Past {
    let interval = span(settings.interval);
    let spaced = |length: i64, most: u32| {
        let fit = if interval == 0 { i64::MAX } else { length / interval };
        usize::try_from(fit).unwrap_or(usize::MAX).min(places(most))
    };
    let in_hour = spaced(HOUR, settings.per_hour);
    let in_minute = match (settings.per_minute, settings.per_hour) {
        (0, hour) => spaced(MINUTE, hour),
        (minute, 0) => spaced(MINUTE, minute),
        (minute, hour) => spaced(MINUTE, minute.min(hour)),
    };
    let before = in_hour.saturating_sub(in_minute);
    let mut window = Window::default();
    for call in 0..before {
        window.add(gained - HOUR + (HOUR - MINUTE) * factor(call) / factor(before));
    }
    for call in (0..in_minute).rev() {
        window.add(gained - factor(call) * interval);
    }
    Past { window, limits: Limits::default(), next: gained + 3 * interval }
}
