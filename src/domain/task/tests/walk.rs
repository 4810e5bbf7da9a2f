//! Random walks: people, faults and crashes in any order. The invariants hold at each step; once the faults stop, the
//! Task comes to rest where its spec and GitHub want it.

use super::*;
use crate::{
    api::{MergePolicy, PullRequestState, RECONCILE_ANNOTATION, conditions::reason},
    domain::{failure::Class, pull_request::Source},
};
use jiff::SignedDuration;

/// `SplitMix64`: the same walk for the same seed on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        let sides = u64::try_from(all.len()).expect("few");
        all[usize::try_from(self.roll(sides)).expect("few")].clone()
    }

    fn class(&mut self, world: &World) -> Class {
        match self.roll(8) {
            0 => Class::Denied,
            1 => Class::Invalid,
            2 => Class::NotFound,
            3 => Class::Throttled { until: world.now + SignedDuration::from_secs(90) },
            _ => Class::Transient,
        }
    }
}

fn start(dice: &mut Dice) -> World {
    let mut world = match dice.roll(4) {
        0 => World::shared(),
        1 => World::without_command(),
        _ => World::new(),
    };
    world.command.0 = 5 + i64::try_from(dice.roll(40)).expect("small");
    world.task.spec.pull_request.draft = dice.roll(5) == 0;
    if dice.roll(3) == 0 {
        world.task.spec.pull_request.merge.policy = MergePolicy::WhenReady;
    }
    world
}

/// Something happens.
fn event(world: &mut World, dice: &mut Dice) {
    match dice.roll(28) {
        0 => world.faults.github = Some(dice.class(world)),
        1 => world.faults.e2b = Some(dice.class(world)),
        2 | 3 => world.faults = world::Faults::default(),
        4 => (world.faults.steps_only, world.faults.answer_lost) = (dice.roll(2) == 0, dice.roll(2) == 0),
        5 => world.faults.secret_missing = dice.roll(2) == 0,
        6 => world.lose_sandbox(),
        7 => world.pause_sandbox(),
        8 => world.kill_process(),
        9 => world.repository = (dice.roll(2) == 0).then(world::repository),
        10 => set_health(world, dice),
        11 => world.edit(|spec| spec.suspend = !spec.suspend),
        12 => world.rerun(&dice.roll(1000).to_string()),
        13 => world.annotate(RECONCILE_ANNOTATION, &dice.roll(1000).to_string()),
        14 => world.edit(|spec| spec.description = Some(dice.roll(3).to_string())),
        15 => world.command.1 = i32::from(dice.roll(3) == 0),
        16 => world.command.2 = dice.one_of(&[None, Some("as in base".into()), Some("made".into())]),
        17 => world.github.mergeable = dice.one_of(&["clean", "blocked", "unknown"]),
        18 => push(world),
        19 if !world.github.branches.contains_key("task/t/do-it") => world.github.take_name("task/t/do-it"),
        20 => stall_sandbox(world),
        21 => world.faults.kubernetes = Some(dice.class(world)),
        22 => world.edit_template(|spec| spec.template = dice.roll(3).to_string()),
        23 => world.edit_template(|spec| spec.timeout_seconds = 300 + i32::from(dice.roll(2) == 0)),
        _ => person(world, dice),
    }
}

/// Somebody pushes to the branch of the open pull request.
fn push(world: &mut World) {
    if world.github.open_pulls() == 1 {
        world.person(|pull| pull.head = "pushed".into());
        let branch = world.github.pulls.last().map(|pull| pull.branch.clone()).unwrap_or_default();
        world.github.branches.insert(branch, "pushed".into());
    }
}

/// E2B refuses the key for a while.
fn stall_sandbox(world: &mut World) {
    if let Some(view) = world.sandbox_mut() {
        (view.running, view.health) = (false, Health::Stalled("the key is refused".into()));
    }
}

fn set_health(world: &mut World, dice: &mut Dice) {
    let Some(repository) = &mut world.repository else { return };
    repository.suspended = dice.roll(4) == 0;
    repository.health = match dice.roll(3) {
        0 => Health::Ready,
        1 => Health::NotReady("reading the token".into()),
        _ => Health::Stalled("the token is refused".into()),
    };
}

