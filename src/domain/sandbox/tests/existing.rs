//! A sandbox with an id: looks, renewals, resumes, losses, and what must never be taken for one.

use super::*;

const NOBODY: Turn = Turn { holder: None, waiting: 0, unconfirmed: false };
const NEEDED: Context = Context {
    needed: true,
    uncommitted: false,
    unreachable: false,
    silent: false,
    last_finished: None,
    last_look: None,
    turn: NOBODY,
    last_runs: Vec::new(),
};
const UNNEEDED: Context = Context {
    needed: false,
    uncommitted: false,
    unreachable: false,
    silent: false,
    last_finished: None,
    last_look: None,
    turn: NOBODY,
    last_runs: Vec::new(),
};

#[test]
fn nothing_is_asked_while_it_is_known_to_be_alive() {
    let limited = with(running(), |s| s.lifetime_limited = true);
    let longer = spec(running(), |s| s.timeout_seconds = 3600);
    // 300 s of life: two thirds are over at 200 s; the end is looked at 10 s late.
    let table = vec![
        (running(), NEEDED, 199, Read::Nothing),
        (running(), NEEDED, 200, Read::Get),
        (running(), UNNEEDED, 309, Read::Nothing),
        (running(), UNNEEDED, 310, Read::Get),
        (limited.clone(), NEEDED, 309, Read::Nothing),
        (limited, NEEDED, 310, Read::Get),
        (longer.clone(), NEEDED, 1, Read::Get),
        (longer, UNNEEDED, 1, Read::Nothing),
        (paused(), UNNEEDED, 9_999, Read::Nothing),
        (paused(), NEEDED, 1, Read::Get),
        (gone(), UNNEEDED, 1, Read::Nothing),
        (with(running(), |s| s.state = None), UNNEEDED, 1, Read::Get),
        (with(running(), |s| s.state = Some(SandboxState::Unknown)), UNNEEDED, 1, Read::Get),
    ];
    for (sandbox, asked, now, read) in table {
        assert_eq!(reads(&sandbox, &asked, at(now)), read, "{asked:?} at {now}");
    }
}

#[test]
fn a_quiet_pass_changes_nothing() {
    for observed in [idle(), needed()] {
        let quiet = Sights { context: observed.context, ..Sights::default() };
        let settled = with(running(), |s| {
            *s = decide(&running(), &Sights::default(), at(1)).status;
        });
        let plan = decide(&settled, &quiet, at(100));
        assert_eq!(Some(&plan.status), settled.status.as_ref(), "whether needed or not");
        let next = if quiet.context.needed { 200 } else { 310 };
        assert_eq!((plan.step, plan.next, plan.finalizer), (None, Next::At(at(next)), true));
    }
}

#[test]
fn a_person_and_a_task_make_it_look_at_once() {
    let mut poked = running();
    poked.metadata.annotations = Some([("slipway.dev/reconcile".into(), "1".into())].into());
    let mut changed = running();
    changed.metadata.generation = Some(2);
    for sandbox in [poked, changed] {
        let wait = crate::domain::retry::after(None, &failure(Class::Denied), UID, at(0)).retry;
        let sandbox = with(sandbox, |s| s.retry = Some(wait));
        assert_eq!(reads(&sandbox, &UNNEEDED, at(1)), Read::Get);
        let status = decide(&sandbox, &found(seen("i1", Life::Running, 300)), at(1)).status;
        let settled = Sandbox { status: Some(status), ..sandbox };
        assert_eq!(reads(&settled, &UNNEEDED, at(2)), Read::Nothing, "once");
    }
    let report = |last_look| Context { unreachable: true, last_look, ..UNNEEDED };
    assert_eq!(reads(&running(), &report(None), at(1)), Read::Get);
    assert_eq!(reads(&running(), &report(Some(at(0))), at(29)), Read::Nothing);
    assert_eq!(reads(&running(), &report(Some(at(0))), at(30)), Read::Get);
    for (last_look, now) in [(None, 1), (Some(at(0)), 30)] {
        let sights = Sights { context: report(last_look), ..found(seen("i1", Life::Running, 300)) };
        let next = decide(&running(), &sights, at(now)).next;
        assert_eq!(next, Next::At(at(now + 30)), "and again while it is reported");
    }
}

#[test]
fn a_limit_outlasts_a_person_in_a_hurry() {
    let class = Class::Throttled { until: at(600) };
    let retry = crate::domain::retry::after(None, &failure(class), UID, at(0)).retry;
    let mut sandbox = with(running(), |s| s.retry = Some(retry));
    sandbox.metadata.generation = Some(2);
    assert_eq!(reads(&sandbox, &NEEDED, at(1)), Read::Nothing);
    let plan = decide(&sandbox, &Sights::default(), at(1));
    assert_eq!((plan.step, plan.next, plan.status.observed_generation), (None, Next::At(at(600)), 2));
}

