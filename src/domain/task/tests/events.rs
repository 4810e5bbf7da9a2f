//! What happens around a Task in the random walks: faults, people at GitHub and in the cluster, news in any order.
//! Used by `walk`; edits of the spec stand in `edits`, other Tasks and late stores in `others`.

use super::{dice::Dice, *};
use crate::{
    api::{PullRequestState, RECONCILE_ANNOTATION, conditions::reason},
    domain::{
        demand,
        failure::Class,
        pull_request::{ObservedPullRequest, Source, is_own, marker},
    },
};
use jiff::SignedDuration;

/// Something happens.
pub(super) fn event(world: &mut World, dice: &mut Dice) {
    match dice.roll(35) {
        0 => world.faults.github = Some(class(world, dice)),
        1 => world.faults.e2b = Some(class(world, dice)),
        2 => world.faults.kubernetes = Some(class(world, dice)),
        3..=5 => world.faults = faults::Faults::default(),
        6 => (world.faults.steps_only, world.faults.answer_lost) = (dice.one_in(2), dice.one_in(2)),
        7 if dice.one_in(2) => world.faults.no_worker = Some(reason::WAITING_FOR_TRANSFER),
        7 => world.faults.secret_missing = dice.one_in(2),
        8 => world.command.1 = i32::from(dice.one_in(3)),
        9 => world.command.2 = dice.one_of(&[None, Some("as in base".into()), Some("made".into())]),
        10 => world.command.0 = 5 + i64::try_from(dice.roll(60)).expect("small"),
        11 => world.rerun(&dice.roll(1000).to_string()),
        12 => world.annotate(RECONCILE_ANNOTATION, &dice.roll(1000).to_string()),
        13..=16 => sandbox(world, dice),
        17..=19 => repository(world, dice),
        20..=22 => world.other_task(dice),
        23..=25 => branches(world, dice),
        26 => foreign_news(world, dice),
        27 => world.github.mergeable = dice.one_of(&["clean", "clean", "blocked", "unknown", "unstable"]),
        28 => {
            let names = |dice: &mut Dice| if dice.one_in(3) { vec!["ci".to_owned()] } else { Vec::new() };
            let (running, failed) = (names(dice), names(dice));
            world.github.checks = Checks { passed: usize::from(dice.one_in(2)), running, failed };
        }
        29..=31 => world.queue_event(dice),
        _ => person(world, dice),
    }
}

fn class(world: &World, dice: &mut Dice) -> Class {
    match dice.roll(8) {
        0 => Class::Denied,
        1 => Class::Invalid,
        2 => Class::NotFound,
        3 => Class::Throttled { until: world.now + SignedDuration::from_secs(90) },
        _ => Class::Transient,
    }
}

fn sandbox(world: &mut World, dice: &mut Dice) {
    match dice.roll(6) {
        0 => world.lose_sandbox(),
        5 => hand_on(world, dice),
        1 => world.pause_sandbox(),
        2 => world.kill_process(),
        3 => {
            // E2B refuses the key for a while.
            if let Some(view) = world.sandbox_mut() {
                (view.running, view.health) = (false, Health::Stalled("the key is refused".into()));
            }
        }
        _ => {
            for view in world.sandboxes.iter_mut().filter(|view| matches!(view.health, Health::Stalled(_))) {
                view.health = Health::NotReady("trying again".into());
            }
        }
    }
}

/// Somebody gives the Task's Sandbox to another Task, or takes it back.
fn hand_on(world: &mut World, dice: &mut Dice) {
    let Some(view) = world.sandbox_mut() else { return };
    view.owner = match &view.owner {
        Some(owner) if owner.uid == "another" => first_owner(&view.name),
        _ if dice.one_in(4) => Some(OwnerView { uid: "another".into(), name: "Task other".into() }),
        _ => return,
    };
}

/// The owner of a Sandbox that nobody has given away.
pub(super) fn first_owner(name: &str) -> Option<OwnerView> {
    let own = demand::owned_sandbox_name("t", world::UID);
    name.starts_with(&own).then(|| OwnerView { uid: world::UID.into(), name: "Task t".into() })
}

fn repository(world: &mut World, dice: &mut Dice) {
    if dice.one_in(4) {
        world.repository = (dice.one_in(2)).then(world::repository);
    }
    let Some(repository) = &mut world.repository else { return };
    match dice.roll(6) {
        0 => repository.id = dice.one_of(&[Some(7), Some(7), Some(8)]),
        1 => repository.base_branch = dice.one_of(&[Some("main".into()), Some("release".into()), None]),
        2 => repository.suspended = dice.one_in(2),
        3 => repository.sync_interval = SignedDuration::from_secs(dice.one_of(&[60, 300])),
        4 => repository.health = Health::Ready,
        _ => {
            repository.health = match dice.roll(3) {
                0 => Health::Ready,
                1 => Health::NotReady("reading the token".into()),
                _ => Health::Stalled("the token is refused".into()),
            };
        }
    }
}

