//! A repository that is not shown any more, or whose name is another's.
//! Part of the tests of `repository`.

use super::*;

#[test]
fn one_404_of_a_repository_or_its_list_unsettles_nothing_and_is_looked_at_soon() {
    for answer in [Answer::LookedUp(Ok(None)), listed(Listing::Absent), failed(failure(Class::NotFound))] {
        let plan = see(&settled(), answer, 100);
        assert_eq!((ready(&plan.status).1, plan.next), ("Synced", Next::At(at(105))));
        let object = with(settled(), plan.status);
        assert!(is_settled(&object));
        let plan = see(&object, looked_up(found()), 105);
        assert!(plan.status.retry.is_none());
    }
}

/// Tasks write by its name: they have to stop before they write into another's.
#[test]
fn a_repository_whose_name_is_anothers_by_now_is_gone_at_once_and_found_again_by_its_id() {
    let plan = see(&settled(), listed(Listing::Replaced), 100);
    assert_eq!((ready(&plan.status).0, ready(&plan.status).1), ("False", "RepositoryGone"));
    assert!(is(&plan.status, names::RECONCILING) && plan.step.is_none(), "one 404 proves little");
    assert_eq!((plan.status.repository_id, plan.next), (Some(7), Next::At(at(105))));
    let gone = with(settled(), plan.status);
    assert_eq!(asks(&gone, at(400), at(105)), Asked::LookUp, "by its id, never by that list");
    let plan = see(&gone, Answer::LookedUp(Ok(None)), 105);
    assert_eq!(ready(&plan.status).1, "RepositoryGone");
    let plan = see(&gone, looked_up(Found { full_name: "acme/renamed".into(), ..found() }), 105);
    assert_eq!((ready(&plan.status).1, plan.status.full_name.as_deref()), ("Synced", Some("acme/renamed")));
}
