//! What a step changes in the world as data, and what comes of it when something is broken.
//! Part of `drive`; GitHub's own side stands in `github`.

use super::{
    world::{E2bSandbox, Process, UID, failure},
    *,
};
use crate::{
    api::conditions::reason,
    domain::failure::{Class, operation},
};
use jiff::SignedDuration;

impl World {
    pub(super) fn perform(&mut self, step: &Step) -> Outcome {
        let (operation, fault) = match step {
            Step::CreateSandbox { .. } => ("createSandbox", self.faults.kubernetes),
            Step::PatchSandbox { .. } => ("patchSandbox", self.faults.kubernetes),
            Step::DeleteSandbox { .. } => (operation::DELETE_SANDBOX, self.faults.kubernetes),
            Step::Start { .. } => ("startGeneration", self.faults.e2b),
            Step::Signal { .. } => ("signalGeneration", self.faults.e2b),
            Step::CreateBranch { .. } => ("createBranch", self.faults.github),
            Step::UpdateBranch { .. } => ("updateBranch", self.faults.github),
            Step::DeleteBranch { .. } => ("deleteBranch", self.faults.github),
            Step::CreatePullRequest { .. } => ("createPullRequest", self.faults.github),
            Step::SetPart { .. } => ("setPart", self.faults.github),
            Step::Merge { .. } => ("mergePullRequest", self.faults.github),
            Step::Enqueue { .. } => ("enqueuePullRequest", self.faults.github),
            Step::Dequeue { .. } => ("dequeuePullRequest", self.faults.github),
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
            Step::DeleteBranch { branch, sha, .. } => {
                self.effects.push(format!("DeleteBranch {branch}"));
                if self.github.branches.get(branch) != Some(sha) {
                    return Outcome::BranchElsewhere;
                }
                assert!(self.github.commits.contains_key(sha), "not ours: {sha}");
                self.github.delete_branch(branch, self.now);
            }
            Step::CreatePullRequest { branch } => return self.create_pull(branch),
            Step::SetPart { number, part } => {
                self.effects.push(format!("SetPart {part:?} of {number}"));
                if self.github.refuses_parts {
                    return Outcome::PartRefused("not a collaborator".into());
                }
            }
            Step::Merge { number, sha, .. } => return self.merge(*number, sha),
            Step::Enqueue { node_id, sha } => return self.enqueue(node_id, sha),
            Step::Dequeue { .. } => return self.dequeue(),
        }
        Outcome::Done
    }

    fn start(&mut self, generation: &str) {
        let sandbox = self.status().sandbox_id.unwrap_or_default();
        let known = |process: &Process| process.generation == generation && process.sandbox == sandbox;
        if self.processes.iter().any(known) {
            return;
        }
        if self.others.is_some() {
            assert!(self.has_turn_in(&sandbox), "a command starts without the turn: {:?}", self.sandboxes);
        }
        if self.task.spec.source.checkout.is_some() {
            let made = self.boxes.iter().find(|e2b| e2b.id == sandbox).and_then(|e2b| e2b.tree.clone());
            let wanted = self.status().parent_sha.map(|parent| (parent, generation.to_owned()));
            assert_eq!(made, wanted, "a command starts without its checkout");
        }
        self.effects.push(format!("Start {generation}"));
        let after = self.times_others_began(&sandbox);
        self.processes.push(Process {
            after,
            generation: generation.into(),
            sandbox,
            ends: self.now + SignedDuration::from_secs(self.command.0),
            code: self.command.1,
            dead: false,
            signalled: false,
            input: ledger::asked(&self.task.spec),
            finished: false,
        });
    }

    /// The sandbox that the Task works in now.
    pub(super) fn current_box(&mut self) -> &mut E2bSandbox {
        let id = self.sandbox().and_then(|view| view.id.clone()).unwrap_or_default();
        self.boxes.iter_mut().find(|e2b| e2b.id == id).expect("a sandbox")
    }
}

/// The adapters' reasons.
pub(super) fn broken(operation: &str, class: Class) -> &'static str {
    match (operation, class) {
        (
            "lookAtGeneration" | "startGeneration" | "signalGeneration" | "collectFiles" | "checkOut",
            Class::Transient,
        ) => reason::SANDBOX_UNREACHABLE,
        (_, Class::Transient) => "ServerError",
        (_, Class::Throttled { .. }) => "RateLimited",
        (_, Class::NotFound) => "NotThere",
        (_, Class::Denied) => reason::CREDENTIALS_DENIED,
        (_, Class::Invalid) => "Refused",
    }
}
