//! The sweep's judgement: whom a sandbox at E2B was made for, and which of those without an object have been seen for long enough.
//! Pure; `controllers::sandbox` looks and kills, the marks are those of `marks`.

use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Time between the two looks that have to say the same, and so the least time between the start and the first kill.
const APART: SignedDuration = SignedDuration::from_hours(1);

/// The object that a sandbox was made for, by its metadata.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub namespace: String,
    pub uid: String,
}

/// Since when something has been seen at every look, by the key it was seen under.
#[derive(Debug, Default)]
pub struct Sightings(BTreeMap<String, BTreeMap<String, Timestamp>>);

impl Sightings {
    /// Notes what one complete look under the key `credential` has shown, and returns what was there an hour ago and at every
    /// look since. Looks that failed are not noted: they say nothing.
    pub fn note(&mut self, credential: &str, seen: BTreeSet<String>, now: Timestamp) -> Vec<String> {
        let before = self.0.remove(credential).unwrap_or_default();
        let since = |id: &String| before.get(id).copied().unwrap_or(now);
        let now_known: BTreeMap<_, _> = seen.into_iter().map(|id| (id.clone(), since(&id))).collect();
        let is_due = |first: &Timestamp| now.duration_since(*first) >= APART;
        let due = now_known.iter().filter(|(_, first)| is_due(first)).map(|(id, _)| id.clone()).collect();
        self.0.insert(credential.to_owned(), now_known);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn what_is_seen_for_an_hour_is_due_and_stays_due() {
        let mut sightings = Sightings::default();
        assert!(sightings.note("key", ids(&["i1"]), at(0)).is_empty());
        assert!(sightings.note("key", ids(&["i1", "i2"]), at(59)).is_empty());
        assert_eq!(sightings.note("key", ids(&["i1", "i2"]), at(60)), ["i1"]);
        assert_eq!(sightings.note("key", ids(&["i1", "i2"]), at(119)), ["i1", "i2"]);
    }

    #[test]
    fn a_look_that_does_not_show_it_begins_the_hour_anew() {
        let mut sightings = Sightings::default();
        sightings.note("key", ids(&["i1"]), at(0));
        sightings.note("key", ids(&[]), at(30));
        assert!(sightings.note("key", ids(&["i1"]), at(60)).is_empty());
        assert_eq!(sightings.note("key", ids(&["i1"]), at(120)), ["i1"]);
    }

    #[test]
    fn a_key_says_nothing_of_what_another_has_shown() {
        let mut sightings = Sightings::default();
        sightings.note("key", ids(&["i1"]), at(0));
        assert!(sightings.note("other", ids(&[]), at(30)).is_empty());
        assert!(sightings.note("other", ids(&["i1"]), at(60)).is_empty());
        assert_eq!(sightings.note("key", ids(&["i1"]), at(60)), ["i1"]);
    }
}
