//! The one way to write status, for controller and webhook alike: the difference, against the version that was read.
//! Uses `domain::patch`; the callers decide what to write and what a conflict means for them.

use super::Error;
use crate::domain::patch::diff;
use http::{HeaderValue, header::ACCEPT};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams, Request},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;

/// Result of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written<K> {
    /// Written; the object as it stands now, with its new version.
    Patched(K),
    /// Nothing differs: no call was made.
    Unchanged,
    /// Somebody else wrote since `seen` was read: read again, decide again. Normal.
    Conflict,
}

/// Writes the difference between `old` and `new` to the status of `seen`, if `seen` is still the newest version.
///
/// `seen` is the object the decision was made from, `old` its status as it was read, and `manager` the field manager
/// (`slipway-controller`, `slipway-webhook`). Fields that neither side knows survive; `new` must leave absent fields out.
pub async fn write<K, S>(
    api: &Api<K>,
    seen: &K,
    old: Option<&S>,
    new: &S,
    manager: &str,
) -> Result<Written<K>, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
    S: Serialize,
{
    let old = old.map(serde_json::to_value).transpose()?.unwrap_or_else(|| json!({}));
    let Some(patch) = diff(&old, &serde_json::to_value(new)?) else { return Ok(Written::Unchanged) };
    let body = json!({ "metadata": { "resourceVersion": seen.resource_version() }, "status": patch });
    written(api.patch_status(&seen.name_any(), &params(manager), &Patch::Merge(body)).await, &seen.name_any())
}

/// Writes these `fields` of the status of the `K` of this namespace and name, if `version` is still its newest; gives the
/// version it has then. For who has kept no more of an object than that: the answer brings its metadata alone
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches>).
pub async fn write_fields<K>(
    client: &Client,
    (namespace, name): (&str, &str),
    version: Option<&str>,
    fields: &impl Serialize,
    manager: &str,
) -> Result<String, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Version<'a> {
        resource_version: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Fields<'a, S> {
        metadata: Version<'a>,
        status: &'a S,
    }
    let body = Fields { metadata: Version { resource_version: version }, status: fields };
    let request = Request::new(K::url_path(&(), Some(namespace)));
    let request = request.patch_subresource("status", name, &params(manager), &Patch::Merge(body));
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    request.headers_mut().insert(ACCEPT, METADATA);
    Ok(client.request::<Answer>(request).await?.metadata.resource_version)
}

const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// The part of an answer that tells how an object stands now.
#[derive(Deserialize)]
struct Answer {
    metadata: AnsweredMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredMetadata {
    resource_version: String,
}

/// Writes the difference between two specs of `seen` in the same way.
pub async fn write_spec<K, S>(
    api: &Api<K>,
    seen: &K,
    old: &S,
    new: &S,
    manager: &str,
) -> Result<Written<K>, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
    S: Serialize,
{
    let Some(patch) = diff(&serde_json::to_value(old)?, &serde_json::to_value(new)?) else {
        return Ok(Written::Unchanged);
    };
    let body = json!({ "metadata": { "resourceVersion": seen.resource_version() }, "spec": patch });
    let patched = api.patch(&seen.name_any(), &params(manager), &Patch::Merge(body)).await;
    written(patched, &seen.name_any())
}

/// Sends a merge patch of metadata against the version `seen` was read at.
pub(super) async fn write_metadata<K>(
    api: &Api<K>,
    seen: &K,
    mut metadata: Value,
    manager: &str,
) -> Result<Written<K>, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    metadata["resourceVersion"] = json!(seen.resource_version());
    let body = json!({ "metadata": metadata });
    let patched = api.patch(&seen.name_any(), &params(manager), &Patch::Merge(body)).await;
    written(patched, &seen.name_any())
}

fn params(manager: &str) -> PatchParams {
    PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() }
}

/// Takes a conflict for an answer: the caller reads and decides again.
fn written<K>(patched: kube::Result<K>, name: &str) -> Result<Written<K>, Error> {
    match patched.map_err(Error::from) {
        Ok(object) => Ok(Written::Patched(object)),
        Err(Error::Conflict(message)) => {
            tracing::debug!(name, message, "changed since it was read");
            Ok(Written::Conflict)
        }
        Err(error) => Err(error),
    }
}
