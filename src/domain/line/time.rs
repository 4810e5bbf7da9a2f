//! Moments in whole milliseconds: a line computes with thousands of them for one forecast.
//! Used by all of `line`; `Timestamp` is what goes in and comes out.

use jiff::Timestamp;
use std::time::Duration;

/// Milliseconds since the epoch.
pub(super) type Moment = i64;

pub(super) const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;

/// The millisecond in which `time` lies: for what may begin.
pub(super) fn floor(time: Timestamp) -> Moment {
    time.as_millisecond()
}

/// The first whole millisecond that is not before `time`: for what has ended.
pub(super) fn ceil(time: Timestamp) -> Moment {
    let rest = time.subsec_nanosecond().rem_euclid(1_000_000);
    time.as_millisecond() + i64::from(rest != 0)
}

/// Milliseconds of `duration`, rounded up.
pub(super) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX / 4)
}

pub(super) fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from_millisecond(moment).unwrap_or(Timestamp::MAX)
}

/// Whole seconds, rounded up.
pub(super) fn seconds(milliseconds: i64) -> i64 {
    -(-milliseconds).div_euclid(SECOND)
}

/// The first whole second that is not before `time`.
pub(super) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(seconds(ceil(time))).unwrap_or(time)
}

/// A number of calls as a number of places in a list.
pub(super) fn places(calls: u32) -> usize {
    usize::try_from(calls).unwrap_or(usize::MAX)
}

/// A number of things as a factor of milliseconds.
pub(super) fn factor(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
