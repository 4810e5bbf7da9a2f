//! Passes over the world, exactly as the shell makes them: observe, decide, intent, one step, record. A pass can be
//! abandoned before and after every write and every effect.

use super::{
    world::{E2bSandbox, Process, UID, failure},
    *,
};
use crate::{
    api::{Holder, TASK_FINALIZER, conditions::reason},
    domain::{
        failure::{Class, Failure},
        patch,
        plan::Next,
    },
};
use jiff::SignedDuration;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

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
        let request = status.sandbox_request.as_ref().map(|request| request.id.clone());
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
            dead_since: run.as_ref().and_then(|run| self.dead_since.get(run).copied()),
            signalled_since: run.and_then(|run| self.signalled_since.get(&run).copied()),
            pull_read: self.pull_read.clone(),
            spooled: spool_id(&self.task, &status).is_some_and(|id| self.spool.contains_key(&id)),
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
            let before = self.sandboxes.clone();
            let passed = self.pass();
            self.sandbox_controller();
            let Ok(passed) = passed else { continue };
            let told = passed.wrote || passed.stepped || before != self.sandboxes;
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

    /// As the controller does: every end of a round or an attempt gives the spool's room back.
    fn tidy_spool(&mut self) {
        let keep = spool_id(&self.task, &self.status());
        self.spool.retain(|id, _| Some(id) == keep.as_ref());
    }

    fn answer(&mut self, position: Position) -> Observed {
        let (github, e2b) = (self.faults.github, self.faults.e2b);
        match position {
            Position::Decided(plan) => Observed::Decided(plan),
            Position::Start(asked) => {
                let fault = github.filter(|_| asked.question.plan.is_some());
                let answer = self.asked("getBranch", fault, |world| world.look_at_start(&asked.question));
                asked.answered(answer)
            }
            Position::Generation(asked) => {
                let (id, sandbox) = (asked.question.id.clone(), asked.question.sandbox.clone());
                let answer =
                    self.asked("lookAtGeneration", e2b, |world| Ok(world.look_at_generation(&id, &sandbox)));
                asked.answered(answer)
            }
            Position::Collect(asked) => {
                let fault = e2b.filter(|_| asked.question.sandbox.is_some()).or(github);
                let answer = self.asked("collectFiles", fault, |world| world.look_at_files(&asked.question));
                asked.answered(answer)
            }
            Position::FindPulls(asked) => {
                let branch = asked.question.branch.clone();
                let answer = self.asked("listPullRequests", github, |world| {
                    let commit = world.status().commit_sha;
                    Ok(world.github.pulls_of(&branch, commit.as_deref()))
                });
                asked.answered(answer)
            }
            Position::ReadPull(asked) => {
                let number = asked.question.number;
                let answer = self.asked("getPullRequest", github, |world| {
                    let pull = world.github.observed(number);
                    let read = PullRead::after(world.pull_read.as_ref(), pull.as_ref(), world.now);
                    world.pull_read = Some(read);
                    Ok(pull)
                });
                asked.answered(answer)
            }
            Position::LeftBranch(asked) => {
                let branch = asked.question.branch.clone();
                let answer = self.asked("getBranch", github, |world| {
                    let tip = world.github.branches.get(&branch).cloned();
                    Ok(Leftover { tip, pulls: world.github.pulls_of(&branch, None) })
                });
                asked.answered(answer)
            }
        }
    }

    fn asked<T>(
        &mut self,
        operation: &'static str,
        fault: Option<Class>,
        look: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.calls.push((self.now, operation));
        match fault.filter(|_| !self.faults.steps_only) {
            Some(class) => Err(failure(operation, class, broken(operation, class))),
            None => look(self),
        }
    }

    fn look_at_start(&mut self, question: &Start) -> Result<StartAnswer, Failure> {
        if self.faults.secret_missing && question.runs {
            let missing = failure("getSecret", Class::NotFound, reason::SECRET_NOT_FOUND);
            return Err(Failure { message: "Secret s is missing".into(), ..missing });
        }
        let branches = question.plan.as_ref().map(|plan| Branches {
            base_sha: self.github.branches.get(&plan.base).cloned(),
            taken: self.github.branches.contains_key(&plan.branch),
            head_sha: self.github.branches.get(&plan.branch).cloned(),
        });
        Ok(StartAnswer { secrets: Vec::new(), branches })
    }

    fn look_at_generation(&mut self, id: &str, sandbox: &str) -> Look {
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
        // What a command makes depends on what it was asked for.
        let made = self.command.2.as_ref().map(|files| match files.as_str() {
            "made" => format!("made of {}", process.input),
            _ => files.clone(),
        });
        for e2b in self.boxes.iter_mut().filter(|e2b| e2b.id == sandbox && process.code == 0) {
            e2b.files.clone_from(&made);
        }
        Look::Exited { code: process.code, tail: "said this".into() }
    }

    fn look_at_files(&mut self, question: &Collect) -> Result<Files, Failure> {
        let sandbox = question.sandbox.clone().unwrap_or_default();
        let there = self.boxes.iter().find(|e2b| e2b.id == sandbox).and_then(|e2b| e2b.files.clone());
        if question.sandbox.is_none() && !self.spool.contains_key(&question.spool) {
            return Ok(Files::NotSpooled);
        }
        let Some(files) = self.spool.get(&question.spool).cloned().or(there) else {
            return Err(failure("collectFiles", Class::Invalid, reason::NO_FILES));
        };
        self.spool.insert(question.spool.clone(), files.clone());
        if files == "as in base" {
            return Ok(Files::Unchanged { digest: files });
        }
        let (task, status) = (&self.task, self.status());
        let finished = source_generation(task, &status).and_then(|run| run.finished_at.clone());
        let date = finished.or(status.round_started_at.clone()).map_or(0, |time| time.0.as_second());
        let (source, commit) = (&question.source, &task.spec.commit);
        let text = format!("{files}, {source:?}, {commit:?}, {}", task.spec.title);
        let content = hex::encode(&Sha256::digest(text)[..6]);
        Ok(Files::Committed {
            tree: format!("tree of {files}, {source:?}"),
            commit: format!("{}>{content}@{date}", question.parent),
            digest: files,
        })
    }

    fn perform(&mut self, step: &Step) -> Outcome {
        let (operation, fault) = match step {
            Step::CreateSandbox { .. } | Step::PatchSandbox { .. } | Step::DeleteSandbox { .. } => {
                ("kubernetes", self.faults.kubernetes)
            }
            Step::Start { .. } => ("startGeneration", self.faults.e2b),
            Step::Signal { .. } => ("signalGeneration", self.faults.e2b),
            Step::CreateBranch { .. } => ("createBranch", self.faults.github),
            Step::UpdateBranch { .. } => ("updateBranch", self.faults.github),
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
            Step::CreateSandbox { name } => {
                if self.sandboxes.iter().all(|view| view.name != *name) {
                    self.effects.push("CreateSandbox".into());
                    let spec = self.template();
                    self.sandboxes.push(world::sandbox(name, Some(UID), spec));
                }
            }
            Step::PatchSandbox { name } => {
                self.effects.push("PatchSandbox".into());
                let template = self.template();
                if let Some(view) = self.sandboxes.iter_mut().find(|view| view.name == *name) {
                    view.spec = apply_in_place(&view.spec, &template);
                }
            }
            Step::DeleteSandbox { name } => {
                self.effects.push("DeleteSandbox".into());
                let status = self.status();
                let works =
                    status.sandbox_request.as_ref().is_some_and(|request| request.sandbox_name == *name)
                        && status.base_sha.is_some();
                assert!(!works, "the Sandbox of a round is deleted: {status:?}");
                if let Some(view) = self.sandboxes.iter_mut().find(|view| view.name == *name) {
                    view.deleting = true;
                }
            }
            Step::Start { generation } => self.start(generation),
            Step::Signal { generation, .. } => {
                self.signalled_since.entry(generation.clone()).or_insert(self.now);
                self.effects.push(format!("Signal {generation}"));
                for process in self.processes.iter_mut().filter(|process| process.generation == *generation) {
                    process.signalled = true;
                }
            }
            Step::CreateBranch { branch, sha } => return self.create_branch(branch, sha),
            Step::UpdateBranch { branch, sha } => return self.update_branch(branch, sha),
            Step::DeleteBranch { branch, .. } => {
                self.effects.push(format!("DeleteBranch {branch}"));
                self.github.delete_branch(branch, self.now);
            }
            Step::CreatePullRequest { branch } => return self.create_pull(branch),
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
            input: crate::domain::input::digest(&self.task.spec),
        });
    }

    /// The sandbox that the Task works in now.
    pub(super) fn current_box(&mut self) -> &mut E2bSandbox {
        let id = self.sandbox().and_then(|view| view.id.clone()).unwrap_or_default();
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
