//! Tables over the decisions: objects and sightings are built by the functions here.

mod create;
mod delete;
mod e2b;
mod existing;
mod frozen;
mod mark;
mod pauses;
mod renewal;
mod seeds;
mod turns;
mod walk;
mod witnesses;

use super::*;
use crate::{
    api::{
        DeletionPolicy, OnTimeout, PastSandbox, RecoveryPolicy, Sandbox, SandboxSpec, SandboxState,
        SandboxStatus, conditions as names, conditions::reason,
    },
    domain::{
        conditions::{self, Standing},
        failure::{Class, operation},
        plan::{Next, Plan},
    },
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub const UID: &str = "0f1e2d3c-0000-4000-8000-000000000001";
pub const KEY: &str = "fingerprint-a";
const INSTALLATION: &str = "installation";
const START: i64 = 1_800_000_000;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).expect("in range")
}

/// A new object, not yet looked at.
pub fn fresh() -> Sandbox {
    let mut sandbox = Sandbox::new("box", SandboxSpec::default());
    sandbox.metadata.uid = Some(UID.into());
    sandbox.metadata.namespace = Some("ns".into());
    sandbox.metadata.generation = Some(1);
    sandbox.status = Some(SandboxStatus { observed_generation: -1, ..SandboxStatus::default() });
    sandbox
}

/// An object whose sandbox `i1` runs from 0 to 300 s.
pub fn running() -> Sandbox {
    with(fresh(), |status| {
        status.observed_generation = 1;
        status.sandbox_id = Some("i1".into());
        status.incarnation = Some(1);
        status.state = Some(SandboxState::Running);
        status.started_at = Some(Time(at(0)));
        status.expires_at = Some(Time(at(300)));
        status.credential = Some(KEY.into());
        conditions::stand(&mut status.conditions, 1, at(0), Standing::Ready, reason::RUNNING, "");
    })
}

pub fn paused() -> Sandbox {
    with(running(), |status| {
        status.state = Some(SandboxState::Paused);
        status.expires_at = None;
    })
}

/// An object whose sandbox `i1` was found to be gone at 0 s.
pub fn gone() -> Sandbox {
    with(running(), |status| {
        status.state = Some(SandboxState::Gone);
        status.expires_at = None;
        status.history = vec![past(1, 0)];
    })
}

pub fn past(incarnation: i64, ended: i64) -> PastSandbox {
    PastSandbox {
        sandbox_id: format!("i{incarnation}"),
        incarnation,
        started_at: None,
        ended_at: Time(at(ended)),
        reason: "NotFound".into(),
        uncommitted_files: false,
        kept: false,
    }
}

/// An object with a create of 0 s under way.
pub fn creating(attempt: i64, answer: Option<CreateAnswer>) -> Sandbox {
    with(fresh(), |status| {
        status.observed_generation = 1;
        let secret_versions = Vec::new();
        status.creating =
            Some(Creating { incarnation: 1, attempt, requested_at: Time(at(0)), answer, secret_versions });
    })
}

pub fn with(mut sandbox: Sandbox, change: impl FnOnce(&mut SandboxStatus)) -> Sandbox {
    change(sandbox.status.get_or_insert_default());
    sandbox
}

pub fn spec(mut sandbox: Sandbox, change: impl FnOnce(&mut SandboxSpec)) -> Sandbox {
    change(&mut sandbox.spec);
    sandbox
}

pub fn deleted(mut sandbox: Sandbox) -> Sandbox {
    sandbox.metadata.deletion_timestamp = Some(Time(at(0)));
    sandbox.metadata.generation = sandbox.metadata.generation.map(|generation| generation + 1);
    sandbox
}

pub fn seen(id: &str, life: Life, end: i64) -> E2bSandbox {
    E2bSandbox {
        id: id.into(),
        life,
        started_at: at(0),
        end_at: at(end),
        metadata: metadata(&fresh(), INSTALLATION, 1),
    }
}

pub fn failure(class: Class) -> Failure {
    Failure { operation: "getSandbox", class, reason: "Why", message: "because".into() }
}

pub fn no_secret() -> Failure {
    let (operation, reason) = (operation::GET_SECRET, reason::SECRET_NOT_FOUND);
    Failure { operation, class: Class::NotFound, reason, message: "Secret k is not there".into() }
}

pub fn wrong_secret() -> Failure {
    let (operation, reason) = (operation::GET_SECRET, reason::CREDENTIALS_INVALID);
    Failure { operation, class: Class::Invalid, reason, message: "the key is empty".into() }
}

/// What the surroundings of a Sandbox are, and what would be answered if a stage asked.
#[derive(Debug, Clone)]
pub struct Sights {
    pub context: Context,
    pub credential: Result<String, Failure>,
    pub env: Result<Vec<SecretVersion>, Failure>,
    pub look: Option<Result<LookupResult, Failure>>,
    pub listed: Option<Listing>,
}

impl Default for Sights {
    fn default() -> Self {
        let (credential, env) = (Ok(KEY.into()), Ok(Vec::new()));
        Self { context: Context::default(), credential, env, look: None, listed: None }
    }
}

