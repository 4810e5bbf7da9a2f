//! Generation: started once per attempt, ended at its time-out, made again where its sandbox or process was lost.

use super::*;
use crate::{
    api::{CodeGeneration, RERUN_ANNOTATION, conditions::reason},
    domain::plan::Next,
};
use jiff::SignedDuration;

fn generating(mut world: World) -> World {
    world.run_until(|world| world.reason() == reason::GENERATING && world.made("Start") > 0);
    world
}

fn last(world: &World) -> CodeGeneration {
    world.status().code_generations.last().cloned().expect("a generation")
}

#[test]
fn it_is_polled_every_5_seconds_and_every_15_after_two_minutes() {
    let mut world = World::new();
    world.command.0 = 1000;
    let mut world = generating(world);
    let poll = |world: &mut World| world.pass().map(|passed| passed.next).ok();
    assert_eq!(poll(&mut world), Some(Next::After(SignedDuration::from_secs(5))));
    world.pass_time(118);
    assert_eq!(poll(&mut world), Some(Next::After(SignedDuration::from_secs(5))));
    world.pass_time(1);
    assert_eq!(poll(&mut world), Some(Next::After(SignedDuration::from_secs(15))));
}

#[test]
fn a_process_that_is_gone_after_its_time_is_not_started_again() {
    let mut world = World::new();
    world.command.0 = 100_000;
    world.task.spec.generate.as_mut().expect("a command").timeout_seconds = 60;
    let world = generating(world);
    let now = last(&world).started_at.0 + SignedDuration::from_secs(60);
    let status = looked(&world, Look::PidDead, now).status;
    let generated = find(&status.conditions, names::GENERATED).expect("set");
    assert_eq!(generated.reason, reason::GENERATION_FAILED);
    assert!(generated.message.contains("did not end within 60 s"), "{}", generated.message);
}

#[test]
fn a_look_that_works_again_ends_the_retries() {
    let mut world = World::new();
    world.command.0 = 1000;
    let mut world = generating(world);
    world.faults.e2b = Some(crate::domain::failure::Class::Transient);
    world.pass_time(5);
    assert!(world.pass().is_ok());
    assert!(world.status().retry.is_some());
    world.faults.e2b = None;
    world.pass_time(5);
    assert!(world.pass().is_ok());
    assert_eq!(world.status().retry, None);
}

#[test]
fn its_end_and_its_last_words_are_recorded() {
    let mut world = generating(World::new());
    world.rest();
    let run = last(&world);
    assert_eq!((run.exit_code, run.sandbox_id.as_str(), run.incarnation), (Some(0), "sb1", 1));
    assert!(run.files_digest.is_some_and(|digest| digest.starts_with("made of")));
    assert_eq!(run.id, format!("{}-1-1", world::UID));
    let status = world.status();
    let generated = find(&status.conditions, names::GENERATED).expect("set");
    assert!(generated.message.contains("said this"), "{}", generated.message);
}

#[test]
fn a_command_over_its_time_is_ended_first_gently_then_not() {
    let mut world = World::new();
    world.command.0 = 100_000;
    world.task.spec.generate.as_mut().expect("a command").timeout_seconds = 60;
    let mut world = generating(world);
    let id = last(&world).id;
    for (after, kill) in [(60, false), (65, false), (70, true), (75, true)] {
        let now = last(&world).started_at.0 + SignedDuration::from_secs(after);
        let plan = looked(&world, Look::Running, now);
        world.signalled_since.entry(id.clone()).or_insert(now);
        let step = Step::Signal { generation: id.clone(), sandbox: "sb1".into(), kill };
        assert_eq!(plan.step, Some(step), "after {after} s");
        assert_eq!(plan.next, Next::After(SignedDuration::from_secs(5)));
    }
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_EARLY, reason::GENERATION_FAILED));
    assert!(world.message().contains("did not end within 60 s"));
    assert_eq!((world.made("Start"), world.alive()), (1, 0));
}

