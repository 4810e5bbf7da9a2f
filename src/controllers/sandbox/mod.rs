//! The Sandbox controller: the only one that changes the lifecycle of sandboxes at E2B.
//! Reads and calls for `domain::sandbox`, which decides; Tasks are read from their store.

mod answer;
mod keys;
mod memory;
mod perform;

use super::shell::{Conditioned, PlanOf, Reconciler};
use crate::{
    api::{OperatingMode, SANDBOX_FINALIZER, Sandbox, SandboxStatus, Task, common::Retry},
    cluster::Secrets,
    domain::{
        failure::Failure,
        need,
        sandbox::{self, Asked, Looking, Observed, Outcome, Read, Step},
    },
    e2b::{Account, E2b},
    telemetry,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, runtime::reflector::Store};
use memory::{Memory, Prepared};
use secrecy::SecretString;
use std::{collections::BTreeMap, time::Duration};

/// The longest a pass may take; what it cuts off is found again by the next.
const DEADLINE: Duration = Duration::from_mins(2);

/// What it takes to reconcile Sandboxes.
pub struct SandboxController {
    secrets: Secrets,
    e2b: E2b,
    /// The operator-wide key.
    operator_key: Option<SecretString>,
    /// Marks our sandboxes at E2B.
    installation: String,
    tasks: Store<Task>,
    memory: Memory,
}

impl SandboxController {
    /// `tasks`: all Tasks that are watched, complete before the first pass. A Sandbox has to be reconciled on every
    /// event of a Task that names it ([`need::sandbox_name`]).
    pub fn new(
        secrets: Secrets,
        e2b: E2b,
        operator_key: Option<SecretString>,
        installation: String,
        tasks: Store<Task>,
    ) -> Self {
        Self { secrets, e2b, operator_key, installation, tasks, memory: Memory::default() }
    }

    /// What the Tasks in the Sandbox's namespace ask of it.
    fn asked(&self, object: &Sandbox) -> Asked {
        let name = object.name_any();
        let mut asked = Asked {
            needed: object.spec.operating_mode == OperatingMode::Running,
            unreachable: false,
            last_look: self.memory.last_look(&uid(object)),
        };
        for task in self.tasks.state() {
            if task.metadata.namespace == object.metadata.namespace && need::works_in(&task, &name) {
                asked.needed |= need::keeps_up(need::of(&task), &object.spec);
                asked.unreachable |= need::reports_unreachable(&task);
            }
        }
        asked
    }

    async fn read(
        &self,
        object: &Sandbox,
        account: &Account,
        read: Read,
        now: Timestamp,
        observed: &mut Observed,
    ) {
        let uid = uid(object);
        match read {
            Read::Nothing => {}
            Read::Get => {
                let id = object.status.as_ref().and_then(|status| status.sandbox_id.as_deref());
                let look = account.get(id.unwrap_or_default()).await;
                let look = look.map(|detail| detail.map(|detail| detail.seen)).map_err(answer::failure);
                self.memory.looked(&uid, now);
                match &look {
                    Ok(Some(_)) => self.memory.worked(&uid, account),
                    Ok(None) => {}
                    Err(failure) => self.memory.failed(&uid, account, failure.class),
                }
                observed.look = Some(look);
            }
            Read::List => {
                let marks = sandbox::own_marks(object, &self.installation);
                let listed = account.list(&marks).await;
                let listed = listed.map_err(answer::failure);
                if let Err(failure) = &listed {
                    self.memory.failed(&uid, account, failure.class);
                }
                observed.listed = Some(listed);
            }
        }
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
        let asked = self.asked(object);
        let Looking { key, env, read } = sandbox::wants(object, &asked, now);
        let mut observed = Observed { asked, ..Observed::default() };
        if !key {
            return observed;
        }
        let account = match self.account(object).await {
            Ok(account) => account,
            Err(lack) => {
                observed.credential = Some(Err(lack));
                return observed;
            }
        };
        observed.credential = Some(Ok(account.fingerprint().to_owned()));
        let mut prepared = Prepared { account: account.clone(), env: BTreeMap::new() };
        if env {
            observed.env = Some(self.env(object).await.map(|env| prepared.env = env));
        }
        self.memory.prepare(&uid(object), prepared);
        self.read(object, &account, read, now, &mut observed).await;
        observed
    }

    fn decide(&self, object: &Sandbox, observed: &Observed, now: Timestamp) -> PlanOf<Self> {
        let plan = sandbox::decide(object, observed, now);
        if !plan.finalizer {
            self.memory.leaves(&uid(object));
        }
        plan
    }

    async fn perform(&self, object: &Sandbox, step: &Step) -> Outcome {
        let sent = Timestamp::now();
        match self.memory.prepared(&uid(object)) {
            Some(prepared) => {
                let ended = self.take(object, step, &prepared).await;
                self.memory.note(&uid(object), &prepared.account, &ended);
                Outcome { credential: prepared.account.fingerprint().to_owned(), sent, ended }
            }
            None => Outcome { credential: String::new(), sent, ended: answer::without_key(step) },
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

impl Conditioned for SandboxStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn retry(&self) -> Option<&Retry> {
        self.retry.as_ref()
    }

    fn retry_mut(&mut self) -> Option<&mut Retry> {
        self.retry.as_mut()
    }
}

fn uid(object: &Sandbox) -> String {
    object.uid().unwrap_or_default()
}
