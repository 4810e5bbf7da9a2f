//! Decisions about Repositories, state by state.
//! Part of the tests of `repository`.

mod account;
mod app;
mod gone;
mod hook;

use super::{record::MOVE_AGAIN, stage::Answer, *};
use crate::{
    api::{
        CreatePolicy, RECONCILE_ANNOTATION, Repository, RepositoryStatus, conditions as names,
        conditions::reason,
    },
    domain::{
        conditions,
        credentials::Fault,
        failure::{Class, operation},
        plan::{Next, Plan},
        retry,
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use std::collections::BTreeMap;

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).expect("in range")
}

fn object() -> Repository {
    let spec = crate::api::RepositorySpec {
        owner: "acme".into(),
        name: "app".into(),
        credentials_secret_ref: crate::api::common::LocalRef { name: "github".into() },
        sync_interval_seconds: 300,
        ..crate::api::RepositorySpec::default()
    };
    let metadata = ObjectMeta { uid: Some("uid".into()), generation: Some(1), ..ObjectMeta::default() };
    Repository { metadata, spec, status: None }
}

fn found() -> Found {
    Found {
        id: 7,
        owner_id: 3,
        full_name: "acme/app".into(),
        default_branch: "main".into(),
        html_url: "https://github.example/acme/app".into(),
        archived: false,
        app_id: None,
        base: Base::Exists,
    }
}

fn failure(class: Class) -> Failure {
    Failure { operation: "getRepository", class, reason: "Why", message: "no".into() }
}

/// A pass that has looked at no webhook.
fn observed(answer: Answer, next_sync: i64) -> Observed {
    Observed {
        finding: Finding(answer),
        next_sync: at(next_sync),
        account: None,
        hook: HookSeen::NotAsked,
        next_hook: None,
    }
}

fn see(object: &Repository, answer: Answer, now: i64) -> Plan<RepositoryStatus, Step> {
    decide(object, &observed(answer, 100), at(now))
}

fn looked_up(found: Found) -> Answer {
    Answer::LookedUp(Ok(Some(found)))
}

fn synced(moves: Vec<Move>) -> Answer {
    listed(Listing::Changes(Changes { moves, repository: None }))
}

fn listed(listing: Listing) -> Answer {
    Answer::Listed(Ok(listing))
}

fn failed(failure: Failure) -> Answer {
    Answer::Listed(Err(failure))
}

#[derive(Debug, PartialEq)]
enum Asked {
    Nothing,
    LookUp,
    /// The interval's one call.
    Routine,
    Sync,
}

fn asks(object: &Repository, next_sync: Timestamp, now: Timestamp) -> Asked {
    asks_with(object, next_sync, now, true)
}

fn asks_with(object: &Repository, next_sync: Timestamp, now: Timestamp, open: bool) -> Asked {
    match stage(object, next_sync, now, || open) {
        Stage::Rest(_) => Asked::Nothing,
        Stage::LookUp(question) if question.is_routine() => Asked::Routine,
        Stage::LookUp(_) => Asked::LookUp,
        Stage::List(_) => Asked::Sync,
    }
}

fn with(mut object: Repository, status: RepositoryStatus) -> Repository {
    object.status = Some(status);
    object
}

fn settled() -> Repository {
    let object = object();
    let status = see(&object, looked_up(found()), 0).status;
    with(object, status)
}

fn ready(status: &RepositoryStatus) -> (&str, &str, &str) {
    let ready = conditions::find(&status.conditions, names::READY).expect("always set");
    (&ready.status, &ready.reason, &ready.message)
}

fn is(status: &RepositoryStatus, type_: &str) -> bool {
    conditions::is_true(&status.conditions, type_)
}

#[test]
fn a_found_repository_is_settled_and_asked_again_only_when_a_sync_is_due() {
    let object = settled();
    let status = object.status.as_ref().expect("set");
    assert_eq!(ready(status), ("True", "Synced", "acme/app, pull requests go to main"));
    assert_eq!((status.repository_id, status.owner_id, status.observed_generation), (Some(7), Some(3), 1));
    assert_eq!(asks(&object, at(100), at(99)), Asked::Nothing);
    assert_eq!(asks(&object, at(100), at(100)), Asked::Sync);
    let plan = see(&object, Answer::NotAsked, 50);
    assert_eq!((Some(&plan.status), plan.next), (object.status.as_ref(), Next::At(at(100))));
    let plan = see(&object, synced(Vec::new()), 100);
    assert_eq!((Some(&plan.status), plan.step), (object.status.as_ref(), None), "no write");
}