#[test]
fn a_command_that_ends_well_on_our_own_signal_has_still_run_out_of_time() {
    let mut world = World::new();
    world.command.0 = 100_000;
    world.task.spec.generate.as_mut().expect("a command").timeout_seconds = 60;
    let world = generating(world);
    let started = last(&world).started_at.0;
    let ended = |world: &World, signalled: bool, after: i64| {
        let look = Look::Exited { code: 0, tail: String::new(), signalled };
        looked(world, look, started + SignedDuration::from_secs(after)).status
    };
    let mut remembers = world.clone();
    remembers.signalled_since.insert(last(&world).id, started + SignedDuration::from_secs(60));
    for (world, signalled) in [(&world, true), (&remembers, false)] {
        let status = ended(world, signalled, 65);
        let generated = find(&status.conditions, names::GENERATED).expect("set");
        assert_eq!(generated.reason, reason::GENERATION_FAILED);
        assert!(generated.message.contains("did not end within 60 s"), "{}", generated.message);
        assert_eq!(status.code_generations[0].exit_code, None, "a publication round must not take its files");
    }
    let late = ended(&world, false, 65);
    assert_eq!(late.code_generations[0].exit_code, Some(0), "it has ended by itself and was seen late");
    // Ended for a limit that has been raised since, or for a turn that is not given back any more.
    let early = ended(&world, true, 30);
    let generated = find(&early.conditions, names::GENERATED).expect("set");
    assert_eq!((generated.reason.as_str(), early.ended), (reason::GENERATION_LOST, None));
}

#[test]
fn a_command_whose_round_is_over_is_looked_at_every_5_seconds_and_its_end_at_once() {
    let mut world = World::new();
    world.command.0 = 1000;
    let mut world = generating(world);
    let id = last(&world).id;
    world.edit(|spec| spec.generate.as_mut().expect("a command").command = vec!["make".into(), "all".into()]);
    let runs = looked(&world, Look::Running, world.now);
    let step = Step::Signal { generation: id, sandbox: "sb1".into(), kill: false };
    assert_eq!((runs.step, runs.next), (Some(step), Next::After(SignedDuration::from_secs(5))));
    let ended = looked(&world, Look::PidDead, world.now);
    assert_eq!((ended.step, ended.next), (None, Next::Now));
}

#[test]
fn a_command_is_ended_only_in_the_sandbox_that_it_runs_in() {
    let mut world = World::new();
    world.command.0 = 1000;
    let mut world = generating(world);
    world.edit(|spec| spec.generate.as_mut().expect("a command").command = vec!["make".into(), "all".into()]);
    let decided = |world: &World| match locate(&world.task, &world.context(), world.now) {
        Position::Decided(plan) => plan,
        other => panic!("nothing is asked: {other:?}"),
    };
    let finished = |plan: &Plan| plan.status.code_generations[0].finished_at.is_some();
    let mut paused = world.clone();
    paused.pause_sandbox();
    let waits = decided(&paused);
    assert_eq!((waits.next, finished(&waits)), (Next::AwaitChange, false), "it stands still");
    let mut replaced = world.clone();
    replaced.sandbox_mut().expect("its own").id = Some("sb2".into());
    let gone = decided(&replaced);
    assert_eq!((gone.next, finished(&gone)), (Next::Now, true), "it is gone with its sandbox");
    world.task.status.as_mut().expect("a status").sandbox_request = None;
    let given_back = decided(&world);
    assert_eq!((given_back.next, finished(&given_back)), (Next::Now, true), "the turn was given back");
}

#[test]
fn a_command_is_looked_for_only_in_the_sandbox_that_it_was_started_in() {
    let mut world = generating(World::new());
    world.task.status.as_mut().expect("a status").code_generations[0].sandbox_id = "another".into();
    let position = locate(&world.task, &world.context(), world.now);
    assert!(matches!(position, Position::Start(_)), "{position:?}");
}

#[test]
fn time_in_which_the_sandbox_is_paused_does_not_count() {
    let mut world = World::new();
    world.command.0 = 100_000;
    world.task.spec.generate.as_mut().expect("a command").timeout_seconds = 60;
    let mut world = generating(world);
    let started = last(&world).started_at.0;
    let runs = |plan: &Plan| plan.step.is_none();
    assert!(!runs(&looked(&world, Look::Running, started + SignedDuration::from_secs(60))));
    // Paused for 90 s since it began, after pauses of runs before it.
    world.sandbox_mut().expect("its own").paused_seconds = 90;
    assert!(runs(&looked(&world, Look::Running, started + SignedDuration::from_secs(149))));
    assert!(!runs(&looked(&world, Look::Running, started + SignedDuration::from_secs(150))));
}

