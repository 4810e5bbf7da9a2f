//! Every class of failure at every stage: what is said, how often it is tried, and that it heals.

use super::{super::scope::Scope, *};
use crate::{
    api::{RECONCILE_ANNOTATION, conditions::reason},
    domain::{
        conditions,
        failure::{Class, Failure},
        plan::Next,
    },
};
use jiff::SignedDuration;

/// Where something can fail: how the Task gets there, and which side is asked then.
#[derive(Debug, Clone, Copy)]
struct Place {
    name: &'static str,
    github: bool,
    /// Only the step fails.
    step: bool,
    reach: fn() -> World,
}

fn new() -> World {
    World::new()
}

fn generating() -> World {
    let mut world = World::new();
    world.run_until(|world| world.reason() == reason::GENERATING);
    world
}

fn overdue() -> World {
    let mut world = World::new();
    world.command.0 = 100_000;
    world.task.spec.generate.as_mut().expect("a command").timeout_seconds = 60;
    world.run_until(|world| world.reason() == reason::GENERATING);
    world.pass_time(60);
    world
}

fn generated() -> World {
    let mut world = World::new();
    world.run_until(|world| world.holds(names::GENERATED));
    world
}

fn branched() -> World {
    let mut world = World::new();
    world.run_until(|world| world.made("CreateBranch") == 1);
    world
}

fn unconfirmed() -> World {
    let mut world = World::new();
    world.rest();
    world.person(|pull| pull.draft = true);
    world.news(crate::domain::pull_request::Source::Delivery);
    world
}

fn merging() -> World {
    let mut world = World::new();
    world.rest();
    world.edit(|spec| {
        spec.pull_request.merge.policy = crate::api::MergePolicy::WhenReady;
        spec.pull_request.merge.require_checks = false;
    });
    world
}

fn leaving() -> World {
    let mut world = World::new();
    world.rest();
    world.delivered(crate::api::PullRequestState::Closed);
    world.rerun("1");
    world
}

const PLACES: [Place; 14] = [
    Place { name: "planning", github: true, step: false, reach: new },
    Place { name: "starting", github: false, step: true, reach: new },
    Place { name: "looking at the command", github: false, step: false, reach: generating },
    Place { name: "ending the command", github: false, step: true, reach: overdue },
    Place { name: "reading files", github: false, step: false, reach: generated },
    Place { name: "committing", github: true, step: false, reach: generated },
    Place { name: "making the branch", github: true, step: true, reach: generated },
    Place { name: "listing pull requests", github: true, step: false, reach: branched },
    Place { name: "opening the pull request", github: true, step: true, reach: branched },
    Place { name: "confirming", github: true, step: false, reach: unconfirmed },
    Place { name: "reading before a merge", github: true, step: false, reach: merging },
    Place { name: "merging", github: true, step: true, reach: merging },
    Place { name: "reading the old branch", github: true, step: false, reach: leaving },
    Place { name: "deleting the old branch", github: true, step: true, reach: leaving },
];

impl Place {
    fn broken(self, class: Class) -> World {
        let mut world = (self.reach)();
        world.faults.steps_only = self.step;
        if self.github {
            world.faults.github = Some(class);
        } else {
            world.faults.e2b = Some(class);
        }
        world.calls.clear();
        world
    }
}

impl World {
    /// Runs for so many seconds, passes as eager as events can make them: one per second, or per 5 s in a long run.
    fn live(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        let step = if seconds < 600 { 1 } else { 5 };
        while self.now < end {
            let passed = self.pass();
            assert!(passed.is_ok());
            self.sandbox_controller();
            self.pass_time(step);
        }
    }

    /// When the call that fails was made, in seconds from the first.
    fn tried(&self) -> Vec<i64> {
        let last = self.calls.last().map(|(_, operation)| *operation).expect("a call");
        let calls: Vec<_> = self.calls.iter().filter(|(_, operation)| *operation == last).collect();
        calls.iter().map(|(at, _)| at.duration_since(calls[0].0).as_secs()).collect()
    }

    fn heal(&mut self) {
        self.faults = faults::Faults::default();
        self.live(700);
        self.rest();
    }
}

#[test]
fn what_may_pass_is_tried_four_times_then_slowly_and_heals() {
    for place in PLACES {
        let mut world = place.broken(Class::Transient);
        world.live(100);
        let tried = world.tried();
        assert_eq!(tried, [0, 2, 5, 10], "{}: 1, 2 and 4 s and the second they are cut by", place.name);
        assert_eq!(world.reason(), reason::RETRIES_EXHAUSTED, "{}", place.name);
        assert!(world.holds(names::RECONCILING), "{}", place.name);
        let writes = world.status_writes.len();
        world.live(1800);
        assert!((4..=8).contains(&(world.tried().len() - 4)), "{}: every 5 minutes", place.name);
        assert!(world.status_writes.len() - writes <= 3 * 8, "{}: {:#?}", place.name, world.status_writes);
        world.heal();
        assert!(world.holds(names::READY) || world.reason() == reason::GENERATION_FAILED, "{}", place.name);
        assert_eq!(world.status().retry, None, "{}", place.name);
    }
}

