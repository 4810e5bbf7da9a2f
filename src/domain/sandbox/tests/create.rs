//! Bringing up: every point at which a create can end without a recorded id.

use super::*;

fn step_of(sandbox: &Sandbox, observed: &Sights, now: i64) -> Option<Step> {
    decide(sandbox, observed, at(now)).step
}

fn create(attempt: i64) -> Step {
    let key = format!("0f1e2d3c000040008000000000000001x1x{attempt}");
    Step::Create { incarnation: 1, key }
}

#[test]
fn a_new_object_gets_its_finalizer_and_an_intent_before_the_create() {
    let asked = Context::default();
    assert_eq!(reads(&fresh(), &asked, at(0)), Read::Secrets, "nothing to look for before the first create");
    let plan = decide(&fresh(), &idle(), at(0));
    assert_eq!(plan.step, Some(create(1)));
    assert!(plan.intent && plan.finalizer);
    let intent = plan.status.creating.clone().expect("intent");
    assert_eq!((intent.incarnation, intent.attempt, intent.requested_at.0), (1, 1, at(0)));
    assert_eq!(stands(&plan.status), standing(Standing::Reconciling, reason::CREATING));
}

#[test]
fn the_answer_ends_the_intent_and_the_object_is_ready() {
    let plan = decide(&fresh(), &idle(), at(5));
    let mut outcome = ended(Ended::Created { id: "i1".into() });
    outcome.sent = at(5);
    outcome.mark = Some(Marked { before: String::new(), written: "1.0.0".into(), lacks_run: false });
    let status = record(&fresh(), plan, outcome, at(7)).status;
    assert_eq!((status.sandbox_id.as_deref(), status.incarnation), (Some("i1"), Some(1)));
    assert_eq!(status.creating, None);
    assert_eq!(status.state, Some(SandboxState::Running));
    assert_eq!(status.expires_at.clone(), Some(Time(at(305))), "from the sending: never over-estimated");
    assert_eq!((status.credential.as_deref(), status.recreations), (Some(KEY), 0));
    assert_eq!(stands(&status), standing(Standing::Ready, reason::RUNNING));
    assert_eq!(message(&status), "E2B sandbox i1 is running");
    let settled = with(fresh(), |s| *s = status);
    assert_eq!(reads(&settled, &Context { needed: true, ..Context::default() }, at(8)), Read::Nothing);
}

#[test]
fn after_a_crash_the_list_decides() {
    use CreateAnswer::{Failed, Lost, Refused};
    // What is known of the attempt, when it is looked at, what is done if the list shows none.
    let table = [
        (None, 29, None, "the list is no proof of absence before 30 s"),
        (None, 30, Some(create(1)), "then the same key"),
        (Some(Lost), 2, Some(create(1)), "a lost answer: the same key"),
        (Some(Refused), 2, Some(create(2)), "nothing came of a refusal: a new key at once"),
        (Some(Failed), 99, None, "something may come of a failure for 100 s"),
        (Some(Failed), 100, Some(create(2)), "then a new key, because errors are replayed"),
    ];
    for (answer, now, step, why) in table {
        let sandbox = creating(1, answer);
        assert_eq!(reads(&sandbox, &Context::default(), at(now)), Read::ListAndSecrets, "{why}");
        assert_eq!(step_of(&sandbox, &listed(vec![]), now), step, "{answer:?} {now}: {why}");
        let found = decide(&sandbox, &listed(vec![seen("i7", Life::Running, 300)]), at(now));
        assert_eq!(
            (found.step, found.status.sandbox_id.as_deref(), found.status.creating),
            (Some(Step::Mark { id: "i7".into(), text: "1.0.0".into() }), Some("i7"), None),
            "found: taken, whatever is known of the attempt"
        );
        let check = (answer != Some(Refused)).then(|| Time(at(100)));
        assert_eq!(found.status.orphan_check_at, check, "{answer:?}: more may come of a doubtful one");
    }
}

