//! Random walks: an E2B that loses answers, fails, answers late and forgets keys; an operator that dies anywhere.
//! Whatever happens, no sandbox is without an owner or a planned end, and in the end there is exactly the one wanted.

use super::*;
use std::collections::HashMap;

/// A linear congruential generator: the same seed walks the same way.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

struct Box_ {
    seen: Seen,
    /// When the effect of its create takes place.
    born: Timestamp,
}

/// E2B as far as it matters here.
struct E2b {
    boxes: Vec<Box_>,
    /// Whether idempotency keys are honoured; a server may ignore them.
    honours: bool,
    /// By key: the sandbox that came of it, or none for a replayed error.
    keys: HashMap<String, Option<String>>,
    made: usize,
}

impl E2b {
    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Seen> {
        self.boxes.iter().filter(move |one| one.born <= now).map(|one| &one.seen)
    }

    /// Time-outs pause.
    fn expire(&mut self, now: Timestamp) {
        for one in &mut self.boxes {
            if one.seen.end_at <= now {
                one.seen.life = Life::Paused;
            }
        }
    }

    fn make(&mut self, incarnation: i64, born: Timestamp) -> String {
        self.made += 1;
        let id = format!("s{}", self.made);
        let seen = Seen {
            id: id.clone(),
            life: Life::Running,
            started_at: born,
            end_at: born + SignedDuration::from_secs(300),
            metadata: metadata(&fresh(), INSTALLATION, incarnation),
        };
        self.boxes.push(Box_ { seen, born });
        id
    }

    fn kill(&mut self, id: &str) {
        self.boxes.retain(|one| one.seen.id != id);
    }

    fn create(
        &mut self,
        incarnation: i64,
        key: &str,
        faults: bool,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Ended {
        use CreateAnswer::{Failed, Lost, Refused};
        let not = |answer, class| Ended::NotCreated { answer, failure: failure(class) };
        if self.honours
            && let Some(replayed) = self.keys.get(key)
        {
            let Some(id) = replayed else { return not(Failed, Class::Transient) };
            return match self.boxes.iter().find(|one| one.seen.id == *id) {
                Some(one) if one.born > now => not(Lost, Class::Transient),
                _ => Ended::Created { id: id.clone() },
            };
        }
        let late = now + SignedDuration::from_secs(i64::try_from(dice.roll(70)).unwrap_or(0));
        let fate = if faults { dice.roll(8) } else { 7 };
        let (made, ended) = match fate {
            0 => (Some(self.make(incarnation, now)), not(Lost, Class::Transient)),
            1 => (Some(self.make(incarnation, late)), not(Lost, Class::Transient)),
            2 => return not(Lost, Class::Transient),
            3 => (Some(self.make(incarnation, late)), not(Failed, Class::Transient)),
            4 => (None, not(Failed, Class::Transient)),
            5 => (None, not(Refused, Class::Transient)),
            6 => (None, not(Refused, Class::Invalid)),
            _ => {
                let id = self.make(incarnation, now);
                (Some(id.clone()), Ended::Created { id })
            }
        };
        self.keys.insert(key.to_owned(), made);
        ended
    }
}

struct Walk {
    seed: u64,
    dice: Dice,
    e2b: E2b,
    /// As the API server has it.
    sandbox: Sandbox,
    now: Timestamp,
    faults: bool,
    attempts: HashMap<i64, i64>,
    released: bool,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let honours = dice.one_in(2);
        let e2b = E2b { boxes: vec![], honours, keys: HashMap::new(), made: 0 };
        let (attempts, released) = (HashMap::new(), false);
        Self { seed, dice, e2b, sandbox: fresh(), now: at(0), faults: true, attempts, released }
    }

    fn fails(&mut self, sides: u64) -> bool {
        self.faults && self.dice.one_in(sides)
    }

    fn observe(&mut self) -> Observed {
        let asked = Asked { needed: true, ..Asked::default() };
        let looking = wants(&self.sandbox, &asked, self.now);
        let mut observed = Observed { asked, ..Observed::default() };
        if looking.key {
            let missing = self.fails(12);
            observed.credential =
                Some(if missing { Err(Lack::Missing("m".into())) } else { Ok(KEY.to_owned()) });
            if missing {
                return observed;
            }
        }
        let away = self.fails(5).then(|| failure(Class::Transient));
        let id = self.sandbox.status.as_ref().and_then(|status| status.sandbox_id.clone());
        match (looking.read, away) {
            (Read::Nothing, _) => {}
            (Read::Get, Some(failure)) => observed.look = Some(Err(failure)),
            (Read::List, Some(failure)) => observed.listed = Some(Err(failure)),
            (Read::Get, None) => {
                let found = self.e2b.live(self.now).find(|seen| Some(&seen.id) == id.as_ref()).cloned();
                observed.look = Some(Ok(found));
            }
            (Read::List, None) => observed.listed = Some(Ok(self.e2b.live(self.now).cloned().collect())),
        }
        observed
    }