#[test]
fn renewed_at_two_thirds_if_needed() {
    let alive = || found(seen("i1", Life::Running, 300));
    let renew = Some(Step::Renew { id: "i1".into() });
    let extended = || found(seen("i1", Life::Running, 900));
    let table = [
        (running(), asked(alive()), 200, renew.clone(), "needed"),
        (running(), alive(), 310, None, "not needed"),
        (running(), asked(extended()), 200, None, "somebody else has extended it"),
        (with(running(), |s| s.lifetime_limited = true), asked(alive()), 310, None, "the plan's limit"),
        (spec(running(), |s| s.timeout_seconds = 120), asked(alive()), 200, None, "would end it earlier"),
    ];
    for (sandbox, observed, now, step, why) in table {
        let plan = decide(&sandbox, &observed, at(now));
        assert_eq!((plan.step.clone(), plan.intent), (step, false), "{why}");
        assert_eq!(stands(&plan.status), standing(Standing::Ready, reason::RUNNING), "{why}");
        let later = matches!(plan.next, Next::At(next) if next > at(now));
        assert!(plan.step.is_some() || later, "no circle: {why}");
    }
}

#[test]
fn a_renewal_records_the_real_end() {
    let table = [
        (500, false, false),
        (330, false, false),
        (329, true, false),
        (300, true, false),
        (329, true, true),
        (500, false, true),
    ];
    for (end, limited, kills) in table {
        let sandbox = spec(running(), |s| {
            s.on_timeout = if kills { OnTimeout::Kill } else { OnTimeout::Pause };
        });
        let plan = decide(&sandbox, &asked(found(seen("i1", Life::Running, 300))), at(200));
        let seen = Ended::Renewed(Ok(LookupResult::Found(seen("i1", Life::Running, end))));
        let plan = record(&sandbox, plan, ended(seen), at(201));
        assert_eq!(
            (plan.status.expires_at.clone(), plan.status.lifetime_limited),
            (Some(Time(at(end))), limited)
        );
        assert_eq!(stands(&plan.status), standing(Standing::Ready, reason::RUNNING));
        let warned =
            plan.notes.iter().any(|note| note.warning && note.reason == reason::SANDBOX_LIFETIME_LIMIT);
        assert_eq!(warned, limited && kills, "only a kill loses something");
    }
}

#[test]
fn a_failed_renewal_is_made_again_and_the_sandbox_stays() {
    let plan = decide(&running(), &asked(found(seen("i1", Life::Running, 300))), at(200));
    let status =
        record(&running(), plan, ended(Ended::Renewed(Err(failure(Class::Transient)))), at(200)).status;
    assert_eq!(stands(&status), standing(Standing::Reconciling, reason::RETRYING));
    assert_eq!((status.state, status.sandbox_id.as_deref()), (Some(SandboxState::Running), Some("i1")));
    let sandbox = with(running(), |s| *s = status);
    assert_eq!(reads(&sandbox, &NEEDED, at(203)), Read::Get);
}

#[test]
fn paused_is_resumed_only_when_it_is_needed() {
    let look = || found(seen("i1", Life::Paused, 300));
    let plan = decide(&running(), &look(), at(310));
    assert_eq!((plan.step, plan.next), (None, Next::AwaitChange));
    assert_eq!(stands(&plan.status), standing(Standing::Ready, reason::IDLE));
    assert_eq!((plan.status.state, plan.status.expires_at), (Some(SandboxState::Paused), None));

    let plan = decide(&paused(), &asked(look()), at(400));
    assert_eq!(plan.step, Some(Step::Connect { id: "i1".into(), memory: true }));
    let outcome = Outcome { sent: at(400), ..ended(Ended::Connected(Ok(ConnectEnd::Resumed))) };
    let status = record(&paused(), plan.clone(), outcome, at(402)).status;
    assert_eq!((status.reconnects, status.last_reconnect_time.clone()), (1, Some(Time(at(402)))));
    assert_eq!((status.state, status.expires_at.clone()), (Some(SandboxState::Running), Some(Time(at(700)))));
    assert_eq!(stands(&status), standing(Standing::Ready, reason::RUNNING));

    let status = record(&paused(), plan, ended(Ended::Connected(Ok(ConnectEnd::Ran))), at(402)).status;
    assert_eq!((status.reconnects, status.expires_at.clone()), (1, None), "resumed by somebody else");
    assert_eq!(reads(&with(paused(), |s| *s = status), &NEEDED, at(403)), Read::Get);
}