#[test]
fn what_is_not_known_or_not_in_order_is_looked_up_and_not_synced() {
    let change = |change: fn(&mut RepositoryStatus)| {
        let mut object = settled();
        change(object.status.as_mut().expect("set"));
        asks(&object, at(100), at(100))
    };
    assert_eq!(change(|_| ()), Asked::Sync);
    assert_eq!(change(|status| status.repository_id = None), Asked::LookUp);
    assert_eq!(change(|status| status.default_branch = None), Asked::LookUp, "just created");
    assert_eq!(change(|status| status.conditions.clear()), Asked::Sync, "no decision reads a condition");
    assert_eq!(interval(&settled()), SignedDuration::from_secs(300));
}

#[test]
fn a_repository_in_trouble_is_looked_up_until_it_is_in_order() {
    for answer in [looked_up(Found { archived: true, ..found() }), failed(failure(Class::Denied))] {
        let object = with(settled(), see(&settled(), answer.clone(), 100).status);
        assert!(!is_settled(&object), "{answer:?}");
        assert_eq!(asks(&object, at(0), at(1000)), Asked::LookUp, "{answer:?}");
        let object = with(object.clone(), see(&object, looked_up(found()), 1000).status);
        assert_eq!(asks(&object, at(2000), at(2000)), Asked::Sync, "{answer:?}");
    }
}

#[test]
fn without_a_pull_request_that_could_move_the_one_call_looks_at_the_repository() {
    let object = settled();
    assert_eq!(asks_with(&object, at(100), at(99), false), Asked::Nothing);
    assert_eq!(asks_with(&object, at(100), at(100), false), Asked::Routine);
}

#[test]
fn only_an_answer_to_the_intervals_question_ends_the_wait_for_it() {
    let answered = |answer| Finding(answer).is_answer();
    assert!(answered(looked_up(found())) && answered(synced(Vec::new())));
    for answer in [
        Answer::Suspended,
        Answer::NotAsked,
        Answer::LookedUp(Ok(None)),
        failed(failure(Class::Denied)),
        listed(Listing::Absent),
        listed(Listing::Replaced),
    ] {
        assert!(!answered(answer.clone()), "{answer:?}");
    }
}

#[test]
fn a_new_spec_or_annotation_looks_again() {
    let mut object = settled();
    object.metadata.generation = Some(2);
    assert_eq!(asks(&object, at(100), at(0)), Asked::LookUp);
    let mut object = settled();
    object.metadata.annotations = Some(BTreeMap::from([(RECONCILE_ANNOTATION.to_owned(), "x".to_owned())]));
    assert_eq!(asks(&object, at(100), at(0)), Asked::LookUp);
    let plan = see(&object, looked_up(found()), 1);
    assert_eq!(plan.status.observed_reconcile.as_deref(), Some("x"));
    assert_eq!(asks(&with(object, plan.status), at(100), at(2)), Asked::Nothing);
}

#[test]
fn a_missing_repository_is_created_only_if_that_is_wanted_and_it_was_never_seen() {
    let mut object = object();
    let plan = see(&object, Answer::LookedUp(Ok(None)), 0);
    assert_eq!((ready(&plan.status).1, plan.step), ("RepositoryNotFound", None));
    object.spec.create_policy = CreatePolicy::IfMissing;
    let plan = see(&object, Answer::LookedUp(Ok(None)), 0);
    assert_eq!(plan.step, Some(Step::Create(CreateRepository::default())));
    let plan = record(&object, plan, Outcome::Created(Ok(found())), at(100), at(1));
    assert_eq!((plan.status.repository_id, plan.next), (Some(7), Next::Now));
    assert!(is(&plan.status, names::RECONCILING), "looked at like any other before it is ready");
    assert!(!is_settled(&with(object.clone(), plan.status.clone())));
    let seen_before = with(object, plan.status);
    let plan = see(&seen_before, Answer::LookedUp(Ok(None)), 2);
    assert_eq!((ready(&plan.status).1, plan.step), ("RepositoryGone", None));
    assert!(is(&plan.status, names::RECONCILING), "one 404 proves little");
    let (mut gone, mut now) = (with(seen_before, plan.status), 2);
    while !is(gone.status.as_ref().expect("a status"), names::STALLED) {
        now = gone
            .status
            .as_ref()
            .and_then(|s| s.retry.as_ref())
            .expect("a look")
            .next_attempt_at
            .0
            .as_second()
            - at(0).as_second();
        assert!(now < 300, "a person is asked in time");
        let plan = see(&gone, Answer::LookedUp(Ok(None)), now);
        gone = with(gone, plan.status);
    }
    assert!((130..150).contains(&now), "after {now} s");
}