/// People push to branches, delete them, or take names.
fn branches(world: &mut World, dice: &mut Dice) {
    let at = world.now.as_second();
    let own = world.github.pulls.last().map(|pull| pull.branch.clone());
    let own = own.filter(|branch| world.github.branches.contains_key(branch));
    match (dice.roll(8), own) {
        (0, Some(branch)) => {
            world.github.pushes.retain(|(name, _)| *name != branch);
            world.github.delete_branch(&branch, world.now);
        }
        (1, Some(branch)) => push(world, &branch, &format!("forced@{at}")),
        (2 | 3, Some(branch)) => {
            let tip = world.github.branches[&branch].clone();
            push(world, &branch, &format!("{tip}>pushed@{at}"));
        }
        (4, _) => {
            let name = dice.one_of(&["task/t/do-it", "feature/x", "task/t/do-it-2"]);
            if !world.github.branches.contains_key(name) {
                world.github.take_name(name);
            }
        }
        (5, _) if world.github.branches.contains_key("release") => {
            world.github.branches.remove("release");
        }
        (5, _) => {
            world.github.branches.insert("release".into(), format!("release@{at}"));
        }
        _ => {
            if let Some(tip) = world.github.branches.get_mut(dice.one_of(&["main", "release"])) {
                *tip = format!("{tip}>merged@{at}");
            }
        }
    }
}

/// Somebody pushes to the branch of an open pull request.
fn push(world: &mut World, branch: &str, sha: &str) {
    let open = |pull: &github::Pull| pull.branch == branch && pull.state == PullRequestState::Open;
    if !world.github.pulls.iter().any(open) || world.is_queued(branch) {
        return;
    }
    if !sha.contains('>') {
        world.github.pushes.retain(|(name, _)| name != branch);
    }
    world.github.pushes.push((branch.into(), sha.into()));
    // Now and then it is about the Task's own files.
    world.github.overlaps = sha.ends_with(['0', '2', '4', '6', '8']);
    world.github.branches.insert(branch.into(), sha.into());
    let now = world.now;
    for pull in world.github.pulls.iter_mut().filter(|pull| open(pull)) {
        (pull.head, pull.updated_at) = (sha.into(), now);
    }
}

/// A signed delivery about something that is not the Task's, however much it looks like it.
fn foreign_news(world: &mut World, dice: &mut Dice) {
    let status = world.status();
    let uid = world.task.metadata.uid.clone().unwrap_or_default();
    let known = status.pull_request.as_ref().map(|pull| pull.number);
    let state = dice.one_of(&[PullRequestState::Merged, PullRequestState::Closed, PullRequestState::Open]);
    let like_ours = ObservedPullRequest {
        branch: status.branch.clone(),
        head_repository_id: status.repository_id,
        base_repository_id: status.repository_id,
        marker: Some(marker(&uid, status.round.unwrap_or(1)).into()),
        updated_at: Some(world.now),
        ..ObservedPullRequest::new(900, state)
    };
    let odd = match dice.roll(6) {
        // A fork that calls its branch like ours and copies the marker.
        0 => ObservedPullRequest { head_repository_id: Some(99), ..like_ours },
        // The same number in another repository.
        1 if known.is_some() => {
            let number = known.unwrap_or_default();
            ObservedPullRequest {
                base_repository_id: Some(9),
                head_repository_id: Some(9),
                number,
                ..like_ours
            }
        }
        // Another Task's, from a branch of its own.
        2 => ObservedPullRequest {
            branch: Some("task/other/x".into()),
            marker: Some(marker("99999999-0000-4000-8000-000000000000", 1).into()),
            ..like_ours
        },
        // Our branch, the marker of another Task or of a round that was never begun.
        3 => ObservedPullRequest { marker: Some(marker(&uid, 77).into()), ..like_ours },
        // GitHub has the last word on a merge.
        5 => {
            let ours = known.and_then(|number| world.github.observed(number));
            if let Some(SeenPull { observed, .. }) = ours {
                let state = PullRequestState::Merged;
                world.tell(&ObservedPullRequest { state, ..observed }, Source::Delivery);
            }
            return;
        }
        // Another number, when ours is known.
        4 if known.is_some() => like_ours,
        _ => return,
    };
    assert!(!is_own(&uid, &status, &odd), "taken for the Task's own: {odd:?} {}", ledger::short(&status));
    world.tell(&odd, Source::Delivery);
    assert_eq!(world.status(), status, "moved by {odd:?}");
}

fn person(world: &mut World, dice: &mut Dice) {
    let last = world.github.pulls.last();
    let reopenable = last.is_some_and(|pull| world.github.branches.contains_key(&pull.branch));
    match dice.roll(6) {
        0 => world.person_sets(PullRequestState::Closed),
        1 if reopenable => world.person_sets(PullRequestState::Open),
        2 if world.github.open_pulls() == 1 && dice.one_in(2) => {
            world.person_sets(PullRequestState::Merged);
        }
        3 => world.person(|pull| pull.draft = !pull.draft),
        _ => {}
    }
    // One answer in many comes from a replica that does not have the change yet.
    if let Some((_, looks)) = world.github.lagging.as_mut().filter(|_| dice.one_in(6)) {
        *looks = 1 + dice.roll(6);
    }
    let seen = world.status().pull_request.and_then(|pull| world.github.observed(pull.number));
    if let (Some(seen), Some(others)) = (seen, &mut world.others) {
        others.mail.push(seen.observed);
    }
    // A delivery may be lost, doubled or late; the next sync repairs it.
    for _ in 0..dice.roll(3) {
        let late = world.others.as_ref().map(|others| others.mail.clone()).filter(|mail| !mail.is_empty());
        match (dice.roll(3), late) {
            (0, Some(mail)) => {
                let observed = dice.one_of(&mail);
                world.tell(&observed, Source::Delivery);
            }
            (1, _) => world.news(Source::Sync),
            _ => world.news(Source::Delivery),
        }
    }
}
