//! The result of a decision: the status to write, at most one step to take, and when to look again.
//! Made by the decisions of every kind, carried out by `controllers::shell`.

use jiff::{SignedDuration, Timestamp};

/// The outcome of one decision about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<Status, Step> {
    /// The whole status as it should stand; the shell writes the difference.
    pub status: Status,
    /// The one thing to do, if there is one.
    pub step: Option<Step>,
    /// Write `status` before the step: it is the intent that a restart finds. A conflict then stops the step.
    pub intent: bool,
    /// Time of the next look if nothing changes before.
    pub next: Next,
    /// True where our finalizer has to be on the object; a removal while it is being deleted releases it.
    pub finalizer: bool,
    /// Warnings and news that no change of `Ready` tells.
    pub notes: Vec<Note>,
}

impl<Status, Step> Plan<Status, Step> {
    /// Nothing to do but to write `status`.
    pub fn settle(status: Status, next: Next) -> Self {
        Self { status, step: None, intent: false, next, finalizer: false, notes: Vec::new() }
    }

    /// One step, with `status` written first.
    pub fn intend(status: Status, step: Step) -> Self {
        Self { status, step: Some(step), intent: true, next: Next::Now, finalizer: false, notes: Vec::new() }
    }

    /// One step that needs no intent: repeating it is harmless, or the world shows whether it was done.
    pub fn act(status: Status, step: Step) -> Self {
        Self { status, step: Some(step), intent: false, next: Next::Now, finalizer: false, notes: Vec::new() }
    }

    /// The same plan with the finalizer wanted or not.
    #[must_use]
    pub fn with_finalizer(mut self, wanted: bool) -> Self {
        self.finalizer = wanted;
        self
    }

    /// The same plan with one more note.
    #[must_use]
    pub fn with_note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }
}

/// Time of the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Only when something changes.
    AwaitChange,
    /// At once: there is more to do.
    Now,
    /// After this time.
    After(SignedDuration),
    /// At this time.
    At(Timestamp),
}

impl Next {
    /// The earlier of two.
    #[must_use]
    pub fn or_at(self, other: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(other) = other else { return self };
        match self {
            Self::Now => Self::Now,
            Self::AwaitChange => Self::At(other),
            Self::At(at) => Self::At(at.min(other)),
            Self::After(wait) => Self::At((now + wait).min(other)),
        }
    }
}

/// An event for `kubectl describe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    /// A stable CamelCase reason.
    pub reason: &'static str,
    pub message: String,
}

impl Note {
    /// A Warning event.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_of_two_is_taken() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let (now, soon) = (at(100), SignedDuration::from_secs(10));
        for (next, other, expected) in [
            (Next::Now, Some(at(105)), Next::Now),
            (Next::AwaitChange, Some(at(105)), Next::At(at(105))),
            (Next::AwaitChange, None, Next::AwaitChange),
            (Next::At(at(103)), Some(at(105)), Next::At(at(103))),
            (Next::At(at(107)), Some(at(105)), Next::At(at(105))),
            (Next::After(soon), Some(at(105)), Next::At(at(105))),
            (Next::After(soon), Some(at(115)), Next::At(at(110))),
            (Next::After(soon), None, Next::After(soon)),
        ] {
            assert_eq!(next.or_at(other, now), expected, "{next:?} or {other:?}");
        }
    }
}
