//! What pull requests of any Task show, whatever repository they are in: most payloads show nothing of it.
//! Kept by `tasks`; `payload` reads what is compared.

use super::payload::Glimpse;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
};

/// One of them.
#[derive(Hash)]
enum Sign<'a> {
    Number(i64),
    Branch(&'a str),
}

impl Sign<'_> {
    /// The signs themselves would double what is kept of a Task. What shares a hash is looked at more closely.
    fn hashed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Signs {
    /// How many Tasks have each.
    counts: HashMap<u64, u32>,
    /// How many Tasks wait for a pull request of their branch.
    awaiting: usize,
}

impl Signs {
    /// A Task that has or had pull requests of these numbers, or waits for one of this branch.
    pub(super) fn add(&mut self, numbers: impl Iterator<Item = i64>, branch: Option<&str>) {
        for sign in numbers.map(Sign::Number).chain(branch.map(Sign::Branch)) {
            *self.counts.entry(sign.hashed()).or_default() += 1;
        }
        self.awaiting += usize::from(branch.is_some());
    }

    /// The opposite of [`Signs::add`], with the same arguments.
    pub(super) fn remove(&mut self, numbers: impl Iterator<Item = i64>, branch: Option<&str>) {
        for sign in numbers.map(Sign::Number).chain(branch.map(Sign::Branch)) {
            if let Entry::Occupied(mut count) = self.counts.entry(sign.hashed()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        self.awaiting -= usize::from(branch.is_some());
    }

    /// Returns what the beginning of a payload tells, and whether any Task has such a sign. The branch is looked for only while
    /// somebody waits for one.
    pub(super) fn glance<'a>(&self, body: &'a [u8]) -> Option<(Glimpse<'a>, bool)> {
        let awaited = self.awaiting > 0;
        let seen = Glimpse::of(body, awaited)?;
        let has = |sign: Sign<'_>| self.counts.contains_key(&sign.hashed());
        Some((seen, has(Sign::Number(seen.number)) || (awaited && has(Sign::Branch(seen.branch)))))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.awaiting == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_as_far_as_somebody_waits() {
        let short = br#"{"action":"closed","number":2,"#;
        let long = br#"{"action":"closed","number":3,"pull_request":{"head":{"ref":"b","#;
        let mut signs = Signs::default();
        let concerns = |signs: &Signs, body: &[u8]| signs.glance(body).map(|(_, concerns)| concerns);
        assert_eq!(concerns(&signs, short), Some(false));
        signs.add([2].into_iter(), None);
        assert_eq!((concerns(&signs, short), concerns(&signs, long)), (Some(true), Some(false)));
        signs.add([].into_iter(), Some("b"));
        assert_eq!((concerns(&signs, short), concerns(&signs, long)), (None, Some(true)));
        signs.remove([].into_iter(), Some("b"));
        signs.remove([2].into_iter(), None);
        assert!(signs.is_empty());
        assert_eq!((concerns(&signs, short), concerns(&signs, long)), (Some(false), Some(false)));
    }
}
