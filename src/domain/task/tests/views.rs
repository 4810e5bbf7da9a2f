//! What a Task sees of its Sandbox, and of itself where a question is asked before its status is written.

use super::*;
use crate::{
    api::{Phase, Sandbox, SandboxSpec, SandboxState, conditions::reason},
    domain::conditions::{self, Standing},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

/// A Sandbox of generation 1 that stands like this.
fn standing(standing: Standing, reason: &str, message: &str) -> Sandbox {
    let mut sandbox = Sandbox::new("box", SandboxSpec::default());
    sandbox.metadata.generation = Some(1);
    let status = sandbox.status.get_or_insert_default();
    status.observed_generation = 1;
    let now = Timestamp::from_second(world::START).expect("in range");
    conditions::stand(&mut status.conditions, 1, now, standing, reason, message);
    sandbox
}

#[test]
fn the_steps_of_a_creation_all_look_the_same() {
    let coming_up = Health::NotReady(COMING_UP.into());
    assert_eq!(SandboxView::of(&Sandbox::new("box", SandboxSpec::default())).health, coming_up);
    let creating = standing(Standing::Reconciling, reason::CREATING, "asking E2B");
    assert_eq!(SandboxView::of(&creating).health, coming_up);
    let waits = standing(Standing::Reconciling, reason::RETRYING, "E2B is down");
    assert_eq!(SandboxView::of(&waits).health, Health::NotReady("E2B is down (Retrying)".into()));
    let stalled = standing(Standing::Stalled, reason::CREATING, "no such template");
    assert_eq!(SandboxView::of(&stalled).health, Health::Stalled("no such template (Creating)".into()));
}

#[test]
fn a_sandbox_is_ready_only_as_its_present_spec_wants_it() {
    let mut sandbox = standing(Standing::Ready, reason::RUNNING, "");
    assert_eq!(SandboxView::of(&sandbox).health, Health::Ready);
    sandbox.metadata.generation = Some(2);
    assert_eq!(SandboxView::of(&sandbox).health, Health::NotReady(reason::RUNNING.into()), "without words");
}

#[test]
fn it_runs_where_its_state_says_so() {
    for (state, running) in [(SandboxState::Running, true), (SandboxState::Paused, false)] {
        let mut sandbox = standing(Standing::Ready, reason::RUNNING, "");
        sandbox.status.get_or_insert_default().state = Some(state);
        assert_eq!(SandboxView::of(&sandbox).running, running, "{state:?}");
        sandbox.status.get_or_insert_default().missing_since =
            Some(Time(Timestamp::from_second(world::START).expect("in range")));
        let view = SandboxView::of(&sandbox);
        assert!(view.missing && !view.running, "{state:?}: E2B misses it");
    }
}

#[test]
fn nobody_works_in_one_that_has_not_told_with_which_files_it_runs() {
    let at = Timestamp::from_second(world::START).expect("in range");
    for (expected, works) in [(Some("1.0.0"), false), (None, true)] {
        let mut sandbox = standing(Standing::Ready, reason::RUNNING, "");
        let status = sandbox.status.get_or_insert_default();
        status.state = Some(SandboxState::Running);
        (status.unmarked_since, status.mark) = (Some(Time(at)), expected.map(str::to_owned));
        let view = SandboxView::of(&sandbox);
        assert_eq!(
            (view.running, view.missing),
            (works, !works),
            "{expected:?}: its processes are not given up"
        );
        // One that is paused is no longer about to tell.
        sandbox.status.get_or_insert_default().state = Some(SandboxState::Paused);
        let paused = SandboxView::of(&sandbox);
        assert!(!paused.running && !paused.missing, "{expected:?}");
    }
}

#[test]
fn it_is_owned_by_the_task_that_controls_it() {
    for (kind, controller, owned) in
        [("Task", Some(true), true), ("Task", None, false), ("Deployment", Some(true), false)]
    {
        let mut sandbox = standing(Standing::Ready, reason::RUNNING, "");
        sandbox.metadata.owner_references = Some(vec![OwnerReference {
            kind: kind.into(),
            name: "t".into(),
            uid: world::UID.into(),
            controller,
            ..OwnerReference::default()
        }]);
        let view = SandboxView::of(&sandbox);
        assert_eq!(view.is_owned_by(world::UID), owned, "{kind} {controller:?}");
        assert_eq!(view.owner.map(|owner| owner.name), owned.then(|| "Task t".into()));
    }
}

#[test]
fn what_a_question_asks_about_is_the_task_as_it_will_be_written() {
    let mut world = World::shared();
    world.run_until(|world| world.status().sandbox_request.is_some());
    let Position::Start(asked) = locate(&world.task, &world.context(), world.now) else {
        panic!("the round is planned");
    };
    let task = asked.task(&world.task);
    let phase = task.status.and_then(|status| status.phase);
    assert_eq!((world.status().phase, phase), (Some(Phase::Pending), Some(Phase::Preparing)));
    assert_eq!(task.spec, world.task.spec);
}
