//! The values that sandboxes have by their Sandbox's own `env`, as far as this process knows them: nowhere can they be read again.
//! Filled by the Sandbox controller's creates, completed and asked by the Task controller; composed in `app`.

use crate::{api::common::SecretVersion, domain::secrets::SecretValue};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What is known of the sandboxes, by the uid of their Sandbox. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Brought(Arc<Mutex<HashMap<String, Known>>>);

/// What one incarnation was given: the Secrets in the versions whose values are here.
#[derive(Debug, Default)]
struct Known {
    incarnation: i64,
    versions: Vec<SecretVersion>,
    values: Vec<SecretValue>,
}

impl Brought {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what an incarnation is given, or may be: `values` are those of `versions`. To be called before its create.
    pub fn learn(&self, uid: &str, incarnation: i64, versions: &[SecretVersion], values: Vec<SecretValue>) {
        let mut all = self.known();
        let known = all.entry(uid.to_owned()).or_default();
        if known.incarnation != incarnation {
            *known = Known { incarnation, ..Known::default() };
        }
        let new: Vec<_> = versions.iter().filter(|version| !known.versions.contains(version)).collect();
        let is_new = |value: &SecretValue| new.iter().any(|version| version.name == value.secret);
        known.values.extend(values.into_iter().filter(is_new));
        known.versions.extend(new.into_iter().cloned());
    }

    /// Returns those of `versions` whose values this process does not know.
    pub fn unknown(&self, uid: &str, incarnation: i64, versions: &[SecretVersion]) -> Vec<SecretVersion> {
        let all = self.known();
        let known = all.get(uid).filter(|known| known.incarnation == incarnation);
        let is_known = |version: &&SecretVersion| known.is_some_and(|known| known.versions.contains(version));
        versions.iter().filter(|version| !is_known(version)).cloned().collect()
    }

    /// Returns the values that are known of a Sandbox.
    pub fn of(&self, uid: &str) -> Vec<SecretValue> {
        self.known().get(uid).map(|known| known.values.clone()).unwrap_or_default()
    }

    /// Forgets the Sandboxes that are gone.
    pub fn keep(&self, sandbox: impl Fn(&str) -> bool) {
        self.known().retain(|uid, _| sandbox(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn version(name: &str, version: &str) -> SecretVersion {
        SecretVersion { name: name.into(), version: version.into() }
    }

    fn value(secret: &str, text: &str) -> SecretValue {
        SecretValue { secret: secret.into(), key: "k".into(), value: text.into() }
    }

    #[test]
    fn what_an_incarnation_was_given_in_any_attempt_is_known_until_the_next_or_the_object_goes() {
        let brought = Brought::default();
        brought.learn(
            "a",
            1,
            &[version("s", "1"), version("t", "5")],
            vec![value("s", "old"), value("t", "t")],
        );
        brought.learn(
            "a",
            1,
            &[version("s", "2"), version("t", "5")],
            vec![value("s", "new"), value("t", "t")],
        );
        let recorded = [version("s", "1"), version("s", "2"), version("s", "3"), version("t", "5")];
        assert_eq!(brought.unknown("a", 1, &recorded), [version("s", "3")]);
        assert_eq!(brought.unknown("b", 1, &recorded).len(), 4);
        let texts = |values: Vec<SecretValue>| -> Vec<String> {
            values.iter().map(|value| value.value.expose_secret().to_owned()).collect()
        };
        assert_eq!(texts(brought.of("a")), ["old", "t", "new"]);
        assert!(!format!("{brought:?}").contains("old"));
        brought.learn("a", 2, &[version("s", "3")], vec![value("s", "newest")]);
        assert_eq!(brought.unknown("a", 2, &recorded[..3]).len(), 2);
        assert_eq!(texts(brought.of("a")), ["newest"]);
        brought.keep(|uid| uid != "a");
        assert!(brought.of("a").is_empty());
    }
}
