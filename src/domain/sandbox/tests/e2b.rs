//! E2B as far as a walk needs it: it loses answers, fails, answers late, pauses and kills at time-outs.

use super::{seeds::Dice, *};
use std::collections::HashMap;

pub struct Box_ {
    pub seen: E2bSandbox,
    /// When the effect of its create takes place.
    pub born: Timestamp,
    on_timeout: OnTimeout,
}

/// A create as it was asked for.
pub struct Request<'a> {
    pub incarnation: i64,
    pub key: &'a str,
    pub spec: &'a SandboxSpec,
}

pub struct E2b {
    pub boxes: Vec<Box_>,
    /// Whether idempotency keys are honoured; a server may ignore them.
    honours: bool,
    /// By key: the sandbox that came of it, or none for a replayed error.
    keys: HashMap<String, Option<String>>,
    pub made: usize,
}

impl E2b {
    pub fn new(honours: bool) -> Self {
        Self { boxes: vec![], honours, keys: HashMap::new(), made: 0 }
    }

    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &E2bSandbox> {
        self.boxes.iter().filter(move |one| one.born <= now).map(|one| &one.seen)
    }

    /// E2B's GET, and the list after its 404. GET `lies` where E2B's store fails: its 404 for a living sandbox is E2B's own.
    pub fn get(&self, id: Option<&str>, lies: bool, now: Timestamp) -> LookupResult {
        let found = self.live(now).find(|seen| Some(seen.id.as_str()) == id && !lies);
        found.cloned().map_or_else(|| LookupResult::NotFound(Ok(self.list(now))), LookupResult::Found)
    }

    pub fn list(&self, now: Timestamp) -> Vec<E2bSandbox> {
        self.live(now).cloned().collect()
    }

    pub fn lives(&self, id: &str, now: Timestamp) -> bool {
        self.live(now).any(|seen| seen.id == id)
    }

    /// Time-outs pause or kill.
    pub fn expire(&mut self, now: Timestamp) {
        self.boxes.retain_mut(|one| {
            let over = one.seen.life == Life::Running && one.seen.end_at <= now;
            if over {
                one.seen.life = Life::Paused;
            }
            !(over && one.on_timeout == OnTimeout::Kill)
        });
    }

    fn make(&mut self, request: &Request<'_>, born: Timestamp) -> String {
        self.made += 1;
        let id = format!("s{}", self.made);
        let seen = E2bSandbox {
            id: id.clone(),
            life: Life::Running,
            started_at: born,
            end_at: born + SignedDuration::from_secs(request.spec.timeout_seconds.into()),
            metadata: metadata(&fresh(), INSTALLATION, request.incarnation),
        };
        self.boxes.push(Box_ { seen, born, on_timeout: request.spec.on_timeout });
        id
    }

    pub fn kill(&mut self, id: &str) -> KillEnd {
        let before = self.boxes.len();
        self.boxes.retain(|one| one.seen.id != id);
        if self.boxes.len() < before { KillEnd::Killed } else { KillEnd::NotFound }
    }

    pub fn pause(&mut self, id: &str, now: Timestamp) -> PauseEnd {
        let Some(one) = self.boxes.iter_mut().find(|one| one.seen.id == id) else { return PauseEnd::Gone };
        if one.seen.life == Life::Paused {
            return PauseEnd::Unclear;
        }
        (one.seen.life, one.seen.end_at) = (Life::Paused, now);
        PauseEnd::Paused
    }

    /// Resumes a paused sandbox; its run begins anew.
    pub fn connect(&mut self, id: &str, seconds: i32, now: Timestamp) -> ConnectEnd {
        let end = now + SignedDuration::from_secs(seconds.into());
        let listed = self.list(now);
        let Some(one) = self.boxes.iter_mut().find(|one| one.seen.id == id) else {
            return ConnectEnd::NotFound(Ok(listed));
        };
        if one.seen.life == Life::Running {
            one.seen.end_at = one.seen.end_at.max(end);
            return ConnectEnd::Ran;
        }
        (one.seen.life, one.seen.started_at, one.seen.end_at) = (Life::Running, now, end);
        ConnectEnd::Resumed
    }

    /// The time-out of a paused one changes nothing.
    pub fn renew(&mut self, id: &str, seconds: i32, now: Timestamp) -> LookupResult {
        let running = self.boxes.iter_mut().find(|one| one.seen.id == id && one.seen.life == Life::Running);
        if let Some(one) = running {
            one.seen.end_at = now + SignedDuration::from_secs(seconds.into());
        }
        self.get(Some(id), false, now)
    }

    pub fn create(&mut self, request: &Request<'_>, faults: bool, now: Timestamp, dice: &mut Dice) -> Ended {
        use CreateAnswer::{Failed, Lost, Refused};
        let not = |answer, class| Ended::NotCreated { answer, failure: failure(class) };
        if self.honours
            && let Some(replayed) = self.keys.get(request.key)
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
            0 => (Some(self.make(request, now)), not(Lost, Class::Transient)),
            1 => (Some(self.make(request, late)), not(Lost, Class::Transient)),
            2 => return not(Lost, Class::Transient),
            3 => (Some(self.make(request, late)), not(Failed, Class::Transient)),
            4 => (None, not(Failed, Class::Transient)),
            5 => (None, not(Refused, Class::Transient)),
            6 => (None, not(Refused, Class::Invalid)),
            _ => {
                let id = self.make(request, now);
                (Some(id.clone()), Ended::Created { id })
            }
        };
        self.keys.insert(request.key.to_owned(), made);
        ended
    }
}