#[test]
fn of_several_the_oldest_is_kept_and_the_others_are_killed_one_a_pass() {
    let old = seen("i8", Life::Running, 300);
    let mut young = seen("i7", Life::Running, 300);
    young.started_at = at(1);
    let mut youngest = seen("i6", Life::Running, 300);
    youngest.started_at = at(2);
    let plan = decide(&creating(1, None), &listed(vec![youngest.clone(), young.clone(), old.clone()]), at(3));
    assert_eq!(plan.status.sandbox_id.as_deref(), Some("i8"));
    assert_eq!((plan.step.clone(), plan.intent), (Some(Step::Kill { id: "i7".into() }), true));
    let status = record(
        &creating(1, None),
        plan,
        ended(Ended::Killed { id: "i7".into(), result: Ok(KillEnd::Killed) }),
        at(3),
    )
    .status;
    assert_eq!(status.orphan_check_at.clone(), Some(Time(at(100))));
    let sandbox = with(fresh(), |s| *s = status);
    assert_eq!(reads(&sandbox, &Context::default(), at(99)), Read::Get, "it is still to be marked");
    let asked = Context { last_look: Some(at(95)), ..Context::default() };
    assert_eq!(reads(&sandbox, &asked, at(99)), Read::Nothing);
    assert_eq!(reads(&sandbox, &asked, at(100)), Read::List);
    let plan = decide(&sandbox, &listed(vec![youngest, old.clone()]), at(100));
    assert_eq!(plan.step.clone(), Some(Step::Kill { id: "i6".into() }));
    let status = record(
        &sandbox,
        plan,
        ended(Ended::Killed { id: "i6".into(), result: Ok(KillEnd::Killed) }),
        at(100),
    )
    .status;
    let sandbox = with(fresh(), |s| *s = status);
    assert_eq!(sandbox.status.as_ref().and_then(|s| s.orphan_check_at.clone()), Some(Time(at(110))));
    let plan = decide(&sandbox, &listed(vec![old]), at(110));
    assert_eq!((plan.step, plan.status.orphan_check_at), (None, None), "the own one is left");
}

#[test]
fn a_failed_kill_of_an_orphan_is_made_again_and_leaves_the_object_ready() {
    let sandbox = with(running(), |s| s.orphan_check_at = Some(Time(at(100))));
    let orphan = seen("i6", Life::Running, 300);
    let plan = decide(&sandbox, &listed(vec![orphan]), at(100));
    let outcome = ended(Ended::Killed { id: "i6".into(), result: Err(failure(Class::Transient)) });
    let status = record(&sandbox, plan, outcome, at(100)).status;
    assert_eq!(status.orphan_check_at.clone(), Some(Time(at(130))));
    assert_eq!(stands(&status), standing(Standing::Ready, reason::RUNNING));
}

#[test]
fn a_sandbox_of_another_object_or_incarnation_is_never_adopted() {
    let mut anothers = seen("i9", Life::Running, 300);
    anothers.metadata.insert("slipway/uid".into(), "another".into());
    let mut older = seen("i8", Life::Running, 300);
    older.metadata.insert("slipway/incarnation".into(), "0".into());
    let unmarked =
        E2bSandbox { metadata: std::collections::BTreeMap::new(), ..seen("i7", Life::Running, 300) };
    let list = vec![anothers, older, unmarked];
    assert_eq!(step_of(&creating(1, None), &listed(list.clone()), 30), Some(create(1)));
    let sandbox = with(running(), |s| s.orphan_check_at = Some(Time(at(100))));
    assert_eq!(
        step_of(&sandbox, &listed(list), 100),
        Some(Step::Kill { id: "i8".into() }),
        "of ours only what is not the recorded one is killed"
    );
}

/// A status that another leader has overtaken knows nothing of the sandbox that took the place of its own.
#[test]
fn a_later_incarnation_is_no_orphan() {
    let sandbox = with(running(), |s| s.orphan_check_at = Some(Time(at(100))));
    for (incarnation, killed) in [(1, true), (2, false)] {
        let mut other = seen("i9", Life::Running, 300);
        other.metadata.insert("slipway/incarnation".into(), incarnation.to_string());
        let step = step_of(&sandbox, &listed(vec![other]), 100);
        assert_eq!(step.is_some(), killed, "incarnation {incarnation}");
    }
}

#[test]
fn how_a_create_failed_is_recorded_and_what_follows() {
    use CreateAnswer::{Failed, Lost, Refused};
    let template = |class| Failure { reason: reason::TEMPLATE_NOT_FOUND, ..failure(class) };
    let table = [
        (Lost, failure(Class::Transient), Standing::Reconciling, reason::RETRYING),
        (Failed, failure(Class::Transient), Standing::Reconciling, reason::RETRYING),
        (Refused, failure(Class::Transient), Standing::Reconciling, reason::RETRYING),
        (Refused, failure(Class::Denied), Standing::Stalled, "Why"),
        (Refused, template(Class::Invalid), Standing::Stalled, reason::TEMPLATE_NOT_FOUND),
    ];
    for (answer, failure, wanted, reason) in table {
        let plan = decide(&fresh(), &idle(), at(0));
        let plan = record(&fresh(), plan, ended(Ended::NotCreated { answer, failure }), at(1));
        let intent = plan.status.creating.clone().expect("the intent stays");
        assert_eq!((intent.attempt, intent.answer), (1, Some(answer)));
        assert_eq!(stands(&plan.status), standing(wanted, reason));
        assert!(plan.status.retry.is_some() && plan.finalizer);
        let waiting = with(fresh(), |s| *s = plan.status);
        assert_eq!(
            reads(&waiting, &Context::default(), at(1)),
            Read::Nothing,
            "status.retry forbids every call"
        );
    }
}

