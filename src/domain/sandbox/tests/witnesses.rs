//! When a sandbox counts as gone: two witnesses, twice where files may be lost, under a key that has seen it.
//! Neighbours: `existing` has the rest of a sandbox's life, `walk` an E2B that lies.

use super::*;

fn uncommitted(mut sights: Sights) -> Sights {
    sights.context.uncommitted = true;
    asked(sights)
}

/// GET answers 404, and the list after it shows these.
fn missed(listed: Vec<E2bSandbox>) -> Sights {
    looked(Ok(LookupResult::NotFound(Ok(listed))))
}

#[test]
fn a_404_for_a_sandbox_that_the_list_shows_changes_nothing() {
    for life in [Life::Running, Life::Paused] {
        for sights in [missed(vec![seen("i1", life, 300)]), uncommitted(missed(vec![seen("i1", life, 300)]))]
        {
            let status = decide(&running(), &sights, at(310)).status;
            assert_ne!(status.state, Some(SandboxState::Gone), "{life:?}");
            assert_eq!((status.missing_since, status.history.len()), (None, 0));
        }
    }
}

#[test]
fn a_404_without_a_list_proves_nothing() {
    for class in [Class::Transient, Class::Denied, Class::Throttled { until: at(999) }] {
        let sights = asked(looked(Ok(LookupResult::NotFound(Err(failure(class))))));
        let status = decide(&running(), &sights, at(310)).status;
        assert_eq!((status.state, status.missing_since), (Some(SandboxState::Running), None), "{class:?}");
        assert!(status.retry.is_some());
    }
}

#[test]
fn with_files_that_are_not_committed_both_witnesses_say_it_twice_ten_seconds_apart() {
    let first = decide(&running(), &uncommitted(missed(vec![])), at(200));
    assert_eq!((first.status.state, first.next), (Some(SandboxState::Running), Next::At(at(210))));
    assert_eq!(first.status.missing_since, Some(Time(at(200))));
    assert_eq!(stands(&first.status), standing(Standing::Reconciling, reason::SANDBOX_MISSING));

    // The status is all that a restarted operator has; a person in a hurry shortens nothing.
    let mut waiting = with(running(), |s| *s = first.status);
    waiting.metadata.generation = Some(2);
    let needed = Context { needed: true, uncommitted: true, ..Context::default() };
    assert_eq!(reads(&waiting, &needed, at(209)), Read::Nothing);
    assert_eq!(reads(&waiting, &needed, at(210)), Read::Get);
    let second = decide(&waiting, &uncommitted(missed(vec![])), at(210));
    assert_eq!(second.status.state, Some(SandboxState::Gone));
    let past = &second.status.history[0];
    assert_eq!((past.sandbox_id.as_str(), past.uncommitted_files, past.kept), ("i1", true, false));

    let shown = decide(&waiting, &uncommitted(found(seen("i1", Life::Paused, 300))), at(210)).status;
    assert_eq!((shown.state, shown.missing_since), (Some(SandboxState::Paused), None));
    let failed = decide(&waiting, &uncommitted(looked(Err(failure(Class::Transient)))), at(210)).status;
    assert_eq!((failed.state, failed.missing_since), (Some(SandboxState::Running), Some(Time(at(200)))));
}

#[test]
fn without_such_files_one_look_is_enough() {
    let status = decide(&running(), &asked(missed(vec![])), at(200)).status;
    assert_eq!((status.state, status.history[0].uncommitted_files), (Some(SandboxState::Gone), false));
}

#[test]
fn a_404_of_a_connect_or_a_renewal_is_weighed_like_that_of_a_look() {
    let connect = |listed| {
        let plan = decide(&paused(), &asked(found(seen("i1", Life::Paused, 300))), at(400));
        record(&paused(), plan, ended(Ended::Connected(Ok(ConnectEnd::NotFound(listed)))), at(401))
    };
    let renew = |listed| {
        let plan = decide(&running(), &asked(found(seen("i1", Life::Running, 300))), at(200));
        record(&running(), plan, ended(Ended::Renewed(Ok(LookupResult::NotFound(listed)))), at(201))
    };
    for (plan, first) in [(connect(Ok(vec![])), 401), (renew(Ok(vec![])), 201)] {
        assert_eq!(plan.status.missing_since, Some(Time(at(first))), "a look of its own comes next");
        assert_eq!(plan.next, Next::At(at(first + 10)));
    }
    let shown = || Ok(vec![seen("i1", Life::Paused, 300)]);
    for plan in [connect(shown()), renew(shown()), connect(Err(failure(Class::Transient)))] {
        assert_ne!(plan.status.state, Some(SandboxState::Gone));
        assert!(plan.status.missing_since.is_none() && plan.status.retry.is_some());
    }
}

