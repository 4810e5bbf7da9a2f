//! The times of a pass: of its decision, of the end of its waits, and of the next pass.
//! Used by `shell`; the waits themselves are `domain::retry`'s.

use super::kind::Conditioned;
use crate::domain::plan::{Next, Plan};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use std::time::Duration;

/// A wait counts from the failure, which came up to `took` after the time the decision went by: a call that ran into
/// its deadline would otherwise be made again at once.
pub(super) fn postpone<S: Conditioned, T>(plan: &mut Plan<S, T>, read: Option<&S>, took: SignedDuration) {
    let before = read.and_then(Conditioned::retry);
    // A limit names a time of day.
    let Some(retry) = plan.status.retry_mut().filter(|retry| !retry.limited && Some(&**retry) != before)
    else {
        return;
    };
    let planned = retry.next_attempt_at.0;
    retry.next_attempt_at.0 = planned + took;
    if plan.next == Next::At(planned) {
        plan.next = Next::At(planned + took);
    }
}

pub(super) fn action(next: Next) -> Action {
    match next {
        Next::AwaitChange => Action::await_change(),
        Next::Now => Action::requeue(Duration::ZERO),
        Next::After(wait) => Action::requeue(wait.unsigned_abs()),
        Next::At(at) => {
            let wait = at.duration_since(Timestamp::now());
            Action::requeue(if wait.is_negative() { Duration::ZERO } else { wait.unsigned_abs() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{RepositoryStatus, common::Retry};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn status(limited: bool) -> RepositoryStatus {
        let retry = Retry {
            operation: "getRepository".into(),
            attempt: 1,
            last_error: String::new(),
            next_attempt_at: Time(at(2)),
            limited,
            reason: String::new(),
            stalled: false,
        };
        RepositoryStatus { retry: Some(retry), ..RepositoryStatus::default() }
    }

    fn postponed(status: RepositoryStatus, read: Option<&RepositoryStatus>) -> (Timestamp, Next) {
        let mut plan = Plan::<_, ()>::settle(status, Next::At(at(2)));
        postpone(&mut plan, read, SignedDuration::from_secs(30));
        (plan.status.retry.expect("kept").next_attempt_at.0, plan.next)
    }

    #[test]
    fn a_wait_counts_from_the_failure() {
        assert_eq!(postponed(status(false), None), (at(32), Next::At(at(32))));
    }

    #[test]
    fn a_limit_and_a_wait_that_was_read_stay_as_they_are() {
        assert_eq!(postponed(status(true), None), (at(2), Next::At(at(2))));
        assert_eq!(postponed(status(false), Some(&status(false))), (at(2), Next::At(at(2))));
    }
}
