//! Webhook secrets that are too short to count: noticed where a Secret is read, and kept until they are told.
//! Fed by `keyring`, told by `warnings`; no value is ever kept or repeated.

use super::repositories::SecretSource;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

/// Keys of Secrets that have been found too short.
#[derive(Default)]
pub(super) struct WeakSecrets(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: HashMap<SecretSource, Vec<String>>,
    untold: BTreeSet<SecretSource>,
}

impl WeakSecrets {
    /// Takes note of the keys of a Secret that are too short, in their order. Only a change is news.
    pub(super) fn note(&self, source: &SecretSource, keys: Vec<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.keys.get(source).map(Vec::as_slice).unwrap_or_default() == keys {
            return;
        }
        if !keys.is_empty() {
            known.untold.insert(source.clone());
        }
        known.keys.insert(source.clone(), keys);
    }

    /// Drains what has not been told yet; it counts as told then.
    pub(super) fn drain(&self) -> Vec<(SecretSource, Vec<String>)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = std::mem::take(&mut known.untold);
        untold
            .into_iter()
            .filter_map(|source| Some((source.clone(), known.keys.get(&source)?.clone())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_told_and_once() {
        let (weak, source) = (WeakSecrets::default(), SecretSource::Own("n".into(), "s".into()));
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
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
