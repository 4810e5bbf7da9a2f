//! Secrets, read by GET by name when they are needed and kept for seconds: never listed, never watched.
//! Serves whoever needs a credential or a webhook secret; values stay in `secrecy` types.

use super::Error;
use crate::{
    api::{Sandbox, conditions::reason},
    domain::failure::{Class, Failure, operation},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Time for which a Secret is remembered.
const TTL: Duration = Duration::from_secs(30);
/// Time for which its absence is remembered: short, because manifests arrive in any order.
const ABSENT_TTL: Duration = Duration::from_secs(2);

/// The values of one Secret, one trailing newline stripped from each.
#[derive(Debug)]
pub struct SecretValues {
    version: String,
    values: BTreeMap<String, SecretSlice<u8>>,
}

impl SecretValues {
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

impl From<Secret> for SecretValues {
    fn from(secret: Secret) -> Self {
        let values = secret.data.unwrap_or_default();
        let values = values.into_iter().map(|(key, value)| (key, strip(value.0).into())).collect();
        Self { version: secret.metadata.resource_version.unwrap_or_default(), values }
    }
}

/// One key of a Secret, and what its value is for: the words of a complaint.
#[derive(Debug, Clone, Copy)]
pub struct SecretKey<'a> {
    pub namespace: &'a str,
    pub secret: &'a str,
    pub key: &'a str,
    /// Stands where a noun stands: `a GitHub token`, `the value of the variable TOKEN`.
    pub purpose: &'a str,
}

impl SecretKey<'_> {
    /// The value in `secret`, which was read already; `None`: there is no such Secret. An empty one is a value.
    pub fn text_in(self, secret: Option<&SecretValues>) -> Result<SecretString, SecretError> {
        let values = secret.ok_or_else(|| SecretError::no_secret(self))?;
        if values.get(self.key).is_none() {
            return Err(SecretError::no_key(self));
        }
        values.text(self.key).ok_or_else(|| SecretError::wrong(self, "not UTF-8 text"))
    }
}

/// The value of one key as text, and the `resourceVersion` of the Secret it was read from.
#[derive(Debug, Clone)]
pub struct SecretText {
    pub value: SecretString,
    pub version: String,
}

/// Age that a value may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// As old as the cache.
    Cached,
    /// As it is now: for reads that are rare, and often follow a change of just this Secret.
    Fresh,
}

/// Reason why a Secret does not give what it should, in the same words for every kind.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret or its key does not exist: it may still come, because manifests arrive in any order.
    #[error("{0}")]
    Missing(String),
    /// The value is there and can't be right.
    #[error("{0}")]
    Invalid(String),
    /// The API server did not give it.
    #[error(transparent)]
    Unread(#[from] Error),
}

impl SecretError {
    fn no_secret(key: SecretKey<'_>) -> Self {
        let SecretKey { secret, key, purpose, .. } = key;
        Self::Missing(format!(
            "Secret {secret} does not exist in this namespace: create it with {purpose} under the key {key}"
        ))
    }

    fn no_key(key: SecretKey<'_>) -> Self {
        let SecretKey { secret, key, purpose, .. } = key;
        Self::Missing(format!("Secret {secret} has no key {key}: put {purpose} there"))
    }

    fn wrong(key: SecretKey<'_>, problem: &str) -> Self {
        let SecretKey { secret, key, purpose, .. } = key;
        Self::Invalid(format!("key {key} of Secret {secret} is {problem}: put {purpose} there"))
    }

