//! A sandbox that comes back with older files is noticed, by its mark or by the date of its pause, and told of once.
//! Neighbours: `pauses` counts the pauses themselves.

use super::*;

fn marked(before: &str, written: &str) -> Marked {
    Marked { before: before.into(), written: written.into(), lacks_run: false }
}

fn notes(plan: &Plan<SandboxStatus, Step>) -> usize {
    plan.notes.iter().filter(|note| note.warning && note.reason == reason::SANDBOX_ROLLED_BACK).count()
}

/// It was marked when it was made, and is paused since 300 s.
fn paused_with_mark() -> Sandbox {
    with(paused(), |s| {
        s.mark = Some("1.0.0".into());
        s.last_running_at = Some(Time(at(200)));
        s.paused_at = Some(Time(at(300)));
    })
}

fn connected(sandbox: &Sandbox, mark: Option<Marked>) -> Plan<SandboxStatus, Step> {
    let plan = decide(sandbox, &asked(found(seen("i1", Life::Paused, 300))), at(400));
    record(sandbox, plan, Outcome { mark, ..ended(Ended::Connected(Ok(ConnectEnd::Resumed))) }, at(401))
}

#[test]
fn the_mark_of_a_new_sandbox_is_recorded_and_no_older_one_is_missed_in_it() {
    let plan = decide(&fresh(), &needed(), at(1));
    let outcome = Outcome { mark: Some(marked("", "1.0.0")), ..ended(Ended::Created { id: "i1".into() }) };
    let plan = record(&fresh(), plan, outcome, at(2));
    assert_eq!((plan.status.mark.as_deref(), plan.status.rolled_back_at.as_ref()), (Some("1.0.0"), None));
    assert_eq!(after_create(1, &SandboxStatus::default()), "1.0.0");
    assert_eq!(after_resume(&paused_with_mark().status.expect("set")), "1.1.0");
}

#[test]
fn an_older_mark_after_a_resume_shows_older_files() {
    for (before, older) in [
        ("1.0.0", false),
        // The record of the last resume was lost.
        ("1.1.0", false),
        ("0.9.0", true),
        ("", true),
        ("nonsense", true),
        // Whoever wrote the first of two died before it was recorded what the second means.
        ("1.1.0 <- 0.9.0", true),
        ("1.1.0 <- ", true),
        ("1.1.0 <- 1.0.0", false),
    ] {
        let plan = connected(&paused_with_mark(), Some(marked(before, "1.1.0")));
        assert_eq!(plan.status.rolled_back_at.is_some(), older, "{before:?}");
        assert_eq!(notes(&plan), usize::from(older), "{before:?}");
        assert_eq!((plan.status.mark.as_deref(), plan.status.reconnects), (Some("1.1.0"), 1));
    }
}

#[test]
fn a_sandbox_without_the_newest_command_that_ended_in_it_shows_older_files() {
    // Also where nobody knows what its file should say.
    for mark in [Some("1.0.0".to_owned()), None] {
        let sandbox = with(paused_with_mark(), |s| s.mark = mark);
        let plan = connected(&sandbox, Some(Marked { lacks_run: true, ..marked("1.0.0", "1.1.0") }));
        assert_eq!((plan.status.rolled_back_at.is_some(), notes(&plan)), (true, 1));
    }
}

#[test]
fn a_sandbox_that_could_not_be_marked_is_judged_when_it_answers_and_no_task_works_in_it_before() {
    let plan = connected(&paused_with_mark(), None);
    assert_eq!((plan.status.mark.as_deref(), plan.status.rolled_back_at.as_ref()), (Some("1.0.0"), None));
    assert_eq!(stands(&plan.status), standing(Standing::Reconciling, reason::PROGRESSING));
    assert!(message(&plan.status).contains("it is asked whether it has the files"));

    let mut unmarked = with(running(), |s| *s = plan.status);
    unmarked.metadata.generation = Some(2);
    let again = decide(&unmarked, &asked(found(seen("i1", Life::Running, 700))), at(410));
    assert_eq!(again.step, Some(Step::Mark { id: "i1".into(), text: "1.1.0".into() }));
    for (before, older) in [("1.0.0", false), ("0.9.0", true)] {
        let mark = Some(marked(before, "1.1.0"));
        let told = record(&unmarked, again.clone(), Outcome { mark, ..ended(Ended::Marked) }, at(411));
        assert_eq!((notes(&told), told.status.rolled_back_at.is_some()), (usize::from(older), older));
        assert_eq!((told.status.mark.as_deref(), told.status.unmarked_since.as_ref()), (Some("1.1.0"), None));
        assert_eq!(stands(&told.status), standing(Standing::Ready, reason::RUNNING));
    }
}

