//! Random walks: people, faults and crashes in any order. The invariants hold at each step; once the faults stop, the
//! Task comes to rest where its spec and GitHub want it.

use super::{
    dice::Dice,
    events::{self, event},
    *,
};
use crate::{
    api::{MergePolicy, Phase, conditions::reason},
    domain::pull_request::Source,
};
use std::{
    collections::BTreeMap,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
};

fn start(dice: &mut Dice) -> World {
    let mut world = match dice.roll(4) {
        0 => World::shared(),
        1 => World::without_command(),
        2 => World::with_checkout(),
        _ => World::new(),
    };
    world.meet_others();
    world.github.branches.insert("release".into(), "release00".into());
    world.command.0 = 5 + i64::try_from(dice.roll(40)).expect("small");
    world.task.spec.pull_request.draft = dice.one_in(5);
    world.copies = dice.one_in(2);
    if dice.one_in(3) {
        world.task.spec.pull_request.merge.policy = MergePolicy::WhenReady;
    }
    if dice.one_in(3) {
        world = world.with_queue();
    }
    world.remember();
    world
}

fn walk(seed: u64, steps: u64) -> World {
    let mut dice = Dice(seed);
    let mut world = start(&mut dice);
    // Much may happen within one second, and status holds no fractions.
    let quick = dice.one_in(3);
    for _ in 0..steps {
        match dice.roll(12) {
            0..=2 => event(&mut world, &mut dice),
            3 => world.edit_something(&mut dice),
            _ => {}
        }
        if quick && dice.one_in(2) {
            world.other_task(&mut dice);
        }
        world.remember();
        if dice.one_in(6) {
            world.fuse = Some(dice.below(6));
        }
        world.time_goes_on(&mut dice);
        let was_done = world.holds(names::MERGED);
        let _abandoned = world.pass();
        assert!(!was_done || world.row() == DONE, "a confirmed done is never left");
        if !dice.one_in(3) {
            world.sandbox_controller();
        }
        if !quick || dice.one_in(6) {
            world.pass_time(i64::try_from(dice.roll(20)).expect("small"));
        }
    }
    world
}

/// Faults stop, things are as they should be.
fn calm(world: &mut World) {
    world.fuse = None;
    world.faults = faults::Faults::default();
    let id = world.status().repository_id.or(Some(7));
    world.repository = Some(RepositoryView { id, ..world::repository() });
    world.edit(|spec| spec.suspend = false);
    world.be_up_to_date();
    for view in &mut world.sandboxes {
        if !view.running {
            view.health = Health::NotReady("trying again".into());
        }
        view.owner = events::first_owner(&view.name);
    }
    if world.sandboxes.iter().all(|view| view.name != "absent") {
        world.sandboxes.push(world::sandbox("absent", None, crate::api::SandboxSpec::default()));
    }
    for base in ["main", "release", "gone"] {
        world.github.branches.entry(base.into()).or_insert_with(|| format!("{base}00"));
    }
    world.github.mergeable = "blocked";
    world.github.lagging = None;
    // Nothing is about to be merged for ever.
    if let Some(place) = &mut world.github.queue.place {
        place.state = QueueProgress::Queued;
    }
    for _ in 0..60 {
        world.pass_time(30);
        assert!(world.pass().is_ok());
        world.sandbox_controller();
    }
    world.news(Source::Sync);
    world.rest();
}

fn is_settled(world: &World) -> bool {
    let ends = [
        reason::IN_REVIEW,
        reason::DEQUEUED,
        reason::DRAFT,
        reason::HEAD_MOVED,
        reason::CLOSED,
        reason::MERGED,
        reason::NOTHING_TO_COMMIT,
        reason::GENERATION_FAILED,
        reason::GENERATION_KEEPS_DYING,
        reason::SANDBOX_FILES_LOST,
        reason::NO_FILES,
    ];
    ends.contains(&world.reason().as_str())
}

