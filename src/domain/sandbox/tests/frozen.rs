//! What the schema lets nobody change, for walks in which people edit every field.
//! Neighbour: the rules themselves are in `api::sandbox`, held by the flows on a real API server.

use super::*;

/// Sets one field; says whether it may be frozen.
pub(super) fn set<T>(field: &mut T, value: T, may_be_frozen: bool) -> bool {
    *field = value;
    may_be_frozen
}

/// The rules of the schema.
pub(super) fn is_frozen(sandbox: &Sandbox) -> bool {
    let stands =
        |status: &SandboxStatus| status.sandbox_id.is_some() && status.state != Some(SandboxState::Gone);
    sandbox.status.as_ref().is_some_and(stands) || is_in_the_making(sandbox)
}

pub(super) fn is_in_the_making(sandbox: &Sandbox) -> bool {
    let Some(status) = &sandbox.status else { return false };
    let stalled = status.retry.as_ref().is_some_and(|retry| retry.stalled);
    let refused = |creating: &Creating| creating.answer == Some(CreateAnswer::Refused) && stalled;
    status.creating.as_ref().is_some_and(|creating| !refused(creating))
}