#[test]
fn a_failed_create_is_retried_by_the_policy() {
    let mut object = object();
    object.spec.create_policy = CreatePolicy::IfMissing;
    let plan = see(&object, Answer::LookedUp(Ok(None)), 0);
    let plan = record(&object, plan, Outcome::Created(Err(failure(Class::Transient))), at(100), at(1));
    let retry = plan.status.retry.as_ref().expect("carried");
    assert_eq!((retry.attempt, plan.next), (1, Next::At(retry.next_attempt_at.0)));
    assert_eq!(ready(&plan.status).1, "Retrying");
}

#[test]
fn a_failed_sync_is_quiet_until_the_attempts_are_used_up() {
    let mut object = settled();
    for attempt in 1..=3 {
        let plan = see(&object, failed(failure(Class::Transient)), attempt * 10);
        assert_eq!(plan.status.retry.as_ref().map(|retry| retry.attempt), i32::try_from(attempt).ok());
        assert_eq!(plan.status.conditions, object.status.as_ref().expect("set").conditions);
        object = with(object, plan.status);
        assert_eq!(asks(&object, at(1000), at(attempt * 10)), Asked::Nothing, "not before its time");
        assert_eq!(asks(&object, at(1000), at(attempt * 10 + 6)), Asked::Sync);
    }
    let plan = see(&object, failed(failure(Class::Transient)), 40);
    assert_eq!(ready(&plan.status).1, "RetriesExhausted");
    assert_eq!(plan.notes.len(), 1);
    let plan = see(&with(object, plan.status), looked_up(found()), 400);
    assert_eq!((ready(&plan.status).1, plan.status.retry.as_ref()), ("Synced", None));
}

#[test]
fn a_limit_outlasts_a_person_in_a_hurry_and_a_failure_does_not() {
    let object = settled();
    let limited = see(&object, failed(failure(Class::Throttled { until: at(60) })), 0).status;
    let mut hurried = with(object.clone(), limited);
    hurried.metadata.annotations = Some(BTreeMap::from([(RECONCILE_ANNOTATION.to_owned(), "x".to_owned())]));
    assert_eq!(asks(&hurried, at(0), at(59)), Asked::Nothing);
    assert_eq!(asks(&hurried, at(0), at(60)), Asked::LookUp);
    let denied = see(&object, failed(failure(Class::Denied)), 0).status;
    assert!(is(&denied, names::STALLED));
    let mut corrected = with(object, denied);
    assert_eq!(asks(&corrected, at(0), at(59)), Asked::Nothing);
    corrected.metadata.generation = Some(2);
    assert_eq!(asks(&corrected, at(0), at(1)), Asked::LookUp);
}

fn no_secret() -> Failure {
    let (operation, reason) = (operation::GET_SECRET, reason::SECRET_NOT_FOUND);
    let message = "Secret github does not exist".into();
    Failure { operation, class: Class::NotFound, reason, message }
}

#[test]
fn a_secret_that_arrived_is_progress() {
    let mut object = object();
    for second in [0, 6, 20] {
        let plan = see(&object, Answer::LookedUp(Err(no_secret())), second);
        assert_eq!(ready(&plan.status).1, "SecretNotFound");
        assert!(is(&plan.status, names::RECONCILING), "it may still come");
        object = with(object, plan.status);
    }
    let plan = see(&object, failed(failure(Class::Transient)), 60);
    assert_eq!(plan.status.retry.map(|retry| retry.attempt), Some(1), "a new count");
}

