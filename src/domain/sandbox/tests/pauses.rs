//! The time that an incarnation was paused is counted once, whoever resumed it.

use super::*;

/// The status after E2B has shown `seen` of the sandbox.
fn after(sandbox: &Sandbox, seen: E2bSandbox, now: i64) -> SandboxStatus {
    decide(sandbox, &looked(Ok(LookupResult::Found(seen))), at(now)).status
}

/// Its present run began then.
fn run_of(life: Life, started: i64, end: i64) -> E2bSandbox {
    E2bSandbox { started_at: at(started), ..seen("i1", life, end) }
}

/// Seen to be paused at 410 s, which E2B says it is since 300 s.
fn found_paused() -> Sandbox {
    let status = after(&running(), seen("i1", Life::Paused, 300), 410);
    assert_eq!((status.paused_at.clone(), status.paused_seconds), (Some(Time(at(300))), 0));
    with(running(), |s| *s = status)
}

/// The status after a connect that was recorded at `now`.
fn connected(sandbox: &Sandbox, end: ConnectEnd, now: i64) -> SandboxStatus {
    let plan = decide(sandbox, &asked(found(seen("i1", Life::Paused, 300))), at(now));
    let outcome = Outcome { sent: at(now), ..ended(Ended::Connected(Ok(end))) };
    record(sandbox, plan, outcome, at(now)).status
}

#[test]
fn a_resume_adds_the_time_since_the_pause_that_e2b_names() {
    let status = connected(&found_paused(), ConnectEnd::Resumed, 1_000);
    assert_eq!((status.paused_at.clone(), status.paused_seconds), (None, 700));
    // The next pause adds to it.
    let again = with(running(), |s| *s = status);
    let paused = with(again.clone(), |s| *s = after(&again, run_of(Life::Paused, 1_001, 2_000), 2_500));
    assert_eq!(connected(&paused, ConnectEnd::Resumed, 3_000).paused_seconds, 1_700);
}

#[test]
fn a_pause_of_which_e2b_gives_no_time_counts_from_when_it_was_recorded() {
    let status = after(&running(), seen("i1", Life::Paused, 9_000), 410);
    assert_eq!(status.paused_at, Some(Time(at(410))));
    // Another look does not move it.
    let paused = with(running(), |s| *s = status);
    let mut later = paused.clone();
    later.metadata.generation = Some(2);
    assert_eq!(after(&later, seen("i1", Life::Paused, 9_000), 500).paused_at, Some(Time(at(410))));
    assert_eq!(connected(&paused, ConnectEnd::Resumed, 1_000).paused_seconds, 590);
}

#[test]
fn a_paused_sandbox_that_is_found_running_was_paused_until_its_run_began() {
    for (seen, paused_for) in [
        (run_of(Life::Running, 800, 2_000), 500),
        // A server that does not count runs.
        (run_of(Life::Running, 0, 2_000), 700),
        (run_of(Life::Running, 300, 2_000), 700),
    ] {
        let mut sandbox = found_paused();
        sandbox.metadata.generation = Some(2);
        let status = after(&sandbox, seen, 1_000);
        assert_eq!((status.paused_at, status.paused_seconds), (None, paused_for));
    }
}

#[test]
fn a_connect_to_one_that_somebody_else_resumed_leaves_the_count_to_the_look() {
    let status = connected(&found_paused(), ConnectEnd::Ran, 1_000);
    assert_eq!(status.paused_seconds, 0);
    let sandbox = with(running(), |s| *s = status);
    assert_eq!(after(&sandbox, run_of(Life::Running, 900, 2_000), 1_001).paused_seconds, 600);
}

#[test]
fn a_resume_whose_record_was_lost_is_counted_once() {
    let sandbox = found_paused();
    // The operator died after the connect at 1000 s; the next pass sees the run.
    let mut observed = asked(looked(Ok(LookupResult::Found(run_of(Life::Running, 1_000, 1_300)))));
    let status = decide(&sandbox, &observed, at(1_005)).status;
    assert_eq!((status.state, status.paused_seconds), (Some(SandboxState::Running), 700));
    let again = with(sandbox, |s| *s = status);
    observed.look = Some(Ok(LookupResult::Found(run_of(Life::Running, 1_000, 1_300))));
    assert_eq!(decide(&again, &observed, at(1_200)).status.paused_seconds, 700);
}

#[test]
fn a_pause_that_nobody_saw_is_counted_and_a_run_without_one_is_not() {
    // It was to run until 300 s, and its present run began at 800 s.
    assert_eq!(after(&running(), run_of(Life::Running, 800, 1_100), 900).paused_seconds, 500);
    assert_eq!(after(&running(), run_of(Life::Running, 2, 300), 250).paused_seconds, 0);
    let killed = spec(running(), |s| s.on_timeout = OnTimeout::Kill);
    assert_eq!(after(&killed, run_of(Life::Running, 800, 1_100), 900).paused_seconds, 0);
    // It ran in between, and is paused again.
    let status = after(&found_paused_later(), run_of(Life::Paused, 800, 1_100), 1_200);
    assert_eq!((status.paused_at, status.paused_seconds), (Some(Time(at(1_100))), 500));
}

fn found_paused_later() -> Sandbox {
    let mut sandbox = found_paused();
    sandbox.metadata.generation = Some(2);
    sandbox
}

#[test]
fn the_next_incarnation_begins_at_zero() {
    let lost = with(gone(), |s| s.paused_seconds = 700);
    let plan = decide(&lost, &needed(), at(1));
    assert_eq!(plan.status.paused_seconds, 700, "it is that of sandboxID");
    let status = record(&lost, plan, ended(Ended::Created { id: "i2".into() }), at(2)).status;
    assert_eq!((status.paused_at, status.paused_seconds), (None, 0));
    let status = decide(&found_paused_later(), &looked(Ok(not_found())), at(1_000)).status;
    assert_eq!((status.state, status.paused_at), (Some(SandboxState::Gone), None));
}
