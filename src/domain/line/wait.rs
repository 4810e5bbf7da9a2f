//! What a Task is told that has to wait: its place, what it waits for, until when; as a sentence too.
//! Made by `line`, from what `queue` and `forecast` say.

use super::{limits::Named, time::whole_second};
use jiff::Timestamp;
use std::{fmt, time::Duration};

/// Binds a turn until it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Writes begin so far apart.
    Spacing(Duration),
    /// The account's one write at a time is under way.
    AWriteUnderWay,
    /// So many content-creating calls a minute.
    PerMinute(u32),
    /// So many content-creating calls an hour.
    PerHour(u32),
    /// A limit that GitHub has named.
    Limit(Named),
}

/// Not yet: ask again at `until`, or when called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// 1 is next.
    pub place: usize,
    /// Binds this turn when its time comes nearer.
    pub why: Why,
    /// When it may go if all that is known ahead of it goes and nobody else comes: never in the past.
    pub until: Timestamp,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spacing(interval) => {
                write!(f, "whose writes begin {} s apart", interval.as_secs_f64())
            }
            Self::AWriteUnderWay => f.write_str("which makes one write at a time"),
            Self::PerMinute(calls) => write!(f, "which may make {calls} content-creating calls a minute"),
            Self::PerHour(calls) => write!(f, "which may make {calls} content-creating calls an hour"),
            Self::Limit(Named::Told | Named::Silent) => f.write_str("which GitHub has limited"),
            Self::Limit(Named::Spent) => f.write_str("which has spent the calls that GitHub gives it"),
        }
    }
}

/// `place 12 in the line of this GitHub account, which may make 80 content-creating calls a minute; its turn comes about
/// 2026-11-30T10:00:05Z`
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, why, second) = (self.place, self.why, whole_second(self.until));
        write!(f, "place {place} in the line of this GitHub account, {why}; its turn comes about {second}")
    }
}
