//! Passes over the world, exactly as the shell makes them: observe, decide, intent, one step, record. A pass can be
//! abandoned before and after every write and every effect.

use super::{world::UID, *};
use crate::{
    api::{Holder, Phase, TASK_FINALIZER},
    domain::{failure::Class, patch, plan::Next},
};
use jiff::SignedDuration;
use kube::ResourceExt;

/// The pass was abandoned.
pub(super) struct Crash;

/// What a pass came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Passed {
    pub next: Next,
    pub wrote: bool,
    pub stepped: bool,
}

impl World {
    pub(super) fn context(&self) -> Context {
        let status = self.status();
        let run = status.code_generations.last().map(|run| run.id.clone());
        let seen = match &self.others {
            Some(others) => self.seen(others),
            None => self.seen_alone(),
        };
        let names = crate::domain::demand::sandbox_names(&self.task);
        let sandboxes = seen.sandboxes.into_iter().filter(|view| names.contains(&view.name));
        Context {
            sandboxes: sandboxes.collect(),
            dead_since: run.as_ref().and_then(|run| self.dead_since.get(run).copied()),
            signalled_since: run.and_then(|run| self.signalled_since.get(&run).copied()),
            pull_read: self.pull_read.clone(),
            spooled: spool_id(&self.task, &status).is_some_and(|id| self.spool.contains_key(&id)),
            ..seen
        }
    }

    /// The Sandbox's controller gives the turn at once, unless somebody else has it.
    fn seen_alone(&self) -> Context {
        let request = self.status().sandbox_request.map(|request| request.id);
        let granted = |view: &SandboxView| match &self.holder {
            _ if view.owner.is_some() => None,
            Some(other) => Some(Holder { task: other.clone(), uid: "other".into(), request: "r".into() }),
            None => request.clone().map(|request| Holder { task: "t".into(), uid: UID.into(), request }),
        };
        let seen = self.lagging.as_ref().unwrap_or(&self.sandboxes);
        let sandboxes = seen.iter().map(|view| SandboxView { holder: granted(view), ..view.clone() });
        Context {
            repository: self.repository.clone(),
            sandboxes: sandboxes.collect(),
            place: self.holder.as_ref().map(|_| 1),
            others_began: self.others_began,
            ..Context::default()
        }
    }

