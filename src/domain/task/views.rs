//! A Repository and a Sandbox as a Task sees them. Their conditions are what they tell everybody, Tasks included.
//! Used by the Task controller; the data stand in `model`.

use super::model::{COMING_UP, Health, OwnerView, RepositoryView, SandboxView};
use crate::{
    api::{
        Repository, RepositoryChecks, Sandbox, SandboxState, Task, conditions as names, conditions::reason,
    },
    domain::conditions::{find, is_true},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::{Resource, ResourceExt};

impl RepositoryView {
    /// Extracts what a Task has to know of the Repository.
    pub fn of(repository: &Repository) -> Self {
        let status = repository.status.clone().unwrap_or_default();
        Self {
            id: status.repository_id,
            base_branch: repository.spec.base_branch.clone().or(status.default_branch),
            health: health(&status.conditions, repository.metadata.generation, status.observed_generation),
            suspended: repository.spec.suspend,
            sync_interval: SignedDuration::from_secs(repository.spec.sync_interval_seconds.into()),
            checks_expected: repository.spec.checks == RepositoryChecks::Expected,
        }
    }
}

impl SandboxView {
    /// Extracts what a Task has to know of the Sandbox.
    pub fn of(sandbox: &Sandbox) -> Self {
        let status = sandbox.status.clone().unwrap_or_default();
        let mut health = health(&status.conditions, sandbox.metadata.generation, status.observed_generation);
        // The steps of a creation are no news: each would cost a write of the Task.
        let ready = find(&status.conditions, names::READY);
        if matches!(health, Health::NotReady(_)) && ready.is_none_or(|ready| ready.reason == reason::CREATING)
        {
            health = Health::NotReady(COMING_UP.into());
        }
        let runs = status.state == Some(SandboxState::Running);
        // It runs, but has not told yet with which files.
        let untold = runs && status.unmarked_since.is_some() && status.mark.is_some();
        let is_task =
            |owner: &&OwnerReference| owner.controller == Some(true) && owner.kind == Task::kind(&());
        let owner = sandbox.owner_references().iter().find(is_task);
        Self {
            name: sandbox.name_any(),
            id: status.sandbox_id,
            incarnation: status.incarnation.unwrap_or_default(),
            running: runs && status.missing_since.is_none() && !untold,
            missing: status.missing_since.is_some() || untold,
            paused_seconds: status.paused_seconds,
            rolled_back_at: status.rolled_back_at.map(|at| at.0),
            health,
            owner: owner
                .map(|owner| OwnerView { uid: owner.uid.clone(), name: format!("Task {}", owner.name) }),
            deleting: sandbox.metadata.deletion_timestamp.is_some(),
            holder: status.holder,
            spec: sandbox.spec.clone(),
        }
    }
}

/// Reads an object's health from its own conditions. Conditions of an older spec do not count as ready.
fn health(conditions: &[Condition], generation: Option<i64>, observed: i64) -> Health {
    let text = |condition: Option<&Condition>| match condition {
        Some(condition) if !condition.message.is_empty() => {
            format!("{} ({})", condition.message, condition.reason)
        }
        Some(condition) => condition.reason.clone(),
        None => "the operator has not looked at it yet".to_owned(),
    };
    if is_true(conditions, names::STALLED) {
        return Health::Stalled(text(find(conditions, names::STALLED)));
    }
    if is_true(conditions, names::READY) && generation == Some(observed) {
        return Health::Ready;
    }
    Health::NotReady(text(find(conditions, names::READY)))
}
