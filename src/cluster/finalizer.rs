//! Adding and removing our finalizers, against the version that was read.
//! Used by the controllers, which decide when.

use super::{Error, Written, status::write_metadata};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Returns whether `object` carries the finalizer.
pub fn has<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|name| name == finalizer)
}

/// Adds the finalizer; `Unchanged` when it is there. An object that is being deleted takes none
/// (the API server forbids it), so the caller asks for that first.
pub async fn add<K>(api: &Api<K>, seen: &K, finalizer: &str, manager: &str) -> Result<Written<K>, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    if has(seen, finalizer) {
        return Ok(Written::Unchanged);
    }
    let all: Vec<&str> = seen.finalizers().iter().map(String::as_str).chain([finalizer]).collect();
    write_metadata(api, seen, json!({ "finalizers": all }), manager).await
}

/// Removes the finalizer; `Unchanged` when it is not there or the object is gone.
pub async fn remove<K>(api: &Api<K>, seen: &K, finalizer: &str, manager: &str) -> Result<Written<K>, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    if !has(seen, finalizer) {
        return Ok(Written::Unchanged);
    }
    let rest: Vec<&str> =
        seen.finalizers().iter().map(String::as_str).filter(|name| *name != finalizer).collect();
    match write_metadata(api, seen, json!({ "finalizers": rest }), manager).await {
        Err(Error::NotFound(_)) => Ok(Written::Unchanged),
        other => other,
    }
}
