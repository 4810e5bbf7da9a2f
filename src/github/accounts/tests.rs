use super::*;
use crate::{
    domain::line::{Named, Waiter, Write},
    github::account::Turn,
};
use std::{sync::OnceLock, time::Duration};
use tokio::time::{Instant, advance};

fn settings(interval: Duration, per_minute: u32) -> Settings {
    Settings { interval, per_minute, per_hour: 0 }
}

/// A machine's clock that goes by the runtime's, which stands still while a test is at work.
fn machine() -> Timestamp {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let now = Instant::now().into_std();
    let gone = now.saturating_duration_since(*START.get_or_init(|| now));
    Timestamp::UNIX_EPOCH + Duration::from_hours(24 * 365) + gone
}

fn accounts(settings: Settings) -> Accounts {
    Accounts { clock: Arc::new(Clock::start(machine)), ..Accounts::new(settings) }
}

fn waiter(uid: &str) -> Waiter {
    Waiter { uid: uid.into(), write: Write::Other, since: Timestamp::UNIX_EPOCH }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn one_name_is_one_account_and_idle_ones_are_forgotten() {
    let accounts = accounts(Settings::default());
    let (first, again, other) = (accounts.of(b"a"), accounts.of(b"a"), accounts.of(b"b"));
    assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
    other.limit(Duration::from_hours(1), Named::Told);
    drop((first, again, other));
    accounts.of(b"c");
    assert_eq!(accounts.known().accounts.len(), 2, "the limited one and the new one");
}

#[tokio::test(start_paused = true)]
async fn turns_are_an_interval_apart_and_one_that_is_far_off_is_the_objects_to_wait_for() {
    let accounts = accounts(settings(4 * SECOND, 0));
    let account = accounts.of(b"a");
    let started = Instant::now();
    drop(account.turn(&waiter("first"), false).await.expect("the line is free"));
    drop(account.turn(&waiter("second"), false).await.expect("four seconds are waited for"));
    assert!(started.elapsed() >= 4 * SECOND);
    let third = async { account.turn(&waiter("third"), false).await.map(drop) };
    let fourth = async {
        tokio::task::yield_now().await;
        account.turn(&waiter("fourth"), false).await.map(drop).expect_err("eight seconds are not")
    };
    let (third, wait) = tokio::join!(third, fourth);
    third.expect("its turn");
    assert_eq!(wait.place, 2);
    // Nobody holds it, so it is called when it can go.
    let called = tokio::time::timeout(10 * SECOND, accounts.called()).await.expect("a call");
    assert_eq!(called, [Arc::from("fourth")]);
    account.turn(&waiter("fourth"), false).await.expect("called in time");
}

#[tokio::test(start_paused = true)]
async fn a_write_under_way_keeps_the_next_one_waiting_and_its_end_lets_it_go() {
    let accounts = accounts(settings(Duration::ZERO, 0));
    let account = accounts.of(b"a");
    let held: Turn<'_> = account.turn(&waiter("first"), false).await.expect("the line is free");
    let ends = async {
        advance(3 * SECOND).await;
        drop(held);
        Instant::now()
    };
    let goes = async { account.turn(&waiter("second"), false).await.map(|_turn| Instant::now()) };
    let (goes, ended) = tokio::join!(goes, ends);
    assert!(goes.expect("its turn") >= ended);
}

#[tokio::test(start_paused = true)]
async fn few_wait_inside_their_calls() {
    let accounts = accounts(settings(Duration::from_millis(100), 0));
    let account = accounts.of(b"a");
    let outcomes = futures::future::join_all((0..30).map(|n| {
        let account = account.clone();
        async move { account.turn(&waiter(&n.to_string()), false).await.map(drop) }
    }));
    let away = outcomes.await.into_iter().filter(Result::is_err).count();
    assert!((15..=22).contains(&away), "{away} of 30, all of whose turns come within 5 s, were sent away");
}

#[tokio::test(start_paused = true)]
async fn a_limit_and_the_calls_of_the_last_minute_outlive_the_leader() {
    let before = accounts(settings(Duration::ZERO, 3));
    let account = before.of(b"a");
    for _ in 0..3 {
        drop(account.turn(&waiter("t"), false).await.expect("three a minute"));
    }
    before.of(b"limited").limit(Duration::from_mins(5), Named::Told);
    let words = before.hand_over(true);
    assert!(!words.contains("limited"), "names are hashed: {words}");

    let after = accounts(settings(Duration::ZERO, 3));
    after.take_over(Some(&words));
    let until = after.of(b"limited").blocked().expect("limited").duration_since(after.clock.now());
    assert!((299..=301).contains(&until.as_secs()), "{until:?}");
    let wait = after.of(b"a").turn(&waiter("t"), false).await.expect_err("a minute is not over");
    let wait = wait.until.duration_since(after.clock.now());
    assert!((50..=70).contains(&wait.as_secs()), "{wait:?}");
    for _ in 0..3 {
        drop(after.of(b"b").turn(&waiter("t"), false).await.expect("nobody has written through it"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_of_an_account_is_not_taken_for_nothing() {
    let strict = settings(SECOND, 5);
    let fresh = accounts(strict);
    fresh.take_over(Some(""));
    drop(fresh.of(b"a").turn(&waiter("t"), false).await.expect("nobody has led before"));
    for words in [None, Some("garbage")] {
        let old = accounts(strict);
        old.take_over(words);
        let _ = old.of(b"a").turn(&waiter("t"), false).await.map(drop);
        old.of(b"a").turn(&waiter("t"), false).await.map(drop).expect_err("the minute may be full");
    }
    let crashed = accounts(strict);
    crashed.of(b"b").limit(Duration::from_mins(5), Named::Told);
    let words = crashed.hand_over(false);
    let next = accounts(strict);
    next.take_over(Some(&words));
    let _ = next.of(b"a").turn(&waiter("t"), false).await.map(drop);
    next.of(b"a")
        .turn(&waiter("t"), false)
        .await
        .map(drop)
        .expect_err("the last leader's last seconds are not known");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_passed_on_than_an_annotation_takes() {
    let accounts = accounts(Settings::default());
    for n in 0..10_000_u32 {
        accounts.of(&n.to_be_bytes()).limit(Duration::from_hours(1), Named::Told);
    }
    let words = accounts.hand_over(false);
    assert!((150_000..256_000).contains(&words.len()), "{} bytes", words.len());
}

#[tokio::test(start_paused = true)]
async fn who_has_written_waits_longer_for_what_follows_and_who_is_gone_for_nothing() {
    let accounts = accounts(settings(10 * SECOND, 0));
    let account = accounts.of(b"a");
    drop(account.turn(&waiter("first"), false).await.expect("the line is free"));
    account.turn(&waiter("second"), false).await.map(drop).expect_err("ten seconds are long");
    assert!(accounts.awaits("second") && !accounts.awaits("first"));
    accounts.leave("second");
    assert!(!accounts.awaits("second"));
    drop(account.turn(&waiter("first"), true).await.expect("its next write follows"));
    let called = tokio::time::timeout(30 * SECOND, accounts.called()).await;
    assert!(called.is_err(), "nobody waits: {called:?}");
}

#[tokio::test(start_paused = true)]
async fn what_this_process_knows_of_limits_outlives_another_leader_that_knows_less() {
    let accounts = accounts(Settings::default());
    let account = accounts.of(b"a");
    account.limit(Duration::from_mins(5), Named::Silent);
    let mut less = Words { ended: false, ..Words::default() };
    less.accounts.insert(key(b"b"), Line::new(Settings::default()).encode(accounts.clock.now(), false));
    accounts.take_over(Some(&serde_json::to_string(&less).expect("JSON")));
    assert!(Arc::ptr_eq(&account, &accounts.of(b"a")), "whoever holds it goes on with it");
    assert!(account.blocked().is_some());
    accounts.take_over(Some(""));
    assert!(account.blocked().is_some(), "a Lease that was deleted says nothing");
}
