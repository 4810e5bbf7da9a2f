//! The end of a Sandbox: policies, what may still come of a create, keys that are gone, E2B that is away.

use super::*;

/// The policy, with what stays on record already.
fn policy(sandbox: Sandbox, policy: DeletionPolicy) -> Sandbox {
    with(deleted(spec(sandbox, |s| s.deletion_policy = Some(policy))), |s| s.kept = true)
}

fn leaks(plan: &Plan<SandboxStatus, Step>) -> Option<&str> {
    let note = plan.notes.iter().find(|note| note.warning && note.reason == reason::SANDBOX_LEAKED)?;
    Some(&note.message)
}

#[test]
fn the_policy_decides_what_happens_to_it() {
    use DeletionPolicy::{Kill, Pause, Retain};
    let kill = Some(Step::Kill { id: "i1".into() });
    let pause = Some(Step::Pause { id: "i1".into() });
    let table = [
        (deleted(running()), Life::Running, kill.clone()),
        (policy(running(), Kill), Life::Running, kill.clone()),
        (policy(paused(), Kill), Life::Paused, kill),
        (policy(running(), Pause), Life::Running, pause.clone()),
        (policy(paused(), Pause), Life::Running, pause),
        (policy(paused(), Pause), Life::Paused, None),
    ];
    for (sandbox, life, step) in table {
        assert_eq!(reads(&sandbox, &Context::default(), at(1)), Read::Get);
        let plan = decide(&sandbox, &found(seen("i1", life, 300)), at(1));
        assert_eq!((plan.finalizer, plan.step.clone()), (step.is_some(), step));
        assert_eq!(stands(&plan.status), standing(Standing::Reconciling, reason::DELETING));
    }
    // Once the deletion has been looked at, only a pause that is recorded is enough.
    let known = |wanted| {
        with(policy(paused(), wanted), |s| {
            s.observed_generation = 2;
            conditions::stand(&mut s.conditions, 2, at(0), Standing::Reconciling, reason::DELETING, "");
        })
    };
    assert_eq!(reads(&known(Kill), &Context::default(), at(1)), Read::Get);
    assert!(!decide(&known(Pause), &Sights::default(), at(1)).finalizer);
    let retained = policy(running(), Retain);
    assert_eq!(reads(&retained, &Context::default(), at(1)), Read::Nothing);
    let plan = decide(&retained, &Sights::default(), at(1));
    assert_eq!((plan.step, plan.finalizer), (None, false));
    assert!(plan.notes[0].message.contains("i1"));
}

/// The policy, with what stays not on record yet.
fn unrecorded(sandbox: Sandbox, policy_of: DeletionPolicy) -> Sandbox {
    with(policy(sandbox, policy_of), |s| s.kept = false)
}

#[test]
fn what_stays_is_put_on_record_before_anything_else() {
    use DeletionPolicy::{Pause, Retain};
    for (sandbox, policy_of) in
        [(running(), Retain), (running(), Pause), (paused(), Pause), (creating(1, None), Retain)]
    {
        let sandbox = unrecorded(sandbox, policy_of);
        assert_eq!(reads(&sandbox, &Context::default(), at(1)), Read::Nothing);
        let plan = decide(&sandbox, &Sights::default(), at(1));
        assert_eq!((plan.step.clone(), plan.finalizer), (Some(Step::Keep), true));
        let plan = record(&sandbox, plan, ended(Ended::Kept(Ok(()))), at(1));
        assert_eq!((plan.status.kept, plan.finalizer, plan.next), (true, true, Next::Now));
    }
    assert!(
        !decide(&unrecorded(gone(), Retain), &Sights::default(), at(1)).finalizer,
        "there is nothing to keep"
    );
}

#[test]
fn a_record_that_can_not_be_written_is_tried_again_and_its_end_is_named() {
    let mut sandbox = unrecorded(running(), DeletionPolicy::Retain);
    let mut now = 1;
    let plan = loop {
        let plan = decide(&sandbox, &Sights::default(), at(now));
        assert_eq!(plan.step, Some(Step::Keep));
        let plan = record(&sandbox, plan, ended(Ended::Kept(Err(failure(Class::Transient)))), at(now));
        if !plan.finalizer {
            break plan;
        }
        let Next::At(next) = plan.next else { panic!("{:?}", plan.next) };
        sandbox = with(sandbox, |s| *s = plan.status);
        assert_eq!(decide(&sandbox, &Sights::default(), at(now)).step, None, "it waits");
        now = next.as_second() - START;
    };
    assert_eq!(now, 3600);
    let said = leaks(&plan).expect("a Warning");
    assert!(said.contains("i1") && said.contains("not on record as kept"), "{said}");
}