    /// A stable name, fit for a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => reason::SECRET_NOT_FOUND,
            Self::Invalid(_) => reason::CREDENTIALS_INVALID,
            Self::Unread(error) => error.reason(),
        }
    }

    /// Returns the class of the failure for whoever needs the value.
    pub fn class(&self) -> Class {
        match self {
            Self::Missing(_) => Class::NotFound,
            Self::Invalid(_) => Class::Invalid,
            Self::Unread(error) => error.class(),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self {
            operation: operation::GET_SECRET,
            class: error.class(),
            reason: error.reason(),
            message: error.to_string(),
        }
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

    /// One value as text. An empty one is a value: a variable may be empty.
    pub async fn text(&self, key: SecretKey<'_>, age: Age) -> Result<SecretText, SecretError> {
        let values = match age {
            Age::Cached => self.get(key.namespace, key.secret).await?,
            Age::Fresh => self.fresh(key.namespace, key.secret).await?,
        };
        let value = key.text_in(values.as_deref())?;
        Ok(SecretText {
            value,
            version: values.map(|values| values.version().to_owned()).unwrap_or_default(),
        })
    }

    /// One value as text that can't be empty: a token, an API key.
    pub async fn credential(&self, key: SecretKey<'_>, age: Age) -> Result<SecretText, SecretError> {
        let text = self.text(key, age).await?;
        if text.value.expose_secret().is_empty() { Err(SecretError::wrong(key, "empty")) } else { Ok(text) }
    }

    /// The E2B API key that a Sandbox's `credentialsSecretRef` names; without one, the operator's.
    pub async fn e2b_key(
        &self,
        sandbox: &Sandbox,
        operator_key: Option<&SecretString>,
        age: Age,
    ) -> Result<SecretString, SecretError> {
        let Some(reference) = &sandbox.spec.credentials_secret_ref else {
            return operator_key.cloned().ok_or_else(|| {
                SecretError::Invalid(
                    "no credentialsSecretRef is set and the operator has no E2B_API_KEY: set one of them"
                        .into(),
                )
            });
        };
        let namespace = sandbox.metadata.namespace.as_deref().unwrap_or_default();
        let key = SecretKey { namespace, secret: &reference.name, key: "apiKey", purpose: "an E2B API key" };
        Ok(self.credential(key, age).await?.value)
    }

    /// The Secret as it is now, past the cache; later calls of [`Secrets::get`] see it too.
    pub async fn fresh(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretValues>>, Error> {
        let read = Instant::now();
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let values = api.get_opt(name).await?.map(|secret| Arc::new(SecretValues::from(secret)));
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
    use serde_json::json;

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
        let values = SecretValues::from(Secret { data: Some(data), ..Secret::default() });
        assert!(!format!("{values:?}").contains("canary"));
        assert_eq!(values.text("token").expect("text").expose_secret(), "ghp_canary");
        assert!(values.text("other").is_none());
    }

    /// An API server that has one Secret, whatever is asked for: `good`, `empty` and `binary` are its keys.
    fn secrets(status: u16) -> Secrets {
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| async move {
            let body = if status == 200 {
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "resourceVersion": "42"},
                    "data": {"good": "Z2hwX2NhbmFyeQo=", "empty": "", "binary": "/w=="}})
            } else {
                let reason = if status == 404 { "NotFound" } else { "Forbidden" };
                json!({"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": "m"})
            };
            let mut answer =
                http::Response::new(http_body_util::Full::new(bytes::Bytes::from(body.to_string())));
            *answer.status_mut() = http::StatusCode::from_u16(status).expect("valid");
            Ok::<_, tower::BoxError>(answer)
        });
        Secrets::new(Client::new(service, "n"))
    }

    fn key(key: &str) -> SecretKey<'_> {
        SecretKey { namespace: "n", secret: "s", key, purpose: "a GitHub token" }
    }

    #[tokio::test]
    async fn a_value_comes_with_the_version_it_was_read_at() {
        for age in [Age::Cached, Age::Fresh] {
            let text = secrets(200).credential(key("good"), age).await.expect("there");
            assert_eq!((text.value.expose_secret(), text.version.as_str()), ("ghp_canary", "42"));
            assert!(!format!("{text:?}").contains("canary"));
        }
        let empty = secrets(200).text(key("empty"), Age::Fresh).await.expect("a variable may be empty");
        assert_eq!(empty.value.expose_secret(), "");
    }

    #[tokio::test]
    async fn what_a_secret_does_not_give_is_said_in_one_way() {
        for (status, name, class, reason, message) in [
            (
                404,
                "good",
                Class::NotFound,
                "SecretNotFound",
                "Secret s does not exist in this namespace: create it with a GitHub token under the key good",
            ),
            (
                200,
                "other",
                Class::NotFound,
                "SecretNotFound",
                "Secret s has no key other: put a GitHub token there",
            ),
            (
                200,
                "empty",
                Class::Invalid,
                "CredentialsInvalid",
                "key empty of Secret s is empty: put a GitHub token there",
            ),
            (
                200,
                "binary",
                Class::Invalid,
                "CredentialsInvalid",
                "key binary of Secret s is not UTF-8 text: put a GitHub token there",
            ),
        ] {
            let error = secrets(status).credential(key(name), Age::Fresh).await.expect_err(message);
            let failure = Failure::from(error);
            assert_eq!((failure.operation, failure.class, failure.reason), ("getSecret", class, reason));
            assert_eq!(failure.message, message);
        }
        let denied = secrets(403).text(key("good"), Age::Fresh).await.expect_err("denied");
        assert_eq!((denied.class(), denied.reason()), (Class::Denied, "Forbidden"));
    }
}