#[test]
fn a_daemon_that_refuses_is_asked_every_ten_seconds_and_nothing_is_written_meanwhile() {
    let mut unmarked = with(running(), |s| *s = connected(&paused_with_mark(), None).status);
    let mut sights = asked(found(seen("i1", Life::Running, 700)));
    let ask = |sandbox: &Sandbox, sights: &Sights, now| {
        let plan = decide(sandbox, sights, at(now));
        record(sandbox, plan, ended(Ended::Marked), at(now + 1))
    };
    let first = ask(&unmarked, &sights, 410);
    unmarked = with(unmarked, |s| *s = first.status);
    let again = ask(&unmarked, &sights, 420);
    assert_eq!((Some(&again.status), again.next), (unmarked.status.as_ref(), Next::At(at(431))));
    // What wakes it in between asks nothing and says the same.
    sights.context.last_look = Some(at(420));
    assert_eq!(reads(&unmarked, &sights.context, at(425)), Read::Nothing);
    assert_eq!(Some(decide(&unmarked, &sights, at(425)).status), unmarked.status);
    assert_eq!(reads(&unmarked, &sights.context, at(430)), Read::Get);
}

#[test]
fn a_daemon_that_stays_silent_also_without_its_memory_is_warned_of_once() {
    let told = |plan: &Plan<SandboxStatus, Step>| {
        plan.notes.iter().filter(|note| note.warning && note.reason == reason::SANDBOX_UNREACHABLE).count()
    };
    let silent = with(running(), |s| {
        s.mark = Some("1.0.0".into());
        s.unmarked_since = Some(Time(at(0)));
    });
    let sights = asked(found(seen("i1", Life::Running, 300)));
    let plan = decide(&silent, &sights, at(120));
    let plan = record(&silent, plan, ended(Ended::Connected(Ok(ConnectEnd::Ran))), at(121));
    assert_eq!((told(&plan), stands(&plan.status).0), (1, Standing::Reconciling));
    assert!(message(&plan.status).contains("the daemon of E2B sandbox i1 gives no answer"));
    let waits = with(silent, |s| *s = plan.status);
    let plan = decide(&waits, &sights, at(131));
    assert_eq!(told(&record(&waits, plan, ended(Ended::Marked), at(132))), 0);
}

#[test]
fn the_silence_of_an_earlier_run_does_not_cost_a_resumed_one_its_memory() {
    let silent = with(paused_with_mark(), |s| s.unmarked_since = Some(Time(at(0))));
    let status = connected(&silent, None).status;
    assert_eq!(status.unmarked_since, Some(Time(at(401))));
    let resumed = asked(found(seen("i1", Life::Running, 700)));
    let plan = decide(&with(running(), |s| *s = status), &resumed, at(403));
    assert_eq!(plan.step, Some(Step::Mark { id: "i1".into(), text: "1.1.0".into() }));
}

#[test]
fn a_daemon_that_never_tells_costs_the_memory_and_neither_the_renewals_nor_a_new_sandbox() {
    let silent = with(running(), |s| {
        s.mark = Some("1.0.0".into());
        s.unmarked_since = Some(Time(at(0)));
    });
    let step =
        |sandbox: &Sandbox, now| decide(sandbox, &asked(found(seen("i1", Life::Running, 300))), at(now)).step;
    let mark = Some(Step::Mark { id: "i1".into(), text: "1.0.0".into() });
    assert_eq!(step(&silent, 119), mark);
    assert_eq!(step(&silent, 120), Some(Step::Connect { id: "i1".into(), memory: false }));
    let dropped = with(silent, |s| s.memory_dropped = true);
    assert_eq!(step(&dropped, 130), mark, "it is asked for as long as it takes");
    assert_eq!(step(&dropped, 200), Some(Step::Renew { id: "i1".into() }));

    // Of a new one nothing is expected: Tasks work in it, and a template without a shell is left alone after a while.
    let new = with(running(), |s| s.unmarked_since = Some(Time(at(0))));
    assert_eq!(step(&new, 119), mark);
    let left = decide(&new, &asked(found(seen("i1", Life::Running, 300))), at(120));
    assert_eq!((left.step, left.status.unmarked_since), (None, None));
}

#[test]
fn a_sandbox_that_is_found_by_the_list_is_marked_too() {
    let list = Sights { listed: Some(Ok(vec![seen("i1", Life::Running, 300)])), ..needed() };
    let plan = decide(&creating(1, None), &list, at(40));
    assert_eq!(plan.step, Some(Step::Mark { id: "i1".into(), text: "1.0.0".into() }));
}

