//! Two Tasks, one Sandbox: one at a time, oldest first, and who has begun goes on.

use super::*;
use crate::{
    api::conditions::reason,
    domain::{conditions, need},
};
use jiff::SignedDuration;
use kube::ResourceExt;

/// Two Tasks in one world's Sandbox; `b` is a second younger.
fn two() -> (World, World) {
    let (a, mut b) = (World::shared(), World::shared());
    b.task.metadata.uid = Some("99999999-0000-4000-8000-000000000000".into());
    b.task.metadata.name = Some("b".into());
    let created = b.now + SignedDuration::from_secs(1);
    b.task.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created));
    (a, b)
}

fn holder(task: &World, other: &World) -> Option<String> {
    need::holder(&task.task, [&task.task, &other.task]).map(ResourceExt::name_any)
}

/// One pass of each, seeing what the other has written so far.
fn both(first: &mut World, second: &mut World) {
    first.holder = holder(first, second);
    assert!(first.pass().is_ok());
    second.holder = holder(second, first);
    assert!(second.pass().is_ok());
    for world in [first, second] {
        world.pass_time(5);
    }
}

fn working(world: &World) -> bool {
    world.status().sandbox_id.is_some() && world.status().commit_sha.is_none()
}

#[test]
fn of_two_that_arrive_together_the_older_goes_first_whoever_looks_first() {
    for younger_first in [false, true] {
        let (mut a, mut b) = two();
        let mut order = Vec::new();
        for _ in 0..60 {
            if younger_first {
                both(&mut b, &mut a);
            } else {
                both(&mut a, &mut b);
            }
            assert!(!(working(&a) && working(&b)), "both work in one sandbox");
            for world in [&a, &b] {
                if working(world) && order.last() != world.task.metadata.name.as_ref() {
                    order.extend(world.task.metadata.name.clone());
                }
            }
        }
        assert_eq!(order, ["t", "b"], "younger first: {younger_first}");
        assert_eq!((a.row(), b.row()), (REVIEW, REVIEW));
    }
}

#[test]
fn even_passes_that_do_not_see_each_other_do_not_both_begin() {
    let (mut a, mut b) = two();
    // Both read before either has written.
    (a.holder, b.holder) = (holder(&a, &b), holder(&b, &a));
    for world in [&mut b, &mut a] {
        assert!(world.pass().is_ok());
    }
    assert!(!working(&a) && !working(&b), "asking is a write of its own");
    both(&mut b, &mut a);
    assert_eq!((working(&a), working(&b)), (true, false));
}

#[test]
fn who_has_begun_keeps_the_turn_whatever_its_age() {
    let (mut a, mut b) = two();
    a.edit(|spec| spec.suspend = true);
    a.rest();
    for _ in 0..3 {
        both(&mut a, &mut b);
    }
    assert!(working(&b), "a suspended Task that has not begun holds nobody up");
    a.edit(|spec| spec.suspend = false);
    both(&mut a, &mut b);
    assert_eq!((working(&a), a.reason().as_str()), (false, reason::WAITING_FOR_SANDBOX));
    assert!(a.message().contains('b'), "the holder is named: {}", a.message());
    for _ in 0..60 {
        both(&mut a, &mut b);
        assert!(!(working(&a) && working(&b)));
    }
    assert_eq!((a.row(), b.row()), (REVIEW, REVIEW));
}

#[test]
fn the_turn_ends_with_the_need() {
    type End = fn(&mut World);
    let ends: [(&str, End); 4] = [
        ("failed", |world| world.command.1 = 1),
        ("nothing changed", |world| world.command.2 = Some("as in base".into())),
        ("in review", |_| ()),
        ("without a base branch", |world| world.github.branches.clear()),
    ];
    for (name, end) in ends {
        let (mut a, mut b) = two();
        end(&mut a);
        for _ in 0..60 {
            both(&mut a, &mut b);
            assert!(!(working(&a) && working(&b) && a.alive() + b.alive() > 1), "{name}");
        }
        assert_eq!(b.row(), REVIEW, "{name}: {}", b.message());
    }
}

#[test]
fn tasks_of_a_stalled_sandbox_say_so_and_then_say_nothing_more() {
    let (mut a, mut b) = two();
    for world in [&mut a, &mut b] {
        let view = world.sandbox.as_mut().expect("shared");
        (view.running, view.health) = (false, Health::Stalled("the key is refused".into()));
    }
    for _ in 0..20 {
        both(&mut a, &mut b);
    }
    let said = [a.status_writes.len(), b.status_writes.len()];
    for _ in 0..60 {
        both(&mut a, &mut b);
    }
    assert_eq!([a.status_writes.len(), b.status_writes.len()], said, "{} {}", a.message(), b.message());
    assert!(a.message().contains("the key is refused"), "{}", a.message());
}

#[test]
fn a_task_that_is_deleted_keeps_the_turn_until_its_process_has_ended() {
    let (mut a, mut b) = two();
    a.command.0 = 1000;
    for _ in 0..4 {
        both(&mut a, &mut b);
    }
    a.delete();
    assert_eq!(holder(&b, &a).as_deref(), Some("t"));
    let mut status = a.status();
    status.code_generations[0].finished_at = status.round_started_at.clone();
    a.task.status = Some(status);
    assert_eq!(holder(&b, &a), None);
}

#[test]
fn other_sandboxes_do_not_matter() {
    let (mut a, b) = two();
    a.run_until(working);
    assert_eq!(holder(&b, &a).as_deref(), Some("t"));
    a.task.spec.sandbox_ref.as_mut().expect("shared").name = "other".into();
    assert_eq!(holder(&b, &a), None);
}

/// From the request until the first of the ends.
#[test]
fn a_sandbox_is_needed_from_the_request_until_the_commit() {
    let mut world = World::new();
    assert_eq!(need::of(&world.task), need::Need::None);
    let mut needs = vec![need::Need::None];
    for _ in 0..40 {
        assert!(world.pass().is_ok());
        world.sandbox_controller();
        world.pass_time(5);
        let need = need::of(&world.task);
        assert_eq!(need == need::Need::Work, world.status().commit_sha.is_none(), "at {}", world.reason());
        needs.push(need);
    }
    needs.dedup();
    assert_eq!(needs, [need::Need::None, need::Need::Work, need::Need::None]);
}

#[test]
fn a_suspended_or_stalled_task_needs_only_what_would_be_killed() {
    let mut world = World::new();
    world.run_until(|world| world.made("Start") == 1);
    world.edit(|spec| spec.suspend = true);
    world.rest();
    assert_eq!(need::of(&world.task), need::Need::AgainstKill);
    world.edit(|spec| spec.suspend = false);
    world.command.2 = None;
    world.rest();
    assert_eq!((world.reason().as_str(), need::of(&world.task)), (reason::NO_FILES, need::Need::AgainstKill));
    let mut status = world.status();
    conditions::remove(&mut status.conditions, names::STALLED);
    world.task.status = Some(status);
    assert_eq!(need::of(&world.task), need::Need::Work);
}
