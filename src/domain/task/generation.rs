//! Generation: starting the command once per attempt, reading what a look means, ending it when its time is over.
//! A failed command is never retried automatically; a lost one is, up to `maxAttempts`.

use super::{
    ending::{ended, keeps_dying, wait_for_transfer},
    model::{Context, Look, Plan, Step},
    release, round,
    scope::{self, Scope},
    signal::{GRACE, signal},
    stage::{Decide, Generation, PlannedRound, Purpose, RunningSandbox, Start, StartAnswer},
    suspend::watched,
};
use crate::{
    api::{
        CodeGeneration, Phase, RERUN_ANNOTATION, SecretVersion, bounds, conditions as names,
        conditions::reason,
    },
    domain::{
        failure::{Class, Failure},
        plan::Next,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

impl Decide for Start {
    /// The round's first intent, or a new attempt after the sandbox was lost.
    fn decide(self, mut scope: Scope<'_>, context: &Context, answer: StartAnswer) -> Plan {
        let (secrets, branches) = match answer {
            StartAnswer::Ready { secrets, branches } => (secrets, branches),
            StartAnswer::Waiting { reason } => return wait_for_transfer(scope, reason),
        };
        if let (Some(plan), Some(branches)) = (&self.plan, branches) {
            let Some(base_sha) = branches.base_sha else {
                return scope.failed_plan(&base_branch_missing(&plan.base));
            };
            let parent = if plan.open { branches.head_sha } else { Some(base_sha.clone()) };
            let Some(parent) = parent else {
                return scope.failed_plan(&branch_missing(&plan.branch));
            };
            record_plan(&mut scope, context, plan, base_sha, parent, branches.taken);
        }
        scope.status.retry = None;
        scope.reached();
        if self.runs && self.plan.is_some() && scope.task.spec.source.checkout.is_some() {
            return check_out(scope);
        }
        if self.runs {
            return start(scope, &self.sandbox, secrets);
        }
        scope.status.sandbox_id = Some(self.sandbox.id);
        scope.status.phase = Some(Phase::Collecting);
        round::note_begun(&mut scope, None);
        let message = "no command runs in this round: the files are in the sandbox already";
        scope.condition(names::GENERATED, true, reason::NO_COMMAND, message);
        scope.working(reason::COMMITTING, "reading the files");
        Plan::settle(scope.status, Next::Now)
    }
}

/// Records what the round is made from: it does not change from now on.
fn record_plan(
    scope: &mut Scope<'_>,
    context: &Context,
    plan: &PlannedRound,
    base_sha: String,
    parent: String,
    taken: bool,
) {
    let beside = round::beside(&plan.branch, scope.task);
    let status = &mut scope.status;
    status.branch = Some(if taken && !plan.open { beside } else { plan.branch.clone() });
    status.base_branch = Some(plan.base.clone());
    status.base_sha = Some(base_sha);
    status.parent_sha = Some(round::checked_out(status).unwrap_or(parent));
    status.round_started_at = Some(Time(scope.now));
    let repository = context.repository.as_ref().and_then(|repository| repository.id);
    status.repository_id = status.repository_id.or(repository);
    round::record_input(scope.task, &mut scope.status);
}

/// Goes on with the checkout, by what stands in status from now on.
fn check_out(mut scope: Scope<'_>) -> Plan {
    let branch = scope.status.branch.clone().unwrap_or_default();
    let short: String = scope.status.parent_sha.iter().flat_map(|sha| sha.chars().take(7)).collect();
    let path = &scope.task.spec.source.path;
    let message = format!("checking out {branch} at commit {short} in {path} of the sandbox");
    scope.condition(names::GENERATED, false, reason::CHECKING_OUT, &message);
    scope.working(reason::CHECKING_OUT, &message);
    Plan::settle(scope.status, Next::Now)
}

fn start(mut scope: Scope<'_>, sandbox: &RunningSandbox, secrets: Vec<SecretVersion>) -> Plan {
    let allowed = scope.task.spec.generate.as_ref().map_or(1, |generate| i64::from(generate.max_attempts));
    if round::attempts(scope.task, &scope.status) >= allowed {
        keeps_dying(&mut scope);
        return ended(scope);
    }
    let generation = next_attempt(&mut scope, sandbox, secrets);
    scope.condition(names::GENERATED, false, reason::GENERATING, "the command runs");
    scope.working(reason::GENERATING, "the command runs in the sandbox");
    Plan::intend(scope.status, Step::Start { generation })
}

/// The base branch is not there: a person has to make it or name another.
fn base_branch_missing(base: &str) -> Failure {
    Failure {
        operation: "getBranch",
        class: Class::NotFound,
        reason: reason::BASE_BRANCH_MISSING,
        message: format!(
            "the base branch {base} does not exist: create it, or set baseBranch to one that does"
        ),
    }
}

/// The branch of the open pull request is gone: GitHub closes the pull request, or somebody restores it.
fn branch_missing(branch: &str) -> Failure {
    Failure {
        operation: "getBranch",
        class: Class::NotFound,
        reason: reason::BRANCH_MISSING,
        message: format!(
            "the branch {branch} of the open pull request does not exist: restore it, or close the pull request"
        ),
    }
}

/// Opens a new entry for the next attempt of the round, and says which lost sandboxes it replaces.
fn next_attempt(scope: &mut Scope<'_>, sandbox: &RunningSandbox, secrets: Vec<SecretVersion>) -> String {
    round::finish_run(scope, None);
    let migrated_from = match round::generation(scope.task, &scope.status) {
        Some(old) if old.sandbox_id != sandbox.id => {
            let mut ids = old.migrated_from.clone();
            ids.push(old.sandbox_id.clone());
            bounds::keep_newest(&mut ids);
            ids
        }
        Some(old) => old.migrated_from.clone(),
        None => Vec::new(),
    };
    let id = scope::id(&round::next_attempt_id(scope.task, &scope.status));
    let checkout_sha = scope.status.parent_sha.clone().filter(|_| scope.task.spec.source.checkout.is_some());
    scope.status.code_generations.push(CodeGeneration {
        id: id.clone(),
        sandbox_id: scope::id(&sandbox.id),
        incarnation: sandbox.incarnation,
        started_at: Time(scope.now),
        finished_at: None,
        exit_code: None,
        files_digest: None,
        checkout_sha,
        paused_seconds: sandbox.paused_seconds,
        secret_versions: secrets,
        migrated_from,
    });
    bounds::keep_newest(&mut scope.status.code_generations);
    scope.status.sandbox_id = Some(sandbox.id.clone());
    scope.status.phase = Some(Phase::Generating);
    round::note_begun(scope, Some(&id));
    id
}

impl Decide for Generation {
    fn decide(self, scope: Scope<'_>, context: &Context, look: Look) -> Plan {
        match self.purpose {
            Purpose::Follow => follow(scope, context, &self, &look),
            Purpose::End => end(scope, context, &self, &look),
            Purpose::GiveBack => give_back(scope, context, &self, &look),
            Purpose::Watch => watched(scope, look == Look::Running),
            Purpose::Undo => release::look(scope, context, &self, &look),
        }
    }

    fn failed(self, scope: Scope<'_>, failure: &Failure) -> Plan {
        match self.purpose {
            Purpose::Undo => release::failed(scope, failure),
            Purpose::Watch => watched(scope, true),
            Purpose::Follow | Purpose::End | Purpose::GiveBack => scope.failed_plan(failure),
        }
    }
}

/// The command's round is over, or its files are lost: it is ended, and what it made is not used.
fn end(mut scope: Scope<'_>, context: &Context, question: &Generation, look: &Look) -> Plan {
    if *look != Look::Running {
        round::finish_run(&mut scope, None);
        scope.status.retry = None;
        scope.working(reason::GENERATING, "the command was ended: what it made is not used");
        return Plan { next: Next::Now, ..scope.requeue() };
    }
    scope.working(reason::GENERATING, "ending the command: what it makes is not used");
    let step = signal(context, question, scope.now);
    Plan { next: Next::After(GRACE / 2), ..Plan::act(scope.status, step) }
}

/// Ends the command of a Task that waits for a person, so that others get their turn. What the Task waits for is said already.
fn give_back(mut scope: Scope<'_>, context: &Context, question: &Generation, look: &Look) -> Plan {
    match look {
        // It has ended by itself before it was signalled: its result counts, and a failed command never runs again.
        Look::Exited { .. } if !was_signalled(context, look) => follow(scope, context, question, look),
        Look::Running => {
            let step = signal(context, question, scope.now);
            Plan { next: Next::After(GRACE / 2), ..Plan::act(scope.status, step) }
        }
        _ => {
            round::finish_run(&mut scope, None);
            Plan { next: Next::Now, ..scope.requeue() }
        }
    }
}

/// Returns whether we have signalled the command that has ended. The sandbox tells, and this process knows of a signal whose
/// answer it has heard.
fn was_signalled(context: &Context, look: &Look) -> bool {
    context.signalled_since.is_some() || matches!(look, Look::Exited { signalled: true, .. })
}

/// Measures how long the command has been running, without the time its sandbox was paused.
fn ran(scope: &Scope<'_>, context: &Context, run: &CodeGeneration) -> SignedDuration {
    let paused = context
        .sandboxes
        .iter()
        .find(|sandbox| sandbox.id.as_ref() == Some(&run.sandbox_id))
        .map_or(0, |sandbox| (sandbox.paused_seconds - run.paused_seconds).max(0));
    scope.now.duration_since(run.started_at.0) - SignedDuration::from_secs(paused)
}

/// Decides by a look at the running command.
fn follow(mut scope: Scope<'_>, context: &Context, question: &Generation, look: &Look) -> Plan {
    let Some(run) = round::live_run(scope.task, &scope.status).cloned() else { return scope.requeue() };
    let timeout = scope.task.spec.generate.as_ref().map_or(3600, |generate| generate.timeout_seconds);
    let ran = ran(&scope, context, &run);
    let over = ran - SignedDuration::from_secs(timeout.into());
    let signalled = was_signalled(context, look);
    scope.reached();
    if *look != Look::NotStarted && (*look != Look::Running || over.is_negative()) {
        // The attempts of a step that has failed count on, though looking works.
        scope.status.retry = None;
    }
    match look {
        Look::NotStarted => start_again(scope, run.id),
        Look::DirectoryFailed(message) => {
            let what = format!("has no room or rights for /var/tmp/slipway in the sandbox ({message})");
            fail(scope, None, &what, None)
        }
        Look::Running if !over.is_negative() => {
            let message = format!("the command did not end within {timeout} s: ending it");
            scope.working(reason::GENERATING, &message);
            let step = signal(context, question, scope.now);
            Plan { next: Next::After(GRACE / 2), ..Plan::act(scope.status, step) }
        }
        Look::Running => {
            scope.working(reason::GENERATING, "the command runs in the sandbox");
            Plan::settle(scope.status, Next::After(poll(ran)))
        }
        Look::PidDead if !over.is_negative() => fail(scope, None, &timed_out(timeout), None),
        Look::PidDead => dead(scope, context.dead_since, &run),
        Look::Exited { code, tail, .. } if *code == 0 && !signalled => exited(scope, tail),
        Look::Exited { code, tail, .. } if !over.is_negative() => {
            fail(scope, Some(*code).filter(|_| !signalled), &timed_out(timeout), Some(tail))
        }
        // It was ended for a turn that was to be given back, or for a time limit that has been raised since.
        Look::Exited { .. } if signalled => lost(scope, &run),
        Look::Exited { code, tail, .. } => {
            fail(scope, Some(*code), &format!("ended with exit code {code}"), Some(tail))
        }
    }
}

/// Starts again because the start never arrived. Only one start gets the directory, so the command can't run twice. Its time
/// counts from now: the operator or the sandbox may have been away for longer than that.
fn start_again(mut scope: Scope<'_>, generation: String) -> Plan {
    let now = scope.now;
    if let Some(run) = scope.status.code_generations.iter_mut().rfind(|run| run.id == generation) {
        run.started_at = Time(now);
    }
    scope.working(reason::GENERATING, "starting the command in the sandbox");
    Plan::intend(scope.status, Step::Start { generation })
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

/// Ends a run that succeeded: its files are read next.
fn exited(mut scope: Scope<'_>, tail: &str) -> Plan {
    round::finish_run(&mut scope, Some(0));
    scope.status.phase = Some(Phase::Collecting);
    let message = format!("the command ended with exit code 0{}", said(tail));
    scope.condition(names::GENERATED, true, reason::SUCCEEDED, &message);
    scope.working(reason::COMMITTING, "reading the files");
    Plan::settle(scope.status, Next::Now)
}

/// Counts a process without an exit code as lost, if a second look says the same.
fn dead(mut scope: Scope<'_>, since: Option<Timestamp>, run: &CodeGeneration) -> Plan {
    if since.is_none_or(|since| scope.now.duration_since(since) < GRACE) {
        scope.working(reason::GENERATING, "the command runs in the sandbox");
        return Plan::settle(scope.status, Next::After(GRACE));
    }
    lost(scope, run)
}

/// Ends an attempt that came to no end of its own: the command runs again, where it may.
fn lost(mut scope: Scope<'_>, run: &CodeGeneration) -> Plan {
    round::finish_run(&mut scope, None);
    let allowed = scope.task.spec.generate.as_ref().map_or(1, |generate| i64::from(generate.max_attempts));
    if round::attempts(scope.task, &scope.status) >= allowed {
        keeps_dying(&mut scope);
        return ended(scope);
    }
    // Its Secrets are looked for before the next start, as before the first.
    scope.condition(names::GENERATED, false, reason::GENERATION_LOST, "the command was lost: it runs again");
    let message =
        format!("the command of sandbox {} was lost with its process and runs again", run.sandbox_id);
    scope.working(reason::GENERATING, &message);
    Plan::settle(scope.status, Next::Now)
}

/// Ends the round of a command that has failed, until somebody changes the input or asks again.
fn fail(mut scope: Scope<'_>, code: Option<i32>, what: &str, tail: Option<&str>) -> Plan {
    round::finish_run(&mut scope, code);
    let cure =
        format!("change the Task or set the annotation {RERUN_ANNOTATION} to a new value to run it again");
    let message = format!("the command {what}: {cure}{}", tail.map(said).unwrap_or_default());
    scope.condition(names::GENERATED, false, reason::GENERATION_FAILED, &message);
    scope.end(reason::GENERATION_FAILED, &message);
    scope.release_sandbox();
    ended(scope)
}
