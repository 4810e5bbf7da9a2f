//! A renewal outlives an outage: while a needed sandbox lives, no failure is waited out for longer than 10 s.
//! Neighbours: `existing` has renewals that succeed.

use super::*;

/// Fails every call from 200 s on; the times of the looks until the sandbox's end at 300 s.
fn looks(mut sandbox: Sandbox, failed: &Sights) -> Vec<i64> {
    let (mut now, mut looks) = (at(200), Vec::new());
    while now < at(300) {
        let context = Context { needed: true, ..Context::default() };
        let quiet = reads(&sandbox, &context, now) == Read::Nothing;
        if !quiet {
            looks.push(now.as_second() - START);
        }
        let plan = decide(&sandbox, &asked(if quiet { idle() } else { failed.clone() }), now);
        let Next::At(next) = plan.next else { panic!("{:?}", plan.next) };
        assert!(next > now, "no circle");
        (now, sandbox) = (next, with(sandbox, |s| *s = plan.status));
    }
    looks
}

#[test]
fn a_failed_renewal_is_tried_again_at_least_every_ten_seconds_until_the_end_of_the_life() {
    let no_key = Sights { credential: Err(no_secret()), ..idle() };
    let classes = [Class::Transient, Class::Denied, Class::Invalid, Class::NotFound];
    let failures = classes.map(|class| looked(Err(failure(class))));
    for failed in failures.into_iter().chain([no_key]) {
        let looks = looks(running(), &failed);
        assert!(looks.len() >= 10, "{looks:?}");
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{looks:?}");
        assert!(looks.last().is_some_and(|last| *last >= 290), "{looks:?}");
    }
}

#[test]
fn an_older_wait_does_not_outlast_the_renewal() {
    let waits = |limited| {
        with(running(), |s| {
            let class = if limited { Class::Throttled { until: at(420) } } else { Class::Denied };
            s.retry = Some(crate::domain::retry::after(None, &failure(class), UID, at(120)).retry);
        })
    };
    let needed = Context { needed: true, ..Context::default() };
    let nobody = Context::default();
    assert_eq!(reads(&waits(false), &needed, at(199)), Read::Nothing);
    assert_eq!(decide(&waits(false), &asked(idle()), at(150)).next, Next::At(at(200)));
    assert_eq!(reads(&waits(false), &needed, at(200)), Read::Get);
    assert_eq!(reads(&waits(false), &nobody, at(200)), Read::Nothing, "nobody needs it");
    assert_eq!(reads(&waits(true), &needed, at(200)), Read::Nothing, "a limit stands");
}

#[test]
fn the_message_says_how_often_it_is_tried() {
    let tired = with(running(), |s| {
        for _ in 0..3 {
            s.retry = Some(
                crate::domain::retry::after(s.retry.as_ref(), &failure(Class::Transient), UID, at(190)).retry,
            );
        }
    });
    let status = decide(&tired, &asked(looked(Err(failure(Class::Transient)))), at(200)).status;
    assert_eq!(stands(&status), standing(Standing::Reconciling, reason::RETRIES_EXHAUSTED));
    assert!(message(&status).contains("every 10 s while the sandbox lives"), "{}", message(&status));
}

#[test]
fn a_background_check_waits_as_long_as_a_limit_asks_for() {
    let due = with(running(), |s| s.orphan_check_at = Some(Time(at(100))));
    let limited = Sights { listed: Some(Err(failure(Class::Throttled { until: at(400) }))), ..idle() };
    assert_eq!(decide(&due, &limited, at(100)).status.orphan_check_at, Some(Time(at(400))));
}