#[test]
fn a_mark_that_the_disk_does_not_take_leaves_the_one_before() {
    let plan = connected(&paused_with_mark(), Some(marked("1.0.0", "1.0.0")));
    assert_eq!((plan.status.mark.as_deref(), plan.status.rolled_back_at.as_ref()), (Some("1.0.0"), None));
    let older = connected(&paused_with_mark(), Some(marked("1.1.0 <- 0.9.0", "1.1.0 <- 0.9.0")));
    assert_eq!((older.status.mark.as_deref(), older.status.rolled_back_at.is_some()), (Some("1.1.0"), true));
    let empty = connected(&paused_with_mark(), Some(marked("", "")));
    assert_eq!((empty.status.mark, empty.status.rolled_back_at.is_some()), (None, true));
}

#[test]
fn a_pause_dated_before_the_sandbox_last_ran_shows_older_files_once() {
    for (end, older) in [(300, false), (140, false), (139, true)] {
        let ran = with(running(), |s| {
            s.last_running_at = Some(Time(at(200)));
            s.mark = Some("1.0.0".into());
        });
        let plan = decide(&ran, &found(seen("i1", Life::Paused, end)), at(310));
        assert_eq!(plan.status.rolled_back_at.is_some(), older, "{end}");
        assert_eq!(notes(&plan), usize::from(older), "{end}");
        let mut later = with(ran, |s| *s = plan.status.clone());
        later.metadata.generation = Some(2);
        let again = decide(&later, &found(seen("i1", Life::Paused, end)), at(400));
        assert_eq!((notes(&again), again.status.rolled_back_at), (0, plan.status.rolled_back_at), "{end}");
    }
}

#[test]
fn a_pause_dated_before_the_end_of_a_command_shows_older_files_once() {
    let mut sights = found(seen("i1", Life::Paused, 250));
    sights.context.last_finished = Some(at(311));
    let plan = decide(&running(), &sights, at(320));
    assert_eq!((plan.status.rolled_back_at.clone(), notes(&plan)), (Some(Time(at(320))), 1));
    let mut later = with(running(), |s| *s = plan.status);
    later.metadata.generation = Some(2);
    assert_eq!(notes(&decide(&later, &sights, at(400))), 0);
}

#[test]
fn what_a_look_tells_of_a_pause_is_on_record_before_the_resume_takes_it_away() {
    let plan = decide(&paused_with_mark(), &asked(found(seen("i1", Life::Paused, 139))), at(400));
    assert_eq!(plan.step, Some(Step::Connect { id: "i1".into(), memory: true }));
    assert!(plan.intent && plan.status.rolled_back_at.is_some());
}

#[test]
fn a_run_that_somebody_else_began_is_marked_before_a_task_works_in_it() {
    let resumed = E2bSandbox { started_at: at(350), ..seen("i1", Life::Running, 650) };
    let plan = decide(&paused_with_mark(), &asked(found(resumed)), at(400));
    let step = Step::Mark { id: "i1".into(), text: "1.1.0".into() };
    assert_eq!((plan.step.clone(), plan.status.reconnects), (Some(step), 1));
    let outcome = Outcome { mark: Some(marked("0.3.0", "1.1.0")), ..ended(Ended::Marked) };
    let plan = record(&paused_with_mark(), plan, outcome, at(401));
    assert_eq!((notes(&plan), plan.status.mark.as_deref()), (1, Some("1.1.0")));
}

#[test]
fn a_daemon_that_stays_silent_costs_the_memory_once_in_a_run() {
    let mut silent = asked(found(seen("i1", Life::Running, 300)));
    (silent.context.unreachable, silent.context.silent) = (true, true);
    let plan = decide(&running(), &silent, at(150));
    assert_eq!(plan.step, Some(Step::Connect { id: "i1".into(), memory: false }));
    let mark = Some(marked("", "1.1.0"));
    let end = Outcome { sent: at(150), mark, ..ended(Ended::Connected(Ok(ConnectEnd::Ran))) };
    let after = with(running(), |s| *s = record(&running(), plan, end, at(151)).status);
    let again = decide(&after, &silent, at(190));
    assert_eq!(again.step, None, "once");

    // Its next run may do so again.
    let paused = decide(&after, &found(seen("i1", Life::Paused, 500)), at(510)).status;
    assert!(!paused.memory_dropped);
}

#[test]
fn a_memory_that_does_not_come_back_is_left_out_of_the_next_connect() {
    let connect =
        |sandbox: &Sandbox, now| decide(sandbox, &asked(found(seen("i1", Life::Paused, 300))), at(now));
    let plan = connect(&paused_with_mark(), 400);
    assert_eq!(plan.step, Some(Step::Connect { id: "i1".into(), memory: true }));
    let wedged = Failure { reason: reason::SANDBOX_SNAPSHOT_UNRESPONSIVE, ..failure(Class::Transient) };
    let status = record(&paused_with_mark(), plan, ended(Ended::Connected(Err(wedged))), at(401)).status;
    let next = connect(&with(paused(), |s| *s = status), 410);
    assert_eq!(next.step, Some(Step::Connect { id: "i1".into(), memory: false }));
}