#[test]
fn a_mended_spec_tries_again_at_once_with_the_next_attempt() {
    let plan = decide(&fresh(), &idle(), at(0));
    let refused = Ended::NotCreated { answer: CreateAnswer::Refused, failure: failure(Class::Invalid) };
    let status = record(&fresh(), plan, ended(refused), at(1)).status;
    let mut mended = with(fresh(), |s| *s = status);
    mended.metadata.generation = Some(2);
    assert_eq!(reads(&mended, &Context::default(), at(2)), Read::ListAndSecrets);
    let plan = decide(&mended, &listed(vec![]), at(2));
    assert_eq!(plan.step, Some(create(2)));
    assert_eq!((plan.status.retry, plan.status.observed_generation), (None, 2));
}

#[test]
fn what_clears_the_retry_does_not_shorten_the_wait_after_a_failed_answer() {
    let mut sandbox = with(creating(3, Some(CreateAnswer::Failed)), |s| {
        s.retry = Some(crate::domain::retry::after(None, &failure(Class::Transient), UID, at(1)).retry);
    });
    sandbox.metadata.generation = Some(2);
    let plan = decide(&sandbox, &listed(vec![]), at(2));
    assert_eq!((plan.step, plan.next), (None, Next::At(at(100))));
    assert_eq!(plan.status.creating.expect("intent").attempt, 3);
}

#[test]
fn a_repeated_attempt_keeps_what_was_said_of_the_last() {
    let plan = decide(&fresh(), &idle(), at(0));
    let refused = Ended::NotCreated { answer: CreateAnswer::Refused, failure: failure(Class::Invalid) };
    let before = record(&fresh(), plan, ended(refused), at(1)).status;
    let again = decide(&with(fresh(), |s| *s = before.clone()), &listed(vec![]), at(400));
    assert_eq!(again.step, Some(create(2)));
    assert_eq!(again.status.conditions, before.conditions, "Stalled does not flicker");
}

#[test]
fn a_lost_sandbox_is_replaced_when_it_is_needed() {
    let hold = |sandbox| spec(sandbox, |s| s.recovery.policy = RecoveryPolicy::Hold);
    let expired = |sandbox| with(sandbox, |s| s.history[0].reason = "Expired".into());
    let table = [
        (gone(), needed(), true, Standing::Reconciling, reason::CREATING),
        (gone(), idle(), false, Standing::Ready, reason::IDLE),
        (hold(gone()), needed(), false, Standing::Stalled, reason::SANDBOX_GONE),
        (hold(gone()), idle(), false, Standing::Stalled, reason::SANDBOX_GONE),
        (expired(hold(gone())), idle(), false, Standing::Ready, reason::IDLE),
        (expired(hold(gone())), needed(), false, Standing::Stalled, reason::SANDBOX_GONE),
    ];
    for (sandbox, observed, replaced, wanted, reason) in table {
        let plan = decide(&sandbox, &observed, at(1));
        assert_eq!(plan.step.is_some(), replaced);
        assert_eq!(stands(&plan.status), standing(wanted, reason));
        assert_eq!(reads(&sandbox, &observed.context, at(1)) == Read::Secrets, replaced);
    }
    let plan = decide(&gone(), &needed(), at(1));
    let intent = plan.status.creating.clone().expect("intent");
    assert_eq!((intent.incarnation, intent.attempt), (2, 1));
    assert_eq!((plan.status.sandbox_id.as_deref(), plan.status.incarnation), (Some("i1"), Some(1)));
    let status = record(&gone(), plan, ended(Ended::Created { id: "i2".into() }), at(2)).status;
    assert_eq!((status.incarnation, status.recreations, status.history.len()), (Some(2), 1, 1));
}

