//! Generation: starting the command once per attempt, reading what a look means, ending it at its time-out.
//! Nothing here repeats a command that has failed by itself.

use super::{
    Context, Look, Plan, Seen, Step,
    board::{self, BUILDING, Draft},
    decide::{again, ended},
    round,
    sandbox::RunningSandbox,
    stage::PlannedBranch,
};
use crate::{
    api::{CodeGeneration, RERUN_ANNOTATION, bounds, conditions as names, conditions::reason},
    domain::{
        failure::{Failure, operation},
        plan::Next,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Between SIGTERM and SIGKILL, and between the two looks that make a dead process lost.
pub(super) const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// The round's first sight of the sandbox, or a new attempt after the sandbox was lost.
pub(super) fn start(
    mut draft: Draft<'_>,
    plan: Option<&PlannedBranch>,
    sandbox: &RunningSandbox,
    seen: &Seen,
) -> Plan {
    if let Seen::SecretMissing(message) = seen {
        draft.missing(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message);
        return again(draft);
    }
    if let Some(plan) = plan {
        let Seen::Branches { base_sha, taken } = seen else { return again(draft) };
        let Some(base_sha) = base_sha else {
            let failure = base_branch_missing(&plan.base);
            draft.failed(&failure);
            return again(draft);
        };
        let suffix: String = draft.uid().chars().take(8).collect();
        draft.status.base_sha = Some(base_sha.clone());
        draft.status.branch =
            Some(if *taken { round::suffixed(&plan.branch, &suffix) } else { plan.branch.clone() });
    }
    draft.status.retry = None;
    draft.condition(names::SANDBOX_READY, true, reason::RUNNING, "the sandbox runs");
    let id = sandbox.id.clone();
    if draft.task.spec.generate.is_none() {
        draft.status.sandbox_id = Some(id);
        draft.condition(
            names::GENERATED,
            true,
            reason::NO_COMMAND,
            "no command: the files are in the sandbox already",
        );
        draft.working(reason::COMMITTING, "reading the files");
        return Plan::settle(draft.status, Next::Now);
    }
    let generation = next_attempt(&mut draft, id, sandbox.incarnation);
    draft.row(BUILDING);
    draft.condition(names::GENERATED, false, reason::GENERATING, "the command runs");
    draft.working(reason::GENERATING, "the command runs in the sandbox");
    Plan::intend(draft.status, Step::Start { generation })
}

/// The base branch is not there: a person has to make it or name another.
pub(super) fn base_branch_missing(base: &str) -> Failure {
    Failure {
        operation: "getBranch",
        class: crate::domain::failure::Class::NotFound,
        reason: reason::BASE_BRANCH_MISSING,
        message: format!(
            "the base branch {base} does not exist: create it, or set baseBranch to one that does"
        ),
    }
}

/// Opens a new entry for the next attempt of the round, and says which lost sandboxes it replaces.
fn next_attempt(draft: &mut Draft<'_>, sandbox: String, incarnation: i64) -> String {
    finish(draft, None);
    let attempt = round::attempts(draft.task, &draft.status) + 1;
    let migrated_from = match round::generation(draft.task, &draft.status) {
        Some(old) if old.sandbox_id != sandbox => {
            let mut ids = old.migrated_from.clone();
            ids.push(old.sandbox_id.clone());
            bounds::keep_newest(&mut ids);
            ids
        }
        Some(old) => old.migrated_from.clone(),
        None => Vec::new(),
    };
    let id = board::id(&format!("{}{attempt}", round::generation_prefix(draft.task, &draft.status)));
    draft.status.code_generations.push(CodeGeneration {
        id: id.clone(),
        sandbox_id: board::id(&sandbox),
        incarnation,
        started_at: Time(draft.now),
        finished_at: None,
        exit_code: None,
        files_digest: None,
        migrated_from,
    });
    bounds::keep_newest(&mut draft.status.code_generations);
    draft.status.sandbox_id = Some(sandbox);
    id
}

/// What a look at the running command means.
pub(super) fn look(mut draft: Draft<'_>, context: &Context, seen: &Seen) -> Plan {
    let (Seen::Generation(look), Some(run)) = (seen, round::generation(draft.task, &draft.status).cloned())
    else {
        return again(draft);
    };
    let timeout = draft.task.spec.generate.as_ref().map_or(3600, |generate| generate.timeout_seconds);
    let over = draft.now.duration_since(run.started_at.0) - SignedDuration::from_secs(timeout.into());
    draft.condition(names::SANDBOX_READY, true, reason::RUNNING, "the sandbox runs");
    if *look != Look::NotStarted && (*look != Look::Running || over.is_negative()) {
        // The attempts of a step that has failed count on, though looking works.
        draft.status.retry = None;
    }
    match look {
        Look::NotStarted => start_again(draft, run.id),
        Look::DirectoryFailed(message) => {
            fail(draft, None, &format!("can't have its directory in the sandbox ({message})"), "")
        }
        Look::Running if !over.is_negative() => {
            draft.working(
                reason::GENERATING,
                &format!("the command did not end within {timeout} s: ending it"),
            );
            let mut plan = Plan::act(draft.status, Step::Signal { generation: run.id, kill: over >= GRACE });
            plan.next = Next::After(GRACE / 2);
            plan
        }
        Look::Running => {
            draft.working(reason::GENERATING, "the command runs in the sandbox");
            let next = Next::After(poll(draft.now.duration_since(run.started_at.0)));
            Plan::settle(draft.status, next)
        }
        Look::PidDead if !over.is_negative() => fail(draft, None, &timed_out(timeout), ""),
        Look::PidDead => dead(draft, context.dead_since),
        Look::Exited { code: 0, tail } => exited(draft, tail),
        Look::Exited { code, tail } if !over.is_negative() => {
            fail(draft, Some(*code), &timed_out(timeout), tail)
        }
        Look::Exited { code, tail } => {
            fail(draft, Some(*code), &format!("ended with exit code {code}"), tail)
        }
    }
}

/// The start never arrived. Only one start gets the directory, so this can't run the command twice. Its time counts
/// from now: the operator or the sandbox may have been away for longer than that.
fn start_again(mut draft: Draft<'_>, generation: String) -> Plan {
    let now = draft.now;
    if let Some(run) = draft.status.code_generations.iter_mut().rfind(|run| run.id == generation) {
        run.started_at = Time(now);
    }
    draft.working(reason::GENERATING, "starting the command in the sandbox");
    Plan::intend(draft.status, Step::Start { generation })
}

fn timed_out(timeout: i32) -> String {
    format!("did not end within {timeout} s (generate.timeoutSeconds) and was ended")
}

fn said(tail: &str) -> String {
    if tail.trim().is_empty() {
        "; it printed nothing".into()
    } else {
        format!("; its last words:\n{}", tail.trim_end())
    }
}

/// Every 5 s; every 15 s once it has run for 2 minutes.
fn poll(running: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(if running < SignedDuration::from_mins(2) { 5 } else { 15 })
}

/// The command has ended well.
fn exited(mut draft: Draft<'_>, tail: &str) -> Plan {
    finish(&mut draft, Some(0));
    let message = format!("the command ended with exit code 0{}", said(tail));
    draft.condition(names::GENERATED, true, reason::SUCCEEDED, &message);
    draft.working(reason::COMMITTING, "reading the files");
    Plan::settle(draft.status, Next::Now)
}

/// The process is gone without an exit code: lost, if a second look says the same.
fn dead(mut draft: Draft<'_>, since: Option<Timestamp>) -> Plan {
    if since.is_none_or(|since| draft.now.duration_since(since) < GRACE) {
        draft.working(reason::GENERATING, "the command runs in the sandbox");
        return Plan::settle(draft.status, Next::After(GRACE));
    }
    finish(&mut draft, None);
    let allowed = draft.task.spec.generate.as_ref().map_or(1, |generate| i64::from(generate.max_attempts));
    if round::attempts(draft.task, &draft.status) >= allowed {
        keeps_dying(&mut draft);
        return ended(draft);
    }
    let (sandbox, incarnation) = round::generation(draft.task, &draft.status)
        .map(|run| (run.sandbox_id.clone(), run.incarnation))
        .unwrap_or_default();
    let generation = next_attempt(&mut draft, sandbox, incarnation);
    draft.condition(names::GENERATED, false, reason::GENERATION_LOST, "the command was lost: it runs again");
    draft.working(reason::GENERATING, "the command was lost with its process and runs again");
    Plan::intend(draft.status, Step::Start { generation })
}

/// The command has failed: the round is over until somebody changes the input or asks again.
fn fail(mut draft: Draft<'_>, code: Option<i32>, what: &str, tail: &str) -> Plan {
    finish(&mut draft, code);
    let cure = format!("change the Task or set the annotation {RERUN_ANNOTATION} to run it again");
    let message = format!("the command {what}: {cure}{}", said(tail));
    draft.condition(names::GENERATED, false, reason::GENERATION_FAILED, &message);
    ended(draft)
}

/// The sandbox was lost once too often.
pub(super) fn keeps_dying(draft: &mut Draft<'_>) {
    let attempts = round::attempts(draft.task, &draft.status);
    let message = format!(
        "the command was lost {attempts} times with its sandbox or process: \
         look for what ends it (memory, the sandbox's life time), then set the annotation {RERUN_ANNOTATION} to a new value"
    );
    finish(draft, None);
    draft.condition(names::GENERATED, false, reason::GENERATION_KEEPS_DYING, &message);
}

/// Notes the end of the round's last run, once.
fn finish(draft: &mut Draft<'_>, code: Option<i32>) {
    let prefix = round::generation_prefix(draft.task, &draft.status);
    let now = draft.now;
    let last = draft.status.code_generations.iter_mut().rfind(|run| run.id.starts_with(&prefix));
    if let Some(run) = last.filter(|run| run.finished_at.is_none()) {
        run.finished_at = Some(Time(now));
        run.exit_code = code;
    }
}

/// A sandbox that gives no answer is said in `SandboxReady`: its controller looks at once.
pub(super) fn note_unreachable(draft: &mut Draft<'_>, failure: &Failure) {
    if failure.reason == reason::SANDBOX_UNREACHABLE {
        draft.condition(names::SANDBOX_READY, false, reason::SANDBOX_UNREACHABLE, &failure.message);
    }
}
