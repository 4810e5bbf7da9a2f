//! What to do about one Sandbox: which read to make, which one step to take, what its outcome means.
//! Pure; driven by `controllers::sandbox`, which turns E2B's answers into the data of `seen`.

mod case;
mod create;
mod delete;
mod known;
mod marks;
mod pauses;
mod record;
mod seen;
#[cfg(test)]
mod tests;

pub use marks::{idempotency_key, metadata, own_marks};
pub use record::record;
pub use seen::{Asked, Ended, Lack, Life, Observed, Outcome, PauseEnd, Seen};

use super::{
    plan::{Next, Plan},
    retry,
};
use crate::api::{Sandbox, SandboxState, SandboxStatus};
use case::Case;
use jiff::{SignedDuration, Timestamp};

/// The list by metadata is not proof of absence: after a crash it is asked again this long after the intent.
const LIST_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// From this long after an intent on, nothing comes of it any more: E2B gives up a request after 70 s.
const CREATE_OVER: SignedDuration = SignedDuration::from_secs(100);
/// E2B ends a sandbox within moments of its time-out; a look this long after sees the result.
const AFTER_EXPIRY: SignedDuration = SignedDuration::from_secs(10);
/// A renewal that moves the end by less than this has met the plan's maximum run.
const LEAST_GAIN: SignedDuration = SignedDuration::from_secs(30);
/// How soon the API server is asked again whether the holder's turn is over.
const CONFIRM: SignedDuration = SignedDuration::from_secs(5);
/// How often a sandbox is looked at while a Task says that it gives no answer.
const UNREACHABLE: SignedDuration = SignedDuration::from_secs(30);

/// What a pass has to find out before it can decide. Reading nothing is the rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looking {
    /// The API key is needed, for a read or for the step that may follow.
    pub key: bool,
    /// A create may follow: the Secrets of `spec.env` are needed.
    pub env: bool,
    pub read: Read,
}

/// The one read of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Read {
    #[default]
    Nothing,
    /// GET of `status.sandboxID`.
    Get,
    /// List by metadata.
    List,
}

impl Looking {
    fn read(read: Read) -> Self {
        Self { key: true, env: false, read }
    }
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create under an intent that is written first.
    Create {
        incarnation: i64,
        key: String,
    },
    /// Resume.
    Connect {
        id: String,
    },
    /// Set the time to live, then look once.
    Renew {
        id: String,
    },
    Kill {
        id: String,
    },
    Pause {
        id: String,
    },
}

/// Which reads the pass should make.
pub fn wants(sandbox: &Sandbox, asked: &Asked, now: Timestamp) -> Looking {
    let case = Case::open(sandbox, now);
    if case.is_deleting() {
        return delete::wants(&case);
    }
    let (status, spec) = (&case.status, &sandbox.spec);
    if retry::wait_until(status.retry.as_ref(), now).is_some() {
        return Looking::default();
    }
    if spec.suspend {
        let due = status.state == Some(SandboxState::Running) && known::renewal_is_due(&case, asked);
        return if due { Looking::read(Read::Get) } else { Looking::default() };
    }
    if status.creating.is_some() {
        return Looking { env: true, ..Looking::read(Read::List) };
    }
    // First, because it always ends: a look that is due again and again would keep it off for ever.
    if status.orphan_check_at.as_ref().is_some_and(|at| at.0 <= now) {
        return Looking::read(Read::List);
    }
    if case.is_known() && known::look_is_due(&case, asked) {
        return Looking::read(Read::Get);
    }
    let creates = !case.is_known() && create::is_wanted(&case, asked);
    Looking { key: creates, env: creates, read: Read::Nothing }
}

/// What the pass does.
pub fn decide(sandbox: &Sandbox, observed: &Observed, now: Timestamp) -> Plan<SandboxStatus, Step> {
    let mut case = Case::open(sandbox, now);
    if case.is_deleting() {
        return delete::decide(case, observed);
    }
    case.accept_credential(observed);
    // Whatever else holds the object up, the Tasks' turns go on.
    case.status.holder.clone_from(&observed.turn.holder);
    case.status.waiting = observed.turn.waiting;
    let mut plan = if let Some(until) = retry::wait_until(case.status.retry.as_ref(), now) {
        case.wait(until)
    } else if let Some(Err(lack)) = &observed.credential {
        case.lack(lack)
    } else if sandbox.spec.suspend {
        known::while_suspended(case, observed)
    } else if case.status.creating.is_some() {
        create::resume(case, observed)
    } else if case.is_known() {
        known::decide(case, observed)
    } else {
        create::bring_up(case, observed)
    };
    if observed.turn.unconfirmed {
        // A step has no time of its own before its outcome is known.
        let next = if plan.step.is_some() { Next::AwaitChange } else { plan.next };
        plan.next = next.or_at(Some(now + CONFIRM), now);
    }
    // Before the first create, so that no deletion can overtake it.
    plan.with_finalizer(true)
}