#[test]
fn pauses_before_its_start_are_not_its_time() {
    let mut world = World::new();
    world.run_until(|world| world.sandbox().is_some_and(|sandbox| sandbox.running));
    world.sandbox_mut().expect("its own").paused_seconds = 500;
    world.command.0 = 100_000;
    world.task.spec.generate.as_mut().expect("a command").timeout_seconds = 60;
    let world = generating(world);
    assert_eq!(last(&world).paused_seconds, 500);
    let over = last(&world).started_at.0 + SignedDuration::from_secs(60);
    assert!(looked(&world, Look::Running, over).step.is_some(), "60 s are over");
}

#[test]
fn the_directory_that_cannot_be_made_is_said_in_mkdirs_words() {
    let mut world = generating(World::new());
    let failed = Look::DirectoryFailed("mkdir: Read-only file system".into());
    let plan = looked(&world, failed, world.now);
    world.task.status = Some(plan.status);
    world.processes.clear();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_EARLY, reason::GENERATION_FAILED));
    assert!(world.message().contains("mkdir: Read-only file system"));
    assert!(world.is_fixed_point());
}

#[test]
fn a_dead_process_is_lost_only_after_two_looks_10_seconds_apart() {
    let mut world = generating(World::new());
    world.kill_process();
    assert!(world.pass().is_ok_and(|passed| passed.next == Next::After(SignedDuration::from_secs(10))));
    world.pass_time(9);
    assert!(world.pass().is_ok());
    assert_eq!(world.made("Start"), 1);
    world.pass_time(1);
    assert!(world.pass().is_ok_and(|passed| passed.next == Next::Now));
    assert!(world.pass().is_ok());
    assert_eq!(world.made("Start"), 2, "the attempt counts as lost");
    world.rest();
    assert_eq!(world.row(), REVIEW);
    let runs = world.status().code_generations;
    assert_eq!(runs.len(), 2);
    assert!(runs[0].finished_at.is_some() && runs[0].exit_code.is_none() && runs[0].files_digest.is_none());
    assert!(runs[1].migrated_from.is_empty(), "the sandbox is the same");
}

#[test]
fn a_replaced_sandbox_gets_a_new_entry_that_names_the_old_ones() {
    let mut world = generating(World::new());
    for _ in 0..2 {
        world.lose_sandbox();
        world.run_until(|world| world.reason() == reason::SANDBOX_NOT_READY);
        world.run_until(|world| world.reason() == reason::GENERATING);
    }
    world.rest();
    assert_eq!(world.row(), REVIEW);
    let runs = world.status().code_generations;
    let ids: Vec<_> = runs.iter().map(|run| (run.sandbox_id.as_str(), run.incarnation)).collect();
    assert_eq!(ids, [("sb1", 1), ("sb2", 2), ("sb3", 3)]);
    assert_eq!(runs[2].migrated_from, ["sb1", "sb2"]);
    assert!(runs.iter().all(|run| run.finished_at.is_some()), "each has its end");
    assert_eq!(world.status().sandbox_id.as_deref(), Some("sb3"));
}

#[test]
fn a_sandbox_lost_with_files_that_are_not_committed_means_generating_again() {
    let mut world = World::new();
    world.run_until(|world| world.holds(names::GENERATED));
    world.lose_sandbox();
    world.rest();
    assert_eq!((world.made("Start"), world.row()), (2, REVIEW));
    assert_eq!(world.status().code_generations[0].exit_code, Some(0), "what was recorded stands");
}

#[test]
fn a_paused_sandbox_loses_nothing() {
    let mut world = generating(World::new());
    world.pause_sandbox();
    world.rest();
    assert_eq!((world.made("Start"), world.row()), (1, REVIEW));
}

#[test]
fn from_the_commit_on_the_sandbox_is_not_looked_at() {
    let mut world = World::new();
    world.run_until(|world| world.status().commit_sha.is_some());
    world.lose_sandbox();
    world.rest();
    assert_eq!((world.made("Start"), world.row()), (1, REVIEW));
    assert_eq!(world.boxes.len(), 1, "nothing is asked of the Sandbox any more");
}

