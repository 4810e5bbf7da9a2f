//! The text of the state: small, read as it was written, never better than it was, and nothing else is read.
//! Neighbours: `leaders` tests what follows from it.

use super::{
    time::{HOUR, MINUTE},
    *,
};
use crate::domain::line::state::State;

fn state(ages: Vec<i64>) -> State {
    State {
        written: 1_796_000_000_123,
        is_last: true,
        under_way: false,
        settings: Settings::default(),
        next: 2_900,
        limits: Limits { held: Some((61_000, Named::Silent)), silent: 3 },
        ages,
        step: 1_000,
    }
}

#[test]
fn a_state_is_read_as_it_was_written() {
    for held in [None, Some((1_000, Named::Told)), Some((0, Named::Silent)), Some((86_400_000, Named::Spent))]
    {
        for (is_last, under_way) in [(true, false), (false, false), (false, true)] {
            let mut state = state(vec![0, 0, 1_000, 51_000, 103_000, 156_000, 3_600_000]);
            (state.limits.held, state.is_last, state.under_way) = (held, is_last, under_way);
            assert_eq!(State::decode(&state.encode()), Some(state));
        }
    }
    assert_eq!(state(vec![0, 0, 1_000, 53_000]).encode(), "1;1796000000123;l;1000,80,500;2900;s61;3;1;A2B+A");
}

#[test]
fn five_hundred_calls_take_less_than_a_kilobyte_and_are_never_told_older_than_they_are() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let calls = [0, 1, 80, 500, 3_000][dice.below(5)];
        let span = [MINUTE, 10 * MINUTE, HOUR][dice.below(3)];
        let mut ages: Vec<i64> =
            (0..calls).map(|_| i64::try_from(dice.roll(span.unsigned_abs())).unwrap()).collect();
        ages.sort_unstable();
        let text = state(ages.clone()).encode();
        assert!(text.len() <= 1024, "{} bytes for {calls} calls in {span}", text.len());
        let read = State::decode(&text).expect("what was written");
        assert_eq!(read.ages.len(), ages.len());
        let most = if calls <= 500 { 1_000 } else { 10_000 };
        assert!(read.step <= most, "steps of {} ms for {calls} calls", read.step);
        for (read_age, age) in read.ages.iter().zip(&ages) {
            assert!(read_age <= age && age - read_age <= read.step, "{age} was read as {read_age}");
        }
    }
}

#[test]
fn what_is_no_state_is_none() {
    let good = state(vec![0, 1_000, 1_000, 60_000]).encode();
    assert!(State::decode(&good).is_some());
    for bad in [
        "",
        "1",
        "2;0;l;0,0,0;0;;0;1;",
        "1;0;x;0,0,0;0;;0;1;",
        "1;0;l;0,0;0;;0;1;",
        "1;0;l;0,0,0;0;q5;0;1;",
        "1;0;l;0,0,0;0;s;0;1;",
        "1;0;l;0,0,0;0;;-1;1;",
        "1;0;l;0,0,0;0;;0;3;",
        "1;0;l;0,0,0;0;;0;1;-",
        "1;0;l;0,0,0;0;;0;1;5",
        "1;0;l;0,0,0;0;;0;1;A99999",
        "1;0;l;0,0,0;0;;0;1;A99999999999999999999",
        "1;99999999999999999999;l;0,0,0;0;;0;1;",
        "1;0;l;-5,0,0;0;;0;1;",
        "1;0;l;0,0,0;0;é5;0;1;",
        "1;0;l;0,0,0;0;;0;1;Aé",
        "1;0;l;0,0,0;0;;0;1;A;",
    ] {
        assert_eq!(State::decode(bad), None, "{bad}");
    }
    assert!(State::decode("1;0;l;0,0,0;0;;0;1;").is_some());
    let odd = "1;1796000000000;l;0,0,0;0;s60;0;1;";
    let until =
        Line::restore(Settings::default(), Some(odd), at(0)).limit(at(0), Duration::ZERO, Named::Silent);
    assert_eq!(until, at(60_000));
    // Whatever happens to a text, nothing panics, and what is read can be used.
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let mut text: Vec<char> = good.chars().collect();
        for _ in 0..=dice.roll(3) {
            let place = dice.below(text.len());
            text[place] = dice.one_of(&['0', '9', ';', ',', 'A', 'z', '+', '-', 's', 'é', '\0']);
        }
        let text: String = text.into_iter().collect();
        let mut line = Line::restore(Settings::default(), Some(&text), at(0));
        let _ = line.ask(at(0), &waiter("a", Write::Blob, 0));
        line.limit(at(0), Duration::ZERO, Named::Silent);
        let _ = line.encode(at(1_000), false);
    }
}
