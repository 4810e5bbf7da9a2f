//! The webhook beside the repository: what is asked, made, mended and taken away.
//! Builds on the objects of `tests`.

use super::*;
use crate::{
    api::{ManageWebhook, Webhook, WebhookStatus, common::LocalRef, conditions::WEBHOOK_READY},
    domain::redelivery::{Again, Checkpoint, Findings},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const RECEIVER: &str = "https://hooks.example.com";
const URL: &str = "https://hooks.example.com/api/webhooks/github?repository=uid";

/// A settled Repository whose webhook is managed.
fn managed() -> Repository {
    let mut object = object();
    object.spec.webhook = Some(Webhook { manage: ManageWebhook::Repository, redeliver: true });
    object.spec.webhook_secret_ref = Some(LocalRef { name: "webhook".into() });
    object.status = Some(see(&object, looked_up(found()), 0).status);
    object
}

fn known(mut object: Repository) -> Repository {
    let webhook =
        WebhookStatus { id: 5, url: URL.into(), secret_version: "s/1".into(), ..WebhookStatus::default() };
    object.status.get_or_insert_default().webhook = Some(webhook);
    object
}

fn deleted(mut object: Repository, second: i64) -> Repository {
    object.metadata.deletion_timestamp = Some(Time(at(second)));
    object
}

fn hook() -> Hook {
    Hook { id: 5, url: URL.into(), listens: true, sends_well: true, missigned: false, trouble: None }
}

fn seen(hook: Option<Hook>, log: Option<Findings>) -> HookSeen {
    HookSeen::Found { hook, url: URL.into(), secret_version: "s/1".into(), log }
}

fn since(class: Class, second: i64) -> HookFailure {
    HookFailure { failure: failure(class), since: at(second) }
}

fn look(object: &Repository, hook: HookSeen, now: i64) -> Plan<RepositoryStatus, Step> {
    decide(object, &Observed { hook, ..observed(Answer::NotAsked, 100) }, at(now))
}

fn done(
    object: &Repository,
    plan: Plan<RepositoryStatus, Step>,
    outcome: HookOutcome,
) -> Plan<RepositoryStatus, Step> {
    record(object, plan, Outcome::Hook(outcome), at(100), at(0))
}

fn ready(status: &RepositoryStatus) -> (String, String) {
    let ready = conditions::find(&status.conditions, WEBHOOK_READY).expect("it is told");
    (ready.status.clone(), ready.reason.clone())
}

fn says(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn it_is_asked_for_where_it_is_managed_and_due() {
    let stage = |object: &Repository, due: i64| hook_stage(object, Some(RECEIVER), at(due), at(0));
    let wanted = HookStage::Look { id: None, url: URL.into() };
    assert_eq!(stage(&managed(), 0), wanted);
    assert_eq!(stage(&managed(), 1), HookStage::Rest, "not due");
    assert_eq!(stage(&object(), 0), HookStage::Rest, "not managed");
    assert_eq!(stage(&known(managed()), 0), HookStage::Look { id: Some(5), url: URL.into() });
    assert_eq!(hook_stage(&managed(), None, at(0), at(0)), HookStage::Nowhere);
    let mut edited = managed();
    edited.metadata.generation = Some(2);
    assert_eq!(stage(&edited, 1), wanted, "a new spec is looked at once");
    edited.status = None;
    assert_eq!(stage(&edited, 0), HookStage::Rest, "the repository is not known");
    let mut suspended = known(managed());
    suspended.spec.suspend = true;
    assert_eq!(stage(&suspended, 0), HookStage::Rest);
    let mut given_back = known(managed());
    given_back.spec.webhook = None;
    assert_eq!(stage(&given_back, 0), HookStage::Remove { id: 5 });
    assert_eq!(stage(&deleted(known(managed()), 0), 0), HookStage::Remove { id: 5 });
}

#[test]
fn one_that_is_missing_is_made_and_kept_with_the_repository() {
    let object = managed();
    let plan = look(&object, seen(None, None), 0);
    let step = HookStep::Make { url: URL.into() };
    assert_eq!((plan.step.clone(), plan.finalizer), (Some(Step::Hook(step)), true));
    assert_eq!(ready(&plan.status), says("False", "WebhookMissing"));
    let made = HookOutcome::Made { id: 5, url: URL.into(), secret_version: "s/1".into() };
    let plan = done(&object, plan, made);
    assert_eq!(plan.status.webhook, known(managed()).status.unwrap_or_default().webhook);
    assert!(plan.finalizer && plan.step.is_none());
}

#[test]
fn a_change_of_address_or_secret_and_the_hand_of_a_stranger_are_mended() {
    let object = known(managed());
    let step = |hook: Hook| look(&object, seen(Some(hook), None), 0).step;
    let configure = |id| HookStep::Configure { id, url: URL.into() };
    assert_eq!(step(hook()), None);
    assert_eq!(
        step(Hook { url: "https://old.example.com".into(), ..hook() }),
        Some(Step::Hook(configure(5)))
    );
    assert_eq!(step(Hook { id: 9, ..hook() }), Some(Step::Hook(configure(9))), "found by its address");
    assert_eq!(step(Hook { listens: false, ..hook() }), Some(Step::Hook(HookStep::Repair { id: 5 })));
    assert_eq!(step(Hook { sends_well: false, ..hook() }), Some(Step::Hook(configure(5))));
    let rotated =
        HookSeen::Found { hook: Some(hook()), url: URL.into(), secret_version: "s/2".into(), log: None };
    let plan = look(&object, rotated, 0);
    let outcome = HookOutcome::Configured { id: 5, url: URL.into(), secret_version: "s/2".into() };
    let webhook = done(&object, plan, outcome).status.webhook.expect("kept");
    assert_eq!((webhook.id, webhook.secret_version.as_str()), (5, "s/2"));
    let told = |outcome: HookOutcome| {
        let plan = done(&object, look(&object, HookSeen::NotAsked, 0), outcome);
        plan.notes.first().map(|note| note.reason)
    };
    let configured =
        |version: &str| HookOutcome::Configured { id: 5, url: URL.into(), secret_version: version.into() };
    let made = HookOutcome::Made { id: 6, url: URL.into(), secret_version: "s/1".into() };
    assert_eq!(told(HookOutcome::Repaired), Some("WebhookRepaired"));
    assert_eq!(told(configured("s/1")), Some("WebhookRepaired"), "nothing of ours was to change");
    assert_eq!(told(configured("s/2")), None);
    assert_eq!(told(made), Some("WebhookRepaired"), "somebody had deleted it");
}

#[test]
fn what_has_not_arrived_is_told_and_sent_again_and_ready_stays() {
    let object = known(managed());
    let checkpoint = Some(Checkpoint { delivered_at: at(-500), id: 70 });
    let again: Vec<_> = [71, 72].map(|attempt| Again { attempt, guid: attempt.to_string() }).into();
    let log =
        Findings { again: again.clone(), checkpoint, last_success: Some(at(-400)), failing: 2, ping: false };
    let plan = look(&object, seen(Some(hook()), Some(log)), 0);
    assert_eq!(plan.step, Some(Step::Hook(HookStep::Redeliver { id: 5, again })));
    assert_eq!(ready(&plan.status), says("False", "DeliveriesFailing"));
    assert!(conditions::is_true(&plan.status.conditions, names::READY));
    let plan = done(&object, plan, HookOutcome::Redelivered(2));
    let webhook = plan.status.webhook.clone().expect("kept");
    assert_eq!(
        (webhook.failing, webhook.redelivered, webhook.checkpoint.map(|point| point.id)),
        (2, 2, Some(70))
    );
    assert_eq!(plan.notes[0].reason, "DeliveriesRedelivered");
    let silent = Findings { ping: true, again: Vec::new(), failing: 2, ..Findings::default() };
    let plan = look(&object, seen(Some(hook()), Some(silent)), 0);
    assert_eq!(plan.step, Some(Step::Hook(HookStep::Ping { id: 5, sign: None })));
    let missigned = Hook { missigned: true, ..hook() };
    let plan = look(&object, seen(Some(missigned), None), 0);
    assert_eq!(plan.step, Some(Step::Hook(HookStep::Ping { id: 5, sign: Some(URL.into()) })));
    let trouble = Hook { trouble: Some("Invalid HTTP Response: 404".into()), ..hook() };
    let plan = look(&object, seen(Some(trouble), None), 0);
    assert_eq!(ready(&plan.status), says("False", "DeliveriesFailing"));
}

#[test]
fn counts_are_written_every_ten_minutes_or_when_something_fails() {
    let mut object = known(managed());
    let log =
        |last: i64, failing: usize| Findings { last_success: Some(at(last)), failing, ..Findings::default() };
    let written = |object: &Repository, log: Findings| {
        look(object, seen(Some(hook()), Some(log)), 2_000)
            .status
            .webhook
            .and_then(|webhook| webhook.last_success)
    };
    assert_eq!(written(&object, log(0, 0)), Some(Time(at(0))));
    object.status = Some(look(&object, seen(Some(hook()), Some(log(0, 0))), 0).status);
    assert_eq!(written(&object, log(599, 0)), Some(Time(at(0))));
    assert_eq!(written(&object, log(600, 0)), Some(Time(at(600))));
    assert_eq!(written(&object, log(10, 1)), Some(Time(at(10))));
}

#[test]
fn it_goes_with_the_repository_or_when_it_is_given_back_and_holds_up_neither_for_ever() {
    let object = deleted(known(managed()), 0);
    let plan = look(&object, HookSeen::Unwanted { id: 5 }, 0);
    assert_eq!((plan.step.clone(), plan.finalizer), (Some(Step::Hook(HookStep::Remove { id: 5 })), true));
    assert!(!done(&object, plan.clone(), HookOutcome::Removed).finalizer);
    let busy = done(&object, plan.clone(), HookOutcome::Failed(since(Class::Transient, 0)));
    assert!(busy.finalizer && busy.notes.is_empty());
    let denied = done(&object, plan.clone(), HookOutcome::Failed(since(Class::Denied, 0)));
    assert_eq!((denied.finalizer, denied.notes[0].reason), (false, "LeftBehind"));
    let long = deleted(known(managed()), -600);
    let waits = done(&long, plan.clone(), HookOutcome::Failed(since(Class::Transient, 0)));
    assert!(waits.finalizer, "the operator may have been away");
    let young = deleted(known(managed()), -599);
    assert!(done(&young, plan.clone(), HookOutcome::Failed(since(Class::Transient, -3_600))).finalizer);
    let blip = done(&long, plan.clone(), HookOutcome::Failed(since(Class::Transient, -59)));
    assert!(blip.finalizer, "it may pass");
    let late = done(&long, plan, HookOutcome::Failed(since(Class::Transient, -60)));
    assert_eq!((late.finalizer, late.notes[0].reason), (false, "LeftBehind"), "whoever has waited");

    let mut given_back = known(managed());
    given_back.spec.webhook = None;
    let plan = look(&given_back, HookSeen::Unwanted { id: 5 }, 0);
    let plan = done(&given_back, plan, HookOutcome::Removed);
    assert_eq!((plan.status.webhook.clone(), plan.finalizer), (None, false));
    given_back.status = Some(plan.status);
    let rests = look(&given_back, HookSeen::NotAsked, 0);
    assert!(conditions::find(&rests.status.conditions, WEBHOOK_READY).is_none());
}

#[test]
fn what_is_wrong_is_told_with_its_cure_and_nothing_is_changed() {
    for (seen, reason) in [
        (HookSeen::Nowhere, "WebhookURLMissing"),
        (HookSeen::NoSecret("Secret webhook does not exist".into()), "WebhookSecretMissing"),
        (HookSeen::Failed(since(Class::Denied, 0)), "Why"),
    ] {
        let plan = look(&managed(), seen, 0);
        assert_eq!((ready(&plan.status), plan.step.clone()), (says("False", reason), None));
        assert!(conditions::is_true(&plan.status.conditions, names::READY));
    }
}

#[test]
fn what_asks_nothing_of_github_ends_no_failure() {
    // Else a removal that fails again and again would hold up a deletion for ever.
    assert!(seen(None, None).is_answer() && HookSeen::Nothing.is_answer());
    for quiet in [
        HookSeen::NotAsked,
        HookSeen::Nowhere,
        HookSeen::NoSecret(String::new()),
        HookSeen::Unwanted { id: 5 },
    ] {
        assert!(!quiet.is_answer(), "{quiet:?}");
    }
}

#[test]
fn its_look_waits_for_no_sync_and_for_no_backoff_of_one() {
    let object = known(managed());
    for answer in [Answer::NotAsked, failed(failure(Class::Transient)), failed(failure(Class::Denied))] {
        let seen = Observed { next_hook: Some(at(1)), ..observed(answer, 100) };
        assert_eq!(decide(&object, &seen, at(0)).next, Next::At(at(1)));
    }
}

#[test]
fn one_that_a_pass_could_not_write_is_searched_for_before_the_object_goes() {
    let gone = |mut object: Repository| {
        object.metadata.finalizers = Some(vec![FINALIZER.into()]);
        object
    };
    let stage = |object: &Repository| hook_stage(object, Some(RECEIVER), at(0), at(0));
    let object = gone(deleted(managed(), 0));
    assert_eq!(stage(&object), HookStage::Search { url: URL.into() });
    assert_eq!(stage(&deleted(managed(), 0)), HookStage::Rest, "never managed");
    let plan = look(&object, HookSeen::Unwanted { id: 5 }, 0);
    assert!(plan.finalizer && plan.step == Some(Step::Hook(HookStep::Remove { id: 5 })));
    assert!(done(&object, plan.clone(), HookOutcome::Failed(since(Class::Transient, 0))).finalizer);
    assert!(look(&object, HookSeen::NotAsked, 0).finalizer, "nobody has looked");
    assert!(look(&object, HookSeen::Failed(since(Class::Transient, 0)), 0).finalizer);
    assert!(!look(&object, HookSeen::Failed(since(Class::Denied, 0)), 0).finalizer);
    assert!(!look(&object, HookSeen::Nothing, 0).finalizer, "there is none");
    assert_eq!(hook_stage(&object, None, at(0), at(0)), HookStage::Nothing);

    let mut suspended = gone(deleted(known(managed()), 0));
    suspended.spec.suspend = true;
    assert_eq!(stage(&suspended), HookStage::Remove { id: 5 }, "it does not wait for ever");
}

#[test]
fn a_failure_that_may_pass_is_no_news_for_five_minutes_and_a_place_in_the_line_is_none() {
    let object = known(managed());
    let delivering = with(object.clone(), look(&object, seen(Some(hook()), None), 0).status);
    let told = |object: &Repository, class: Class, began: i64| {
        let plan = look(object, HookSeen::Failed(since(class, began)), 0);
        (ready(&plan.status), plan.status)
    };
    assert_eq!(told(&delivering, Class::Transient, -299).0, says("True", "Delivering"));
    let (says_so, status) = told(&delivering, Class::Transient, -300);
    assert_eq!(says_so, says("False", "Why"));
    assert_eq!(told(&delivering, Class::Denied, 0).0, says("False", "Why"));
    let mut other = since(Class::Transient, -400);
    other.failure.message = "another place".into();
    let again = look(&with(object, status.clone()), HookSeen::Failed(other), 0);
    assert_eq!(again.status, status, "no write");
}
