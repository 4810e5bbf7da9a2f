//! Translates E2B's answers into the words of `domain::sandbox`.
//! Part of the Sandbox controller; the table from answers to classes is `e2b::error`'s.

use crate::{
    api::{CreateAnswer, conditions::reason},
    domain::{
        failure::{Class, Failure, operation},
        sandbox::{Ended, KillEnd, Step},
    },
    e2b::Error,
};

/// Says whether the sandbox was there to be killed.
pub(super) fn kill_end(was_there: bool) -> KillEnd {
    if was_there { KillEnd::Killed } else { KillEnd::NotFound }
}

/// Translates a failed call. A refused key has one reason, whatever API it is for.
pub(super) fn failure(error: Error) -> Failure {
    let denied = error.class == Class::Denied;
    let failure = Failure::from(error);
    Failure { reason: if denied { reason::CREDENTIALS_DENIED } else { failure.reason }, ..failure }
}

/// Judges a create that gave no sandbox: what it may have made all the same, and why it failed.
pub(super) fn not_created(error: Error) -> Ended {
    let answer = create_answer(&error);
    let reason = match (error.class, error.status) {
        (Class::Invalid, _) if error.reason == reason::TEMPLATE_NOT_FOUND => Some(reason::TEMPLATE_NOT_FOUND),
        // The key is good, but not for this template or this team: another spec may be taken.
        (Class::Invalid, _) | (Class::Denied, Some(403)) => Some(reason::CREATE_REFUSED),
        _ => None,
    };
    let failure = failure(error);
    let failure = Failure { reason: reason.unwrap_or(failure.reason), ..failure };
    Ended::NotCreated { answer, failure }
}

fn create_answer(error: &Error) -> CreateAnswer {
    if !error.answered() || error.reason == reason::IDEMPOTENCY_IN_PROGRESS {
        CreateAnswer::Lost
    } else if error.status.is_some_and(|status| status >= 500 || status == 408)
        || [reason::IDEMPOTENCY_UNKNOWN, reason::E2B_UNEXPECTED_ANSWER].contains(&error.reason)
    {
        CreateAnswer::Failed
    } else {
        CreateAnswer::Refused
    }
}

/// A step that nothing was prepared for: the process has forgotten what the pass resolved.
pub(super) fn without_key(step: &Step) -> Ended {
    let failure = Failure {
        operation: operation::GET_SECRET,
        class: Class::Transient,
        reason: reason::RETRYING,
        message: "the API key is not at hand".into(),
    };
    match step {
        Step::Create { .. } => Ended::NotCreated { answer: CreateAnswer::Refused, failure },
        Step::Connect { .. } => Ended::Connected(Err(failure)),
        Step::Mark { .. } => Ended::Marked,
        Step::Renew { .. } => Ended::Renewed(Err(failure)),
        Step::Kill { id } => Ended::Killed { id: id.clone(), result: Err(failure) },
        Step::Pause { id } => Ended::Paused { id: id.clone(), result: Err(failure) },
        Step::Keep => Ended::Kept(Err(failure)),
    }
}
