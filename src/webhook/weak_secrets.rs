//! Webhook secrets that do not count, since they are too short or too many: noticed where a Secret is read, kept until they are told.
//! Fed by `keyring`, told by `warnings`; no value is ever kept or repeated.

use super::repositories::SecretSource;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

/// What of a Secret does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ignored {
    /// Keys of values that are too short, in their order.
    pub(super) short: Vec<String>,
    /// Number of values beyond those that are tried.
    pub(super) beyond: usize,
}

/// Secrets of which something does not count.
#[derive(Default)]
pub(super) struct WeakSecrets(Mutex<Known>);

#[derive(Default)]
struct Known {
    ignored: HashMap<SecretSource, Ignored>,
    untold: BTreeSet<SecretSource>,
}

impl WeakSecrets {
    /// Takes note of what of a Secret does not count. Only a change is news.
    pub(super) fn note(&self, source: &SecretSource, ignored: Ignored) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = Ignored::default();
        if *known.ignored.get(source).unwrap_or(&nothing) == ignored {
            return;
        }
        if ignored != nothing {
            known.untold.insert(source.clone());
        }
        known.ignored.insert(source.clone(), ignored);
    }

    /// Drains what has not been told yet; it counts as told then.
    pub(super) fn drain(&self) -> Vec<(SecretSource, Ignored)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = std::mem::take(&mut known.untold);
        untold
            .into_iter()
            .filter_map(|source| Some((source.clone(), known.ignored.get(&source)?.clone())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_told_and_once() {
        let (weak, source) = (WeakSecrets::default(), SecretSource::Own("n".into(), "s".into()));
        let keys = |keys: &[&str]| Ignored {
            short: keys.iter().map(|key| (*key).to_owned()).collect(),
            ..Ignored::default()
        };
        weak.note(&source, keys(&[]));
        assert!(weak.drain().is_empty());
        weak.note(&source, keys(&["a"]));
        weak.note(&source, keys(&["a"]));
        assert_eq!(weak.drain(), [(source.clone(), keys(&["a"]))]);
        assert!(weak.drain().is_empty());
        weak.note(&source, keys(&["a", "b"]));
        assert_eq!(weak.drain(), [(source.clone(), keys(&["a", "b"]))]);
        weak.note(&source, keys(&[]));
        assert!(weak.drain().is_empty());
        weak.note(&source, keys(&["a"]));
        assert_eq!(weak.drain().len(), 1, "it was corrected and is broken again");
    }
}