#[test]
fn replacements_wait_longer_the_more_were_lost_within_an_hour() {
    // Ends of the lost ones in seconds, and when the next may be made.
    let table: [(&[i64], i64); 6] = [
        (&[5_000], 5_000),
        (&[0, 5_000], 5_000),
        (&[4_000, 5_000], 5_010),
        (&[3_900, 4_000, 5_000], 5_020),
        (&[3_000, 3_200, 3_400, 3_600, 3_800, 4_000, 4_200, 5_000], 5_600),
        (&[2_900, 3_000, 3_200, 3_400, 3_600, 3_800, 4_000, 4_200, 4_800, 5_000], 5_600),
    ];
    for (ends, next) in table {
        let sandbox = with(gone(), |s| {
            s.history = (1..).zip(ends).map(|(incarnation, end)| past(incarnation, *end)).collect();
        });
        assert!(decide(&sandbox, &needed(), at(next)).step.is_some(), "{ends:?}: not at {next}");
        if next > 5_000 {
            let plan = decide(&sandbox, &needed(), at(next - 1));
            assert_eq!((plan.step, plan.next), (None, Next::At(at(next))), "{ends:?}");
            assert_eq!(stands(&plan.status).0, Standing::Reconciling);
        }
    }
    let hour_old = with(gone(), |s| s.history = vec![past(1, 1_410), past(2, 4_000), past(3, 5_000)]);
    assert!(decide(&hour_old, &needed(), at(5_010)).step.is_some(), "what is an hour old counts no more");
}

#[test]
fn a_missing_secret_is_waited_for_before_any_intent() {
    let missing = || no_secret();
    for observed in
        [Sights { credential: Err(missing()), ..idle() }, Sights { env: Err(missing()), ..idle() }]
    {
        let mut sandbox = fresh();
        let mut stalled = false;
        for now in [0, 10, 30, 70, 150, 300, 900] {
            let plan = decide(&sandbox, &observed, at(now));
            assert_eq!((plan.step, plan.status.creating.clone()), (None, None));
            let (standing, reason) = stands(&plan.status);
            assert_eq!(reason, reason::SECRET_NOT_FOUND);
            assert!(plan.finalizer && (!stalled || standing == Standing::Stalled));
            stalled = standing == Standing::Stalled;
            sandbox = with(sandbox, |s| *s = plan.status);
        }
        assert!(stalled, "after two minutes it needs a person");
    }
    let invalid = Sights { credential: Err(wrong_secret()), ..idle() };
    assert_eq!(
        stands(&decide(&fresh(), &invalid, at(0)).status),
        standing(Standing::Stalled, reason::CREDENTIALS_INVALID)
    );
}

#[test]
fn waiting_for_a_secret_uses_up_no_attempt_of_the_create() {
    let missing = Sights { credential: Err(no_secret()), ..idle() };
    let mut sandbox = fresh();
    for now in [0, 10, 30, 70] {
        sandbox = with(sandbox.clone(), |s| *s = decide(&sandbox, &missing, at(now)).status);
    }
    let plan = decide(&sandbox, &idle(), at(200));
    let lost = Ended::NotCreated { answer: CreateAnswer::Lost, failure: failure(Class::Transient) };
    let status = record(&sandbox, plan, ended(lost), at(201)).status;
    assert_eq!(status.retry.expect("retry").attempt, 1);
}

#[test]
fn what_a_sandbox_is_made_with_is_on_record_from_the_intent_on() {
    let version = |version: &str| SecretVersion { name: "keys".into(), version: version.into() };
    let with_secret = |number: &str| Sights { env: Ok(vec![version(number)]), ..needed() };
    let plan = decide(&fresh(), &with_secret("1"), at(0));
    assert_eq!(
        plan.status.creating.as_ref().map(|creating| creating.secret_versions.clone()),
        Some(vec![version("1")])
    );
    // The Secret has changed meanwhile: a sandbox of the first attempt may still appear, unless it was refused.
    for (answer, recorded) in [
        (CreateAnswer::Lost, vec![version("1"), version("2")]),
        (CreateAnswer::Failed, vec![version("1"), version("2")]),
        (CreateAnswer::Refused, vec![version("2")]),
    ] {
        let before = with(fresh(), |s| {
            *s = plan.status.clone();
            s.creating.as_mut().expect("an intent").answer = Some(answer);
        });
        let again = decide(&before, &with_secret("2"), at(200));
        let outcome = ended(Ended::Created { id: "i1".into() });
        let made = record(&before, again, outcome, at(201)).status;
        assert_eq!((made.sandbox_id.as_deref(), made.secret_versions), (Some("i1"), recorded), "{answer:?}");
    }
}