#[test]
fn a_sandbox_that_is_lost_once_too_often_is_said_to_keep_dying() {
    for lose in [World::lose_sandbox as fn(&mut World), World::kill_process] {
        let mut world = generating(World::new());
        for _ in 0..3 {
            lose(&mut world);
            let (starts, now) = (world.made("Start"), world.now);
            world.run_until(|world| world.made("Start") > starts || world.holds(names::STALLED));
            assert!(world.now > now || world.holds(names::STALLED));
        }
        world.rest();
        assert_eq!(
            (world.row(), world.reason().as_str(), world.made("Start")),
            (FAILED_EARLY, reason::GENERATION_KEEPS_DYING, 3)
        );
        assert!(world.message().contains(RERUN_ANNOTATION), "the cure is named");
        world.rerun("1");
        world.rest();
        assert_eq!(world.row(), REVIEW);
    }
}

#[test]
fn files_without_a_command_that_are_lost_stay_lost_until_a_person_says_so() {
    let mut world = World::without_command();
    world.run_until(|world| world.status().sandbox_id.is_some());
    world.lose_sandbox();
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_LATE, reason::SANDBOX_FILES_LOST));
    assert_eq!(world.status().sandbox_id.as_deref(), Some("sb1"), "looking again can't pass it");
    world.annotate(crate::api::RECONCILE_ANNOTATION, "look");
    world.rest();
    assert_eq!(world.reason(), reason::SANDBOX_FILES_LOST);
    world.current_box().files = Some("put there again".into());
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(2)));
}

#[test]
fn a_sandbox_that_came_back_with_older_files_counts_as_lost_under_the_same_id() {
    let mut world = World::new();
    world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
    world.sandbox_mut().expect("its own").rolled_back_at = Some(world.now + SignedDuration::from_secs(1));
    world.pass_time(2);
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 2), "the command runs again");

    let mut world = World::without_command();
    world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
    world.sandbox_mut().expect("its own").rolled_back_at = Some(world.now + SignedDuration::from_secs(1));
    world.pass_time(2);
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_LATE, reason::SANDBOX_FILES_LOST));
    assert!(world.message().contains("older files"), "{}", world.message());
}

#[test]
fn a_command_that_came_back_with_its_sandbox_is_ended_before_the_next_starts() {
    for ended in [false, true] {
        let mut world = World::new();
        world.command.0 = if ended { 12 } else { 100_000 };
        world.run_until(|world| world.made("Start") == 1);
        if ended {
            world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
        }
        world.sandbox_mut().expect("its own").rolled_back_at = Some(world.now + SignedDuration::from_secs(1));
        world.pass_time(2);
        // It lives again, whatever had become of it.
        let far = world.now + SignedDuration::from_secs(100_000);
        world.processes.iter_mut().for_each(|process| process.ends = far);
        world.command.0 = 12;
        world.run_until(|world| world.made("Start") == 2);
        assert_eq!((world.made("Signal"), world.alive()), (1, 1), "{ended}");
        assert!(
            world.effects.iter().position(|made| made.starts_with("Signal"))
                < world.effects.iter().rposition(|made| made.starts_with("Start"))
        );
        world.rest();
        assert_eq!(world.row(), REVIEW, "{ended}");
        assert!(world.status().code_generations[0].exit_code.is_none(), "its result counts no more");
    }
}

#[test]
fn an_older_return_of_the_sandbox_says_nothing_of_files_made_since() {
    let mut world = World::new();
    world.run_until(|world| world.sandbox().is_some());
    world.sandbox_mut().expect("its own").rolled_back_at = Some(world.now - SignedDuration::from_secs(60));
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 1));
}

#[test]
fn a_start_that_never_arrived_is_made_again_and_its_time_counts_from_then() {
    let mut world = World::new();
    world.task.spec.generate.as_mut().expect("a command").timeout_seconds = 60;
    world.faults.steps_only = true;
    world.faults.e2b = Some(crate::domain::failure::Class::Transient);
    world.run_until(|world| world.calls.iter().any(|(_, operation)| *operation == "startGeneration"));
    world.faults = faults::Faults::default();
    world.pass_time(7200);
    world.rest();
    assert_eq!((world.row(), world.made("Start"), world.made("Signal")), (REVIEW, 1, 0));
}

#[test]
fn the_commit_is_dated_by_the_end_of_the_generation_so_that_doing_it_again_gives_the_same() {
    let mut world = World::new();
    world.run_until(|world| world.status().commit_sha.is_some());
    let sha = world.status().commit_sha.expect("a commit");
    assert!(sha.ends_with(&last(&world).finished_at.expect("its end").0.as_second().to_string()));
}
