//! Generation: starting the command once per attempt, reading what a look means, ending it at its time-out.
//! Nothing here repeats a command that has failed by itself.

use super::{
    Context, Look, Plan, Seen, Step,
    board::BUILDING,
    case::{self, Case},
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
    mut case: Case<'_>,
    plan: Option<&PlannedBranch>,
    sandbox: &RunningSandbox,
    seen: &Seen,
) -> Plan {
    if let Seen::SecretMissing(message) = seen {
        case.missing(operation::GET_SECRET, reason::SECRET_NOT_FOUND, message);
        return again(case);
    }
    if let Some(plan) = plan {
        let Seen::Branches { base_sha, taken } = seen else { return again(case) };
        let Some(base_sha) = base_sha else {
            let failure = base_branch_missing(&plan.base);
            case.failed(&failure);
            return again(case);
        };
        let suffix: String = case.uid().chars().take(8).collect();
        case.status.base_sha = Some(base_sha.clone());
        case.status.branch =
            Some(if *taken { round::suffixed(&plan.branch, &suffix) } else { plan.branch.clone() });
    }
    case.status.retry = None;
    case.condition(names::SANDBOX_READY, true, reason::RUNNING, "the sandbox runs");
    let id = sandbox.id.clone();
    if case.task.spec.generate.is_none() {
        case.status.sandbox_id = Some(id);
        case.condition(
            names::GENERATED,
            true,
            reason::NO_COMMAND,
            "no command: the files are in the sandbox already",
        );
        case.working(reason::COMMITTING, "reading the files");
        return Plan::settle(case.status, Next::Now);
    }
    let generation = next_attempt(&mut case, id, sandbox.incarnation);
    case.row(BUILDING);
    case.condition(names::GENERATED, false, reason::GENERATING, "the command runs");
    case.working(reason::GENERATING, "the command runs in the sandbox");
    Plan::intend(case.status, Step::Start { generation })
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
fn next_attempt(case: &mut Case<'_>, sandbox: String, incarnation: i64) -> String {
    finish(case, None);
    let attempt = round::attempts(case.task, &case.status) + 1;
    let migrated_from = match round::generation(case.task, &case.status) {
        Some(old) if old.sandbox_id != sandbox => {
            let mut ids = old.migrated_from.clone();
            ids.push(old.sandbox_id.clone());
            bounds::keep_newest(&mut ids);
            ids
        }
        Some(old) => old.migrated_from.clone(),
        None => Vec::new(),
    };
    let id = case::id(&format!("{}{attempt}", round::generation_prefix(case.task, &case.status)));
    case.status.code_generations.push(CodeGeneration {
        id: id.clone(),
        sandbox_id: case::id(&sandbox),
        incarnation,
        started_at: Time(case.now),
        finished_at: None,
        exit_code: None,
        files_digest: None,
        paused_seconds: 0,
        secret_versions: Vec::new(),
        migrated_from,
    });
    bounds::keep_newest(&mut case.status.code_generations);
    case.status.sandbox_id = Some(sandbox);
    id
}

/// What a look at the running command means.
pub(super) fn look(mut case: Case<'_>, context: &Context, seen: &Seen) -> Plan {
    let (Seen::Generation(look), Some(run)) = (seen, round::generation(case.task, &case.status).cloned())
    else {
        return again(case);
    };
    let timeout = case.task.spec.generate.as_ref().map_or(3600, |generate| generate.timeout_seconds);
    let over = case.now.duration_since(run.started_at.0) - SignedDuration::from_secs(timeout.into());
    case.condition(names::SANDBOX_READY, true, reason::RUNNING, "the sandbox runs");
    if *look != Look::NotStarted && (*look != Look::Running || over.is_negative()) {
        // The attempts of a step that has failed count on, though looking works.
        case.status.retry = None;
    }
    match look {
        Look::NotStarted => start_again(case, run.id),
        Look::DirectoryFailed(message) => fail(
            case,
            None,
            &format!("has no room or rights for /var/tmp/slipway in the sandbox ({message})"),
            None,
        ),
        Look::Running if !over.is_negative() => {
            case.working(
                reason::GENERATING,
                &format!("the command did not end within {timeout} s: ending it"),
            );
            let mut plan = Plan::act(case.status, Step::Signal { generation: run.id, kill: over >= GRACE });
            plan.next = Next::After(GRACE / 2);
            plan
        }
        Look::Running => {
            case.working(reason::GENERATING, "the command runs in the sandbox");
            let next = Next::After(poll(case.now.duration_since(run.started_at.0)));
            Plan::settle(case.status, next)
        }
        Look::PidDead if !over.is_negative() => fail(case, None, &timed_out(timeout), None),
        Look::PidDead => dead(case, context.dead_since),
        Look::Exited { code: 0, tail } => exited(case, tail),
        Look::Exited { code, tail } if !over.is_negative() => {
            fail(case, Some(*code), &timed_out(timeout), Some(tail))
        }
        Look::Exited { code, tail } => {
            fail(case, Some(*code), &format!("ended with exit code {code}"), Some(tail))
        }
    }
}

/// The start never arrived. Only one start gets the directory, so this can't run the command twice. Its time counts
/// from now: the operator or the sandbox may have been away for longer than that.
fn start_again(mut case: Case<'_>, generation: String) -> Plan {
    let now = case.now;
    if let Some(run) = case.status.code_generations.iter_mut().rfind(|run| run.id == generation) {
        run.started_at = Time(now);
    }
    case.working(reason::GENERATING, "starting the command in the sandbox");
    Plan::intend(case.status, Step::Start { generation })
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
fn exited(mut case: Case<'_>, tail: &str) -> Plan {
    finish(&mut case, Some(0));
    let message = format!("the command ended with exit code 0{}", said(tail));
    case.condition(names::GENERATED, true, reason::SUCCEEDED, &message);
    case.working(reason::COMMITTING, "reading the files");
    Plan::settle(case.status, Next::Now)
}

/// The process is gone without an exit code: lost, if a second look says the same.
fn dead(mut case: Case<'_>, since: Option<Timestamp>) -> Plan {
    if since.is_none_or(|since| case.now.duration_since(since) < GRACE) {
        case.working(reason::GENERATING, "the command runs in the sandbox");
        return Plan::settle(case.status, Next::After(GRACE));
    }
    finish(&mut case, None);
    let allowed = case.task.spec.generate.as_ref().map_or(1, |generate| i64::from(generate.max_attempts));
    if round::attempts(case.task, &case.status) >= allowed {
        keeps_dying(&mut case);
        return ended(case);
    }
    let (sandbox, incarnation) = round::generation(case.task, &case.status)
        .map(|run| (run.sandbox_id.clone(), run.incarnation))
        .unwrap_or_default();
    let generation = next_attempt(&mut case, sandbox, incarnation);
    case.condition(names::GENERATED, false, reason::GENERATION_LOST, "the command was lost: it runs again");
    case.working(reason::GENERATING, "the command was lost with its process and runs again");
    Plan::intend(case.status, Step::Start { generation })
}

/// The command has failed: the round is over until somebody changes the input or asks again.
fn fail(mut case: Case<'_>, code: Option<i32>, what: &str, tail: Option<&str>) -> Plan {
    finish(&mut case, code);
    let cure =
        format!("change the Task or set the annotation {RERUN_ANNOTATION} to a new value to run it again");
    let message = format!("the command {what}: {cure}{}", tail.map(said).unwrap_or_default());
    case.condition(names::GENERATED, false, reason::GENERATION_FAILED, &message);
    ended(case)
}

/// The sandbox was lost once too often.
pub(super) fn keeps_dying(case: &mut Case<'_>) {
    let attempts = round::attempts(case.task, &case.status);
    let message = format!(
        "the command was lost {attempts} times with its sandbox or process: \
         look for what ends it (memory, the sandbox's life time), then set the annotation {RERUN_ANNOTATION} to a new value"
    );
    finish(case, None);
    case.condition(names::GENERATED, false, reason::GENERATION_KEEPS_DYING, &message);
}

/// Notes the end of the round's last run, once.
fn finish(case: &mut Case<'_>, code: Option<i32>) {
    let prefix = round::generation_prefix(case.task, &case.status);
    let now = case.now;
    let last = case.status.code_generations.iter_mut().rfind(|run| run.id.starts_with(&prefix));
    if let Some(run) = last.filter(|run| run.finished_at.is_none()) {
        run.finished_at = Some(Time(now));
        run.exit_code = code;
    }
}

/// A sandbox that gives no answer is said in `SandboxReady`: its controller looks at once.
pub(super) fn note_unreachable(case: &mut Case<'_>, failure: &Failure) {
    if failure.reason == reason::SANDBOX_UNREACHABLE {
        case.condition(names::SANDBOX_READY, false, reason::SANDBOX_UNREACHABLE, &failure.message);
    }
}