#[test]
fn one_more_list_follows_every_replacement() {
    let plan = decide(&gone(), &needed(), at(1));
    let status = record(&gone(), plan, ended(Ended::Created { id: "i2".into() }), at(2)).status;
    assert_eq!(status.orphan_check_at, Some(Time(at(102))));
    let first = record(
        &fresh(),
        decide(&fresh(), &needed(), at(1)),
        ended(Ended::Created { id: "i1".into() }),
        at(2),
    );
    assert_eq!(first.status.orphan_check_at, None, "nothing was replaced");
}

/// The second incarnation runs, and the list that follows is due.
fn replaced(uncommitted: bool) -> Sandbox {
    with(running(), |s| {
        s.sandbox_id = Some("i2".into());
        s.incarnation = Some(2);
        s.history = vec![PastSandbox { uncommitted_files: uncommitted, ..past(1, 0) }];
        s.orphan_check_at = Some(Time(at(100)));
    })
}

#[test]
fn a_replaced_sandbox_that_lives_is_killed_unless_it_may_hold_files() {
    let lives = || listed(vec![seen("i1", Life::Paused, 300)]);
    let plan = decide(&replaced(false), &lives(), at(100));
    assert_eq!((plan.step, plan.notes.len()), (Some(Step::Kill { id: "i1".into() }), 0));

    let plan = decide(&replaced(true), &lives(), at(100));
    assert_eq!((plan.step, plan.status.orphan_check_at), (None, None));
    assert!(plan.status.history[0].kept);
    let note = &plan.notes[0];
    assert!(note.warning && note.reason == reason::SANDBOX_KEPT && note.message.contains("i1"), "{note:?}");

    // It is named once, and what else is found goes.
    let again = with(replaced(true), |s| s.history[0].kept = true);
    let both = listed(vec![seen("i1", Life::Paused, 300), seen("i0", Life::Running, 300)]);
    let plan = decide(&again, &both, at(100));
    assert_eq!((plan.step, plan.notes.len()), (Some(Step::Kill { id: "i0".into() }), 0));
}

#[test]
fn one_that_is_kept_is_not_forgotten_for_those_that_were_lost_after_it() {
    let kept = PastSandbox { uncommitted_files: true, kept: true, ..past(1, 0) };
    let unsafe_files = PastSandbox { uncommitted_files: true, ..past(2, 0) };
    let mut sandbox = with(replaced(true), |s| s.history = vec![kept, unsafe_files]);
    for number in 3..20 {
        let id = format!("i{number}");
        let up = with(sandbox, |s| {
            (s.sandbox_id, s.incarnation) = (Some(id.clone()), Some(number));
            (s.state, s.orphan_check_at) = (Some(SandboxState::Running), None);
        });
        sandbox = with(up.clone(), |s| *s = decide(&up, &asked(missed(vec![])), at(400)).status);
    }
    let history = sandbox.status.as_ref().map(|status| status.history.clone()).unwrap_or_default();
    let first: Vec<_> = history.iter().take(3).map(|past| past.sandbox_id.as_str()).collect();
    assert_eq!((first, history.len()), (vec!["i1", "i2", "i12"], 10));
    let due = with(sandbox, |s| {
        (s.sandbox_id, s.incarnation, s.state) = (Some("i20".into()), Some(20), Some(SandboxState::Running));
        s.orphan_check_at = Some(Time(at(500)));
    });
    let both = listed(vec![seen("i1", Life::Paused, 300), seen("i2", Life::Paused, 300)]);
    let plan = decide(&due, &both, at(500));
    assert_eq!((plan.step, plan.notes.len()), (None, 1), "the second is kept from now on");
}

#[test]
fn a_later_incarnation_is_no_orphan() {
    let mut later = seen("i3", Life::Running, 300);
    later.metadata.insert("slipway/incarnation".into(), "3".into());
    assert_eq!(decide(&replaced(false), &listed(vec![later]), at(100)).step, None);
}

#[test]
fn a_state_of_another_name_is_looked_at_again_and_neither_resumed_nor_replaced() {
    for sandbox in [running(), paused()] {
        let plan = decide(&sandbox, &uncommitted(found(seen("i1", Life::Other, 300))), at(310));
        assert_eq!((plan.step, plan.status.state, plan.next), (None, None, Next::At(at(320))));
        assert_eq!(stands(&plan.status).0, Standing::Reconciling);
        let again = with(sandbox, |s| *s = plan.status);
        assert_eq!(
            reads(&again, &Context::default(), at(311)),
            Read::Get,
            "also when something else wakes it"
        );
    }
    // One that a create has made, and that nobody has seen run.
    let plan = decide(&creating(1, None), &listed(vec![seen("i1", Life::Other, 300)]), at(5));
    assert_eq!((plan.step, plan.status.state, plan.next), (None, None, Next::At(at(15))));
    assert_eq!(plan.status.sandbox_id.as_deref(), Some("i1"));
    let kill = decide(&deleted(running()), &found(seen("i1", Life::Other, 300)), at(1));
    assert_eq!(kill.step, Some(Step::Kill { id: "i1".into() }));
}
