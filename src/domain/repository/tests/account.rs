//! The account that a Repository's calls count for, and the limit that binds it.
//! Builds on the objects of `tests`.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

#[test]
fn the_account_and_its_limit_are_told_and_a_limit_that_hardly_moves_is_not_written_again() {
    let limit = |second: i64, reason: &str| Limits { until: Time(at(second)), reason: reason.into() };
    let told = |object: &Repository, limits: Option<Limits>| {
        let account = Some(Account { name: Some("octocat".into()), limits });
        decide(object, &Observed { account, ..observed(Answer::NotAsked, 100) }, at(0)).status
    };
    let mut object = object();
    object.status = Some(see(&object, looked_up(found()), 0).status);
    let status = told(&object, Some(limit(300, "RateLimited")));
    assert_eq!(
        (status.account.as_deref(), status.limits.clone()),
        (Some("octocat"), Some(limit(300, "RateLimited")))
    );
    object.status = Some(status.clone());
    assert_eq!(told(&object, Some(limit(360, "RateLimited"))), status);
    assert_eq!(told(&object, Some(limit(361, "RateLimited"))).limits, Some(limit(361, "RateLimited")));
    assert_eq!(told(&object, Some(limit(300, "QuotaSpent"))).limits, Some(limit(300, "QuotaSpent")));
    assert_eq!(told(&object, None).limits, None);
    let unknown = see(&object, Answer::NotAsked, 0);
    assert_eq!(unknown.status, status, "after a start nothing is known until the first call");
    assert_eq!(unknown.next, Next::At(at(100)));
    let early = decide(&object, &observed(Answer::NotAsked, 900), at(0));
    assert_eq!(early.next, Next::At(at(301)), "it is over by then");
    assert_eq!(see(&object, Answer::NotAsked, 301).status.limits, None);
}
