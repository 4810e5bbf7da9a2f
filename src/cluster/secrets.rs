//! Secrets, read by GET by name when they are needed and kept for seconds: never listed, never watched.
//! Serves whoever needs a credential or a webhook secret; values stay in `secrecy` types.

mod key;
mod values;

pub use key::{SecretError, SecretKey};
pub use values::SecretValues;

use super::Error;
use crate::api::{Sandbox, common::is_object_name};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Time for which a Secret is remembered.
const TTL: Duration = Duration::from_secs(30);
/// Time for which its absence is remembered: short, because manifests arrive in any order.
const ABSENT_TTL: Duration = Duration::from_secs(2);

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

type Key = (String, String);

/// What is known of one Secret, and whose turn it is to read it.
#[derive(Default)]
struct Slot {
    known: Mutex<Option<Known>>,
    turn: tokio::sync::Mutex<()>,
}

/// One answer of the API server, and when it was asked for.
#[derive(Clone)]
struct Known {
    asked: Instant,
    values: Option<Arc<SecretValues>>,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.asked.elapsed() < if self.values.is_some() { TTL } else { ABSENT_TTL }
    }
}

impl Slot {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads Secrets through a cache of seconds, each by one call at a time however many ask. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    cache: Arc<Mutex<HashMap<Key, Arc<Slot>>>>,
}

impl Secrets {
    pub fn new(client: Client) -> Self {
        Self { client, cache: Arc::default() }
    }

    /// The Secret, at most 30 s old; its absence at most 2 s old.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretValues>>, Error> {
        self.read(namespace, name, Known::is_fresh).await
    }

    /// The Secret as it is now, past the cache; later calls of [`Secrets::get`] see it too.
    pub async fn fresh(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretValues>>, Error> {
        let now = Instant::now();
        self.read(namespace, name, |known| known.asked >= now).await
    }

    /// What is known, if it `suffices`, else the answer to a call: that of another who asks at the same time, where that
    /// suffices.
    async fn read(
        &self,
        namespace: &str,
        name: &str,
        suffices: impl Fn(&Known) -> bool,
    ) -> Result<Option<Arc<SecretValues>>, Error> {
        if !is_object_name(name) {
            // As a part of the path it could lead to another object, also of another namespace.
            return Ok(None);
        }
        let slot = self.slot(namespace, name);
        if let Some(known) = slot.known().filter(&suffices) {
            return Ok(known.values);
        }
        let _turn = slot.turn.lock().await;
        if let Some(known) = slot.known().filter(&suffices) {
            return Ok(known.values);
        }
        let asked = Instant::now();
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let values = api.get_opt(name).await?.map(|secret| Arc::new(SecretValues::from(secret)));
        let known = Known { asked, values: values.clone() };
        *slot.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(values)
    }

    /// Where a Secret is kept. Others that are out of date and that nobody reads are forgotten on the way to a new one.
    fn slot(&self, namespace: &str, name: &str) -> Arc<Slot> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(slot) = cache.get(&key) {
            return slot.clone();
        }
        cache.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.known().is_some_and(|known| known.is_fresh())
        });
        cache.entry(key).or_default().clone()
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::{Class, Failure};
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
        for secret in ["../../victim/secrets/s", "s?timeout=1s", ""] {
            let key = SecretKey { secret, ..key("good") };
            for age in [Age::Cached, Age::Fresh] {
                let error = secrets(200).credential(key, age).await.expect_err("nothing is asked for");
                assert_eq!((error.class(), error.reason()), (Class::Invalid, "CredentialsInvalid"));
                assert_eq!(
                    error.to_string(),
                    format!("no Secret can have the name {secret:?}: correct the reference")
                );
            }
        }
        let denied = secrets(403).text(key("good"), Age::Fresh).await.expect_err("denied");
        assert_eq!((denied.class(), denied.reason()), (Class::Denied, "Forbidden"));
    }
    /// An API server that answers after a second, and how often it was asked.
    fn slow() -> (Secrets, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let version = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let body =
                    json!({"metadata": {"name": "s", "resourceVersion": version.to_string()}, "data": {}});
                let body = http_body_util::Full::new(bytes::Bytes::from(body.to_string()));
                Ok::<_, tower::BoxError>(http::Response::new(body))
            }
        });
        (Secrets::new(Client::new(service, "n")), asked)
    }

    fn version(read: Result<Option<Arc<SecretValues>>, Error>) -> String {
        read.expect("an answer").expect("there").version().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_share_one_call() {
        let (secrets, asked) = slow();
        let read = futures::future::join_all((0..64).map(|_| secrets.get("n", "s"))).await;
        assert!(read.into_iter().all(|read| version(read) == "1"));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // Whoever asks past the cache gets nothing that was asked for before.
        let fresh = futures::future::join_all((0..64).map(|_| secrets.fresh("n", "s"))).await;
        assert!(fresh.into_iter().all(|read| version(read) == "2"));
        let half = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            version(secrets.fresh("n", "s").await)
        };
        let (first, later) = tokio::join!(secrets.fresh("n", "s"), half);
        assert_eq!((version(first).as_str(), later.as_str()), ("3", "4"));
        tokio::time::advance(TTL).await;
        assert_eq!(version(secrets.get("n", "s").await), "5");
        assert_eq!(asked.load(Ordering::Relaxed), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_any_more_is_forgotten() {
        let (secrets, _) = slow();
        for name in ["a", "b"] {
            secrets.get("n", name).await.expect("an answer");
        }
        tokio::time::advance(TTL).await;
        secrets.get("n", "c").await.expect("an answer");
        assert_eq!(secrets.cache.lock().expect("not poisoned").len(), 1);
    }
}