fn person(world: &mut World, dice: &mut Dice) {
    let stands = |pull: &github::Pull, branches: &std::collections::BTreeMap<String, String>| {
        branches.contains_key(&pull.branch)
    };
    let reopenable = world.github.pulls.last().is_some_and(|pull| stands(pull, &world.github.branches));
    match dice.roll(6) {
        0 => world.person_sets(PullRequestState::Closed),
        1 if reopenable => world.person_sets(PullRequestState::Open),
        2 if world.github.open_pulls() == 1 => world.person_sets(PullRequestState::Merged),
        3 => world.person(|pull| pull.draft = !pull.draft),
        _ => {}
    }
    // The delivery may be lost, doubled or late; the next sync repairs it.
    for _ in 0..dice.roll(3) {
        world.news(if dice.roll(2) == 0 { Source::Delivery } else { Source::Sync });
    }
}

fn walk(seed: u64, steps: u64) -> World {
    let mut dice = Dice(seed);
    let mut world = start(&mut dice);
    for _ in 0..steps {
        if dice.roll(4) == 0 {
            event(&mut world, &mut dice);
        }
        if dice.roll(6) == 0 {
            world.fuse = Some(usize::try_from(dice.roll(6)).expect("small"));
        }
        let was_done = world.holds(names::MERGED);
        let _abandoned = world.pass();
        assert!(!was_done || world.row() == DONE, "a confirmed done is never left");
        world.sandbox_controller();
        world.pass_time(i64::try_from(dice.roll(20)).expect("small"));
    }
    world
}

/// Faults stop, things are as they should be.
fn calm(world: &mut World) {
    world.fuse = None;
    world.faults = world::Faults::default();
    world.repository = Some(world::repository());
    world.edit(|spec| spec.suspend = false);
    if let Some(view) = world.sandbox_mut().filter(|view| !view.running) {
        view.health = Health::NotReady("trying again".into());
    }
    world.github.mergeable = "blocked";
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

#[test]
fn whatever_happens_nothing_exists_twice_and_in_the_end_the_task_rests_where_it_should() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..400 {
        let mut world = walk(seed, 120);
        calm(&mut world);
        assert!(
            is_settled(&world),
            "seed {seed}: {} {} {:?} {:?}",
            world.reason(),
            world.message(),
            world.sandboxes,
            TaskStatus { conditions: Vec::new(), ..world.status() }
        );
        assert!(world.is_fixed_point(), "seed {seed}: {}", world.reason());
        let retry = world.status().retry;
        assert!(retry.is_none() || world.holds(names::STALLED), "seed {seed}: {retry:?}");
        if let Some(pull) = world.status().pull_request {
            let seen = world.github.observed(pull.number).expect("there").observed;
            assert_eq!(
                (pull.state, pull.draft, pull.unconfirmed),
                (seen.state, pull.draft, false),
                "seed {seed}"
            );
        }
        *ends.entry(world.reason()).or_insert(0) += 1;
    }
    assert!(ends.len() >= 7, "the walks reach the ends: {ends:?}");
    assert!(ends.get(reason::MERGED).is_some_and(|count| *count > 20), "{ends:?}");
}

#[test]
fn whatever_happened_a_deleted_task_goes_and_leaves_nothing_unnamed() {
    for seed in 1000..1300 {
        let mut world = walk(seed, 60);
        world.delete();
        world.notes.clear();
        for _ in 0..200 {
            let _abandoned = world.pass();
            world.pass_time(5);
        }
        assert!(world.released, "seed {seed}: {}", world.message());
        let left = world.task.spec.sandbox_ref.is_some() && world.alive() > 0;
        let carried: Vec<_> = world.github.pulls.iter().map(|pull| pull.branch.clone()).collect();
        let branch =
            world.github.branches.keys().any(|name| {
                name != "main" && !carried.contains(name) && !world.github.foreign.contains(name)
            });
        assert!(!(left || branch) || world.notes == ["LeftBehind"], "seed {seed}: {:?}", world.effects);
    }
}
