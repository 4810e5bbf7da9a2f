//! Pieces that several kinds share: references, environment variables, the state of a retry.
//! Imports `bounds` only.

use super::bounds;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kubernetes stores times without fractions: a kept fraction would differ from its stored self for ever.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// What Kubernetes takes as the name of an object (RFC 1123 subdomain). [`is_object_name`] says the same.
const OBJECT_NAME: &str =
    r"self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')";
const NOT_A_NAME: &str =
    "name must be that of an object: lower-case letters, digits, - and . with a letter or digit at both ends";

/// Returns whether an object of Kubernetes can have this name. What can't must become no part of a path: objects that are older
/// than the rule of the schema still carry it.
pub fn is_object_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= bounds::NAME as usize && name.split('.').all(is_label)
}

/// A reference to an object of the same namespace.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalRef {
    /// Name of the object, in the namespace of the object that refers to it.
    #[schemars(length(min = 1, max = bounds::NAME))]
    #[x_kube(validation = Rule::new(OBJECT_NAME).message(NOT_A_NAME))]
    pub name: String,
}

/// One key of a Secret of the same namespace.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = bounds::NAME))]
    #[x_kube(validation = Rule::new(OBJECT_NAME).message(NOT_A_NAME))]
    pub name: String,
    /// Key inside the Secret.
    #[schemars(length(min = 1, max = bounds::NAME), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Source of an environment variable's value.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EnvVarSource {
    /// A key of a Secret in the same namespace. Its value is masked wherever the operator repeats output.
    pub secret_key_ref: SecretKeyRef,
}

/// One environment variable: `value` or `valueFrom`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)").message("exactly one of value and valueFrom must be set"))]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The value, in the clear. Quote it in YAML: `y`, `no` and numbers are not strings there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ENV_VALUE))]
    pub value: Option<String>,
    /// A Secret to take the value from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// A Secret as it was when it was read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretVersion {
    /// Name of the Secret.
    #[schemars(length(max = bounds::NAME))]
    pub name: String,
    /// Its `resourceVersion`.
    #[schemars(length(max = bounds::ID))]
    pub version: String,
}

/// A call that failed and will be made again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// The operation that failed, for example `createPullRequest`.
    #[schemars(length(max = bounds::ID))]
    pub operation: String,
    /// Attempts that have failed so far. Waits that a rate limit asks for do not count.
    #[schemars(range(min = 0, max = 1000))]
    pub attempt: i32,
    /// The last error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = bounds::MESSAGE))]
    pub last_error: String,
    /// No call is made before this time. A new spec, `slipway.dev/rerun`, `slipway.dev/reconcile` and deletion
    /// cut it short, unless a rate limit asked for it.
    pub next_attempt_at: Time,
    /// A rate limit asked for this wait: nothing cuts it short, and it used up no attempt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub limited: bool,
    /// Reason of the wait, the same as that of `Ready`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = bounds::ID))]
    pub reason: String,
    /// No retry can cure the failure: a person has to act, and the object is only looked at again in case somebody has.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stalled: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// The `observedGeneration` of an object that nobody has looked at.
pub(super) fn never_observed() -> i64 {
    -1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_object_can_be_called_is_a_name() {
        for name in ["a", "0", "e2b", "a-b", "a.b", "a--b", "a.0-b.c", &"x".repeat(253)] {
            assert!(is_object_name(name), "{name}");
        }
        let odd = [
            "", ".", "..", "-a", "a-", "a.", ".a", "a..b", "a.-b", "A", "a_b", "a/b", "a?b=c", "a%2fb",
            "a b", "ä", "a\n",
        ];
        for name in odd.into_iter().chain(["../../victim/secrets/e2b", &"x".repeat(254)]) {
            assert!(!is_object_name(name), "{name:?}");
        }
    }
}