#[test]
fn a_pass_that_ran_out_of_time_says_so_in_retry_and_backs_off() {
    let failure = Failure::out_of_time(std::time::Duration::from_secs(120));
    for object in [object(), settled()] {
        let finding = timed_out(&object, failure.clone());
        let observed = Observed { finding, ..observed(Answer::NotAsked, 300) };
        let plan = decide(&object, &observed, at(10));
        let retry = plan.status.retry.clone().expect("said in status");
        assert_eq!((retry.operation.as_str(), retry.attempt), (operation::RECONCILE, 1));
        assert_eq!(retry.last_error, failure.message);
        assert!(retry.next_attempt_at.0 > at(10), "it backs off");
        assert_eq!((plan.next, plan.step), (Next::At(retry.next_attempt_at.0), None));
        assert_eq!(plan.status.repository_id, object.status.and_then(|status| status.repository_id));
    }
}

#[test]
fn useless_secrets_stall_with_a_cure() {
    let plan = see(&object(), Answer::LookedUp(Err(Fault::Nothing.failure("github"))), 0);
    assert_eq!(ready(&plan.status).1, "CredentialsInvalid");
    assert!(is(&plan.status, names::STALLED));
    let said = ready(&plan.status).2;
    assert!(said.contains("Secret github ") && said.contains("slipway.dev/reconcile"), "{said}");
}

#[test]
fn what_is_missing_is_named_and_looked_for_apart_from_what_others_look_for() {
    let no_secret = see(&object(), Answer::LookedUp(Err(no_secret())), 0).status;
    assert!(ready(&no_secret).2.contains("Secret github "), "{no_secret:?}");
    let absent = see(&object(), Answer::LookedUp(Ok(None)), 0).status;
    assert!(ready(&absent).2.contains("no repository acme/app "), "{absent:?}");
    let denied = see(&object(), failed(failure(Class::Denied)), 0).status;
    let looked_at = denied.retry.expect("a stalled object is looked at again").next_attempt_at.0;
    assert_eq!(looked_at, at(0) + retry::slow("uid", 0));
    assert_ne!(retry::slow("uid", 0), retry::slow("another", 0));
}

#[test]
fn suspended_asks_nothing_and_is_ready() {
    let mut object = settled();
    object.spec.suspend = true;
    object.metadata.generation = Some(2);
    assert_eq!(asks(&object, at(0), at(500)), Asked::Nothing);
    let plan = see(&object, Answer::Suspended, 1);
    assert_eq!((ready(&plan.status).0, ready(&plan.status).1), ("True", "Suspended"));
    object = with(object, plan.status);
    object.spec.suspend = false;
    object.metadata.generation = Some(3);
    assert_eq!(asks(&object, at(1000), at(2)), Asked::LookUp);
}

#[test]
fn archived_empty_and_branchless_repositories_say_so() {
    let plan = see(&object(), looked_up(Found { archived: true, ..found() }), 0);
    assert_eq!(ready(&plan.status).1, "RepositoryArchived");
    let plan = see(&object(), looked_up(Found { base: Base::Empty, ..found() }), 0);
    assert!(ready(&plan.status).2.contains("push a first commit"));
    let plan = see(&object(), looked_up(Found { base: Base::Missing, ..found() }), 0);
    assert!(ready(&plan.status).2.contains("no branch main"));
}

#[test]
fn moves_that_did_not_all_land_are_made_again_soon() {
    let object = settled();
    let moves = vec![sync::tests::a_move()];
    let plan = see(&object, synced(moves.clone()), 100);
    assert_eq!(plan.step, Some(Step::Move(moves)));
    let next = |all| record(&object, plan.clone(), Outcome::Moved { all }, at(100), at(101)).next;
    assert_eq!((next(true), next(false)), (Next::At(at(100)), Next::After(MOVE_AGAIN)));
}

#[test]
fn first_syncs_are_spread_over_the_interval() {
    let interval = SignedDuration::from_secs(300);
    let due: Vec<_> = (0..100).map(|n| first_sync(&format!("uid-{n}"), interval, at(0))).collect();
    assert!(due.iter().all(|due| (at(0)..at(300)).contains(due)));
    let early = due.iter().filter(|due| **due < at(150)).count();
    assert!((20..=80).contains(&early), "{early} of 100 in the first half");
    assert_eq!(first_sync("uid-1", interval, at(0)), due[1]);
}