#[test]
fn what_no_retry_cures_stalls_at_once_and_is_looked_at_every_five_minutes() {
    for class in [Class::Denied, Class::Invalid, Class::NotFound] {
        for place in PLACES {
            let mut world = place.broken(class);
            world.live(100);
            assert_eq!(world.tried(), [0], "{} {class:?}", place.name);
            assert!(world.holds(names::STALLED), "{} {class:?}", place.name);
            world.live(600);
            assert!((2..=3).contains(&world.tried().len()), "{} {class:?}: {:?}", place.name, world.tried());
            world.heal();
            assert!(
                world.holds(names::READY) || world.reason() == reason::GENERATION_FAILED,
                "{}",
                place.name
            );
        }
    }
}

#[test]
fn a_limit_is_waited_for_and_nobody_cuts_it_short() {
    for place in PLACES {
        let mut world = place.broken(Class::Transient);
        let until = world.now + SignedDuration::from_secs(400);
        let limit = Some(Class::Throttled { until });
        if place.github {
            world.faults.github = limit;
        } else {
            world.faults.e2b = limit;
        }
        world.live(150);
        world.annotate(RECONCILE_ANNOTATION, "now");
        world.edit(|spec| spec.pull_request.body = Some("another".into()));
        world.live(150);
        assert_eq!(world.tried(), [0], "{}", place.name);
        assert_eq!(world.reason(), "RateLimited", "{}", place.name);
        assert_eq!(world.status().retry.map(|retry| retry.attempt), Some(0), "{}", place.name);
        assert_eq!(world.status().observed_generation, world.task.metadata.generation.unwrap_or_default());
        world.heal();
    }
}

#[test]
fn a_person_who_asks_to_look_again_or_changes_the_spec_does_not_wait() {
    type Ask = fn(&mut World);
    let asks: [Ask; 2] = [
        |world| world.annotate(RECONCILE_ANNOTATION, "now"),
        |world| world.edit(|spec| spec.pull_request.body = Some("another".into())),
    ];
    for ask in asks {
        for place in PLACES {
            let mut world = place.broken(Class::Denied);
            world.live(20);
            ask(&mut world);
            world.live(20);
            assert_eq!(world.tried().len(), 2, "{}: once more, not for ever", place.name);
        }
    }
}

#[test]
fn a_rerun_that_has_to_wait_makes_no_call_come_sooner() {
    for place in PLACES.iter().filter(|place| place.name.contains("pull request")) {
        let mut world = place.broken(Class::Transient);
        world.rerun("again");
        world.live(100);
        assert_eq!(world.tried(), [0, 2, 5, 10], "{}", place.name);
    }
}

#[test]
fn a_secret_that_a_call_misses_is_waited_for_like_any_missing_object() {
    let world = World::new();
    let missing = crate::domain::failure::Failure {
        operation: "getSecret",
        class: Class::NotFound,
        reason: reason::SECRET_NOT_FOUND,
        message: "Secret github is missing".into(),
    };
    let observed = locate(&world.task, &world.context(), world.now).failed(&missing);
    let status = decide(&world.task, observed, world.now).status;
    assert!(conditions::is_true(&status.conditions, names::RECONCILING), "{:?}", status.conditions);
    let retry = status.retry.expect("a retry");
    assert_eq!(retry.next_attempt_at.0, world.now + SignedDuration::from_secs(5));
}

#[test]
fn what_was_missing_and_has_come_is_not_looked_for_any_more() {
    let mut world = World::new();
    let repository = world.repository.take();
    assert!(world.pass().is_ok());
    assert!(world.status().retry.is_some());
    world.repository = repository;
    world.repository.as_mut().expect("there").health = Health::NotReady("soon".into());
    assert!(world.pass().is_ok());
    assert_eq!(world.status().retry, None);
}

