//! Turns in a shared Sandbox go on whatever else holds the object up.

use super::*;
use crate::{api::Holder, domain::turn::Turn};

fn turn(request: &str, waiting: i64) -> Turn {
    let holder = Holder { task: "t".into(), uid: "u".into(), request: request.into() };
    Turn { holder: Some(holder), waiting, unconfirmed: false }
}

fn told(turn: Turn, sights: Sights) -> Sights {
    Sights { context: Context { turn, ..sights.context.clone() }, ..sights }
}

fn granted(status: &SandboxStatus) -> Option<&str> {
    status.holder.as_ref().map(|holder| holder.request.as_str())
}

#[test]
fn the_turn_is_given_while_suspended_paused_gone_stalled_or_waiting() {
    let suspended = spec(running(), |s| s.suspend = true);
    let waiting = with(running(), |s| {
        s.retry = Some(crate::domain::retry::after(None, &failure(Class::Denied), UID, at(0)).retry);
    });
    let held = spec(gone(), |s| s.recovery.policy = RecoveryPolicy::Hold);
    for sandbox in [running(), suspended, paused(), waiting, held] {
        let observed = told(turn("q1", 2), idle());
        let plan = decide(&sandbox, &observed, at(1));
        assert_eq!((granted(&plan.status), plan.status.waiting), (Some("q1"), 2), "{sandbox:?}");
        let given = with(sandbox, |s| *s = plan.status);
        let again = decide(&given, &observed, at(2));
        assert_eq!(Some(again.status), given.status, "nothing changes, nothing is written");
        let over = decide(&given, &Sights::default(), at(2));
        assert_eq!((over.status.holder, over.status.waiting), (None, 0));
    }
}

#[test]
fn what_has_begun_in_a_shared_sandbox_stands_in_its_status_until_the_next_is_made() {
    let last_runs = vec![LastRun { uid: "a".into(), started_at: Time(at(5)) }];
    let told = Sights { context: Context { last_runs: last_runs.clone(), ..Context::default() }, ..idle() };
    assert_eq!(decide(&running(), &told, at(6)).status.last_runs, last_runs);
    let known = with(gone(), |s| s.last_runs.clone_from(&last_runs));
    let asked = Sights { context: Context { needed: true, ..told.context.clone() }, ..told };
    let plan = decide(&known, &asked, at(20));
    let made = record(&known, plan, ended(Ended::Created { id: "i2".into() }), at(21)).status;
    assert_eq!((made.sandbox_id.as_deref(), made.last_runs.len()), (Some("i2"), 0));
}

#[test]
fn the_turn_stands_in_the_intent_and_after_the_step() {
    let observed = told(turn("q1", 0), idle());
    let plan = decide(&fresh(), &observed, at(0));
    assert_eq!((granted(&plan.status), plan.intent), (Some("q1"), true));
    let status = record(&fresh(), plan, ended(Ended::Created { id: "i1".into() }), at(1)).status;
    assert_eq!(granted(&status), Some("q1"));
}

#[test]
fn an_end_that_is_not_confirmed_is_asked_about_again_soon() {
    let unconfirmed = Turn { unconfirmed: true, ..turn("q1", 0) };
    let observed = told(unconfirmed.clone(), idle());
    assert_eq!(decide(&running(), &observed, at(1)).next, Next::At(at(6)));
    let seen_paused = found(seen("i1", Life::Paused, 300));
    let plan = decide(&paused(), &told(unconfirmed, asked(seen_paused)), at(400));
    let failed = Ended::Connected(Err(failure(Class::Denied)));
    assert_eq!(record(&paused(), plan, ended(failed), at(401)).next, Next::At(at(405)));
}

#[test]
fn nothing_begins_in_a_sandbox_that_is_deleted() {
    let sandbox = deleted(with(running(), |s| s.holder = turn("q1", 0).holder));
    let plan = decide(&sandbox, &found(seen("i1", Life::Running, 300)), at(1));
    assert_eq!(granted(&plan.status), Some("q1"), "the holder is told by the loss, not by another's turn");
}
