//! Random walks: an E2B that fails in every way, an operator that dies anywhere and reads what is no longer true, people
//! who edit every field, Tasks that come and go. Whatever happens, no sandbox is without an owner or a planned end, the
//! recorded one is never killed but by its deletion, and in the end there is exactly the one wanted.

use super::{
    e2b::{E2b, Request},
    frozen::{is_frozen, is_in_the_making, set},
    seeds::{Dice, OnFailure, Seeds},
    *,
};
use crate::{
    api::{
        OperatingMode, Recovery, SandboxRequest, Task, TaskSpec, TaskStatus,
        common::{EnvVar, LocalRef},
    },
    domain::{demand, turn},
};
use std::collections::HashMap;

struct Walk {
    seed: u64,
    dice: Dice,
    e2b: E2b,
    /// As the API server has it.
    sandbox: Sandbox,
    /// As it was before; a store may still have it.
    older: Sandbox,
    tasks: Vec<Task>,
    now: Timestamp,
    faults: bool,
    attempts: HashMap<i64, i64>,
    released: bool,
    /// What stays at E2B is on record.
    kept: bool,
    conflicts: usize,
}

fn task(name: &str) -> Task {
    let spec = serde_json::json!({
        "title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/app"}, "sandboxRef": {"name": "box"},
    });
    let mut task = Task::new(name, serde_json::from_value::<TaskSpec>(spec).expect("a spec"));
    task.metadata.uid = Some(format!("uid-{name}"));
    task.status = Some(TaskStatus::default());
    task
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let e2b = E2b::new(dice.one_in(2));
        let mut sandbox = fresh();
        sandbox.metadata.resource_version = Some("0".into());
        Self {
            seed,
            dice,
            e2b,
            older: sandbox.clone(),
            sandbox,
            tasks: ["a", "b", "c"].map(task).into(),
            now: at(0),
            faults: true,
            attempts: HashMap::new(),
            released: false,
            kept: false,
            conflicts: 0,
        }
    }

    fn fails(&mut self, sides: u64) -> bool {
        self.faults && self.dice.one_in(sides)
    }

    /// Which key the operator uses: both are the same team's.
    fn credential(sandbox: &Sandbox) -> String {
        if sandbox.spec.credentials_secret_ref.is_some() { "fingerprint-b".into() } else { KEY.into() }
    }

    fn context(&mut self, sandbox: &Sandbox) -> Context {
        let holder = sandbox.status.as_ref().and_then(|status| status.holder.as_ref());
        let keeps_up = |task: &Task| demand::keeps_up(demand::of(task), &sandbox.spec);
        Context {
            needed: sandbox.spec.operating_mode == OperatingMode::Running || self.tasks.iter().any(keeps_up),
            uncommitted: self.tasks.iter().any(|task| demand::of(task) != demand::Demand::None),
            unreachable: self.tasks.iter().any(demand::reports_unreachable),
            silent: self.tasks.iter().any(|task| demand::is_silent(task, self.now)),
            last_look: self.dice.one_in(2).then_some(self.now),
            turn: turn::grant(holder, "box", &self.tasks),
            ..Context::default()
        }
    }

    fn observe(&mut self, sandbox: &Sandbox) -> Sights {
        let missing = self.fails(12);
        let credential = Self::credential(sandbox);
        let missed = || no_secret();
        let away = self.fails(5).then(|| failure(Class::Transient));
        let id = sandbox.status.as_ref().and_then(|status| status.sandbox_id.as_deref());
        let (look, listed) = if let Some(failure) = away {
            (Err(failure.clone()), Err(failure))
        } else {
            let lies = self.fails(30);
            (Ok(self.e2b.get(id, lies, self.now)), Ok(self.e2b.list(self.now)))
        };
        Sights {
            context: self.context(sandbox),
            credential: if missing { Err(missed()) } else { Ok(credential) },
            env: if self.fails(12) { Err(missed()) } else { Ok(Vec::new()) },
            look: Some(look),
            listed: Some(listed),
        }
    }

    fn perform(&mut self, sandbox: &Sandbox, step: &Step) -> Ended {
        let away = self.fails(6).then(|| failure(Class::Transient));
        let seconds = sandbox.spec.timeout_seconds;
        match step {
            Step::Create { incarnation, key } => {
                let request = Request { incarnation: *incarnation, key, spec: &sandbox.spec };
                self.e2b.create(&request, self.faults, self.now, &mut self.dice)
            }
            Step::Kill { id } => {
                let status = self.sandbox.status.clone().unwrap_or_default();
                let deleted = self.sandbox.metadata.deletion_timestamp.is_some();
                assert!(deleted || status.sandbox_id.as_ref() != Some(id), "seed {}: its own", self.seed);
                let result = away.map_or_else(|| Ok(self.e2b.kill(id)), Err);
                Ended::Killed { id: id.clone(), result }
            }
            Step::Connect { .. } if self.fails(30) => {
                Ended::Connected(Ok(ConnectEnd::NotFound(Ok(self.e2b.list(self.now)))))
            }
            Step::Connect { id, .. } => {
                let end = self.e2b.connect(id, seconds, self.now);
                Ended::Connected(away.map_or(Ok(end), Err))
            }
            Step::Mark { .. } => Ended::Marked,
            Step::Keep => {
                let result = away.map_or(Ok(()), Err);
                self.kept |= result.is_ok();
                Ended::Kept(result)
            }
            Step::Renew { id } => {
                let seen = self.e2b.renew(id, seconds, self.now);
                Ended::Renewed(away.map_or(Ok(seen), Err))
            }
            Step::Pause { id } => {
                let end = self.e2b.pause(id, self.now);
                Ended::Paused { id: id.clone(), result: away.map_or(Ok(end), Err) }
            }
        }
    }

    /// One pass; the operator may die before the step and before the record, and may read what is no longer true.
    /// When to come again.
    fn pass(&mut self) -> Next {
        let mut read = if self.fails(6) { self.older.clone() } else { self.sandbox.clone() };
        let observed = self.observe(&read);
        let mut plan = decide(&read, &observed, self.now);
        if let Some(step) = plan.step.take() {
            if plan.intent && !self.store(&mut read, &plan.status) {
                return Next::Now;
            }
            if self.fails(10) {
                return Next::Now;
            }
            let sent = self.now;
            let ended = self.perform(&read, &step);
            if self.fails(8) {
                return Next::Now;
            }
            let known = read.status.clone().unwrap_or_default();
            let written = after_resume(&known);
            let mark = Marked { before: known.mark.unwrap_or_default(), written, lacks_run: false };
            let mark = (!self.fails(5)).then_some(mark);
            let outcome = Outcome { credential: Self::credential(&read), sent, ended, mark };
            plan = record(&read, plan, outcome, self.now);
        }
        if read.metadata.deletion_timestamp.is_some() && !plan.finalizer {
            self.released = read.metadata.resource_version == self.sandbox.metadata.resource_version;
            return Next::Now;
        }
        assert!(plan.finalizer, "seed {}", self.seed);
        if self.store(&mut read, &plan.status) { plan.next } else { Next::Now }
    }

    /// Writes the status unless somebody else has written since it was read.
    fn store(&mut self, read: &mut Sandbox, status: &SandboxStatus) -> bool {
        if read.metadata.resource_version != self.sandbox.metadata.resource_version {
            self.conflicts += 1;
            return false;
        }
        if let Some(id) = status.sandbox_id.as_ref().filter(|_| status.state == Some(SandboxState::Gone)) {
            let noted = self.sandbox.status.as_ref().and_then(|before| before.state);
            let given_up = noted != Some(SandboxState::Gone) && self.e2b.lives(id, self.now);
            assert!(!given_up, "seed {}: {id} lives and is given up", self.seed);
        }
        if let Some(creating) = &status.creating {
            let highest = self.attempts.entry(creating.incarnation).or_insert(0);
            assert!(creating.attempt >= *highest, "seed {}: an attempt went down", self.seed);
            *highest = creating.attempt;
        }
        self.change(|sandbox| sandbox.status = Some(status.clone()));
        *read = self.sandbox.clone();
        true
    }

    /// Every write gives the object a new version.
    fn change(&mut self, change: impl FnOnce(&mut Sandbox)) {
        let mut changed = self.sandbox.clone();
        change(&mut changed);
        if changed != self.sandbox {
            let version: u64 =
                changed.metadata.resource_version.as_deref().unwrap_or("0").parse().expect("a number");
            changed.metadata.resource_version = Some((version + 1).to_string());
            let before = std::mem::replace(&mut self.sandbox, changed);
            if self.dice.one_in(4) {
                self.older = before;
            }
        }
    }

    /// Every live sandbox is the recorded one, or a list that adopts or kills it is planned.
    fn check(&self) {
        let status = self.sandbox.status.clone().unwrap_or_default();
        let planned = status.creating.is_some() || status.orphan_check_at.is_some();
        for one in &self.e2b.boxes {
            let own = Some(&one.seen.id) == status.sandbox_id.as_ref();
            assert!(own || planned, "seed {}: {} belongs to nobody: {status:#?}", self.seed, one.seen.id);
        }
        assert!(status.paused_seconds >= 0 && status.waiting >= 0, "seed {}: {status:#?}", self.seed);
    }

    fn step(&mut self) {
        let next = self.pass();
        self.check();
        let then = match next {
            Next::Now => self.now,
            Next::AwaitChange => self.now + SignedDuration::from_secs(60),
            Next::After(wait) => self.now + wait,
            Next::At(at) => at.max(self.now),
        };
        self.now = then + SignedDuration::from_secs(i64::try_from(self.dice.roll(3)).unwrap_or(0));
        self.e2b.expire(self.now);
    }

    fn disturb(&mut self) {
        match self.dice.roll(12) {
            0 => self.e2b.boxes.retain(|one| one.born > self.now),
            1 => self.poke(),
            2..5 => self.edit(),
            5..8 => self.ask(),
            _ => {}
        }
    }

    fn poke(&mut self) {
        let value = format!("{} {}", self.now, self.dice.roll(1_000_000));
        self.change(|sandbox| {
            sandbox.metadata.annotations = Some([("slipway.dev/reconcile".into(), value)].into());
        });
    }

    /// A person changes one field; the API server refuses what is frozen.
    fn edit(&mut self) {
        let roll = self.dice.roll(2);
        let mut spec = self.sandbox.spec.clone();
        let frozen = match self.dice.roll(10) {
            0 => set(&mut spec.template, ["base", "other"][usize::from(roll == 1)].into(), true),
            1 => set(&mut spec.on_timeout, [OnTimeout::Pause, OnTimeout::Kill][usize::from(roll == 1)], true),
            2 => set(&mut spec.env, vec![EnvVar { name: format!("V{roll}"), ..EnvVar::default() }], true),
            3 => set(&mut spec.metadata, [("k".to_owned(), roll.to_string())].into(), true),
            4 => {
                let reference = (roll == 1).then(|| LocalRef { name: "key".into() });
                set(&mut spec.credentials_secret_ref, reference, is_in_the_making(&self.sandbox))
            }
            5 => {
                let mode = [OperatingMode::OnDemand, OperatingMode::Running][usize::from(roll == 1)];
                set(&mut spec.operating_mode, mode, false)
            }
            6 => set(&mut spec.timeout_seconds, [120, 300][usize::from(roll == 1)], false),
            7 => {
                let policy = [RecoveryPolicy::Recreate, RecoveryPolicy::Hold][usize::from(roll == 1)];
                set(&mut spec.recovery, Recovery { policy }, false)
            }
            8 => {
                let policies = [DeletionPolicy::Kill, DeletionPolicy::Pause, DeletionPolicy::Retain];
                let policy = policies[usize::try_from(self.dice.roll(3)).unwrap_or(0)];
                set(&mut spec.deletion_policy, Some(policy), false)
            }
            _ => set(&mut spec.suspend, roll == 1, false),
        };
        if spec != self.sandbox.spec && !(frozen && is_frozen(&self.sandbox)) {
            self.respec(spec);
        }
    }

    fn respec(&mut self, spec: SandboxSpec) {
        self.change(|sandbox| {
            sandbox.spec = spec;
            sandbox.metadata.generation = sandbox.metadata.generation.map(|n| n + 1);
        });
    }

    /// A Task asks, changes its request, or lets go.
    fn ask(&mut self) {
        let (n, id) = (usize::try_from(self.dice.roll(3)).unwrap_or(0), self.dice.roll(1_000).to_string());
        let request = SandboxRequest {
            id,
            sandbox_name: "box".into(),
            since: Time(self.now),
            unreachable_since: self.dice.one_in(4).then_some(Time(self.now)),
            resting: self.dice.one_in(4),
            begun: None,
        };
        let asks = self.dice.one_in(2);
        self.tasks[n].status.get_or_insert_default().sandbox_request = asks.then_some(request);
    }

    /// No more faults; one Task works, and the spec wants a sandbox.
    fn calm(&mut self) {
        self.faults = false;
        let suspended = SandboxSpec { suspend: false, ..self.sandbox.spec.clone() };
        self.respec(SandboxSpec { recovery: Recovery::default(), ..suspended });
        for task in &mut self.tasks {
            task.status.get_or_insert_default().sandbox_request = None;
        }
        self.tasks[1].status.get_or_insert_default().sandbox_request = Some(SandboxRequest {
            id: "last".into(),
            sandbox_name: "box".into(),
            since: Time(self.now),
            unreachable_since: None,
            resting: false,
            begun: None,
        });
        // A key that has never seen the sandbox is said to be right.
        for _ in 0..3 {
            self.step();
            self.poke();
        }
        let calm = self.now + SignedDuration::from_secs(2_000);
        while self.now < calm {
            self.step();
        }
    }
}