#[test]
fn the_finalizer_goes_when_it_is_done() {
    let end = |sandbox: Sandbox, outcome| {
        let plan = decide(&sandbox, &found(seen("i1", Life::Running, 300)), at(1));
        record(&sandbox, plan, ended(outcome), at(2))
    };
    let id = || "i1".to_owned();
    assert!(!end(deleted(running()), Ended::Killed { id: id(), result: Ok(KillEnd::Killed) }).finalizer);
    let pause = |end_of| Ended::Paused { id: id(), result: Ok(end_of) };
    let paused = || policy(running(), DeletionPolicy::Pause);
    assert!(!end(paused(), pause(PauseEnd::Paused)).finalizer);
    assert!(!end(paused(), pause(PauseEnd::Gone)).finalizer);
    assert!(end(paused(), pause(PauseEnd::Unclear)).finalizer, "a look tells");
    assert!(
        end(deleted(running()), Ended::Killed { id: id(), result: Err(failure(Class::Transient)) }).finalizer
    );
}

#[test]
fn nothing_there_nothing_asked() {
    let refused = creating(2, Some(CreateAnswer::Refused));
    for sandbox in [fresh(), gone(), refused] {
        let sandbox = deleted(sandbox);
        assert_eq!(reads(&sandbox, &Context::default(), at(1)), Read::Nothing);
        assert!(!decide(&sandbox, &Sights::default(), at(1)).finalizer);
    }
}

#[test]
fn what_may_come_of_a_create_is_awaited_and_dealt_with() {
    for answer in [None, Some(CreateAnswer::Lost), Some(CreateAnswer::Failed)] {
        let sandbox = deleted(creating(1, answer));
        assert_eq!(reads(&sandbox, &Context::default(), at(5)), Read::List);
        let plan = decide(&sandbox, &listed(vec![]), at(5));
        assert_eq!((plan.step, plan.finalizer, plan.next), (None, true, Next::At(at(15))));
        let waiting = with(sandbox.clone(), |s| *s = plan.status);
        let plan = decide(&waiting, &listed(vec![seen("i3", Life::Running, 300)]), at(15));
        assert_eq!(plan.step.clone(), Some(Step::Kill { id: "i3".into() }));
        let plan = record(
            &waiting,
            plan,
            ended(Ended::Killed { id: "i3".into(), result: Ok(KillEnd::Killed) }),
            at(15),
        );
        assert!(plan.finalizer, "another may come");
        assert!(decide(&waiting, &listed(vec![]), at(99)).finalizer);
        assert!(!decide(&waiting, &listed(vec![]), at(100)).finalizer);
    }
    let paused = policy(creating(1, None), DeletionPolicy::Pause);
    let found = listed(vec![seen("i3", Life::Paused, 300), seen("i4", Life::Running, 300)]);
    assert_eq!(decide(&paused, &found, at(5)).step, Some(Step::Pause { id: "i4".into() }));
}

#[test]
fn the_known_one_comes_before_the_search() {
    let both = deleted(with(running(), |s| s.orphan_check_at = Some(Time(at(100)))));
    assert_eq!(reads(&both, &Context::default(), at(1)), Read::Get);
    let plan = decide(&both, &found(seen("i1", Life::Running, 300)), at(1));
    let plan =
        record(&both, plan, ended(Ended::Killed { id: "i1".into(), result: Ok(KillEnd::Killed) }), at(2));
    assert_eq!((plan.finalizer, plan.next), (true, Next::Now));
    let left = with(both, |s| *s = plan.status);
    assert_eq!(reads(&left, &Context::default(), at(2)), Read::List);
    assert!(!decide(&left, &listed(vec![]), at(100)).finalizer);
}

#[test]
fn a_found_one_is_followed_by_another_look_and_not_in_a_circle() {
    let left = deleted(with(gone(), |s| s.orphan_check_at = Some(Time(at(100)))));
    let plan = decide(&left, &listed(vec![seen("i3", Life::Running, 300)]), at(5));
    let plan =
        record(&left, plan, ended(Ended::Killed { id: "i3".into(), result: Ok(KillEnd::Killed) }), at(5));
    assert_eq!((plan.finalizer, plan.next), (true, Next::After(SignedDuration::from_secs(1))));
}

