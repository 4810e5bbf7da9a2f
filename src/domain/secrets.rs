//! The values of Secrets that a sandbox was given: looked for in what would be published, masked in what is shown.
//! Used by `controllers::task`, which reads them; `mask` is the part that rewrites texts.

use super::{failure::Failure, mask};
use crate::api::SecretVersion;
use aho_corasick::{Anchored, automaton::Automaton, nfa::contiguous::NFA};
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// Shorter values stand in any text (bytes).
const MIN_VALUE: usize = 8;

/// Shorter lines of a value stand in any text (bytes).
const MIN_LINE: usize = 24;

/// One value, and what it is called in a message: names of Secrets and keys are no secrets.
#[derive(Debug, Clone)]
pub struct SecretValue {
    pub secret: String,
    pub key: String,
    pub value: SecretString,
}

impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of Secret {}", self.key, self.secret)
    }
}

/// Values to look for. Cheap to clone.
#[derive(Clone)]
pub struct Needles {
    inner: Arc<Inner>,
}

struct Inner {
    values: Vec<SecretValue>,
    /// The index of its value, by pattern.
    owners: Vec<usize>,
    /// Built when it is first needed: what is only to be masked needs none.
    searcher: OnceLock<NFA>,
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.inner.values.iter().map(SecretValue::to_string).collect();
        f.debug_tuple("Needles").field(&names).finish()
    }
}

impl Default for Needles {
    fn default() -> Self {
        Self::new([])
    }
}

impl Needles {
    /// Of equal values the first one gives its name.
    pub fn new(values: impl IntoIterator<Item = SecretValue>) -> Self {
        let mut distinct: Vec<SecretValue> = Vec::new();
        for value in values {
            let known = |known: &SecretValue| known.value.expose_secret() == value.value.expose_secret();
            if !distinct.iter().any(known) {
                distinct.push(value);
            }
        }
        let owner = |(owner, value): (usize, &SecretValue)| {
            std::iter::repeat_n(owner, patterns(value.value.expose_secret()).count())
        };
        let owners = distinct.iter().enumerate().flat_map(owner).collect();
        Self { inner: Arc::new(Inner { values: distinct, owners, searcher: OnceLock::new() }) }
    }

    /// Returns whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.inner.owners.is_empty()
    }

    /// Begins to look through one content, which may come in pieces.
    pub fn search(&self) -> Search<'_> {
        let searcher = self.inner.searcher.get_or_init(|| searcher(&self.inner.values));
        let state =
            searcher.start_state(Anchored::No).expect("an automaton of this kind searches unanchored");
        Search { searcher, state, counts: Counts(vec![0; self.inner.owners.len()]) }
    }

    /// Counts the values in a whole content.
    pub fn count(&self, content: &[u8]) -> Counts {
        let mut search = self.search();
        search.feed(content);
        search.end()
    }

    /// Finds a value that stands more often `here` than `before`.
    pub fn added(&self, here: &Counts, before: &Counts) -> Option<&SecretValue> {
        let pattern = here.0.iter().zip(&before.0).position(|(here, before)| here > before)?;
        self.inner.values.get(*self.inner.owners.get(pattern)?)
    }

    /// Finds a value that stands in `text`.
    pub fn found_in(&self, text: &str) -> Option<&SecretValue> {
        self.added(&self.count(text.as_bytes()), &self.count(b""))
    }

    /// Masks all values in `text`, the short ones too.
    pub fn mask(&self, text: &str) -> String {
        let values: Vec<&str> = self.inner.values.iter().map(|value| value.value.expose_secret()).collect();
        mask::mask(text, &values)
    }

    /// Masks all values in a failure whose words came from the sandbox, or name files of it.
    pub fn mask_failure(&self, mut failure: Failure) -> Failure {
        failure.message = self.mask(&failure.message);
        failure
    }
}

fn searcher(values: &[SecretValue]) -> NFA {
    // Not a DFA: it would take a hundred times as much memory for a key file.
    NFA::new(values.iter().flat_map(|value| patterns(value.value.expose_secret())))
        .expect("environments are far smaller than what an automaton can number")
}

/// Lists the value whole, and of one with several lines each longer one, for files that hold only a part of a key.
fn patterns(value: &str) -> impl Iterator<Item = &str> {
    let value = value.strip_suffix('\n').map_or(value, |value| value.strip_suffix('\r').unwrap_or(value));
    let value = &value[..value.floor_char_boundary(mask::MAX_VALUE)];
    let whole = (value.len() >= MIN_VALUE).then_some(value);
    let lines = value.contains('\n').then(|| value.lines().map(str::trim)).into_iter().flatten();
    // The frame of a PEM block says what is in it, and stands in every document about keys.
    let is_frame = |line: &str| line.starts_with("-----BEGIN ") || line.starts_with("-----END ");
    whole.into_iter().chain(lines.filter(move |line| line.len() >= MIN_LINE && !is_frame(line)))
}

/// A search under way.
pub struct Search<'a> {
    searcher: &'a NFA,
    state: aho_corasick::automaton::StateID,
    counts: Counts,
}

impl Search<'_> {
    /// The next piece of the content: what begins in one piece and ends in another is found too.
    pub fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            self.state = self.searcher.next_state(Anchored::No, self.state, *byte);
            if self.searcher.is_match(self.state) {
                for index in 0..self.searcher.match_len(self.state) {
                    let pattern = self.searcher.match_pattern(self.state, index);
                    self.counts.0[pattern.as_usize()] += 1;
                }
            }
        }
    }

    pub fn end(self) -> Counts {
        self.counts
    }
}

/// Number of times each pattern stands in a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts(Vec<u64>);

impl Counts {
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

/// Names the Secrets that are not what they were: another version, or gone. Their values at the start are needed, because the
/// sandbox still has them. `None`: all are the same, or the process knows the values (`known`), or somebody has said that
/// the old ones are worthless by now (`accepted`).
pub fn rotated(
    recorded: &[SecretVersion],
    now: &[SecretVersion],
    known: bool,
    accepted: bool,
) -> Option<Vec<String>> {
    if known || accepted {
        return None;
    }
    let changed = recorded.iter().filter(|then| !now.contains(then));
    let names: Vec<String> = changed.map(|then| then.name.clone()).collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests;
