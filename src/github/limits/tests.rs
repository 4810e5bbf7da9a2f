use super::*;

fn credential(interval: Duration) -> Credential {
    Credential::new(interval)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn told(seconds: u64) -> Limit {
    Limit { wait: Some(Duration::from_secs(seconds)) }
}

const SILENT: Limit = Limit { wait: None };

#[test]
fn a_limit_holds_until_the_time_it_named() {
    let credential = credential(Duration::ZERO);
    assert_eq!(credential.limit(told(30), at(1000)), at(1030));
    assert_eq!(credential.limited(at(1029)), Some(at(1030)));
    assert_eq!(credential.limited(at(1030)), None);
}

#[test]
fn a_shorter_limit_does_not_shorten_a_longer_one() {
    let credential = credential(Duration::ZERO);
    credential.limit(told(300), at(1000));
    assert_eq!(credential.limit(told(5), at(1001)), at(1300));
}

#[test]
fn silent_limits_double_from_a_minute_to_ten_and_start_again_after_a_success() {
    let credential = credential(Duration::ZERO);
    let mut now = 1000;
    for wait in [60, 120, 240, 480, 600, 600] {
        assert_eq!(credential.limit(SILENT, at(now)), at(now + wait));
        now += wait;
    }
    credential.unlimited();
    assert_eq!(credential.limit(SILENT, at(now)), at(now + 60));
}

#[test]
fn a_wrong_header_never_binds_longer_than_a_day() {
    let credential = credential(Duration::ZERO);
    assert_eq!(credential.limit(told(u64::MAX), at(0)), at(24 * 3600));
}

#[test]
fn one_token_is_one_credential_and_idle_ones_are_forgotten() {
    let credentials = Credentials::new(Duration::ZERO);
    let (first, again, other) =
        (credentials.of([b'a'; 32]), credentials.of([b'a'; 32]), credentials.of([b'b'; 32]));
    assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
    other.limit(told(3600), Timestamp::now());
    drop((first, again, other));
    credentials.of([b'c'; 32]);
    let known = credentials.known.lock().unwrap();
    assert_eq!(known.len(), 2, "the limited one and the new one");
}

/// Real time in small steps: an interval of 50 ms stands for a second.
const INTERVAL: Duration = Duration::from_millis(50);

fn paced() -> Credential {
    Credential { max_turn: INTERVAL * 5, ..credential(INTERVAL) }
}

#[tokio::test]
async fn writes_begin_an_interval_apart() {
    let credential = paced();
    let mut begun = Vec::new();
    for _ in 0..4 {
        let turn = credential.turn().await.unwrap();
        begun.push(Instant::now());
        drop(turn);
    }
    for pair in begun.windows(2) {
        assert!(pair[1] - pair[0] >= INTERVAL);
    }
}

#[tokio::test]
async fn a_write_under_way_keeps_the_next_one_waiting_and_after_the_longest_wait_sends_it_away() {
    let credential = paced();
    let held = credential.turn().await.unwrap();
    let started = Instant::now();
    assert!(credential.turn().await.is_err());
    assert!(started.elapsed() >= credential.max_turn);
    drop(held);
    assert!(credential.turn().await.is_ok());
}

#[tokio::test]
async fn writes_whose_turn_is_too_far_off_are_sent_away_with_a_slot_each() {
    let credential = paced();
    let outcomes =
        futures::future::join_all((0..20).map(|_| async { credential.turn().await.map(drop) })).await;
    let mut slots: Vec<Timestamp> = outcomes.iter().filter_map(|outcome| outcome.err()).collect();
    assert!((14..20).contains(&slots.len()), "{} of 20 sent away: about six fit", slots.len());
    slots.sort();
    let half = SignedDuration::try_from(INTERVAL / 2).unwrap();
    for pair in slots.windows(2) {
        assert!(pair[1].duration_since(pair[0]) >= half, "two come back at the same time: {slots:?}");
    }
}
