//! Repositories under a GitHub App, of whose installation they may not be (any more).
//! Builds on the objects of `tests`.

use super::*;

fn lacking(reason: &'static str) -> Answer {
    let (operation, class) = ("createInstallationToken", Class::NotFound);
    Answer::LookedUp(Err(Failure { operation, class, reason, message: "give it".into() }))
}

#[test]
fn what_an_installation_lacks_is_created_only_where_that_is_wanted_and_it_was_never_there() {
    let reason = reason::REPOSITORY_NOT_IN_INSTALLATION;
    let see = |object: &Repository| see(object, lacking(reason), 0);
    let mut wanted = object();
    let plan = see(&wanted);
    assert_eq!((plan.step.clone(), ready(&plan.status).1), (None, reason));
    wanted.spec.create_policy = CreatePolicy::IfMissing;
    assert!(matches!(see(&wanted).step, Some(Step::Create(_))));
    wanted.status = Some(RepositoryStatus { repository_id: Some(7), ..RepositoryStatus::default() });
    assert_eq!(see(&wanted).step, None, "what was there is never made again");
}

/// Access may be given minutes after the object was made: that is no attempt of a call.
#[test]
fn what_an_installation_is_given_later_begins_a_new_count() {
    for reason in [reason::REPOSITORY_NOT_IN_INSTALLATION, reason::REPOSITORY_GONE] {
        let mut object = object();
        let mut now = 0;
        for look in 0..6 {
            let plan = see(&object, lacking(reason), now);
            assert_eq!(is(&plan.status, names::STALLED), look > 4, "look {look}");
            let (_, why, message) = ready(&plan.status);
            assert_eq!((why, message), (reason, "give it"));
            now += 600;
            object = with(object, plan.status);
        }
        let plan = see(&object, Answer::LookedUp(Err(failure(Class::Transient))), now);
        let retry = plan.status.retry.as_ref().expect("said in status");
        assert_eq!((retry.attempt, plan.notes.len()), (1, 0));
        assert_eq!(ready(&plan.status).1, "Retrying");
    }
}

#[test]
fn one_that_exists_and_is_not_shown_is_asked_for_again_without_a_word() {
    let mut object = object();
    object.spec.create_policy = CreatePolicy::IfMissing;
    let absent = lacking(reason::REPOSITORY_NOT_IN_INSTALLATION);
    let plan = see(&object, absent.clone(), 0);
    assert_eq!(ready(&plan.status).1, "Creating");
    let refused = Failure {
        reason: reason::EXISTS_BUT_NOT_VISIBLE,
        operation: "createRepository",
        ..failure(Class::Denied)
    };
    let told = record(&object, plan, Outcome::Created(Err(refused)), at(100), at(0));
    assert_eq!(ready(&told.status).1, "ExistsButNotVisible");
    object = with(object, told.status.clone());
    let plan = see(&object, absent, 600);
    assert!(matches!(plan.step, Some(Step::Create(_))));
    assert_eq!(plan.status, told.status, "no write");
}