impl Walk {
    /// In half of the walks everything comes to rest first; in all of them the Sandbox is deleted.
    fn end(&mut self) {
        let seed = self.seed;
        if self.dice.one_in(2) {
            self.calm();
            let status = self.sandbox.status.clone().unwrap_or_default();
            let live: Vec<_> = self.e2b.live(self.now).map(|seen| seen.id.as_str()).collect();
            assert_eq!(live, [status.sandbox_id.as_deref().unwrap_or_default()], "seed {seed}: {status:#?}");
            assert_eq!(stands(&status), standing(Standing::Ready, reason::RUNNING), "seed {seed}");
            let holder = status.holder.as_ref().map(|holder| (holder.task.as_str(), holder.request.as_str()));
            assert_eq!((holder, status.waiting), (Some(("b", "last")), 0), "seed {seed}");
        }
        self.faults = false;
        let now = self.now;
        self.change(|sandbox| {
            *sandbox = deleted(sandbox.clone());
            sandbox.metadata.deletion_timestamp = Some(Time(now));
        });
        for _ in 0..100 {
            if !self.released {
                self.step();
            }
        }
        assert!(self.released, "seed {seed}: {:#?}", self.sandbox.status);
        let may_stay = |life: Life| match self.sandbox.spec.deletion_policy {
            Some(DeletionPolicy::Retain) => true,
            Some(DeletionPolicy::Pause) => life == Life::Paused,
            Some(DeletionPolicy::Kill) | None => false,
        };
        let left: Vec<_> = self.e2b.boxes.iter().map(|one| one.seen.life).collect();
        assert!(left.iter().all(|life| may_stay(*life)), "seed {seed}: left behind");
        assert!(left.is_empty() || self.kept, "seed {seed}: kept, and the sweep does not know");
    }
}

#[test]
fn whatever_happens_one_sandbox_is_up_in_the_end_and_none_after_the_deletion() {
    let seeds = Seeds::from_environment(400, 100);
    let (mut made, mut conflicts, all) = (0, 0, seeds.all.clone().count());
    for seed in seeds.all.clone() {
        let _told = OnFailure { seed, steps: seeds.steps, test: "domain::sandbox::tests::walk" };
        let mut walk = Walk::new(seed);
        for _ in 0..seeds.steps {
            walk.step();
            walk.disturb();
        }
        walk.end();
        made += walk.e2b.made;
        conflicts += walk.conflicts;
    }
    let went = made > 2 * all && conflicts > 4 * all;
    assert!(seeds.is_one() || went, "the walks went somewhere: {made}, {conflicts}");
}
