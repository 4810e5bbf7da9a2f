//! Conditions as a list-map: setting one keeps its transition time unless its status changes.
//! Used by the decisions of every kind.

use crate::api::{bounds, conditions as names};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A condition of `conditions`, by type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Returns whether the condition exists and is `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Sets one condition. `lastTransitionTime` moves only when `status` changes
/// (kubernetes api-conventions, "Typical status properties").
pub fn set(
    conditions: &mut Vec<Condition>,
    generation: i64,
    now: Timestamp,
    type_: &str,
    status: bool,
    reason: &str,
    message: &str,
) {
    let status = if status { "True" } else { "False" };
    let since = match find(conditions, type_) {
        Some(old) if old.status == status => old.last_transition_time.clone(),
        _ => Time(now),
    };
    let new = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: bounds::cut(message, bounds::CONDITION_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: since,
    };
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

/// Takes one condition away.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

/// The three ways an object can stand, as kstatus reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing left to do until somebody or something else acts: `Ready=True`.
    Ready,
    /// At work or waiting for a retry: `Ready=False`, `Reconciling=True`.
    Reconciling,
    /// A person has to act: `Ready=False`, `Stalled=True`.
    Stalled,
}

/// Writes `Ready`, `Reconciling` and `Stalled` for one standing; the two abnormal ones exist only while they are true.
pub fn stand(
    conditions: &mut Vec<Condition>,
    generation: i64,
    now: Timestamp,
    standing: Standing,
    reason: &str,
    message: &str,
) {
    set(conditions, generation, now, names::READY, standing == Standing::Ready, reason, message);
    for (type_, holds) in [
        (names::RECONCILING, standing == Standing::Reconciling),
        (names::STALLED, standing == Standing::Stalled),
    ] {
        if holds {
            set(conditions, generation, now, type_, true, reason, message);
        } else {
            remove(conditions, type_);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut list = Vec::new();
        stand(&mut list, 1, at(10), Standing::Reconciling, "A", "a");
        stand(&mut list, 2, at(20), Standing::Reconciling, "B", "b");
        let ready = find(&list, names::READY).expect("set");
        assert_eq!(
            (ready.last_transition_time.0, ready.reason.as_str(), ready.observed_generation),
            (at(10), "B", Some(2))
        );
        stand(&mut list, 2, at(30), Standing::Ready, "C", "");
        let ready = find(&list, names::READY).expect("set");
        assert_eq!(ready.last_transition_time.0, at(30));
        assert!(find(&list, names::RECONCILING).is_none());
    }

    #[test]
    fn never_both_reconciling_and_stalled() {
        let mut list = Vec::new();
        stand(&mut list, 1, at(1), Standing::Reconciling, "A", "");
        stand(&mut list, 1, at(2), Standing::Stalled, "B", "");
        assert!(find(&list, names::RECONCILING).is_none());
        assert!(is_true(&list, names::STALLED) && !is_true(&list, names::READY));
    }
}