#[test]
fn only_a_definite_404_under_a_key_that_has_seen_it_means_gone() {
    let mut classes = vec![Class::Transient, Class::Denied, Class::Invalid];
    classes.push(Class::Throttled { until: at(999) });
    for class in classes {
        let observed = asked(looked(Err(failure(class))));
        let plan = decide(&running(), &observed, at(200));
        assert_eq!((plan.step.clone(), plan.status.creating.clone()), (None, None), "{class:?}");
        assert_eq!(plan.status.sandbox_id.as_deref(), Some("i1"));
        assert_eq!(plan.status.state, Some(SandboxState::Running), "not now is not gone");
        let stalls = matches!(class, Class::Denied | Class::Invalid);
        assert_eq!(stands(&plan.status).0 == Standing::Stalled, stalls, "{class:?}");
        let Next::At(next) = plan.next else { panic!("looked at again") };
        assert!(next > at(200) && next <= at(999));
    }
    let plan = decide(&running(), &asked(looked(Ok(not_found()))), at(200));
    assert_eq!((plan.step, plan.status.state, plan.next), (None, Some(SandboxState::Gone), Next::Now));
    assert_eq!(stands(&plan.status), standing(Standing::Reconciling, reason::PROGRESSING));
    let past = &plan.status.history[0];
    assert_eq!((past.sandbox_id.as_str(), past.incarnation, past.ended_at.0), ("i1", 1, at(200)));
    assert_eq!(past.reason, "NotFound");
}

#[test]
fn a_404_under_another_key_is_reported_and_nothing_is_created() {
    let other = |sandbox| with(sandbox, |s| s.credential = Some("fingerprint-b".into()));
    let plan = decide(&other(running()), &asked(looked(Ok(not_found()))), at(200));
    assert_eq!((plan.step, plan.status.state), (None, Some(SandboxState::Running)));
    assert_eq!(stands(&plan.status), standing(Standing::Stalled, reason::SANDBOX_NOT_VISIBLE));
    let said = message(&plan.status);
    assert!(said.contains("restore the key") && said.contains("slipway.dev/reconcile"), "{said}");

    // The annotation says that this key is right; the statement outlasts a look that fails.
    let mut poked = with(running(), |s| *s = plan.status);
    poked.metadata.annotations = Some([("slipway.dev/reconcile".into(), "now".into())].into());
    let leaks = |plan: &Plan<SandboxStatus, Step>| {
        plan.notes.iter().filter(|note| note.warning && note.reason == reason::SANDBOX_LEAKED).count()
    };
    let unlisted = LookupResult::NotFound(Err(failure(Class::Transient)));
    for look in [Err(failure(Class::Transient)), Ok(unlisted)] {
        let failed = decide(&poked, &asked(looked(look)), at(210));
        assert_eq!((failed.status.credential.as_deref(), leaks(&failed)), (Some(KEY), 1));
        let poked = with(poked.clone(), |s| *s = failed.status);
        let plan = decide(&poked, &asked(looked(Ok(not_found()))), at(220));
        assert_eq!((plan.status.state, leaks(&plan)), (Some(SandboxState::Gone), 0));
    }
    // Also where the list of orphans comes first.
    let due = with(poked, |s| s.orphan_check_at = Some(Time(at(100))));
    let list = Sights { listed: Some(Err(failure(Class::Transient))), ..needed() };
    assert_eq!(leaks(&decide(&due, &list, at(210))), 1);

    // On an object that stands well the annotation says no such thing.
    let mut poked = other(running());
    poked.metadata.annotations = Some([("slipway.dev/reconcile".into(), "now".into())].into());
    let plan = decide(&poked, &asked(looked(Ok(not_found()))), at(200));
    assert_eq!(stands(&plan.status), standing(Standing::Stalled, reason::SANDBOX_NOT_VISIBLE));
}

/// What decides is `status.retry`: the condition of a suspended Sandbox says something else.
#[test]
fn a_key_is_accepted_whatever_the_conditions_say() {
    let other = with(running(), |s| s.credential = Some("fingerprint-b".into()));
    let mut hidden = with(other.clone(), |s| {
        *s = decide(&other, &asked(looked(Ok(not_found()))), at(200)).status;
        conditions::stand(&mut s.conditions, 1, at(200), Standing::Ready, reason::SUSPENDED, "");
    });
    hidden.metadata.annotations = Some([("slipway.dev/reconcile".into(), "now".into())].into());
    let plan = decide(&hidden, &asked(looked(Ok(not_found()))), at(210));
    assert_eq!(plan.status.state, Some(SandboxState::Gone));
}

#[test]
fn any_sight_of_it_renews_the_credential() {
    let other = with(running(), |s| s.credential = Some("fingerprint-b".into()));
    let plan = decide(&other, &found(seen("i1", Life::Running, 300)), at(310));
    assert_eq!(plan.status.credential.as_deref(), Some(KEY));
}