impl Sights {
    fn keyed<T>(&self, answer: T) -> Keyed<T> {
        let credential = self.credential.clone()?;
        Ok(UnderKey { credential, answer })
    }

    fn listing(&self) -> Listing {
        self.listed.clone().unwrap_or(Ok(vec![]))
    }

    /// The stage with its answer. A look that nobody has prepared fails the test.
    fn answer(&self, stage: Stage) -> Seen {
        match stage {
            Stage::Quiet(quiet) => Seen::Quiet(quiet),
            Stage::Create(new) => {
                let env = self.env.clone();
                Seen::Create(new, env.and_then(|secrets| self.keyed(secrets)))
            }
            Stage::Unfinished(creating) => {
                let attempts = Attempts { listed: self.listing(), env: self.env.clone() };
                Seen::Unfinished(creating, self.keyed(attempts))
            }
            Stage::Look(look) if self.credential.is_err() => Seen::Look(look, self.keyed(Ok(not_found()))),
            Stage::Look(look) => {
                Seen::Look(look, self.keyed(self.look.clone().expect("a look was not expected here")))
            }
            Stage::Search(search) => Seen::Search(search, self.keyed(self.listing())),
        }
    }
}

/// One pass up to its decision.
pub fn decide(sandbox: &Sandbox, sights: &Sights, now: Timestamp) -> Plan<SandboxStatus, Step> {
    let seen = sights.answer(locate(sandbox, &sights.context, now));
    super::decide(sandbox, &Observed { context: sights.context.clone(), seen }, now)
}

/// What a pass reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    Nothing,
    /// Key and environment of a create.
    Secrets,
    Get,
    /// A list, and the environment in case a create follows.
    ListAndSecrets,
    List,
}

pub fn reads(sandbox: &Sandbox, context: &Context, now: Timestamp) -> Read {
    match locate(sandbox, context, now) {
        Stage::Quiet(_) => Read::Nothing,
        Stage::Create(_) => Read::Secrets,
        Stage::Unfinished(_) => Read::ListAndSecrets,
        Stage::Look(_) => Read::Get,
        Stage::Search(_) => Read::List,
    }
}

/// A 404, and a list that lacks it too.
pub fn not_found() -> LookupResult {
    LookupResult::NotFound(Ok(vec![]))
}

/// Nothing seen, a key at hand.
pub fn idle() -> Sights {
    Sights::default()
}

pub fn needed() -> Sights {
    asked(idle())
}

pub fn asked(mut sights: Sights) -> Sights {
    sights.context.needed = true;
    sights
}

pub fn looked(look: Result<LookupResult, Failure>) -> Sights {
    Sights { look: Some(look), ..idle() }
}

/// E2B shows this of the sandbox.
pub fn found(seen: E2bSandbox) -> Sights {
    looked(Ok(LookupResult::Found(seen)))
}

pub fn listed(list: Vec<E2bSandbox>) -> Sights {
    Sights { listed: Some(Ok(list)), ..idle() }
}

pub fn ended(ended: Ended) -> Outcome {
    Outcome { credential: KEY.into(), sent: at(0), ended, mark: None }
}

/// Standing and reason of a status.
pub fn stands(status: &SandboxStatus) -> (Standing, String) {
    let is = |type_| conditions::is_true(&status.conditions, type_);
    let standing = match (is(names::READY), is(names::RECONCILING), is(names::STALLED)) {
        (true, false, false) => Standing::Ready,
        (false, true, false) => Standing::Reconciling,
        (false, false, true) => Standing::Stalled,
        other => panic!("conditions contradict each other: {other:?}"),
    };
    let ready = conditions::find(&status.conditions, names::READY).expect("set");
    (standing, ready.reason.clone())
}

pub fn message(status: &SandboxStatus) -> String {
    conditions::find(&status.conditions, names::READY).expect("set").message.clone()
}

pub fn standing(standing: Standing, reason: &str) -> (Standing, String) {
    (standing, reason.into())
}

#[test]
fn a_pass_that_ran_out_of_time_backs_off_like_any_failure() {
    let failure = Failure::out_of_time(std::time::Duration::from_secs(120));
    for sandbox in [fresh(), running(), paused()] {
        let plan = timed_out(&sandbox, &failure, at(10));
        assert!(plan.step.is_none() && plan.finalizer);
        let retry = plan.status.retry.clone().expect("said in status");
        assert_eq!((retry.operation.as_str(), retry.attempt), ("reconcile", 1));
        assert_eq!(plan.next, Next::At(retry.next_attempt_at.0));
        assert_eq!(plan.status.sandbox_id, sandbox.status.and_then(|status| status.sandbox_id));
    }
    let mut deleting = running();
    deleting.metadata.deletion_timestamp = Some(Time(at(0)));
    let plan = timed_out(&deleting, &failure, at(10));
    assert!(plan.step.is_none() && plan.finalizer && plan.status.retry.is_some(), "the deletion goes on");
}
