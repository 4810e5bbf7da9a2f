//! Uploads that end early and go on: deadline, failure, restart.

use crate::{
    commit::{run, run_until},
    support::{Spool, World, fault},
};
use slipway::{
    controllers::task::commit::Prepared,
    domain::{failure::Class, files::Mode},
};
use slipway_simulator::core::When;
use std::time::Duration;
use tokio::time::Instant;

const BLOBS: &str = "POST /repos/{owner}/{repo}/git/blobs";
const BLOB: &str = "GET /repos/{owner}/{repo}/git/blobs/{file_sha}";

/// Five binary files and a text.
fn spool() -> Spool {
    let names = ["b0", "b1", "b2", "b3", "b4"];
    let contents: Vec<[u8; 2]> = (0..5).map(|n| [0, n]).collect();
    let mut files: Vec<(&str, Mode, &[u8])> = names
        .iter()
        .zip(&contents)
        .map(|(name, content)| (*name, Mode::Regular, content.as_slice()))
        .collect();
    files.push(("text", Mode::Regular, b"t"));
    Spool::of(&files)
}

/// As if the process that wrote the ledger had ended.
fn restart(spool: &Spool) {
    let text = std::fs::read_to_string(spool.ledger()).unwrap();
    let lines: Vec<String> =
        text.lines().map(|line| format!("1-1 {}", line.split_once(' ').unwrap().1)).collect();
    std::fs::write(spool.ledger(), lines.join("\n")).unwrap();
}

#[tokio::test]
async fn a_pass_whose_time_is_over_says_how_far_it_came() {
    let world = World::new();
    let (spool, base) = (spool(), world.tip().await);
    let none = run_until(&world, &spool, &base, Instant::now()).await.unwrap();
    assert_eq!(none, Prepared::Progress { uploaded: 0, of: 6, failure: None });
    world.simulator.faults.set(fault(BLOBS).when(When::Nth(2)).delay_ms(2500));
    let soon = Instant::now() + Duration::from_secs(2);
    let two = run_until(&world, &spool, &base, soon).await.unwrap();
    assert_eq!(two, Prepared::Progress { uploaded: 2, of: 6, failure: None });
    assert!(matches!(run(&world, &spool, &base).await.unwrap(), Prepared::Commit { .. }));
    assert_eq!(world.calls(BLOBS), 5, "each content once");
}

#[tokio::test]
async fn a_failure_after_some_progress_is_both() {
    let world = World::new();
    let (spool, base) = (spool(), world.tip().await);
    let rule = world.simulator.faults.set(fault(BLOBS).when(When::After(2)).status(502, ""));
    let Prepared::Progress { uploaded: 2, of: 6, failure: Some(failure) } =
        run(&world, &spool, &base).await.unwrap()
    else {
        panic!("two blobs were accepted");
    };
    assert_eq!((failure.operation, failure.class), ("createBlob", Class::Transient));
    let failure = run(&world, &spool, &base).await.unwrap_err();
    assert_eq!(failure.class, Class::Transient, "no progress this time");
    world.simulator.faults.remove(rule);
    world
        .simulator
        .faults
        .set(fault(BLOBS).when(When::Nth(2)).status(403, "Resource not accessible by integration"));
    let failure = run(&world, &spool, &base).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "what a retry can't cure is no progress");
}

#[tokio::test]
async fn after_a_restart_accepted_contents_are_asked_for_and_not_sent_again() {
    let world = World::new();
    let (spool, base) = (spool(), world.tip().await);
    let rule = world.simulator.faults.set(fault(BLOBS).when(When::After(3)).status(502, ""));
    run(&world, &spool, &base).await.unwrap();
    world.simulator.faults.remove(rule);
    restart(&spool);
    let sent = world.calls(BLOBS);
    assert!(matches!(run(&world, &spool, &base).await.unwrap(), Prepared::Commit { .. }));
    assert_eq!((world.calls(BLOBS) - sent, world.calls(BLOB)), (2, 3));
}

#[tokio::test]
async fn what_github_has_lost_meanwhile_is_sent_again() {
    let world = World::new();
    let (spool, base) = (spool(), world.tip().await);
    let id = &spool.snapshot.files[0].blob;
    std::fs::write(spool.ledger(), format!("1-1 {} {id}\n", world.full_name())).unwrap();
    assert!(matches!(run(&world, &spool, &base).await.unwrap(), Prepared::Commit { .. }));
    assert_eq!((world.calls(BLOBS), world.calls(BLOB)), (5, 1));
}

#[tokio::test]
async fn a_write_that_must_wait_long_for_its_turn_is_progress_and_says_what_it_waits_for() {
    let world = World::with(slipway_simulator::Options::default(), Duration::from_secs(50));
    let outcome = run(&world, &spool(), &world.tip().await).await.unwrap();
    let Prepared::Progress { uploaded: 1, of: 6, failure: Some(failure) } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(failure.reason, slipway::api::conditions::reason::WAITING_FOR_GITHUB);
}

#[tokio::test]
async fn a_content_github_does_not_find_any_more_is_sent_again() {
    let world = World::new();
    let (spool, base) = (spool(), world.tip().await);
    let id = &spool.snapshot.files[0].blob;
    let trees = fault("POST /repos/{owner}/{repo}/git/trees").when(When::Next(1));
    world.simulator.faults.set(trees.status(422, &format!("tree.sha {id} is not a valid blob")));
    let failure = run(&world, &spool, &base).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.reason),
        (Class::Transient, slipway::api::conditions::reason::OBJECT_MISSING)
    );
    let sent = world.calls(BLOBS);
    assert!(matches!(run(&world, &spool, &base).await.unwrap(), Prepared::Commit { .. }));
    assert_eq!(world.calls(BLOBS), sent + 5);
}
