//! The Sandbox controller: the only one that changes the lifecycle of sandboxes at E2B.
//! Reads and calls for `domain::sandbox`, which decides; Tasks are read from their store.

mod answer;
mod credentials;
mod mark;
mod memory;
mod observe;
mod perform;
mod sweep;

pub use sweep::{Sweep, Swept};

use super::{
    brought::Brought,
    shell::{PlanOf, Reconciler},
};
use crate::{
    api::{SANDBOX_FINALIZER, Sandbox, Task, conditions::reason},
    cluster::{KeptSandboxes, Secrets},
    domain::{
        failure::Failure,
        plan::Note,
        sandbox::{self, Ended, LookupResult, Observed, Outcome, Seen, Step, UnderKey},
    },
    e2b::E2b,
    telemetry,
};
use jiff::Timestamp;
use kube::{Client, ResourceExt, runtime::reflector::Store};
use memory::Memory;
use secrecy::SecretString;
use std::time::Duration;

/// The longest a pass may take; what it cuts off is found again by the next.
const DEADLINE: Duration = Duration::from_mins(2);

/// The Sandbox controller: everything it takes to reconcile Sandboxes.
pub struct SandboxController {
    client: Client,
    secrets: Secrets,
    e2b: E2b,
    /// The operator-wide key.
    operator_key: Option<SecretString>,
    /// Marks our sandboxes at E2B.
    installation: String,
    tasks: Store<Task>,
    /// What stays at E2B when its object goes.
    kept: KeptSandboxes,
    /// What sandboxes are given.
    brought: Brought,
    memory: Memory,
}

impl SandboxController {
    /// `tasks`: all Tasks that are watched, complete before the first pass. A Sandbox has to be reconciled on every
    /// event of a Task that works in it or did so before ([`crate::domain::demand::sandbox_name`]).
    pub fn new(
        client: Client,
        secrets: Secrets,
        e2b: E2b,
        operator_key: Option<SecretString>,
        installation: String,
        tasks: Store<Task>,
        brought: Brought,
    ) -> Self {
        let (kept, memory) = (KeptSandboxes::new(client.clone()), Memory::default());
        Self { client, secrets, e2b, operator_key, installation, tasks, kept, brought, memory }
    }

    /// Warns, once for each sandbox, that another installation has made it: nothing else tells that two of them act on one object.
    fn made_elsewhere(&self, object: &Sandbox, seen: &Seen) -> Option<Note> {
        let Seen::Look(_, Ok(UnderKey { answer: Ok(LookupResult::Found(seen)), .. })) = seen else {
            return None;
        };
        let other = sandbox::other_installation(seen, &self.installation)?;
        let message = format!(
            "E2B sandbox {} was made by another installation of Slipway, {other}: where that one still runs, both act on this \
             object, so let only one serve this namespace",
            seen.id
        );
        let new = self.memory.tells(&uid(object), &seen.id);
        new.then(|| Note::warning(reason::OTHER_INSTALLATION, message))
    }
}

impl Reconciler for SandboxController {
    type Kind = Sandbox;
    type Observed = Observed;
    type Step = Step;
    type Outcome = Outcome;

    const CONTROLLER: telemetry::Controller = telemetry::Controller::Sandbox;
    const FINALIZER: &'static str = SANDBOX_FINALIZER;

    fn deadline(&self, _: &Sandbox) -> Duration {
        DEADLINE
    }

    async fn observe(&self, object: &Sandbox, now: Timestamp) -> Observed {
        let context = self.context(object, now).await;
        let stage = sandbox::locate(object, &context, now);
        let seen = self.answered(object, stage, now).await;
        Observed { context, seen }
    }

    fn decide(&self, object: &Sandbox, observed: &Observed, now: Timestamp) -> PlanOf<Self> {
        let mut plan = sandbox::decide(object, observed, now);
        if !plan.finalizer {
            self.memory.leaves(&uid(object));
        }
        plan.notes.extend(self.made_elsewhere(object, &observed.seen));
        plan
    }

    async fn perform(&self, object: &Sandbox, step: &Step) -> Outcome {
        let sent = Timestamp::now();
        if *step == Step::Keep {
            let credential = credential(object);
            return Outcome { credential, sent, ended: Ended::Kept(self.keep(object).await), mark: None };
        }
        match self.memory.prepared(&uid(object)) {
            Some(prepared) => {
                let (ended, mark) = self.execute(object, step, &prepared).await;
                self.memory.note(&uid(object), &prepared.account, &ended);
                Outcome { credential: prepared.account.fingerprint().to_owned(), sent, ended, mark }
            }
            None => Outcome { credential: String::new(), sent, ended: answer::without_key(step), mark: None },
        }
    }

    fn record(&self, object: &Sandbox, plan: PlanOf<Self>, outcome: Outcome, now: Timestamp) -> PlanOf<Self> {
        let plan = sandbox::record(object, plan, outcome, now);
        if !plan.finalizer {
            self.memory.leaves(&uid(object));
        }
        plan
    }

    fn timed_out(&self, object: &Sandbox, failure: &Failure, now: Timestamp) -> PlanOf<Self> {
        sandbox::timed_out(object, failure, now)
    }
}

fn uid(object: &Sandbox) -> String {
    object.uid().unwrap_or_default()
}

/// Fingerprint of the key and base URL that have last answered for the object.
fn credential(object: &Sandbox) -> String {
    object.status.as_ref().and_then(|status| status.credential.clone()).unwrap_or_default()
}
