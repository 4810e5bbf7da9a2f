//! The kind Sandbox: one E2B sandbox, kept alive across expiry, restarts and loss.
//! Imports `bounds`, `common` and `schema` of this folder; its status stands in `status`.

mod rules;
mod status;

pub use status::{CreateAnswer, Creating, Holder, LastRun, PastSandbox, SandboxState, SandboxStatus};

use super::{
    bounds,
    common::{EnvVar, LocalRef},
    schema,
};
use kube::{CustomResource, KubeSchema};
use rules::{FROZEN, OWN_TEMPLATE, SAME_KEY};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sandbox is one E2B cloud sandbox, kept alive across expiry, restarts and loss.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "slipway.dev",
    version = "v1alpha1",
    kind = "Sandbox",
    plural = "sandboxes",
    namespaced,
    status = "SandboxStatus",
    shortname = "swbox",
    category = "slipway",
    derive = "PartialEq",
    doc = "Sandbox is one E2B cloud sandbox, kept alive across expiry, restarts and loss.",
    validation = Rule::new(FROZEN)
        .message("template, env, metadata and onTimeout must not change while a sandbox is up or being created: delete the Sandbox or wait until it is gone"),
    validation = Rule::new(SAME_KEY)
        .message("credentialsSecretRef must not change while a sandbox is being created: wait until it is up"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Sandbox", type_ = "string", json_path = ".status.sandboxID"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Template", type_ = "string", json_path = ".spec.template", priority = 1),
    printcolumn(name = "Recreations", type_ = "integer", json_path = ".status.recreations", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(OWN_TEMPLATE).message(
    "template must not contain / or : nor begin with slipway- without credentialsSecretRef: under the operator's key it may be \
     another's snapshot"
))]
pub struct SandboxSpec {
    /// E2B template the sandbox is made from. One with `/` or `:` in its name, or whose name begins with `slipway-`, needs
    /// `credentialsSecretRef`. Default: `base`. Can't be changed while a sandbox is up or being created.
    #[serde(default = "base_template")]
    #[schemars(length(min = 1, max = bounds::ID), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"))]
    pub template: String,

    /// Secret with the key `apiKey`: an E2B API key. Absent: the operator's own `E2B_API_KEY`.
    /// Can't be changed while a sandbox is being created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalRef>,

    /// `OnDemand`: brought up when applied and whenever a Task needs it, kept alive while one does, otherwise left to
    /// its time-out (`Ready=True`, reason `Idle`). `Running`: always kept up. Default: `OnDemand`.
    #[serde(default)]
    pub operating_mode: OperatingMode,

    /// The sandbox's time to live at E2B, in seconds. The operator renews it while the sandbox is needed;
    /// a change applies at the next renewal. Default: 300.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 120, max = 86400))]
    pub timeout_seconds: i32,

    /// Action of E2B when the time to live is over: `Pause` keeps memory and files, `Kill` loses them. Default: `Pause`.
    /// Can't be changed while a sandbox is up or being created.
    #[serde(default)]
    pub on_timeout: OnTimeout,

    /// Environment variables of every process in the sandbox. Can't be changed while a sandbox is up or being created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::ENV))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// Metadata passed to E2B, in addition to the operator's own. Keys must not start with `slipway/`.
    /// Can't be changed while a sandbox is up or being created.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map::<32, 1024>")]
    #[x_kube(
        validation = Rule::new("self.all(k, !k.startsWith('slipway/'))").message("metadata keys must not start with slipway/"),
        validation = Rule::new("self.all(k, size(k) >= 1 && size(k) <= 128)").message("metadata keys must have 1 to 128 characters")
    )]
    pub metadata: BTreeMap<String, String>,

    /// Policy for a sandbox that is gone for good.
    #[serde(default)]
    pub recovery: Recovery,

    /// Policy for the E2B sandbox when this object is deleted: `Kill`, `Pause` (kept at E2B until somebody kills it)
    /// or `Retain` (left alone). Absent: `Kill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// Stops everything but renewal and deletion.
    #[serde(default)]
    pub suspend: bool,
}

impl Default for SandboxSpec {
    fn default() -> Self {
        Self {
            template: base_template(),
            credentials_secret_ref: None,
            operating_mode: OperatingMode::default(),
            timeout_seconds: default_timeout(),
            on_timeout: OnTimeout::default(),
            env: Vec::new(),
            metadata: BTreeMap::new(),
            recovery: Recovery::default(),
            deletion_policy: None,
            suspend: false,
        }
    }
}

fn base_template() -> String {
    "base".into()
}

fn default_timeout() -> i32 {
    300
}

/// Rule for keeping the sandbox up.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatingMode {
    #[default]
    OnDemand,
    Running,
}

/// Action of E2B at the end of the time to live.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    #[default]
    Pause,
    Kill,
}

/// Policy for a sandbox that is gone for good.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// `Recreate`: a sandbox that is definitely gone (E2B answers 404 to a key that has seen it, and does not list it either) is
    /// replaced when it is needed. `Hold`: it is reported (reason `SandboxGone`) and nothing is created. Default: `Recreate`.
    #[serde(default)]
    pub policy: RecoveryPolicy,
}

/// Policy on replacing a sandbox that is gone.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryPolicy {
    #[default]
    Recreate,
    Hold,
}

/// Policy for the E2B sandbox when the object is deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPolicy {
    Kill,
    Pause,
    Retain,
}
