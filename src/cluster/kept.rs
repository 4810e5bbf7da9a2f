//! The sandboxes that outlive their object because `deletionPolicy` says so, in a ConfigMap beside the Lease: the sweep leaves
//! them alone. Written by the Sandbox controller when it releases an object, read and pruned by its sweep.

use super::Error;
use crate::api::DeletionPolicy;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Name of the ConfigMap, in the operator's own namespace.
pub const NAME: &str = "slipway-kept-sandboxes";
/// Annotation of a record that is complete.
const COMPLETE: &str = "slipway.dev/complete";

/// What a Sandbox that is gone has left at E2B. Fields that are not known are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptSandbox {
    pub namespace: String,
    /// Name of the Sandbox.
    pub name: String,
    /// E2B's id.
    #[serde(rename = "sandboxID")]
    pub sandbox_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Fingerprint of the key and base URL it was made with.
    pub credential: String,
}

/// All that is on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// It has been kept since before anything could be left behind unnoticed: what is not in it was not to stay.
    pub complete: bool,
    /// By uid of the Sandbox.
    pub entries: BTreeMap<String, KeptSandbox>,
}

/// The way to the record. Cheap to clone.
#[derive(Clone)]
pub struct KeptSandboxes {
    api: Api<ConfigMap>,
}

impl KeptSandboxes {
    pub fn new(client: Client) -> Self {
        Self { api: Api::default_namespaced(client) }
    }

    /// The record as it is now. An entry that can't be read still keeps its uid.
    pub async fn read(&self) -> Result<Record, Error> {
        let Some(record) = self.api.get_opt(NAME).await? else { return Ok(Record::default()) };
        let entries = record.data.iter().flatten();
        let entry = |text: &String| serde_json::from_str(text).unwrap_or_default();
        Ok(Record {
            complete: record.annotations().contains_key(COMPLETE),
            entries: entries.map(|(uid, text)| (uid.clone(), entry(text))).collect(),
        })
    }

    /// Adds an entry, or writes it again.
    pub async fn keep(&self, uid: &str, entry: &KeptSandbox) -> Result<(), Error> {
        self.write(json!({ "data": { uid: serde_json::to_string(entry)? } })).await
    }

    /// Adds what was found when the record began, and says that it is complete from now on.
    pub async fn begin(&self, found: &BTreeMap<String, KeptSandbox>) -> Result<(), Error> {
        let mut data = BTreeMap::new();
        for (uid, entry) in found {
            data.insert(uid, serde_json::to_string(entry)?);
        }
        self.write(json!({ "metadata": { "annotations": { COMPLETE: "true" } }, "data": data })).await
    }

    /// Takes entries out whose sandboxes are gone.
    pub async fn forget(&self, uids: &[String]) -> Result<(), Error> {
        if uids.is_empty() {
            return Ok(());
        }
        let data: Value = uids.iter().map(|uid| (uid.clone(), Value::Null)).collect();
        self.api.patch(NAME, &PatchParams::default(), &Patch::Merge(json!({ "data": data }))).await?;
        Ok(())
    }

    /// Merges into the ConfigMap, which may not be there yet. Where somebody else makes it at the same time this is a
    /// conflict, and the caller comes again.
    async fn write(&self, mut part: Value) -> Result<(), Error> {
        let patched = self.api.patch(NAME, &PatchParams::default(), &Patch::Merge(&part)).await;
        match patched.map_err(Error::from) {
            Err(Error::NotFound(_)) => {
                part["metadata"]["name"] = json!(NAME);
                self.api.create(&PostParams::default(), &serde_json::from_value(part)?).await?;
                Ok(())
            }
            other => other.map(drop),
        }
    }
}