#[test]
fn an_unneeded_end_is_no_failure() {
    let kills = spec(running(), |s| s.on_timeout = OnTimeout::Kill);
    let plan = decide(&kills, &looked(Ok(not_found())), at(310));
    assert_eq!(stands(&plan.status), standing(Standing::Ready, reason::IDLE));
    assert_eq!((plan.status.history[0].reason.as_str(), plan.next), ("Expired", Next::AwaitChange));
    let early = decide(&kills, &asked(looked(Ok(not_found()))), at(299)).status;
    let pauses = decide(&running(), &looked(Ok(not_found())), at(310)).status;
    assert_eq!(
        [&early.history[0].reason, &pauses.history[0].reason],
        ["NotFound"; 2],
        "no time-out ended it"
    );
    let again = decide(&with(kills, |s| *s = plan.status.clone()), &Sights::default(), at(400));
    assert_eq!((again.status, again.step), (plan.status, None));
}

#[test]
fn a_loss_enters_the_history_once_and_the_history_stays_short() {
    let long = with(running(), |s| s.history = (-9..=0).map(|n| past(n, n)).collect());
    let status = decide(&long, &looked(Ok(not_found())), at(310)).status;
    assert_eq!((status.history.len(), status.history[9].sandbox_id.as_str()), (10, "i1"));
    let again = decide(&with(long, |s| *s = status.clone()), &needed(), at(311)).status;
    assert_eq!(again.history, status.history);
}

#[test]
fn a_sandbox_that_carries_another_uid_is_let_go_without_a_touch() {
    let mut anothers = seen("i1", Life::Running, 300);
    anothers.metadata.insert("slipway/uid".into(), "another".into());
    let plan = decide(&running(), &asked(looked(Ok(LookupResult::Found(anothers)))), at(200));
    assert_eq!((plan.step, plan.status.state), (None, Some(SandboxState::Gone)));
}

#[test]
fn a_connect_that_fails_never_creates() {
    for class in [Class::Transient, Class::Denied, Class::Invalid] {
        let plan = decide(&paused(), &asked(found(seen("i1", Life::Paused, 300))), at(400));
        let status = record(&paused(), plan, ended(Ended::Connected(Err(failure(class)))), at(401)).status;
        assert_eq!((status.creating, status.state), (None, Some(SandboxState::Paused)), "{class:?}");
    }
}

#[test]
fn only_what_may_be_created_again_has_its_secrets_read() {
    assert_eq!(reads(&creating(1, None), &NEEDED, at(1)), Read::ListAndSecrets);
    assert_eq!(reads(&running(), &NEEDED, at(200)), Read::Get);
}

#[test]
fn suspended_only_renews() {
    let suspended = |sandbox| spec(sandbox, |s: &mut SandboxSpec| s.suspend = true);
    for sandbox in [fresh(), creating(1, None), paused(), gone(), running()] {
        let sandbox = suspended(with(sandbox, |s| s.orphan_check_at = Some(Time(at(0)))));
        assert_eq!(reads(&sandbox, &NEEDED, at(100)), Read::Nothing);
        let plan = decide(&sandbox, &Sights { context: NEEDED, ..Sights::default() }, at(100));
        assert_eq!(plan.step, None);
        assert_eq!(stands(&plan.status), standing(Standing::Ready, reason::SUSPENDED));
        assert!(plan.next != Next::Now);
    }
    // It comes back only for what it would renew.
    let limited = with(running(), |s| s.lifetime_limited = true);
    for (sandbox, asked, next) in [
        (running(), NEEDED, Next::At(at(200))),
        (running(), UNNEEDED, Next::AwaitChange),
        (limited, NEEDED, Next::AwaitChange),
        (paused(), NEEDED, Next::AwaitChange),
    ] {
        let plan =
            decide(&suspended(sandbox), &Sights { context: asked.clone(), ..Sights::default() }, at(100));
        assert_eq!((plan.step, plan.next), (None, next), "{asked:?}");
    }
    let sandbox = suspended(running());
    assert_eq!(reads(&sandbox, &NEEDED, at(200)), Read::Get);
    let observed = asked(found(seen("i1", Life::Running, 300)));
    let plan = decide(&sandbox, &observed, at(200));
    assert_eq!(plan.step, Some(Step::Renew { id: "i1".into() }));
    let extended = asked(found(seen("i1", Life::Running, 900)));
    assert_eq!(decide(&sandbox, &extended, at(200)).step, None, "somebody else has extended it");
    let status = record(&sandbox, plan, ended(Ended::Renewed(Err(failure(Class::Denied)))), at(200)).status;
    assert_eq!(stands(&status), standing(Standing::Ready, reason::SUSPENDED));
    assert!(message(&status).contains("because"), "{}", message(&status));
}
