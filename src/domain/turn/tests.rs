//! Whose turn it is in a shared Sandbox, also where the stores lag.
//! What two Tasks make of it stands in `domain::task::tests::turns`.

use super::*;
use crate::api::{TaskSpec, TaskStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 + second).expect("in range"))
}

/// A Task that was made at `created` and has asked for the Sandbox `box` at `since`.
fn asking(name: &str, created: i64, since: i64) -> Task {
    let spec = json!({
        "title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/app"}, "sandboxRef": {"name": "box"},
    });
    let mut task = Task::new(name, serde_json::from_value::<TaskSpec>(spec).expect("a spec"));
    task.metadata.uid = Some(format!("uid-{name}"));
    task.metadata.creation_timestamp = Some(time(created));
    ask(&mut task, "q1", since);
    task
}

fn ask(task: &mut Task, id: &str, since: i64) {
    let request = SandboxRequest {
        id: id.into(),
        sandbox_name: "box".into(),
        since: time(since),
        unreachable_since: None,
        resting: false,
        begun: None,
    };
    task.status.get_or_insert_with(TaskStatus::default).sandbox_request = Some(request);
}

fn take_back(task: &mut Task) {
    task.status.as_mut().expect("set").sandbox_request = None;
}

fn holder(name: &str, request: &str) -> Holder {
    Holder { task: name.into(), uid: format!("uid-{name}"), request: request.into() }
}

fn granted(current: Option<&Holder>, tasks: &[&Task]) -> (Option<String>, i64) {
    let turn = grant(current, "box", tasks.iter().copied());
    (turn.holder.map(|holder| holder.task), turn.waiting)
}

#[test]
fn a_sandbox_is_shared_unless_a_task_controls_it() {
    for (kind, controller, shared) in
        [("Task", Some(true), false), ("Task", None, true), ("Deployment", Some(true), true)]
    {
        let mut sandbox = Sandbox::new("box", crate::api::SandboxSpec::default());
        assert!(is_shared(&sandbox), "without an owner");
        let owner = OwnerReference { kind: kind.into(), controller, ..OwnerReference::default() };
        sandbox.metadata.owner_references = Some(vec![owner]);
        assert_eq!(is_shared(&sandbox), shared, "{kind} {controller:?}");
    }
}

#[test]
fn who_asked_first_goes_first_then_who_was_made_first_then_the_smaller_uid() {
    let (a, b) = (asking("a", 9, 1), asking("b", 0, 2));
    assert_eq!(granted(None, &[&b, &a]), (Some("a".into()), 1), "asked first");
    let (a, b) = (asking("a", 9, 1), asking("b", 0, 1));
    assert_eq!(granted(None, &[&a, &b]), (Some("b".into()), 1), "made first");
    let (a, b) = (asking("a", 0, 1), asking("b", 0, 1));
    for tasks in [[&a, &b], [&b, &a]] {
        assert_eq!(granted(None, &tasks), (Some("a".into()), 1), "the smaller uid");
    }
    assert_eq!(granted(None, &[]), (None, 0));
}

#[test]
fn two_tasks_made_in_the_same_second_never_both_hold_the_turn() {
    let (a, b) = (asking("a", 0, 0), asking("b", 0, 0));
    // The one with the greater uid is seen first and gets the turn: the other waits, whatever it would have come to.
    let first = grant(None, "box", [&b]).holder;
    assert_eq!(granted(first.as_ref(), &[&a, &b]), (Some("b".into()), 1));
}

#[test]
fn the_holder_keeps_its_turn_until_its_own_request_is_over() {
    let (mut a, b) = (asking("a", 0, 5), asking("b", 0, 1));
    let current = holder("a", "q1");
    assert_eq!(granted(Some(&current), &[&a, &b]), (Some("a".into()), 1), "although the other asked first");
    ask(&mut a, "q2", 9);
    assert_eq!(granted(Some(&current), &[&a, &b]), (Some("b".into()), 1), "another request stands in line");
    take_back(&mut a);
    assert_eq!(granted(Some(&current), &[&a, &b]), (Some("b".into()), 0), "taken away");
    assert_eq!(granted(Some(&current), &[&b]), (Some("b".into()), 0), "the Task is gone");
    ask(&mut a, "q1", 5);
    a.status.as_mut().and_then(|status| status.sandbox_request.as_mut()).expect("set").sandbox_name =
        "other".into();
    assert_eq!(granted(Some(&current), &[&a, &b]), (Some("b".into()), 0), "for another Sandbox");
}

#[test]
fn a_task_made_again_under_the_same_name_does_not_inherit_the_turn() {
    let (mut again, b) = (asking("a", 9, 9), asking("b", 0, 1));
    again.metadata.uid = Some("uid-of-the-new-one".into());
    assert_eq!(granted(Some(&holder("a", "q1")), &[&again, &b]), (Some("b".into()), 1));
}