#[test]
fn a_refused_kill_or_pause_is_made_again_as_the_policy_says() {
    for policy_of in [DeletionPolicy::Kill, DeletionPolicy::Pause] {
        let sandbox = policy(running(), policy_of);
        let plan = decide(&sandbox, &found(seen("i1", Life::Running, 300)), at(1));
        let (id, failed) = ("i1".to_owned(), failure(Class::Transient));
        let end = match policy_of {
            DeletionPolicy::Kill => Ended::Killed { id, result: Err(failed) },
            _ => Ended::Paused { id, result: Err(failed) },
        };
        let status = record(&sandbox, plan, ended(end), at(1)).status;
        assert_eq!(status.retry.map(|retry| retry.next_attempt_at.0), Some(at(3)), "{policy_of:?}");
    }
}

#[test]
fn a_found_one_that_was_paused_is_not_taken_for_the_known_one() {
    let sandbox = policy(creating(1, None), DeletionPolicy::Pause);
    let plan = decide(&sandbox, &listed(vec![seen("i4", Life::Running, 300)]), at(5));
    let end = Ended::Paused { id: "i4".into(), result: Ok(PauseEnd::Paused) };
    let plan = record(&sandbox, plan, ended(end), at(5));
    assert_eq!((plan.status.state, plan.next), (None, Next::After(SignedDuration::from_secs(1))));
}

#[test]
fn what_stays_is_named_only_if_there_is_something() {
    for policy_of in [DeletionPolicy::Pause, DeletionPolicy::Retain] {
        assert!(decide(&policy(fresh(), policy_of), &Sights::default(), at(1)).notes.is_empty());
        let plan = decide(&policy(paused(), policy_of), &found(seen("i1", Life::Paused, 300)), at(1));
        assert!(plan.notes[0].message.contains("i1"), "{policy_of:?}");
    }
}

#[test]
fn the_tries_of_a_deletion_have_the_waits_of_any_call_and_a_limit_outlasts_its_end() {
    let away = looked(Err(failure(Class::Transient)));
    assert_eq!(decide(&deleted(running()), &away, at(1)).next, Next::At(at(3)));
    let limited = looked(Err(failure(Class::Throttled { until: at(4_000) })));
    assert_eq!(decide(&deleted(running()), &limited, at(1)).next, Next::At(at(4_000)));
    let denied = looked(Err(failure(Class::Denied)));
    assert_eq!(
        decide(&deleted(running()), &denied, at(590)).next,
        Next::At(at(600)),
        "no longer than ten minutes"
    );
}

/// Runs the deletion with the same sighting until it is let go; the second of the release.
fn let_go(mut sandbox: Sandbox, observed: &Sights) -> (i64, Plan<SandboxStatus, Step>) {
    let mut now = at(1);
    for _ in 0..200 {
        let waits = reads(&sandbox, &Context::default(), now) == Read::Nothing;
        let nothing = Sights::default();
        let plan = decide(&sandbox, if waits { &nothing } else { observed }, now);
        if !plan.finalizer {
            return (now.as_second() - START, plan);
        }
        assert_eq!(stands(&plan.status), standing(Standing::Reconciling, reason::DELETING));
        let Next::At(next) = plan.next else { panic!("{:?}", plan.next) };
        assert!(next > now, "no circle");
        now = next;
        sandbox = with(sandbox, |s| *s = plan.status);
    }
    panic!("never let go");
}

#[test]
fn without_a_key_it_is_let_go_after_ten_minutes_and_named() {
    let missing = Sights { credential: Err(no_secret()), ..Sights::default() };
    let invalid = Sights { credential: Err(wrong_secret()), ..Sights::default() };
    let denied = looked(Err(failure(Class::Denied)));
    for observed in [missing, invalid, denied] {
        let (when, plan) = let_go(deleted(running()), &observed);
        assert_eq!(when, 600);
        let said = leaks(&plan).expect("a Warning");
        assert!(said.contains("i1") && said.contains("stays paused until killed"), "{said}");
    }
}

