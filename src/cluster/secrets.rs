//! Secrets, read by GET by name when they are needed and kept for seconds: never listed, never watched.
//! Serves whoever needs a credential or a webhook secret; values stay in `secrecy` types.

use super::Error;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a Secret is remembered.
const TTL: Duration = Duration::from_secs(30);
/// How long its absence is remembered: short, because manifests arrive in any order.
const ABSENT_TTL: Duration = Duration::from_secs(2);

/// The values of one Secret, one trailing newline stripped from each.
#[derive(Debug)]
pub struct SecretValues {
    version: String,
    values: BTreeMap<String, SecretSlice<u8>>,
}

impl SecretValues {
    fn of(secret: Secret) -> Self {
        let values = secret.data.unwrap_or_default();
        let values = values.into_iter().map(|(key, value)| (key, strip(value.0).into())).collect();
        Self { version: secret.metadata.resource_version.unwrap_or_default(), values }
    }

    /// The `resourceVersion` of the Secret that they were read from.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&SecretSlice<u8>> {
        self.values.get(key)
    }

    /// The value under `key` as text; `None` when there is none or it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<SecretString> {
        let text = std::str::from_utf8(self.get(key)?.expose_secret()).ok()?;
        Some(SecretString::from(text))
    }

    /// All keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretSlice<u8>)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }
}

/// Editors and `echo` end a file with a newline that nobody means to be part of a secret.
fn strip(mut value: Vec<u8>) -> Vec<u8> {
    if value.last() == Some(&b'\n') {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    value
}

type Key = (String, String);
type Entry = (Instant, Option<Arc<SecretValues>>);

/// Reads Secrets through a cache of seconds.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    cache: Arc<Mutex<HashMap<Key, Entry>>>,
}

impl Secrets {
    pub fn new(client: Client) -> Self {
        Self { client, cache: Arc::default() }
    }

    /// The Secret, at most 30 s old; its absence at most 2 s old.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretValues>>, Error> {
        let key = (namespace.to_owned(), name.to_owned());
        let cached = {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.get(&key).filter(|entry| is_fresh(entry)).map(|(_, values)| values.clone())
        };
        match cached {
            Some(values) => Ok(values),
            None => self.fresh(namespace, name).await,
        }
    }

    /// The Secret as it is now, past the cache; later calls of [`Secrets::get`] see it too.
    pub async fn fresh(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretValues>>, Error> {
        let read = Instant::now();
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let values = api.get_opt(name).await?.map(|secret| Arc::new(SecretValues::of(secret)));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, entry| is_fresh(entry));
        cache.insert((namespace.to_owned(), name.to_owned()), (read, values.clone()));
        Ok(values)
    }
}

fn is_fresh((read, values): &Entry) -> bool {
    read.elapsed() < if values.is_some() { TTL } else { ABSENT_TTL }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn one_newline_goes_and_no_more() {
        for (before, after) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", ""), ("", ""), ("a\r", "a\r")]
        {
            assert_eq!(strip(before.into()), after.as_bytes());
        }
    }

    #[test]
    fn values_are_never_printed() {
        let data = BTreeMap::from([("token".to_owned(), ByteString(b"ghp_canary\n".to_vec()))]);
        let values = SecretValues::of(Secret { data: Some(data), ..Secret::default() });
        assert!(!format!("{values:?}").contains("canary"));
        assert_eq!(values.text("token").expect("text").expose_secret(), "ghp_canary");
        assert!(values.text("other").is_none());
    }
}
