//! Says how often and when a failed call is made again, from its class alone; the state lives in `status.retry`.
//! Used by the decisions of every kind, for GitHub and E2B alike (README, "Limits" and reasons).

use super::{
    conditions::Standing,
    failure::{Class, Failure},
    jitter,
};
use crate::api::{bounds, common::Retry, conditions::reason};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Attempts before a call counts as failed: the first and three more, after 1 s, 2 s and 4 s.
pub const ATTEMPTS: i32 = 4;
/// The same where what we created is not visible yet: the waits go on doubling past the minute for which that is believed,
/// so that the last look says what is really the matter.
const LOOKS: i32 = 7;
/// Reasons of objects that may arrive later than what refers to them, or be shown again: looked for on a schedule of their own.
pub const ARRIVES_LATER: [&str; 6] = [
    reason::SECRET_NOT_FOUND,
    reason::REPOSITORY_NOT_FOUND,
    reason::REPOSITORY_GONE,
    reason::REPOSITORY_NOT_IN_INSTALLATION,
    reason::SANDBOX_NOT_FOUND,
    reason::PULL_REQUEST_NOT_FOUND,
];
/// An object that waits for its turn to write at GitHub is called when the turn comes. This long after it was expected, the object
/// asks by itself; and a turn that moves by less is not worth a write of status.
const UNCALLED: SignedDuration = SignedDuration::from_mins(1);
/// Interval at which a stalled object and an exhausted call are looked at again.
pub const SLOW: SignedDuration = SignedDuration::from_secs(300);

/// Consequences of a failure for the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub retry: Retry,
    pub standing: Standing,
    pub reason: &'static str,
    pub message: String,
    /// The last attempt has just failed: worth a Warning once.
    pub exhausted_now: bool,
}

impl Verdict {
    /// Keeps to what status says already, where that will do.
    fn unless_told(self, told: Option<&Retry>) -> Self {
        let Some(retry) = told else { return self };
        Self { message: said(retry).1, retry: retry.clone(), ..self }
    }
}

/// Judges `failure`, given what `status.retry` held before. `uid` spreads the slow retries.
pub fn after(previous: Option<&Retry>, failure: &Failure, uid: &str, now: Timestamp) -> Verdict {
    let failed = previous.map_or(0, |retry| retry.attempt);
    let attempts = if failure.reason == reason::NOT_VISIBLE_YET { LOOKS } else { ATTEMPTS };
    let verdict = |attempt, wait, limited, standing, reason: &'static str| {
        let retry = Retry {
            operation: bounds::cut(failure.operation, bounds::ID),
            attempt,
            last_error: bounds::cut(&failure.message, bounds::MESSAGE),
            next_attempt_at: Time(now + wait),
            limited,
            reason: bounds::cut(reason, bounds::ID),
            stalled: standing == Standing::Stalled,
        };
        let (_, message) = said(&retry);
        Verdict { retry, standing, reason, message, exhausted_now: false }
    };
    match failure.class {
        Class::Throttled { until } if failure.reason == reason::WAITING_FOR_GITHUB => {
            let latest = latest_turn(until, now);
            let verdict =
                verdict(failed, latest.duration_since(now), true, Standing::Reconciling, failure.reason);
            verdict.unless_told(previous.filter(|retry| is_same_turn(retry, failure, latest)))
        }
        Class::Throttled { until } => {
            // The wait ends at a whole second, never before the limit does.
            // One that is over already by our clock still costs a moment, or the same answer would come in a circle.
            let wait = until.duration_since(now).max(SignedDuration::from_secs(1));
            let wait = SignedDuration::from_secs(wait.as_secs() + i64::from(wait.subsec_nanos() > 0));
            verdict(failed, wait, true, Standing::Reconciling, failure.reason)
        }
        // Places come free as others end theirs: asked for at an even pace, for as long as it takes.
        Class::Transient if failure.reason == reason::SANDBOX_QUOTA => {
            let attempt = (failed + 1).min(attempts);
            verdict(attempt, quota(uid, now), false, Standing::Reconciling, reason::SANDBOX_QUOTA)
        }
        Class::Transient if failed + 1 < attempts => {
            // `now` is cut to the second: one more keeps the wait from being short.
            let wait = SignedDuration::from_secs((1 << failed) + 1);
            let speaks = [reason::NOT_VISIBLE_YET, reason::E2B_UNKNOWN_ROUTE].contains(&failure.reason);
            let reason = if speaks { failure.reason } else { reason::RETRYING };
            verdict(failed + 1, wait, false, Standing::Reconciling, reason)
        }
        // A proxy may have answered once; a server that never knows the route needs a person.
        Class::Transient if failure.reason == reason::E2B_UNKNOWN_ROUTE => {
            verdict(attempts, slow(uid, failed), false, Standing::Stalled, failure.reason)
        }
        Class::Transient => {
            let mut verdict =
                verdict(attempts, slow(uid, failed), false, Standing::Reconciling, reason::RETRIES_EXHAUSTED);
            verdict.exhausted_now = failed + 1 == attempts;
            verdict
        }
        Class::NotFound | Class::Denied | Class::Invalid => {
            verdict(failed, slow(uid, failed), false, Standing::Stalled, failure.reason)
        }
    }
}