#[test]
fn a_suspended_or_resting_holder_keeps_the_turn_while_it_asks() {
    let (mut a, b) = (asking("a", 0, 1), asking("b", 0, 2));
    a.spec.suspend = true;
    a.status.as_mut().and_then(|status| status.sandbox_request.as_mut()).expect("set").resting = true;
    assert_eq!(granted(Some(&holder("a", "q1")), &[&a, &b]), (Some("a".into()), 1), "its process may run");
    take_back(&mut a);
    assert_eq!(granted(Some(&holder("a", "q1")), &[&a, &b]), (Some("b".into()), 0));
}

#[test]
fn a_deleted_holder_keeps_the_turn_until_it_is_gone_and_a_deleted_task_gets_none() {
    let (mut a, b) = (asking("a", 0, 1), asking("b", 0, 2));
    a.metadata.deletion_timestamp = Some(time(3));
    assert_eq!(
        granted(Some(&holder("a", "q1")), &[&a, &b]),
        (Some("a".into()), 1),
        "its process is ended first"
    );
    assert_eq!(granted(None, &[&a, &b]), (Some("b".into()), 0));
    assert_eq!(granted(None, &[&a]), (None, 0));
}

#[test]
fn the_place_in_the_line_counts_those_who_asked_before() {
    let (a, b, mut c) = (asking("a", 0, 1), asking("b", 0, 2), asking("c", 0, 3));
    let mut elsewhere = asking("d", 0, 0);
    elsewhere.status.as_mut().and_then(|status| status.sandbox_request.as_mut()).expect("set").sandbox_name =
        "other".into();
    let all = [&a, &b, &c, &elsewhere];
    assert_eq!([&a, &b, &c].map(|task| place(task, all)), [Some(1), Some(2), Some(3)]);
    assert_eq!(place(&c, [&b, &elsewhere]), Some(2), "the holder is left out");
    take_back(&mut c);
    assert_eq!(place(&c, [&a, &b]), None);
    let mut gone = a;
    gone.metadata.deletion_timestamp = Some(time(4));
    assert_eq!(place(&b, [&gone]), Some(1), "a deleted one gets no turn");
}

#[test]
fn nobody_is_given_a_turn_while_a_task_of_an_older_release_may_work_in_there() {
    let (a, mut old) = (asking("a", 0, 1), asking("old", 0, 0));
    take_back(&mut old);
    old.status.as_mut().expect("set").round = Some(1);
    assert_eq!(granted(None, &[&a, &old]), (None, 1));
    let mut elsewhere = old.clone();
    elsewhere.spec.sandbox_ref.as_mut().expect("set").name = "other".into();
    assert_eq!(granted(None, &[&a, &elsewhere]), (Some("a".into()), 0));
    old.status.as_mut().expect("set").phase = Some(crate::api::Phase::Ended);
    assert_eq!(granted(None, &[&a, &old]), (Some("a".into()), 0), "it has been carried over");
}

#[test]
fn of_the_holders_task_what_the_api_server_has_counts_and_nothing_else() {
    let (a, b) = (asking("a", 0, 1), asking("b", 0, 2));
    let holder = holder("a", "q1");
    let names = |tasks: &[Task]| {
        let name = |task: &Task| (task.name_any(), task.status.is_some());
        tasks.iter().map(name).collect::<Vec<_>>()
    };
    let all = vec![a.clone(), b.clone()];
    let (kept, fresh) = (("b".to_owned(), true), ("a".to_owned(), false));
    assert_eq!(names(&confirmed(all.clone(), &holder, None)), [("b".to_owned(), true)], "it is gone");
    let live = Task { status: None, ..a.clone() };
    assert_eq!(names(&confirmed(all, &holder, Some(live))), [kept.clone(), fresh.clone()]);
    // Made again under its name, and in the store already.
    let mut again = a;
    again.metadata.uid = Some("uid-again".into());
    let live = Task { status: None, ..again.clone() };
    assert_eq!(names(&confirmed(vec![again, b], &holder, Some(live))), [kept, fresh]);
}

#[test]
fn a_turn_whose_end_nobody_can_confirm_stands_as_it_was() {
    let mut sandbox = Sandbox::new("box", crate::api::SandboxSpec::default());
    sandbox.status.get_or_insert_default().waiting = 2;
    let holder = holder("a", "q1");
    let turn = Turn { holder: Some(holder.clone()), waiting: 2, unconfirmed: true };
    assert_eq!(unconfirmed(&holder, &sandbox), turn);
}