/// GET answers 404 for living sandboxes too: the kill is asked for all the same, and its own answer counts.
#[test]
fn a_404_before_a_deletion_does_not_keep_the_kill_from_being_sent() {
    for (policy_of, step) in [
        (DeletionPolicy::Kill, Step::Kill { id: "i1".into() }),
        (DeletionPolicy::Pause, Step::Pause { id: "i1".into() }),
    ] {
        let plan = decide(&policy(running(), policy_of), &looked(Ok(not_found())), at(1));
        assert_eq!((plan.step, plan.finalizer), (Some(step), true), "{policy_of:?}");
    }
}

#[test]
fn the_404_of_a_kill_is_success_only_under_the_key_that_has_seen_the_sandbox() {
    let gone = |policy_of| match policy_of {
        DeletionPolicy::Pause => Ended::Paused { id: "i1".into(), result: Ok(PauseEnd::Gone) },
        _ => Ended::Killed { id: "i1".into(), result: Ok(KillEnd::NotFound) },
    };
    for policy_of in [DeletionPolicy::Kill, DeletionPolicy::Pause] {
        let own = policy(running(), policy_of);
        let plan = decide(&own, &looked(Ok(not_found())), at(1));
        assert!(!record(&own, plan, ended(gone(policy_of)), at(1)).finalizer, "{policy_of:?}");

        let mut other = with(own, |s| s.credential = Some("fingerprint-b".into()));
        let mut now = 1;
        let plan = loop {
            let plan = decide(&other, &looked(Ok(not_found())), at(now));
            let plan = if plan.step.is_some() {
                record(&other, plan, ended(gone(policy_of)), at(now))
            } else {
                plan
            };
            if !plan.finalizer {
                break plan;
            }
            let Next::At(next) = plan.next else { panic!("{:?}", plan.next) };
            now = next.as_second() - START;
            other = with(other, |s| *s = plan.status);
        };
        assert_eq!(now, 600, "like a Secret that is gone");
        assert!(leaks(&plan).is_some_and(|said| said.contains("i1")), "{policy_of:?}");
    }
}

#[test]
fn a_deletion_ends_what_was_kept_for_its_files() {
    let kept = with(gone(), |s| {
        s.history[0].kept = true;
        s.sandbox_id = Some("i2".into());
        s.history.push(past(2, 5));
    });
    let plan = decide(&deleted(kept.clone()), &listed(vec![seen("i1", Life::Paused, 300)]), at(9));
    assert_eq!(plan.step, Some(Step::Kill { id: "i1".into() }));
    assert!(!decide(&deleted(kept), &listed(vec![]), at(9)).finalizer);
}

#[test]
fn without_e2b_it_is_let_go_after_an_hour_and_named() {
    let away = looked(Err(failure(Class::Transient)));
    let (when, plan) = let_go(deleted(running()), &away);
    assert_eq!(when, 3600);
    assert!(leaks(&plan).is_some_and(|said| said.contains("i1")));
    let kills = deleted(spec(running(), |s| s.on_timeout = OnTimeout::Kill));
    let (_, plan) = let_go(kills, &away);
    let said = leaks(&plan).expect("a Warning").to_owned();
    assert!(!said.contains("paused"), "{said}");
    let list_away = Sights { listed: Some(Err(failure(Class::Transient))), ..idle() };
    let (when, plan) = let_go(deleted(creating(1, None)), &list_away);
    assert_eq!(when, 3600);
    assert!(leaks(&plan).is_some_and(|said| said.contains(UID)));
}

#[test]
fn deletion_cuts_a_wait_short() {
    let retry = crate::domain::retry::after(None, &failure(Class::Denied), UID, at(0)).retry;
    let sandbox = deleted(with(running(), |s| s.retry = Some(retry)));
    assert_eq!(reads(&sandbox, &Context::default(), at(1)), Read::Get);
}

#[test]
fn suspension_does_not_stop_a_deletion() {
    let sandbox = deleted(spec(running(), |s| s.suspend = true));
    let plan = decide(&sandbox, &found(seen("i1", Life::Running, 300)), at(1));
    assert_eq!(plan.step, Some(Step::Kill { id: "i1".into() }));
}

#[test]
fn what_belongs_to_another_object_is_not_killed() {
    let mut anothers = seen("i1", Life::Running, 300);
    anothers.metadata.insert("slipway/uid".into(), "another".into());
    let plan = decide(&deleted(running()), &looked(Ok(LookupResult::Found(anothers.clone()))), at(1));
    assert_eq!((plan.step, plan.finalizer), (None, false));
    let plan = decide(&deleted(creating(1, None)), &listed(vec![anothers]), at(5));
    assert_eq!(plan.step, None);
}
