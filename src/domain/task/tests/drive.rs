//! Passes over the world, exactly as the shell makes them: observe, decide, intent, one step, record. A pass can be
//! abandoned before and after every write and every effect.

use super::{
    github::BASE,
    world::{E2bSandbox, Process, UID, failure},
    *,
};
use crate::{
    api::{TASK_FINALIZER, conditions::reason},
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
        let run = self.status().code_generations.last().map(|run| run.id.clone());
        Context {
            repository: self.repository.clone(),
            sandbox: self.sandbox.clone().map(|view| SandboxView { drift: self.drift(), ..view }),
            holder: self.holder.clone(),
            dead_since: run.and_then(|run| self.dead_since.get(&run).copied()),
            pull_read: self.pull_read,
        }
    }

    /// How the Sandbox differs from its template.
    pub(super) fn drift(&self) -> Drift {
        let template = self.task.spec.sandbox_template.as_ref();
        template.map_or_else(Drift::default, |template| Drift::between(&self.sandbox_spec, &template.spec))
    }

    fn point(&mut self) -> Result<(), Crash> {
        self.points += 1;
        match &mut self.fuse {
            Some(0) => {
                self.fuse = None;
                // What only the process knew is gone with it.
                self.dead_since.clear();
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
        self.point()?;
        self.status_writes.push(difference.to_string());
        self.task.status = Some(serde_json::from_value(new).expect("a status"));
        self.check_status();
        self.point()?;
        Ok(true)
    }

    fn finalizer(&mut self, wanted: bool) -> Result<(), Crash> {
        let has = !self.task.finalizers().is_empty();
        if has != wanted {
            self.point()?;
            self.task.metadata.finalizers = wanted.then(|| vec![TASK_FINALIZER.to_owned()]);
            self.point()?;
        }
        Ok(())
    }

    /// One pass.
    pub(super) fn pass(&mut self) -> Result<Passed, Crash> {
        let deleting = self.task.metadata.deletion_timestamp.is_some();
        if self.released || (deleting && self.task.finalizers().is_empty()) {
            self.released = true;
            return Ok(Passed { next: Next::AwaitChange, wrote: false, stepped: false });
        }
        let context = self.context();
        let seen = self.look(wants(&self.task, &context, self.now));
        let mut plan = decide(&self.task, &Observed { context, seen }, self.now);
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

    /// Passes, with time going on, until nothing is left to do or `enough` says so. Panics where that never comes.
    pub(super) fn run_until(&mut self, enough: impl Fn(&World) -> bool) {
        for _ in 0..600 {
            if enough(self) || self.released {
                return;
            }
            let before = self.sandbox.clone();
            let passed = self.pass();
            self.sandbox_controller();
            let Ok(passed) = passed else { continue };
            let told = passed.wrote || passed.stepped || before != self.sandbox;
            match passed.next {
                Next::AwaitChange if told => {}
                Next::AwaitChange => return,
                Next::Now => {}
                // Our own write and the Sandbox's are events: a pass comes before its time.
                Next::After(_) | Next::At(_) if told => self.pass_time(1),
                Next::After(wait) => self.now += wait.max(SignedDuration::from_secs(1)),
                Next::At(at) => self.now = at.max(self.now + SignedDuration::from_secs(1)),
            }
        }
        panic!("no rest: {} {:?}\n{:#?}", self.reason(), self.row(), self.status_writes.iter().rev().take(4));
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

    fn look(&mut self, looking: Looking) -> Seen {
        let (operation, fault) = match &looking {
            Looking::Nothing => return Seen::Nothing,
            Looking::Start { plan: None } => ("getSecret", None),
            Looking::Start { .. } | Looking::Leftover { .. } => ("getBranch", self.faults.github),
            Looking::Generation { .. } => ("lookAtGeneration", self.faults.e2b),
            Looking::Files { .. } => ("collectFiles", self.faults.e2b.or(self.faults.github)),
            Looking::Pulls { .. } => ("listPullRequests", self.faults.github),
            Looking::Pull { .. } => ("getPullRequest", self.faults.github),
        };
        self.calls.push((self.now, operation));
        if let Some(class) = fault.filter(|_| !self.faults.steps_only) {
            return Seen::Failed(failure(operation, class, broken(operation, class)));
        }
        match looking {
            Looking::Start { .. } if self.faults.secret_missing => {
                Seen::SecretMissing("Secret s is missing".into())
            }
            Looking::Nothing | Looking::Start { plan: None } => Seen::Nothing,
            Looking::Start { plan: Some(plan) } => Seen::Branches {
                base_sha: self.github.branches.get(&plan.base).cloned(),
                taken: self.github.branches.contains_key(&plan.branch),
            },
            Looking::Generation { id } => Seen::Generation(self.look_at_generation(&id)),
            Looking::Files { id } => self.look_at_files(&id),
            Looking::Pulls { branch } => Seen::Pulls(self.github.pulls_of(&branch)),
            Looking::Pull { number } => {
                let pull = self.github.observed(number);
                self.pull_read = Some(PullRead::after(self.pull_read, pull.as_ref(), self.now));
                Seen::Pull(pull)
            }
            Looking::Leftover { branch } => Seen::Leftover {
                tip: self.github.branches.get(&branch).cloned(),
                pulls: self.github.pulls_of(&branch),
            },
        }
    }

    fn look_at_generation(&mut self, id: &str) -> Look {
        let sandbox = self.sandbox.as_ref().and_then(|view| view.id.clone()).unwrap_or_default();
        let process =
            self.processes.iter().find(|process| process.generation == id && process.sandbox == sandbox);
        let Some(process) = process.cloned() else { return Look::NotStarted };
        if process.signalled {
            return Look::Exited { code: 143, tail: "Terminated".into() };
        }
        if process.dead {
            self.dead_since.entry(id.to_owned()).or_insert(self.now);
            return Look::PidDead;
        }
        if self.now < process.ends {
            return Look::Running;
        }
        let made = self.command.2.clone();
        for e2b in self.boxes.iter_mut().filter(|e2b| e2b.id == sandbox && process.code == 0) {
            e2b.files.clone_from(&made);
        }
        Look::Exited { code: process.code, tail: "said this".into() }
    }

    fn look_at_files(&mut self, id: &str) -> Seen {
        let sandbox = self.sandbox.as_ref().and_then(|view| view.id.clone()).unwrap_or_default();
        let there = self.boxes.iter().find(|e2b| e2b.id == sandbox).and_then(|e2b| e2b.files.clone());
        let Some(files) = self.spool.get(id).cloned().or(there) else {
            return Seen::Failed(failure("collectFiles", Class::Invalid, reason::NO_FILES));
        };
        self.spool.insert(id.to_owned(), files.clone());
        if files == "as in base" {
            return Seen::Files(Files::Unchanged { digest: files });
        }
        let status = self.status();
        let run = status.code_generations.iter().find(|run| run.id == id);
        let date = run.and_then(|run| run.finished_at.clone()).or(status.round_started_at);
        let base = status.base_sha.unwrap_or_else(|| BASE.into());
        let date = date.map_or(0, |time| time.0.as_second());
        Seen::Files(Files::Committed {
            tree: format!("tree-{files}"),
            commit: format!("{base}-{files}-{date}"),
            digest: files,
        })
    }

    fn perform(&mut self, step: &Step) -> Outcome {
        let (operation, fault) = match step {
            Step::CreateSandbox | Step::PatchSandbox | Step::DeleteSandbox => {
                ("kubernetes", self.faults.kubernetes)
            }
            Step::Start { .. } => ("startGeneration", self.faults.e2b),
            Step::Signal { .. } => ("signalGeneration", self.faults.e2b),
            Step::CreateBranch { .. } => ("createBranch", self.faults.github),
            Step::DeleteBranch { .. } => ("deleteBranch", self.faults.github),
            Step::CreatePullRequest { .. } => ("createPullRequest", self.faults.github),
            Step::Merge { .. } => ("mergePullRequest", self.faults.github),
        };
        self.calls.push((self.now, operation));
        let failed = fault.map(|class| Outcome::Failed(failure(operation, class, broken(operation, class))));
        match failed {
            Some(failed) if !self.faults.answer_lost => failed,
            failed => {
                let failed = failed.filter(|_| !self.faults.lost.contains(&operation));
                self.faults.lost.push(operation);
                let outcome = self.effect(step);
                self.check_world();
                failed.unwrap_or(outcome)
            }
        }
    }

    fn effect(&mut self, step: &Step) -> Outcome {
        match step {
            Step::CreateSandbox if self.sandbox.is_none() => {
                self.effects.push("CreateSandbox".into());
                self.sandbox_spec = self.template();
                self.sandbox = Some(SandboxView {
                    id: None,
                    incarnation: 0,
                    running: false,
                    health: Health::NotReady("creating".into()),
                    owner: Some(UID.into()),
                    deleting: false,
                    drift: Drift::default(),
                });
            }
            Step::PatchSandbox => {
                self.effects.push("PatchSandbox".into());
                self.sandbox_spec = followed(&self.sandbox_spec, &self.template());
            }
            Step::DeleteSandbox => {
                self.effects.push("DeleteSandbox".into());
                let free = self.status().sandbox_id.is_none() || self.holds(names::MERGED);
                assert!(free, "the Sandbox of a round goes: {:?}", self.status());
                if let Some(sandbox) = &mut self.sandbox {
                    sandbox.deleting = true;
                }
            }
            Step::CreateSandbox => {}
            Step::Start { generation } => self.start(generation),
            Step::Signal { generation, .. } => {
                self.effects.push(format!("Signal {generation}"));
                for process in self.processes.iter_mut().filter(|process| process.generation == *generation) {
                    process.signalled = true;
                }
            }
            Step::CreateBranch { branch, sha, .. } => return self.create_branch(branch, sha),
            Step::DeleteBranch { branch, .. } => {
                self.effects.push(format!("DeleteBranch {branch}"));
                self.github.delete_branch(branch, self.now);
            }
            Step::CreatePullRequest { branch, .. } => return self.create_pull(branch),
            Step::Merge { number, sha, .. } => return self.merge(*number, sha),
        }
        Outcome::Done
    }

    fn start(&mut self, generation: &str) {
        let sandbox = self.status().sandbox_id.unwrap_or_default();
        let known = |process: &Process| process.generation == generation && process.sandbox == sandbox;
        if self.processes.iter().any(known) {
            return;
        }
        self.effects.push(format!("Start {generation}"));
        self.processes.push(Process {
            generation: generation.into(),
            sandbox,
            ends: self.now + SignedDuration::from_secs(self.command.0),
            code: self.command.1,
            dead: false,
            signalled: false,
        });
    }

    /// The sandbox that the Task works in now.
    pub(super) fn current_box(&mut self) -> &mut E2bSandbox {
        let id = self.sandbox.as_ref().and_then(|view| view.id.clone()).unwrap_or_default();
        self.boxes.iter_mut().find(|e2b| e2b.id == id).expect("a sandbox")
    }
}

/// The adapters' reasons.
fn broken(operation: &str, class: Class) -> &'static str {
    match (operation, class) {
        ("lookAtGeneration" | "startGeneration" | "signalGeneration" | "collectFiles", Class::Transient) => {
            reason::SANDBOX_UNREACHABLE
        }
        (_, Class::Transient) => "ServerError",
        (_, Class::Throttled { .. }) => "RateLimited",
        (_, Class::NotFound) => "NotThere",
        (_, Class::Denied) => reason::CREDENTIALS_DENIED,
        (_, Class::Invalid) => "Refused",
    }
}
