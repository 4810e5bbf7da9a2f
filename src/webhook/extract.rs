//! The part of an object that the receiver reads, decoded straight from the API server's text: everything else is skipped.
//! Below `view`, which keeps such extracts, and `tasks` and `repositories`, which say what is read.

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use std::{borrow::Cow, fmt, marker::PhantomData};

/// An object of the kind `K`: a little of its metadata, and what `S` and `T` read of its spec and status.
#[derive(Deserialize)]
#[serde(bound = "S: Deserialize<'de>, T: Deserialize<'de>")]
pub(super) struct Extract<K, S, T> {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    pub(super) spec: S,
    #[serde(default = "Option::default")]
    pub(super) status: Option<T>,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K, S: Default, T> Extract<K, S, T> {
    /// An object of which only the metadata is known.
    pub(super) fn bare(metadata: ObjectMeta) -> Self {
        Self { metadata, spec: S::default(), status: None, kind: PhantomData }
    }
}

/// `managedFields` are most of an object and made of many small maps: reading them costs more than all the rest.
fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        deletion_timestamp: Option<Timestamp>,
    }
    let read = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        deletion_timestamp: read.deletion_timestamp.map(Time),
        ..ObjectMeta::default()
    })
}

impl<K, S: Clone, T: Clone> Clone for Extract<K, S, T> {
    fn clone(&self) -> Self {
        let (metadata, spec, status) = (self.metadata.clone(), self.spec.clone(), self.status.clone());
        Self { metadata, spec, status, kind: PhantomData }
    }
}

impl<K, S: fmt::Debug, T: fmt::Debug> fmt::Debug for Extract<K, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extract").field(&self.metadata).field(&self.spec).field(&self.status).finish()
    }
}

impl<K, S, T> Resource for Extract<K, S, T>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Namespace and name of an object.
pub(super) fn key_of(metadata: &ObjectMeta) -> (&str, &str) {
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

/// Returns whether version `a` of an object is newer than version `b`. API servers count them up, and since Kubernetes
/// 1.35 promise to; where they are no numbers nothing is known to be newer
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>).
pub(super) fn is_newer(a: Option<&str>, b: Option<&str>) -> bool {
    let number = |version: Option<&str>| version?.parse::<u128>().ok();
    number(a).zip(number(b)).is_some_and(|(a, b)| a > b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_newer(Some("10"), Some("9")));
        for (a, b) in [("9", "10"), ("9", "9"), ("b", "a"), ("10", "a"), ("a", "10"), ("", "")] {
            assert!(!is_newer(Some(a), Some(b)), "{a} {b}");
        }
        assert!(!is_newer(None, Some("1")) && !is_newer(Some("1"), None));
    }
}
