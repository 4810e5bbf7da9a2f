//! A create whose end is not recorded: its sandbox is looked for and adopted, or the create is made again.
//! A crash at any point between intent and record leaves one sandbox because of this.

use super::{
    Attempts, Context, E2bSandbox, Keyed, Step, create, existing,
    marks::{incarnation, is_ours},
    scope::{CREATE_OVER, Scope},
};
use crate::{
    api::{CreateAnswer, Creating, SandboxStatus, conditions::reason},
    domain::{
        conditions::Standing,
        plan::{Next, Plan},
    },
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The list by metadata is not proof of absence: after a crash it is asked again this long after the intent.
const LIST_AGAIN: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn decide(
    mut scope: Scope<'_>,
    context: &Context,
    creating: &Creating,
    answer: &Keyed<Attempts>,
) -> Plan<SandboxStatus, Step> {
    let under = match answer {
        Ok(under) => under,
        Err(error) => return scope.without_secret(error),
    };
    if creating.answer != Some(CreateAnswer::Refused) {
        scope.doubt(creating.requested_at.0);
    }
    let listed = match &under.answer.listed {
        Ok(listed) => listed,
        Err(failure) => return scope.fail(failure),
    };
    let mut found: Vec<&E2bSandbox> = listed
        .iter()
        .filter(|seen| is_ours(seen, scope.sandbox) && incarnation(seen) == Some(creating.incarnation))
        .collect();
    found.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
    match found.split_first() {
        Some((oldest, rest)) => adopt(scope, context, creating, oldest, rest, &under.credential),
        None => create_again(scope, creating, &under.answer),
    }
}

/// Adopts the oldest and kills the next; the check of orphans finds the others.
fn adopt(
    mut scope: Scope<'_>,
    context: &Context,
    creating: &Creating,
    oldest: &E2bSandbox,
    rest: &[&E2bSandbox],
    credential: &str,
) -> Plan<SandboxStatus, Step> {
    scope.own(&oldest.id, creating);
    // Whoever made it may have died before it was marked.
    scope.status.unmarked_since = Some(Time(scope.now));
    scope.adopt_observation(oldest, credential);
    if let Some(extra) = rest.first() {
        let message = format!("E2B sandbox {} was found by its metadata", oldest.id);
        scope.stand(Standing::Reconciling, reason::CREATING, &message);
        return Plan::intend(scope.status, Step::Kill { id: extra.id.clone() });
    }
    existing::seen(scope, context, oldest.life)
}

/// None was found: when and under which key the create is made again.
fn create_again(mut scope: Scope<'_>, creating: &Creating, attempts: &Attempts) -> Plan<SandboxStatus, Step> {
    let (wait, attempt) = match creating.answer {
        None | Some(CreateAnswer::Unknown) => (LIST_AGAIN, creating.attempt),
        Some(CreateAnswer::Lost) => (SignedDuration::ZERO, creating.attempt),
        // Errors are replayed under their key.
        Some(CreateAnswer::Refused) => (SignedDuration::ZERO, creating.attempt + 1),
        Some(CreateAnswer::Failed) => (CREATE_OVER, creating.attempt + 1),
    };
    let from = creating.requested_at.0 + wait;
    if scope.now < from {
        if scope.status.retry.is_none() {
            let message = "looking for the sandbox of a create with unknown result";
            scope.stand(Standing::Reconciling, reason::CREATING, message);
        }
        return scope.settle(Next::At(from));
    }
    match &attempts.env {
        Ok(secrets) => create::begin(scope, creating.incarnation, attempt, secrets),
        Err(error) => scope.without_secret(error),
    }
}