#[test]
fn missing_objects_are_waited_for_two_minutes_per_generation() {
    type Missing = (&'static str, fn(&mut World), fn() -> World);
    let missing: [Missing; 3] = [
        (reason::REPOSITORY_NOT_FOUND, |world| world.repository = None, World::new),
        (reason::SANDBOX_NOT_FOUND, |world| world.sandboxes.clear(), World::shared),
        (reason::SECRET_NOT_FOUND, |world| world.faults.secret_missing = true, World::shared),
    ];
    for (reason, lose, start) in missing {
        let mut world = start();
        lose(&mut world);
        world.live(130);
        assert_eq!(world.reason(), reason);
        assert!(world.holds(names::RECONCILING), "{reason}: not yet two minutes");
        world.live(60);
        assert!(world.holds(names::STALLED), "{reason}");
        assert_eq!(world.row(), FAILED_EARLY);
        world.edit(|spec| spec.pull_request.body = Some("mended".into()));
        world.live(5);
        assert!(world.holds(names::RECONCILING), "{reason}: a new generation, a new patience");
        assert_ne!(world.row(), FAILED_EARLY);
        assert!(world.status_writes.len() < 20, "{reason}: {}", world.status_writes.len());
    }
}

#[test]
fn resuming_under_a_limit_says_what_it_waits_for() {
    let mut world = branched();
    let until = world.now + SignedDuration::from_secs(400);
    world.faults.github = Some(Class::Throttled { until });
    world.live(2);
    world.edit(|spec| spec.suspend = true);
    world.live(2);
    assert_eq!(world.reason(), reason::SUSPENDED);
    world.edit(|spec| spec.suspend = false);
    world.live(2);
    assert_eq!(world.reason(), "RateLimited", "not Suspended any more");
    assert!(world.holds(names::RECONCILING));
}

#[test]
fn an_unreachable_sandbox_is_reported_and_its_replacement_not_waited_for() {
    let mut world = generating();
    world.faults.e2b = Some(Class::Transient);
    world.live(30);
    assert!(crate::domain::demand::reports_unreachable(&world.task));
    world.faults.e2b = None;
    world.lose_sandbox();
    world.live(10);
    assert_eq!(world.made("Start"), 2, "begun again at once, not after the slow retry");
    world.rest();
    assert_eq!(world.row(), REVIEW);
    assert_eq!(world.reason_of(names::SANDBOX_READY), reason::NOT_NEEDED, "no condition is left over");
}

/// The second look takes ten seconds: calls would use up their attempts meanwhile, and warn of what is mended without a person.
#[test]
fn while_e2b_misses_the_sandbox_no_call_is_made_and_no_attempt_used_up() {
    for comes_back in [true, false] {
        let mut world = generating();
        world.faults.e2b = Some(Class::Transient);
        world.live(1);
        world.miss_sandbox(true);
        world.calls.clear();
        world.live(30);
        assert_eq!((world.calls.len(), world.status().retry), (0, None), "{:?}", world.calls);
        assert_eq!((world.row(), world.reason().as_str()), (BUILDING, reason::SANDBOX_NOT_READY));
        assert!(world.message().contains("(SandboxMissing)"), "the Sandbox's words: {}", world.message());
        world.faults.e2b = None;
        world.miss_sandbox(false);
        if !comes_back {
            world.lose_sandbox();
        }
        world.rest();
        assert_eq!((world.row(), world.made("Start")), (REVIEW, 1 + usize::from(!comes_back)));
    }
}

#[test]
fn a_commit_of_spooled_files_waits_like_any_call_and_needs_no_sandbox() {
    let mut world = generated();
    let id = spool_id(&world.task, &world.status()).expect("files are read");
    world.spool.insert(id, "spooled".into());
    world.lose_sandbox();
    world.faults.github = Some(Class::Transient);
    world.calls.clear();
    world.live(100);
    assert_eq!(world.tried(), [0, 2, 5, 10]);
    world.heal();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 1), "{}", world.message());
}

#[test]
fn an_upload_that_ended_early_is_progress_and_its_failure_is_waited_out() {
    let mut world = generated();
    let failure = world::failure("createBlob", Class::Transient, "ServerError");
    let now = world.now;
    for (failure, next) in [(None, Next::Now), (Some(failure), Next::At(now + SignedDuration::from_secs(2)))]
    {
        let plan = collected(&world, Files::Progress { uploaded: 412, of: 2000, failure });
        let committed = find(&plan.status.conditions, names::COMMITTED).expect("set");
        assert_eq!((committed.message.as_str(), plan.next), ("412 of 2000 files uploaded", next));
    }
    for (reason, said) in
        [(reason::WAITING_FOR_SPOOL, "SLIPWAY_SPOOL_BYTES"), (reason::WAITING_FOR_TRANSFER, "a free worker")]
    {
        let plan = collected(&world, Files::Waiting { reason });
        world.task.status = Some(plan.status);
        assert_eq!((world.row(), world.reason().as_str()), (BUILDING, reason));
        assert!(world.message().contains(said), "{}", world.message());
    }
}

/// Access may be given minutes after the Task was made: it is looked for, and looking is no attempt of a call.
#[test]
fn a_repository_that_the_app_has_no_access_to_is_waited_for() {
    let world = new();
    let failure = |class, reason| {
        let (operation, message) = ("createInstallationToken", "give it".to_owned());
        Failure { operation, class, reason, message }
    };
    let mut scope = Scope::new(&world.task, TaskStatus::default(), world.now);
    for look in 0..6 {
        scope.failed(&failure(Class::NotFound, reason::REPOSITORY_NOT_IN_INSTALLATION));
        let retry = scope.status.retry.clone().expect("said in status");
        assert_eq!(
            (retry.stalled, retry.reason.as_str()),
            (look > 4, "RepositoryNotInInstallation"),
            "{look}"
        );
        scope.now += SignedDuration::from_secs(600);
    }
    scope.failed(&failure(Class::Transient, reason::GITHUB_UNAVAILABLE));
    let retry = scope.status.retry.expect("said in status");
    assert_eq!((retry.attempt, retry.reason.as_str()), (1, "Retrying"));
}
