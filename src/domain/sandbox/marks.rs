//! The marks by which a sandbox at E2B is known as ours: metadata and idempotency keys.
//! Written at create, read wherever a list has to be understood.

use super::{E2bSandbox, Owner};
use crate::api::{METADATA_PREFIX, Sandbox};
use kube::ResourceExt;
use std::collections::BTreeMap;

const INSTALLATION: &str = "installation";
const NAMESPACE: &str = "namespace";
const UID: &str = "uid";
const INCARNATION: &str = "incarnation";

fn key(name: &str) -> String {
    format!("{METADATA_PREFIX}{name}")
}

/// Metadata that every sandbox of the installation carries: the filter of the sweep's list.
pub fn installation_marks(installation: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key(INSTALLATION), installation.to_owned())])
}

/// The object that the installation made the sandbox for; `None`: it is not of this installation, or does not say for whom.
pub fn owner(seen: &E2bSandbox, installation: &str) -> Option<Owner> {
    let mark = |name| seen.metadata.get(&key(name)).filter(|value| !value.is_empty());
    let ours = mark(INSTALLATION).is_some_and(|marked| marked == installation);
    let (namespace, uid) = (mark(NAMESPACE)?.clone(), mark(UID)?.clone());
    ours.then_some(Owner { namespace, uid })
}

/// Metadata that every sandbox of the object carries, whichever installation made it: the filter of a list. The objects outlive
/// an installation, and what the one before made for them is theirs.
pub fn own_marks(sandbox: &Sandbox) -> BTreeMap<String, String> {
    BTreeMap::from([(key(UID), sandbox.uid().unwrap_or_default())])
}

/// The installation that made the sandbox, where it is another: it is gone, or two of them act on the same object.
pub fn other_installation<'a>(seen: &'a E2bSandbox, installation: &str) -> Option<&'a str> {
    let marked = seen.metadata.get(&key(INSTALLATION))?;
    (marked != installation).then_some(marked)
}

/// The whole metadata of a sandbox to be made: the user's and ours.
pub fn metadata(sandbox: &Sandbox, installation: &str, incarnation: i64) -> BTreeMap<String, String> {
    let mut all = sandbox.spec.metadata.clone();
    all.extend(own_marks(sandbox));
    all.extend(installation_marks(installation));
    all.insert(key(NAMESPACE), sandbox.namespace().unwrap_or_default());
    all.insert(key(INCARNATION), incarnation.to_string());
    all
}

/// `<uid without dashes>x<incarnation>x<attempt>`: E2B takes `[a-z0-9]{1,255}`.
pub fn idempotency_key(uid: &str, incarnation: i64, attempt: i64) -> String {
    format!("{}x{incarnation}x{attempt}", uid.replace('-', ""))
}

/// Returns whether the sandbox carries the object's uid.
pub(super) fn is_ours(seen: &E2bSandbox, sandbox: &Sandbox) -> bool {
    seen.metadata.get(&key(UID)).is_some_and(|uid| Some(uid) == sandbox.metadata.uid.as_ref())
}

/// Returns whether the sandbox carries the uid of another object.
pub(super) fn is_anothers(seen: &E2bSandbox, sandbox: &Sandbox) -> bool {
    seen.metadata.get(&key(UID)).is_some_and(|uid| Some(uid) != sandbox.metadata.uid.as_ref())
}

pub(super) fn incarnation(seen: &E2bSandbox) -> Option<i64> {
    seen.metadata.get(&key(INCARNATION))?.parse().ok()
}