/// Returns whether what was not visible yet has been looked for long enough: about a minute. The next answer counts.
pub fn has_looked(retry: Option<&Retry>, operation: &str) -> bool {
    retry.is_some_and(|retry| {
        retry.operation == operation && retry.reason == reason::NOT_VISIBLE_YET && retry.attempt + 1 >= LOOKS
    })
}

/// Words `Ready` while `retry` holds: its reason and message, from status alone.
pub fn said(retry: &Retry) -> (String, String) {
    let reason = if retry.reason.is_empty() { reason::RETRYING.to_owned() } else { retry.reason.clone() };
    if ARRIVES_LATER.contains(&retry.reason.as_str()) {
        // The message names the object and its cure: the operation would add nothing.
        return (reason, retry.last_error.clone());
    }
    let what = format!("{}: {}", retry.operation, retry.last_error);
    let message = match reason.as_str() {
        reason::RETRYING => format!("{what} (attempt {} of {ATTEMPTS})", retry.attempt),
        reason::NOT_VISIBLE_YET => format!("{what} (look {} of {LOOKS})", retry.attempt),
        reason::RETRIES_EXHAUSTED => {
            format!("{what}; tried {} times, trying again every 5 minutes", retry.attempt)
        }
        _ => what,
    };
    (reason, message)
}

/// When an object that waits for its turn asks by itself: some time after the turn is expected. The line calls it before.
fn latest_turn(expected: Timestamp, now: Timestamp) -> Timestamp {
    let wait = expected.duration_since(now).max(SignedDuration::ZERO);
    now + SignedDuration::from_secs(wait.as_secs() + 1) + UNCALLED
}

/// Whether status need not be written again: it waits for the turn of the same call, which has moved by less than [`UNCALLED`].
fn is_same_turn(retry: &Retry, failure: &Failure, latest: Timestamp) -> bool {
    retry.reason == failure.reason
        && retry.operation == failure.operation
        && latest.duration_since(retry.next_attempt_at.0).abs() < UNCALLED
}

/// Returns whether it is the wait for a turn at GitHub, which is not over by itself yet.
pub fn is_for_turn(retry: &Retry, now: Timestamp) -> bool {
    retry.reason == reason::WAITING_FOR_GITHUB && retry.next_attempt_at.0 > now
}

/// Returns until when `status.retry` forbids calls, if it still does. Who waits for a turn may ask for it at any time: the line
/// of the account knows whose turn it is.
pub fn wait_until(retry: Option<&Retry>, now: Timestamp) -> Option<Timestamp> {
    let retry = retry.filter(|retry| retry.reason != reason::WAITING_FOR_GITHUB)?;
    Some(retry.next_attempt_at.0).filter(|at| *at > now)
}

/// Returns what is left of a retry when a person asks to look again: only a limit's wait stands.
pub fn clear_backoff(retry: Option<Retry>, now: Timestamp) -> Option<Retry> {
    retry.filter(|retry| retry.limited && retry.next_attempt_at.0 > now)
}

/// Five minutes, spread by up to a fifth either way so that objects which failed together do not come back together.
pub fn slow(uid: &str, salt: i32) -> SignedDuration {
    SLOW + SignedDuration::from_secs(i64::from(jitter::below(121, uid, salt)) - 60)
}

/// Half a minute to a minute, spread so that those who wait do not ask together.
fn quota(uid: &str, now: Timestamp) -> SignedDuration {
    let salt = i32::try_from(now.as_second() % i64::from(i32::MAX)).unwrap_or_default();
    SignedDuration::from_secs(30 + i64::from(jitter::below(31, uid, salt)))
}

