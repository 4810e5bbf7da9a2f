//! Who talks to the API server, and their kubeconfig files.
//! Neighbours: `authority` signs their certificates; tests bind roles to them by name.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::authority::Authority;

/// A user of the API server, known by a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// `admin` in the group `system:masters`: everything is allowed.
    Admin,
    /// A plain user by name. It may do nothing until a role is bound to it: `subjects: [{kind: User, name: …}]`.
    Named(String),
    /// A node's kubelet, as `system:node:<name>`.
    Node(String),
}

impl User {
    pub fn named(name: impl Into<String>) -> Self {
        Self::Named(name.into())
    }

    /// The name that RBAC bindings and the audit log use.
    pub fn name(&self) -> &str {
        match self {
            Self::Admin => "admin",
            Self::Named(name) | Self::Node(name) => name,
        }
    }

    fn group(&self) -> Option<&'static str> {
        match self {
            Self::Admin => Some("system:masters"),
            Self::Named(_) => None,
            Self::Node(_) => Some("system:nodes"),
        }
    }
}

/// Writes `<directory>/<user>.kubeconfig`: JSON, which is YAML too.
pub fn write_kubeconfig(directory: &Path, authority: &Authority, url: &str, user: &User) -> Result<PathBuf> {
    let name = user.name();
    ensure!(!name.is_empty() && !name.contains('/'), "user name {name:?} can't name a file");
    ensure!(*user == User::Admin || name != "admin", "use User::Admin for the user \"admin\"");
    let (certificate, key) = authority.client(name, user.group())?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "slipway",
        "contexts": [{"name": "slipway", "context": {"cluster": "slipway", "user": name, "namespace": "default"}}],
        "clusters": [{"name": "slipway", "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(authority.certificate()),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }}],
    });
    let path = directory.join(format!("{name}.kubeconfig"));
    std::fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
    Ok(path)
}
