//! What a line leaves to the next leader, as text: at most a kilobyte, and never better than it was.
//! Written and read by `line`; `past` judges what may have happened since.

use super::{
    limits::{Limits, Named},
    settings::Settings,
    time::{Moment, SECOND, seconds},
};
use std::{fmt::Write as _, time::Duration};

/// The first field: another form of this text is not understood, and counts as none.
const FORM: &str = "1";
/// The calls of a window take at most so many bytes: they are told in coarser steps until they fit.
const BYTES: usize = 900;
const STEPS: [i64; 6] = [1, 2, 5, 10, 30, 60];
/// More calls than this are no state that a line has written.
const CALLS: usize = 20_000;

/// All times are milliseconds from `written`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// When it was written. Exactly: by a clock that is behind, that moment is taken for the present.
    pub(super) written: Moment,
    /// Nothing was sent after it was written, and nothing was under way.
    pub(super) is_last: bool,
    pub(super) under_way: bool,
    pub(super) settings: Settings,
    /// When the next write may begin, by spacing.
    pub(super) next: i64,
    pub(super) limits: Limits,
    /// How long ago calls ended at least, the latest first.
    pub(super) ages: Vec<i64>,
    /// They ended at most so much earlier: the text tells them in steps.
    pub(super) step: i64,
}

impl State {
    pub(super) fn encode(&self) -> String {
        let mark = match (self.is_last, self.under_way) {
            (true, _) => 'l',
            (false, true) => 'w',
            (false, false) => 'o',
        };
        let (interval, minute, hour) =
            (self.settings.interval.as_millis(), self.settings.per_minute, self.settings.per_hour);
        let limit = match self.limits.held {
            Some((until, Named::Told)) => format!("t{}", seconds(until)),
            Some((until, Named::Silent)) => format!("s{}", seconds(until)),
            Some((until, Named::Spent)) => format!("p{}", seconds(until)),
            None => String::new(),
        };
        let (written, next, silent) = (self.written, self.next, self.limits.silent);
        let fit = STEPS.iter().find_map(|step| {
            let calls = calls(&self.ages, *step);
            (calls.len() <= BYTES || *step == STEPS[STEPS.len() - 1]).then(|| format!("{step};{calls}"))
        });
        let calls = fit.unwrap_or_default();
        format!("{FORM};{written};{mark};{interval},{minute},{hour};{next};{limit};{silent};{calls}")
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(';').collect();
        let &[FORM, written, mark, settings, next, limit, silent, step, calls] = &fields[..] else {
            return None;
        };
        let settings: Vec<&str> = settings.split(',').collect();
        let &[interval, minute, hour] = &settings[..] else { return None };
        let held = if limit.is_empty() {
            None
        } else {
            let (name, until) = limit.split_at_checked(1)?;
            Some((number(until)? * SECOND, named(name)?))
        };
        let step = STEPS.into_iter().find(|known| Some(*known) == number(step))?;
        Some(Self {
            written: number(written)?,
            is_last: mark == "l",
            under_way: match mark {
                "l" | "o" => false,
                "w" => true,
                _ => return None,
            },
            settings: Settings {
                interval: Duration::from_millis(u64::try_from(number(interval)?).ok()?),
                per_minute: minute.parse().ok()?,
                per_hour: hour.parse().ok()?,
            },
            next: number(next)?,
            limits: Limits { held, silent: silent.parse().ok()? },
            ages: ages(calls, step)?,
            step: step * SECOND,
        })
    }
}

fn named(name: &str) -> Option<Named> {
    match name {
        "t" => Some(Named::Told),
        "s" => Some(Named::Silent),
        "p" => Some(Named::Spent),
        _ => None,
    }
}

/// Numbers that times can be computed with: within some thousand years, so that nothing overflows.
fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.abs() < 100_000_000_000_000)
}

/// For each step of time that has calls, the latest first: a letter for the steps since the one before it (`+` for 52 more), and how
/// many calls it has, if more than one. Each counts as if it had ended at the latest moment of its step.
fn calls(ages: &[i64], step: i64) -> String {
    let (mut text, mut at, mut ages) = (String::new(), 0, ages.iter().peekable());
    while let Some(age) = ages.next() {
        let bucket = age.div_euclid(step * SECOND).max(at);
        let mut count = 1;
        while ages.next_if(|next| next.div_euclid(step * SECOND) <= bucket).is_some() {
            count += 1;
        }
        let mut gap = bucket - at;
        while gap >= 52 {
            text.push('+');
            gap -= 52;
        }
        let letter = u8::try_from(gap).unwrap_or_default();
        text.push(char::from(if letter < 26 { b'A' + letter } else { b'a' + letter - 26 }));
        if count > 1 {
            // Writing to a string does not fail.
            let _ = write!(text, "{count}");
        }
        at = bucket;
    }
    text
}

fn ages(calls: &str, step: i64) -> Option<Vec<i64>> {
    let (mut ages, mut at, mut rest) = (Vec::new(), 0_i64, calls);
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(1..)?;
        at += match letter {
            '+' => 52,
            'A'..='Z' => i64::from(u32::from(letter) - u32::from('A')),
            'a'..='z' => i64::from(u32::from(letter) - u32::from('a')) + 26,
            _ => return None,
        };
        if letter == '+' {
            continue;
        }
        let (count, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let count: usize = if count.is_empty() { 1 } else { count.parse().ok()? };
        if ages.len().saturating_add(count) > CALLS {
            return None;
        }
        ages.extend(std::iter::repeat_n(at * step * SECOND, count));
        rest = behind;
    }
    Some(ages)
}
