//! A Task that waits for a person ends its command and gives its turn in a shared Sandbox back.
//! With two Tasks in one Sandbox this stands in `turns`.

use super::*;
use crate::{
    api::Phase,
    domain::{
        demand::{self, Demand},
        failure::Class,
        plan::Next,
        pull_request::Source,
    },
};
use jiff::SignedDuration;

#[test]
fn a_stalled_task_with_unread_news_of_its_pull_request_gives_its_turn_back_too() {
    let mut world = World::shared();
    world.rest();
    world.command.0 = 1000;
    world.rerun("1");
    world.run_until(|world| world.made("Start") == 2);
    world.repository.as_mut().expect("there").health = Health::Stalled("the token is refused".into());
    world.person(|pull| pull.head = "pushed".into());
    world.news(Source::Delivery);
    world.rest();
    assert_eq!((world.made("Signal"), world.alive()), (1, 0));
    assert_eq!(demand::of(&world.task), Demand::None);
    assert!(world.message().contains("the token is refused"), "{}", world.message());
}

#[test]
fn a_task_that_github_refuses_to_show_its_pull_request_gives_its_turn_back_too() {
    let mut world = World::shared();
    world.rest();
    world.command.0 = 1000;
    world.rerun("1");
    world.run_until(|world| world.made("Start") == 2);
    world.person(|pull| pull.head = "pushed".into());
    world.news(Source::Delivery);
    world.faults.github = Some(Class::Denied);
    assert!(world.pass().is_ok());
    assert!(world.holds(names::STALLED), "{}", world.message());
    for _ in 0..3 {
        assert!(world.pass().is_ok());
        world.pass_time(1);
    }
    assert_eq!((world.made("Signal"), world.alive()), (1, 0), "although the wait for GitHub is still on");
}

#[test]
fn a_command_that_ended_by_a_signal_is_no_result_whoever_remembers_the_signal() {
    let mut world = World::shared();
    world.command.0 = 1000;
    world.run_until(|world| world.made("Start") == 1);
    world.repository.as_mut().expect("there").health = Health::Stalled("the token is refused".into());
    let runs = looked(&world, Look::Running, world.now);
    assert_eq!(runs.next, Next::After(SignedDuration::from_secs(5)), "it is looked at until it has ended");
    let run = world.status().code_generations[0].id.clone();
    for (remembered, signalled, code) in
        [(false, true, 0), (false, true, 1), (false, true, 143), (true, false, 0), (true, false, 1)]
    {
        world.signalled_since.clear();
        if remembered {
            world.signalled_since.insert(run.clone(), world.now);
        }
        let plan = looked(&world, Look::Exited { code, tail: String::new(), signalled }, world.now);
        assert_eq!(plan.next, Next::Now, "the turn is given back at once");
        let ended = &plan.status.code_generations[0];
        assert!(ended.finished_at.is_some() && ended.exit_code.is_none(), "{code}: {ended:?}");
        assert_eq!((plan.status.ended, plan.status.phase), (None, Some(Phase::Generating)));
    }
    // Nobody has signalled it: something else has killed it, and a failed command never runs again.
    world.signalled_since.clear();
    let plan = looked(&world, Look::Exited { code: 137, tail: String::new(), signalled: false }, world.now);
    let reason = plan.status.ended.map(|end| end.reason);
    assert_eq!(reason.as_deref(), Some(crate::api::conditions::reason::GENERATION_FAILED));
}