/// A linear congruential generator: the same seed walks the same way.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// Tasks, and the Sandbox's status, as the API server has them; `seen` as the controller's store has the Tasks.
struct Line {
    tasks: Vec<Task>,
    seen: Vec<Task>,
    older: Vec<Task>,
    holder: Option<Holder>,
    working: Vec<bool>,
    turns: usize,
}

impl Line {
    fn new() -> Self {
        let mut tasks: Vec<Task> = (0..4).map(|n| asking(&format!("t{n}"), n / 2, 0)).collect();
        tasks.iter_mut().for_each(take_back);
        let (seen, older) = (tasks.clone(), tasks.clone());
        Self { working: vec![false; tasks.len()], tasks, seen, older, holder: None, turns: 0 }
    }

    /// The Task reads the Sandbox, as it stands or as it stood before.
    fn read(&mut self, n: usize, holder: Option<&Holder>) {
        let request = self.tasks[n].status.as_ref().and_then(|status| status.sandbox_request.as_ref());
        if let (Some(holder), Some(request)) = (holder, request)
            && is_granted(holder, &self.tasks[n], request)
        {
            self.turns += usize::from(!self.working[n]);
            self.working[n] = true;
        }
    }

    /// A pass of the Sandbox's controller.
    fn pass(&mut self) {
        let mut view = self.seen.clone();
        if let Some(ending) = ending(self.holder.as_ref(), "box", &self.seen) {
            let live = self.tasks.iter().find(|task| task.metadata.uid.as_ref() == Some(&ending.uid));
            view = confirmed(view, &ending.clone(), live.cloned());
        }
        self.holder = grant(self.holder.as_ref(), "box", &view).holder;
    }
}

/// Tasks ask and let go; the stores of the controllers lag, and another leader's store may be older still. A Task
/// works from the moment it reads its own request in the holder until it takes the request away.
#[test]
fn however_the_stores_lag_no_two_tasks_work_at_a_time() {
    let (mut dice, mut turns) = (Dice(7), 0);
    for _ in 0..300 {
        let mut line = Line::new();
        let mut stale = None;
        for step in 0..400 {
            let n = dice.roll(4);
            let asks = line.tasks[n].status.as_ref().is_some_and(|status| status.sandbox_request.is_some());
            match dice.roll(40) {
                0..6 if !asks => ask(&mut line.tasks[n], &format!("q{step}"), step),
                6..9 => {
                    take_back(&mut line.tasks[n]);
                    line.working[n] = false;
                }
                9..19 => line.seen[n] = line.tasks[n].clone(),
                19 => line.older.clone_from(&line.seen),
                20 => line.seen.clone_from(&line.older),
                21..24 => line.read(n, stale.as_ref()),
                24..26 => stale.clone_from(&line.holder),
                26..32 => line.read(n, line.holder.clone().as_ref()),
                _ => line.pass(),
            }
            let working = line.working.iter().filter(|works| **works).count();
            assert!(working <= 1, "two work: {:?}", line.holder);
        }
        turns += line.turns;
    }
    assert!(turns > 1_000, "the walks went somewhere: {turns}");
}

#[test]
fn a_command_of_a_task_that_is_deleted_is_remembered_by_its_sandbox() {
    let run = |task: &mut Task, sandbox: &str, at: i64| {
        let run = json!({"id": "r", "sandboxID": sandbox, "incarnation": 1, "startedAt": time(at)});
        let status = task.status.get_or_insert_with(TaskStatus::default);
        status.code_generations.push(serde_json::from_value(run).expect("a run"));
    };
    let (mut a, mut b) = (asking("a", 0, 0), asking("b", 0, 0));
    let mut status = SandboxStatus { sandbox_id: Some("sb1".into()), ..SandboxStatus::default() };
    run(&mut a, "sb1", 10);
    run(&mut b, "another", 15);
    status.last_runs = last_runs(&status, [&a, &b]);
    assert_eq!((others_began(&status, "uid-a"), others_began(&status, "uid-b")), (None, Some(time(10).0)));
    run(&mut b, "sb1", 20);
    status.last_runs = last_runs(&status, [&a, &b]);
    // The second is deleted when it is done; the first runs again later.
    status.last_runs = last_runs(&status, [&a]);
    assert_eq!(others_began(&status, "uid-a"), Some(time(20).0));
    run(&mut a, "sb1", 30);
    let mut c = asking("c", 0, 0);
    run(&mut c, "sb1", 25);
    for _ in 0..2 {
        status.last_runs = last_runs(&status, [&a, &c]);
        assert_eq!((status.last_runs.len(), others_began(&status, "uid-a")), (2, Some(time(25).0)));
        assert_eq!(others_began(&status, "uid-c"), Some(time(30).0));
    }
}