/// One walk to its end.
fn to_the_end(seed: u64, steps: u64) -> String {
    let mut world = walk(seed, steps);
    calm(&mut world);
    let told = |world: &World| {
        format!(
            "{} {} {:?} {}",
            world.reason(),
            world.message(),
            world.sandboxes,
            ledger::short(&world.status())
        )
    };
    assert!(is_settled(&world), "no end: {}", told(&world));
    assert!(world.is_fixed_point(), "no rest: {}", told(&world));
    // The last write is an event too: the pass it causes gives the room back that the one before has ended the need of.
    assert!(world.pass().is_ok());
    let status = world.status();
    assert!(status.retry.is_none() || world.holds(names::STALLED), "{:?}", status.retry);
    assert!(world.alive() == 0, "a command is left: {}", told(&world));
    assert!(world.spool.is_empty() || status.phase == Some(Phase::Collecting), "spooled: {}", told(&world));
    let shared = status.sandbox_request.as_ref().is_some_and(|request| {
        world.sandboxes.iter().any(|view| view.name == request.sandbox_name && view.owner.is_none())
    });
    assert!(!shared, "others wait for the turn: {}", told(&world));
    world.check_rerun();
    if let Some(pull) = &status.pull_request {
        let seen = world.github.observed(pull.number).expect("there").observed;
        assert_eq!(
            (pull.state, pull.draft, pull.unconfirmed),
            (seen.state, seen.draft.unwrap_or(false), false),
            "{}",
            told(&world)
        );
    }
    world.reason()
}

/// One walk, then the Task is deleted.
fn to_its_deletion(seed: u64, steps: u64) -> String {
    let mut world = walk(seed, steps);
    world.delete();
    // A branch that GitHub kept before the round that is on was named then.
    let named = world.notes.contains(&"LeftBehind");
    world.notes.clear();
    for _ in 0..200 {
        if world.released {
            break;
        }
        let _abandoned = world.pass();
        world.pass_time(5);
    }
    assert!(world.released, "{}", world.message());
    let left = world.commands().any(|process| {
        world.sandboxes.iter().any(|view| view.owner.is_none() && view.id.as_ref() == Some(&process.sandbox))
    });
    let carried: Vec<_> = world.github.pulls.iter().map(|pull| pull.branch.clone()).collect();
    let ours = |tip: &String| world.github.commits.contains_key(tip);
    let branch = world
        .github
        .branches
        .iter()
        .any(|(name, tip)| ours(tip) && !carried.contains(name) && !world.github.foreign.contains(name));
    assert!(
        !left && (!branch || named) || world.notes == ["LeftBehind"],
        "{:?} {:?} {:?} {}",
        world.effects,
        world.github.branches,
        world.commands().collect::<Vec<_>>(),
        ledger::short(&world.status())
    );
    assert!(world.spool.is_empty(), "spooled: {:?} {}", world.spool, ledger::short(&world.status()));
    "Deleted".into()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Walks from many seeds; the first one that fails is told with the fewest steps that fail, and how to run it again.
fn walks(first: u64, seeds: u64, steps: u64, run: fn(u64, u64) -> String) -> BTreeMap<String, usize> {
    let steps = number("WALK_STEPS").unwrap_or(steps);
    let seed = number("WALK_SEED");
    let first = seed.unwrap_or(first);
    let seeds = number("WALK_SEEDS").unwrap_or(if seed.is_some() { 1 } else { seeds });
    let (mut ends, mut failed) = (BTreeMap::new(), Vec::new());
    for seed in first..first + seeds {
        match catch_unwind(AssertUnwindSafe(|| run(seed, steps))) {
            Ok(end) => *ends.entry(end).or_insert(0) += 1,
            Err(_) if failed.len() < 5 => failed.push(seed),
            Err(_) => break,
        }
    }
    let again: Vec<_> = failed.iter().map(|seed| again(*seed, steps, run)).collect();
    assert!(again.is_empty(), "run again:\n{}", again.join("\n"));
    ends
}

/// How to run the failing walk again, with as few steps as fail.
fn again(seed: u64, steps: u64, run: fn(u64, u64) -> String) -> String {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let fails = |steps: &u64| catch_unwind(AssertUnwindSafe(|| run(seed, *steps))).is_err();
    let fewest = (0..=steps).find(fails).unwrap_or(steps);
    std::panic::set_hook(hook);
    format!("WALK_SEED={seed} WALK_STEPS={fewest} cargo test --lib domain::task::tests::walk")
}

#[test]
fn whatever_happens_nothing_exists_twice_and_in_the_end_the_task_rests_where_it_should() {
    let ends = walks(0, 300, 200, to_the_end);
    if number("WALK_SEED").is_none() {
        println!("{ends:?}");
        assert!(ends.len() >= 7, "the walks reach the ends: {ends:?}");
        assert!(ends.get(reason::MERGED).is_some_and(|count| *count > 20), "{ends:?}");
    }
}

#[test]
fn whatever_happened_a_deleted_task_goes_and_leaves_nothing_unnamed() {
    walks(1_000_000, 150, 60, to_its_deletion);
}