/// The wait before a missing object is looked for again: 5, 10, 20, 40, 60 s, about two minutes in all; then `None`.
pub fn missing(looked: i32) -> Option<SignedDuration> {
    let seconds = match looked {
        ..=0 => 5,
        1 => 10,
        2 => 20,
        3 => 40,
        4 => 60,
        _ => return None,
    };
    Some(SignedDuration::from_secs(seconds))
}

/// A reference to something that is not there yet: manifests arrive in any order, so this is patience first
/// (about two minutes, reason `…NotFound`), then `Stalled`.
pub fn not_found(
    previous: Option<&Retry>,
    operation: &'static str,
    reason: &'static str,
    message: &str,
    uid: &str,
    now: Timestamp,
) -> Verdict {
    let looked = previous.filter(|retry| retry.operation == operation).map_or(0, |retry| retry.attempt);
    let (wait, standing) = match missing(looked) {
        Some(wait) => (wait, Standing::Reconciling),
        None => (slow(uid, looked), Standing::Stalled),
    };
    let retry = Retry {
        operation: operation.to_owned(),
        attempt: (looked + 1).min(6),
        last_error: bounds::cut(message, bounds::MESSAGE),
        next_attempt_at: Time(now + wait),
        limited: false,
        reason: bounds::cut(reason, bounds::ID),
        stalled: standing == Standing::Stalled,
    };
    let (_, message) = said(&retry);
    Verdict { retry, standing, reason, message, exhausted_now: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).expect("in range")
    }

    fn failure(class: Class) -> Failure {
        Failure { operation: "createBranch", class, reason: "Why", message: "502 Bad Gateway".into() }
    }

    fn chain(class: Class, times: usize) -> Vec<Verdict> {
        let mut all: Vec<Verdict> = Vec::new();
        for _ in 0..times {
            let next = after(all.last().map(|verdict| &verdict.retry), &failure(class), "uid", now());
            all.push(next);
        }
        all
    }

    #[test]
    fn transient_failures_wait_1_2_4_seconds_then_slow_down() {
        let all = chain(Class::Transient, 5);
        let waits: Vec<_> = all.iter().map(|v| v.retry.next_attempt_at.0.as_second() - NOW).collect();
        assert_eq!(waits[..3], [2, 3, 5], "1, 2 and 4 s on top of the second that `now` was cut by");
        assert!((240..=360).contains(&waits[3]) && (240..=360).contains(&waits[4]));
        assert_eq!(all.iter().map(|v| v.retry.attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 4]);
        assert_eq!(all[3].reason, reason::RETRIES_EXHAUSTED);
        assert_eq!(
            all.iter().map(|v| v.exhausted_now).collect::<Vec<_>>(),
            [false, false, false, true, false]
        );
    }

    #[test]
    fn a_limit_uses_up_no_attempt_and_outlasts_a_person_in_a_hurry() {
        let until = now() + SignedDuration::from_millis(61_200);
        let verdict = after(None, &failure(Class::Throttled { until }), "uid", now());
        assert_eq!(verdict.retry.attempt, 0);
        assert_eq!(verdict.retry.next_attempt_at.0.as_second(), NOW + 62);
        assert!(clear_backoff(Some(verdict.retry.clone()), now()).is_some());
        let over = verdict.retry.next_attempt_at.0;
        assert_eq!(clear_backoff(Some(verdict.retry), over), None);
        let transient = after(None, &failure(Class::Transient), "uid", now());
        assert_eq!(clear_backoff(Some(transient.retry), now()), None);
    }

    #[test]
    fn a_turn_is_written_once_until_it_moves_by_a_minute_and_forbids_nothing() {
        let turn = |seconds: i64, message: &str| Failure {
            reason: reason::WAITING_FOR_GITHUB,
            message: message.into(),
            ..failure(Class::Throttled { until: now() + SignedDuration::from_secs(seconds) })
        };
        let ask = |previous: &Verdict, failure: &Failure, later: i64| {
            after(Some(&previous.retry), failure, "uid", now() + SignedDuration::from_secs(later))
        };
        let first = after(None, &turn(300, "place 40"), "uid", now());
        assert_eq!(first.standing, Standing::Reconciling);
        assert_eq!(first.retry.next_attempt_at.0.as_second(), NOW + 361, "later than it is called");
        assert_eq!(wait_until(Some(&first.retry), now()), None);

        let nearer = ask(&first, &turn(250, "place 31"), 20);
        assert_eq!(nearer, first, "nothing to write");
        let further = ask(&first, &turn(359, "place 45"), 20);
        assert_eq!(further, first, "nothing to write");
        let moved = ask(&first, &turn(360, "place 52"), 20);
        assert_eq!(moved.retry.last_error, "place 52");
        let other = Failure { operation: "createTree", ..turn(300, "place 3") };
        assert_eq!(ask(&first, &other, 20).retry.operation, "createTree");
        let limit = Failure { reason: reason::RATE_LIMITED, ..turn(300, "limited") };
        assert_eq!(ask(&first, &limit, 20).reason, reason::RATE_LIMITED);
    }

    #[test]
    fn an_unknown_route_keeps_its_name_and_stalls_when_it_stays_so() {
        let failure = Failure { reason: reason::E2B_UNKNOWN_ROUTE, ..failure(Class::Transient) };
        let mut retry = None;
        for standing in
            [Standing::Reconciling, Standing::Reconciling, Standing::Reconciling, Standing::Stalled]
        {
            let verdict = after(retry.as_ref(), &failure, "uid", now());
            assert_eq!((verdict.standing, verdict.reason), (standing, reason::E2B_UNKNOWN_ROUTE));
            retry = Some(verdict.retry);
        }
    }

    #[test]
    fn a_full_quota_is_asked_again_every_30_to_60_seconds_for_as_long_as_it_takes() {
        let failure = Failure { reason: reason::SANDBOX_QUOTA, ..failure(Class::Transient) };
        let (mut retry, mut at) = (None, now());
        for _ in 0..50 {
            let verdict = after(retry.as_ref(), &failure, "uid", at);
            assert_eq!((verdict.standing, verdict.reason), (Standing::Reconciling, reason::SANDBOX_QUOTA));
            assert!(!verdict.exhausted_now);
            let wait = verdict.retry.next_attempt_at.0.duration_since(at).as_secs();
            assert!((30..=60).contains(&wait), "{wait} s");
            at = verdict.retry.next_attempt_at.0;
            retry = Some(verdict.retry);
        }
    }

    #[test]
    fn slow_retries_are_spread_by_a_minute_either_way() {
        let waits: Vec<_> = (0..500).map(|salt| slow("uid", salt).as_secs()).collect();
        let (least, most) = (waits.iter().min().copied(), waits.iter().max().copied());
        assert_eq!((least, most), (Some(240), Some(360)));
    }

    #[test]
    fn what_a_retry_cannot_cure_stalls_at_once() {
        for class in [Class::Denied, Class::Invalid, Class::NotFound] {
            let verdict = after(None, &failure(class), "uid", now());
            assert_eq!((verdict.standing, verdict.reason), (Standing::Stalled, "Why"));
        }
    }

    #[test]
    fn what_is_said_names_the_call_and_counts_its_tries_where_they_have_an_end() {
        let first = chain(Class::Transient, 1).remove(0).retry;
        let said = |reason: &str| said(&Retry { reason: reason.into(), ..first.clone() }).1;
        let what = "createBranch: 502 Bad Gateway";
        assert_eq!(said(""), format!("{what} (attempt 1 of 4)"), "as an older release has written it");
        assert_eq!(said(reason::RETRYING), format!("{what} (attempt 1 of 4)"));
        assert_eq!(said(reason::NOT_VISIBLE_YET), format!("{what} (look 1 of {LOOKS})"));
        let slowly = format!("{what}; tried 1 times, trying again every 5 minutes");
        assert_eq!(said(reason::RETRIES_EXHAUSTED), slowly);
        assert_eq!(said(reason::CREDENTIALS_DENIED), what);
        assert_eq!(said(reason::SECRET_NOT_FOUND), "502 Bad Gateway", "it names its object itself");
    }

    #[test]
    fn a_missing_object_is_waited_for_about_two_minutes() {
        let mut retry = None;
        let mut waited = 0;
        loop {
            let verdict = not_found(retry.as_ref(), "getSecret", "SecretNotFound", "m", "uid", now());
            if verdict.standing == Standing::Stalled {
                break;
            }
            waited += verdict.retry.next_attempt_at.0.as_second() - NOW;
            retry = Some(verdict.retry);
        }
        assert_eq!(waited, 135);
    }
}
