//! GitHub's limits and the turns of writes, as the stand-in sees them.

use crate::support::{World, fault, git};
use jiff::{SignedDuration, Timestamp};
use slipway::{domain::failure::Class, github::Error};
use slipway_simulator::{
    Options,
    core::When,
    github::{Token, primary_limit, secondary_limit},
};
use std::time::Duration;

const BLOBS: &str = "POST /repos/{owner}/{repo}/git/blobs";
const REF: &str = "GET /repos/{owner}/{repo}/git/ref/{ref}";

fn until(error: &Error) -> Timestamp {
    match error.class {
        Class::Throttled { until } => until,
        other => panic!("{other:?}: {error}"),
    }
}

/// Whether `until` is `seconds` away, give or take the time the test itself needs.
fn is_away(until: Timestamp, seconds: i64) -> bool {
    let wait = until.duration_since(Timestamp::now()).as_secs();
    (seconds - 5..=seconds + 2).contains(&wait)
}

#[tokio::test]
async fn a_limit_with_a_time_binds_every_call_of_its_credential_and_no_other() {
    let world = World::new();
    world.simulator.github.add_account("second", slipway_simulator::github::AccountKind::User);
    world.simulator.github.add_token(Token::personal("second-token", "second"));
    world.simulator.faults.set(fault(REF).when(When::Next(1)).action(secondary_limit(Some(17))));
    let error = world.client.get_branch_sha(&world.repository, "main").await.unwrap_err();
    assert!(is_away(until(&error), 17), "{error:?}");
    assert_eq!((error.reason, error.status), ("RateLimited", Some(403)));

    let sent = world.count();
    let refused = world.client.get_repository(&world.repository).await.unwrap_err();
    assert_eq!(until(&refused), until(&error));
    assert_eq!(
        world.client.create_blob(&world.repository, "file", b"x").await.unwrap_err().reason,
        "RateLimited"
    );
    // A client made later of the same token is the same credential.
    let later = world.client_of(crate::support::TOKEN);
    assert_eq!(until(&later.get_repository(&world.repository).await.unwrap_err()), until(&error));
    assert_eq!(world.count(), sent, "nothing may be sent while the limit holds");
    assert!(world.client_of("second-token").get_repository(&world.repository).await.is_ok());
}

#[tokio::test]
async fn a_limit_that_names_no_time_waits_a_minute() {
    let world = World::new();
    world.simulator.faults.set(fault(REF).action(secondary_limit(None)));
    let error = world.client.get_branch_sha(&world.repository, "main").await.unwrap_err();
    assert!(is_away(until(&error), 60), "{error:?}");
}

#[tokio::test]
async fn the_primary_limit_waits_for_its_reset() {
    let world = World::new();
    let reset = Timestamp::now() + SignedDuration::from_secs(300);
    world.simulator.faults.set(fault(REF).action(primary_limit(reset)));
    let error = world.client.get_branch_sha(&world.repository, "main").await.unwrap_err();
    assert!(is_away(until(&error), 301), "{error:?}");
}

#[tokio::test]
async fn the_last_call_before_the_limit_is_noticed_and_the_next_not_sent() {
    let world = World::new();
    let reset = Timestamp::now() + SignedDuration::from_secs(120);
    assert_eq!(world.client.account().await.unwrap().name(), Some(crate::support::USER));
    assert!(world.simulator.github.set_rate_limit(crate::support::TOKEN, 1, reset));
    assert!(world.client.get_branch_sha(&world.repository, "main").await.is_ok());
    let sent = world.count();
    let error = world.client.get_branch_sha(&world.repository, "main").await.unwrap_err();
    assert!(is_away(until(&error), 121), "{error:?}");
    assert_eq!(world.count(), sent);
}

#[tokio::test]
async fn a_limit_is_over_when_it_said() {
    let world = World::new();
    world.simulator.faults.set(fault(REF).when(When::Next(1)).action(secondary_limit(Some(1))));
    let error = world.client.get_branch_sha(&world.repository, "main").await.unwrap_err();
    let wait = until(&error).duration_since(Timestamp::now());
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default() + Duration::from_millis(1)).await;
    assert!(world.client.get_branch_sha(&world.repository, "main").await.is_ok());
}

#[tokio::test]
async fn writes_of_one_credential_arrive_one_by_one_an_interval_apart_and_reads_at_once() {
    let interval = Duration::from_millis(1500);
    let world = World::with(Options::default(), interval);
    // The first answer takes longer than the interval: serial means to wait for it.
    world.simulator.faults.set(fault(BLOBS).when(When::Nth(1)).delay_ms(2500));
    let writes = (0..3_u8).map(|n| {
        let client = world.client_of(crate::support::TOKEN);
        let repository = &world.repository;
        // On a busy machine a turn may be more than five seconds away: then it is to come back.
        async move {
            loop {
                let outcome = client.create_blob(repository, "file", &[n]).await;
                let Err(error) = &outcome else { break outcome };
                if error.reason != "WaitingForGitHub" {
                    break outcome;
                }
                let wait = until(error).duration_since(Timestamp::now());
                tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
            }
        }
    });
    let reads = async {
        for _ in 0..5 {
            world.tip().await;
        }
    };
    let (written, ()) = tokio::join!(futures::future::join_all(writes), reads);
    for outcome in written {
        outcome.unwrap();
    }
    let blobs = world.simulator.calls.of("github", BLOBS);
    let apart = |from: usize| blobs[from + 1].real_at.duration_since(blobs[from].real_at).as_millis();
    // Arrival is measured behind the network: one that is held up on a busy machine comes closer to the next.
    assert!(apart(0) >= 2000 && apart(1) >= 700, "{} and {} ms", apart(0), apart(1));
    let reads = world.simulator.calls.of("github", REF);
    assert!(reads.iter().all(|read| read.seq < blobs[1].seq), "a read waited for a write's turn");
}

#[tokio::test]
async fn a_write_that_would_wait_longer_than_five_seconds_is_given_a_time_to_come_back() {
    let world = World::with(Options::default(), Duration::from_secs(20));
    world.client.create_blob(&world.repository, "file", b"1").await.unwrap();
    // Another pass: one that has written waits longer for what follows.
    let other = world.client_of(crate::support::TOKEN);
    let error = other.create_blob(&world.repository, "file", b"2").await.unwrap_err();
    assert_eq!((error.reason, error.status), ("WaitingForGitHub", None));
    assert!(is_away(until(&error), 20), "{error:?}");
    assert_eq!(world.calls("POST /repos/{owner}/{repo}/git/blobs"), 1);
    assert!(world.client.get_branch_sha(&world.repository, "main").await.is_ok(), "reads go on");
    // What did go up is there for git too.
    let directory = world.simulator.github.git_dir(&world.full_name()).unwrap();
    assert_eq!(git(&directory, &["cat-file", "-p", &slipway::domain::git::blob_id(b"1")]), "1");
}