    fn perform(&mut self, step: &Step) -> Ended {
        let away = self.fails(6).then(|| failure(Class::Transient));
        match step {
            Step::Create { incarnation, key } => {
                self.e2b.create(*incarnation, key, self.faults, self.now, &mut self.dice)
            }
            Step::Kill { id } => {
                if away.is_none() {
                    self.e2b.kill(id);
                }
                Ended::Killed { id: id.clone(), result: away.map_or(Ok(()), Err) }
            }
            Step::Connect { id } | Step::Renew { id } => {
                let end = self.now + SignedDuration::from_secs(300);
                let renews = matches!(step, Step::Renew { .. });
                let found = self.e2b.boxes.iter_mut().find(|one| one.seen.id == *id);
                let found = found.map(|one| {
                    (one.seen.life, one.seen.end_at) = (Life::Running, end);
                    one.seen.clone()
                });
                match (away, renews) {
                    (Some(failure), true) => Ended::Renewed(Err(failure)),
                    (Some(failure), false) => Ended::Connected(Err(failure)),
                    (None, true) => Ended::Renewed(Ok(found)),
                    (None, false) => Ended::Connected(Ok(found.map(|_| true))),
                }
            }
            Step::Pause { .. } => unreachable!("the policy is Kill"),
        }
    }

    /// One pass; the operator may die before the step and before the record. When to come again.
    fn pass(&mut self) -> Next {
        let observed = self.observe();
        let mut plan = decide(&self.sandbox, &observed, self.now);
        if let Some(step) = plan.step.take() {
            if plan.intent {
                self.store(&plan.status);
            }
            if self.fails(10) {
                return Next::Now;
            }
            let sent = self.now;
            let ended = self.perform(&step);
            if self.fails(8) {
                return Next::Now;
            }
            plan = record(&self.sandbox, plan, Outcome { credential: KEY.into(), sent, ended }, self.now);
        }
        if self.sandbox.metadata.deletion_timestamp.is_some() && !plan.finalizer {
            self.released = true;
        } else {
            assert!(plan.finalizer, "seed {}", self.seed);
            self.store(&plan.status);
        }
        plan.next
    }

    fn store(&mut self, status: &SandboxStatus) {
        if let Some(creating) = &status.creating {
            let highest = self.attempts.entry(creating.incarnation).or_insert(0);
            assert!(creating.attempt >= *highest, "seed {}: an attempt went down", self.seed);
            *highest = creating.attempt;
        }
        self.sandbox.status = Some(status.clone());
    }

    /// Every live sandbox is the recorded one, or a list that adopts or kills it is planned.
    fn check(&self) {
        let status = self.sandbox.status.clone().unwrap_or_default();
        let planned = status.creating.is_some() || status.orphan_check_at.is_some();
        for one in &self.e2b.boxes {
            let own = Some(&one.seen.id) == status.sandbox_id.as_ref();
            assert!(own || planned, "seed {}: {} belongs to nobody: {status:#?}", self.seed, one.seen.id);
        }
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
            1 => self.sandbox.metadata.generation = self.sandbox.metadata.generation.map(|n| n + 1),
            2 => {
                let value = self.now.to_string();
                self.sandbox.metadata.annotations = Some([("slipway.dev/reconcile".into(), value)].into());
            }
            _ => {}
        }
    }
}

#[test]
fn whatever_fails_one_sandbox_is_up_in_the_end_and_none_after_the_deletion() {
    let mut made = 0;
    for seed in 0..1_500 {
        let mut walk = Walk::new(seed);
        for _ in 0..60 {
            walk.step();
            walk.disturb();
        }
        walk.faults = false;
        if walk.dice.one_in(2) {
            let calm = walk.now + SignedDuration::from_secs(2_000);
            while walk.now < calm {
                walk.step();
            }
            let status = walk.sandbox.status.clone().unwrap_or_default();
            let live: Vec<_> = walk.e2b.live(walk.now).map(|seen| seen.id.as_str()).collect();
            assert_eq!(live, [status.sandbox_id.as_deref().unwrap_or_default()], "seed {seed}: {status:#?}");
            assert_eq!(stands(&status), standing(Standing::Ready, reason::RUNNING), "seed {seed}");
        }
        walk.sandbox = deleted(walk.sandbox);
        walk.sandbox.metadata.deletion_timestamp = Some(Time(walk.now));
        for _ in 0..100 {
            if !walk.released {
                walk.step();
            }
        }
        assert!(walk.released, "seed {seed}: {:#?}", walk.sandbox.status);
        assert_eq!(walk.e2b.boxes.len(), 0, "seed {seed}: left behind");
        made += walk.e2b.made;
    }
    assert!(made > 5_000, "the walks went somewhere: {made}");
}