    fn point(&mut self) -> Result<(), Crash> {
        self.points += 1;
        match &mut self.fuse {
            Some(0) => {
                self.fuse = None;
                // What only the process knew is gone with it.
                self.dead_since.clear();
                self.signalled_since.clear();
                self.pull_read = None;
                Err(Crash)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, status: &TaskStatus) -> Result<bool, Crash> {
        let old = serde_json::to_value(self.task.status.clone().unwrap_or_default()).expect("JSON");
        let new = serde_json::to_value(status).expect("JSON");
        let old = if self.task.status.is_some() { old } else { serde_json::json!({}) };
        let Some(difference) = patch::diff(&old, &new) else { return Ok(false) };
        self.conflict()?;
        self.point()?;
        self.status_writes.push(difference.to_string());
        self.task.status = Some(serde_json::from_value(new).expect("a status"));
        self.check_status();
        self.check_change(&serde_json::from_value(old).expect("a status"), status);
        self.forget_versions();
        self.point()?;
        Ok(true)
    }

    fn finalizer(&mut self, wanted: bool) -> Result<(), Crash> {
        let has = !self.task.finalizers().is_empty();
        if has != wanted {
            self.conflict()?;
            self.point()?;
            self.task.metadata.finalizers = wanted.then(|| vec![TASK_FINALIZER.to_owned()]);
            self.forget_versions();
            self.point()?;
        }
        Ok(())
    }

    /// A write against a version that is not the last one.
    fn conflict(&self) -> Result<(), Crash> {
        if self.fresh.is_some() { Err(Crash) } else { Ok(()) }
    }

    fn forget_versions(&mut self) {
        if let Some(others) = &mut self.others {
            others.versions = vec![self.task.clone()];
        }
    }

    /// One pass.
    pub(super) fn pass(&mut self) -> Result<Passed, Crash> {
        let live = self.stale.take().map(|seen| std::mem::replace(&mut self.task, seen));
        self.fresh = live.filter(|live| *live != self.task);
        let passed = self.one_pass();
        if let Some(live) = self.fresh.take() {
            self.task = live;
        }
        if passed.is_ok() {
            self.check_commands();
        }
        passed
    }

    fn one_pass(&mut self) -> Result<Passed, Crash> {
        let deleting = self.task.metadata.deletion_timestamp.is_some();
        if self.released || (deleting && self.task.finalizers().is_empty()) {
            self.released = true;
            return Ok(Passed { next: Next::AwaitChange, wrote: false, stepped: false });
        }
        self.finish_commands();
        self.tidy_spool();
        let position = locate(&self.task, &self.context(), self.now);
        let observed = self.answer(position);
        let mut plan = decide(&self.task, observed, self.now);
        let (mut wrote, mut stepped) = (false, false);
        if plan.finalizer && !deleting {
            self.finalizer(true)?;
        }
        if let Some(step) = plan.step.take() {
            stepped = true;
            if plan.intent {
                wrote |= self.write(&plan.status)?;
            }
            self.point()?;
            let outcome = self.perform(&step);
            self.point()?;
            plan = record(&self.task, plan, &step, outcome, self.now);
        }
        self.notes.extend(plan.notes.iter().map(|note| note.reason));
        if deleting && !plan.finalizer {
            self.conflict()?;
            self.released = true;
            return Ok(Passed { next: Next::AwaitChange, wrote, stepped });
        }
        wrote |= self.write(&plan.status)?;
        if !plan.finalizer {
            self.finalizer(false)?;
        }
        let passed = Passed { next: plan.next, wrote, stepped };
        self.check_pass(&passed);
        Ok(passed)
    }

    /// Passes, with time going on, until `enough` says so or the Task is gone. Panics where neither comes.
    pub(super) fn run_until(&mut self, enough: impl Fn(&World) -> bool) {
        for _ in 0..600 {
            if enough(self) || self.released {
                return;
            }
            let before = self.sandboxes.clone();
            let passed = self.pass();
            self.sandbox_controller();
            let Ok(passed) = passed else { continue };
            let told = passed.wrote || passed.stepped || before != self.sandboxes;
            match passed.next {
                Next::AwaitChange if told => {}
                Next::AwaitChange => {
                    assert!(
                        enough(self) || self.released,
                        "at rest without it: {} {:?}",
                        self.reason(),
                        self.status().phase
                    );
                    return;
                }
                Next::Now => {}
                // Our own write and the Sandbox's are events: a pass comes before its time.
                Next::After(_) | Next::At(_) if told => self.pass_time(1),
                Next::After(wait) => self.now += wait.max(SignedDuration::from_secs(1)),
                Next::At(at) => self.now = at.max(self.now + SignedDuration::from_secs(1)),
            }
        }
        panic!("no rest: {} {:?}\n{:#?}", self.reason(), self.row(), self.status_writes.iter().rev().take(4));
    }

    /// Until the round's commit is made and recorded, with its publication still to come: no pass rests between the two,
    /// so GitHub fails right after the commit.
    pub(super) fn commit_unpublished(&mut self) {
        self.run_until(|world| world.status().phase == Some(Phase::Collecting));
        self.faults =
            faults::Faults { github: Some(Class::Transient), steps_only: true, ..Default::default() };
        assert!(self.pass().is_ok());
        assert_eq!(self.status().phase, Some(Phase::Committed));
        self.faults = faults::Faults::default();
    }

    /// Until nothing is left to do. What waits for a person or for its next regular look has nothing left.
    pub(super) fn rest(&mut self) {
        self.run_until(World::is_at_rest);
    }

    /// Ready or Stalled, confirmed, and a pass would change nothing.
    pub(super) fn is_at_rest(&self) -> bool {
        let stands = self.holds(names::READY) || self.holds(names::STALLED);
        stands && self.is_fixed_point()
    }

    /// Whether deciding again changes nothing and wants nothing.
    pub(super) fn is_fixed_point(&self) -> bool {
        let mut again = self.clone();
        let Ok(passed) = again.pass() else { return false };
        !passed.wrote && !passed.stepped && passed.next != Next::Now && again.released == self.released
    }

    /// As the controller does: every end of a round or an attempt gives the spool's room back.
    pub(super) fn tidy_spool(&mut self) {
        let gone = self.task.metadata.deletion_timestamp.is_some();
        let keep = spool_id(&self.task, &self.status()).filter(|_| !gone);
        self.spool.retain(|id, _| Some(id) == keep.as_ref());
    }
}
