//! What a look at GitHub, E2B and the files tells in the world as data.
//! Part of `drive`; what a step changes stands in `effects`.

use super::{
    effects::broken,
    world::{self, failure},
    *,
};
use crate::{
    api::conditions::reason,
    domain::failure::{Class, Failure},
};
use sha2::{Digest, Sha256};

impl World {
    pub(super) fn answer(&mut self, position: Position) -> Observed {
        let (github, e2b) = (self.faults.github, self.faults.e2b);
        match position {
            Position::Decided(plan) => Observed::Decided(plan),
            Position::Start(asked) => {
                let in_sandbox = asked.question.checkout.is_some();
                let fault = github.filter(|_| asked.question.plan.is_some() || in_sandbox);
                let fault = fault.or(e2b.filter(|_| in_sandbox));
                let operation = if in_sandbox { "checkOut" } else { "getBranch" };
                let answer = self.asked(operation, fault, |world| world.look_at_start(&asked.question));
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
                let ReadPull { number, merge } = asked.question.clone();
                let answer = self.asked("getPullRequest", github, |world| {
                    let mut pull = world.github.shown(number);
                    if let (Some(pull), Some(wanted)) = (&mut pull, &merge) {
                        world.read_for_merge(pull, wanted);
                    }
                    let read =
                        PullRead::after(world.pull_read.as_ref(), pull.as_ref(), merge.as_ref(), world.now);
                    world.pull_read = Some(read);
                    Ok(pull)
                });
                asked.answered(answer)
            }
            Position::InQueue(asked) => {
                let number = asked.question.number;
                let answer = self.asked("getQueueState", github, |world| world.look_at_queue(number));
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
        if let Some(checkout) = &question.checkout {
            if let Some(reason) = self.faults.no_worker {
                return Ok(StartAnswer::Waiting { reason });
            }
            self.check_out(checkout);
        }
        Ok(StartAnswer::Ready { secrets: Vec::new(), branches })
    }

    /// Takes everything in the sandbox back to the commit, once for each attempt.
    fn check_out(&mut self, checkout: &Checkout) {
        let Checkout { sandbox, generation, commit, .. } = checkout;
        assert!(!self.has_command_in(sandbox), "a checkout below a command that runs: {checkout:?}");
        let started =
            |process: &&world::Process| process.generation == *generation && process.sandbox == *sandbox;
        let made = (commit.clone(), generation.clone());
        for e2b in self.boxes.iter_mut().filter(|e2b| e2b.id == *sandbox && e2b.tree.as_ref() != Some(&made))
        {
            let started = self.processes.iter().find(started);
            assert!(started.is_none(), "a checkout takes back what {started:?} has made");
            e2b.tree = Some(made.clone());
            e2b.files = None;
        }
    }

    fn look_at_generation(&mut self, id: &str, sandbox: &str) -> Look {
        let process =
            self.processes.iter().find(|process| process.generation == id && process.sandbox == sandbox);
        let Some(process) = process.cloned() else { return Look::NotStarted };
        if process.signalled {
            // The worst case: it has trapped the signal and ended as if all were done.
            return Look::Exited { code: 0, tail: "Terminated".into(), signalled: true };
        }
        if process.dead {
            self.dead_since.entry(id.to_owned()).or_insert(self.now);
            return Look::PidDead;
        }
        if self.now < process.ends {
            return Look::Running;
        }
        self.finish_commands();
        Look::Exited { code: process.code, tail: "said this".into(), signalled: false }
    }

    /// What commands that have ended by now leave in their sandbox depends on what they were asked for.
    pub(super) fn finish_commands(&mut self) {
        let now = self.now;
        for process in self.processes.iter_mut().filter(|process| process.ends <= now && !process.finished) {
            process.finished = true;
            let made = self.command.2.as_ref().map(|files| match files.as_str() {
                "made" => format!("made of {}", process.input),
                _ => files.clone(),
            });
            let ended = process.code == 0 && !process.dead && !process.signalled;
            for e2b in self.boxes.iter_mut().filter(|e2b| e2b.id == process.sandbox && ended) {
                e2b.files.clone_from(&made);
            }
        }
    }

    /// The commit that a result stands on: the branch's head, or what a copy was made from.
    fn parent(&self, question: &Collect) -> String {
        if question.source.checkout.is_some() {
            let tree = self.boxes.iter().find(|e2b| Some(&e2b.id) == question.sandbox.as_ref());
            let commit = tree.and_then(|e2b| e2b.tree.as_ref()).map(|(commit, _)| commit);
            assert!(commit.is_none_or(|commit| *commit == question.parent), "{commit:?} {question:?}");
            return question.parent.clone();
        }
        let older = question.base.rsplit_once('>').filter(|_| self.copies && question.last.is_none());
        older.map_or_else(|| question.parent.clone(), |(older, _)| older.to_owned())
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
            return Ok(Files::Unchanged { digest: files, remarks: self.remarks.clone() });
        }
        let (task, status) = (&self.task, self.status());
        let finished = source_generation(task, &status).and_then(|run| run.finished_at.clone());
        let date = finished.or(status.round_started_at.clone()).map_or(0, |time| time.0.as_second());
        let (source, commit) = (&question.source, &task.spec.commit);
        let text =
            format!("{files}, {source:?}, {commit:?}, {}, {:?}", task.spec.title, task.spec.description);
        let content = hex::encode(&Sha256::digest(text)[..6]);
        let parent = self.parent(question);
        let commit = format!("{parent}>{content}@{date}");
        let tree = format!("tree of {files}, {source:?}");
        self.github.commits.insert(commit.clone(), ledger::Made::of(task, &status, &files));
        let output = crate::domain::output::Output::default();
        let text = question.opens.then(|| pull_request_text(task, &status, &output));
        Ok(Files::Committed { tree, commit, parent, digest: files, text, remarks: self.remarks.clone() })
    }
}
