//! The one way to write status, for controller and webhook alike: the difference, against the version that was read.
//! Uses `domain::patch`; the callers decide what to write and what a conflict means for them.

use super::Error;
use crate::domain::patch::diff;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
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
