//! The rights that the chart gives, beside those that the operator has used: both ways, nothing may be left over.
//! Neighbours: `controlplane`'s audit log says what was used; `install` makes the operator use what it has.

use crate::controlplane::AuditEvent;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

/// Rights that a run may leave unused, and why they are given all the same.
const RARE: [(&str, &str, &str, &str); 7] = [
    ("slipway.dev", "tasks/finalizers", "update", "asked for by an admission plugin, not by a request"),
    ("slipway.dev", "tasks", "get", "only after a conflict"),
    ("slipway.dev", "sandboxes", "get", "only after a conflict"),
    ("slipway.dev", "repositories", "get", "only after a conflict"),
    ("coordination.k8s.io", "leases", "get", "only after a conflict"),
    ("", "configmaps", "get", "only by the sweep, ten minutes after the start"),
    ("events.k8s.io", "events", "patch", "only when an event repeats within minutes"),
];

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `None`: in all namespaces.
    namespace: Option<String>,
    group: String,
    /// With its subresource, as in `tasks/status`.
    resource: String,
    verb: String,
    /// Empty: any.
    names: Vec<String>,
}

/// Every right that the rendered roles give to `account`.
pub fn given(objects: &[Value], account: &str) -> Result<BTreeSet<Right>> {
    let mut all = BTreeSet::new();
    let bindings =
        objects.iter().filter(|object| object["kind"].as_str().is_some_and(|k| k.ends_with("RoleBinding")));
    for binding in bindings {
        let subjects = binding["subjects"].as_array().context("a binding has subjects")?;
        ensure!(subjects.len() == 1 && subjects[0]["name"] == account, "{binding}");
        let reference = &binding["roleRef"];
        let role = objects
            .iter()
            .find(|object| {
                object["kind"] == reference["kind"] && object["metadata"]["name"] == reference["name"]
            })
            .with_context(|| format!("no role for {binding}"))?;
        let namespace = binding["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in role["rules"].as_array().context("a role has rules")? {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        all.insert(Right {
                            namespace: namespace.clone(),
                            group: group.clone(),
                            resource: resource.clone(),
                            verb,
                            names: texts(&rule["resourceNames"]),
                        });
                    }
                }
            }
        }
    }
    Ok(all)
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

impl Right {
    fn covers(&self, event: &AuditEvent) -> bool {
        let object = &event.object_ref;
        let resource = match object.subresource.as_str() {
            "" => object.resource.clone(),
            part => format!("{}/{part}", object.resource),
        };
        self.namespace.as_ref().is_none_or(|namespace| *namespace == object.namespace)
            && (self.group == object.api_group && self.resource == resource && self.verb == event.verb)
            && (self.names.is_empty() || self.names.contains(&object.name))
    }

    fn is_rare(&self) -> bool {
        RARE.iter().any(|(group, resource, verb, _)| {
            self.group == *group && self.resource == *resource && self.verb == *verb
        })
    }
}

/// Requests for objects that no right covers or that were refused, and rights that no request needed.
pub fn left_over(rights: &BTreeSet<Right>, events: &[&AuditEvent]) -> (BTreeSet<String>, Vec<Right>) {
    let requests: Vec<_> = events.iter().filter(|event| !event.object_ref.resource.is_empty()).collect();
    let refused = requests
        .iter()
        .filter(|event| event.response_status.code == 403 || !rights.iter().any(|right| right.covers(event)));
    let refused =
        refused.map(|event| format!("{} {} ({})", event.verb, event.request_uri, event.response_status.code));
    let unused = rights.iter().filter(|right| !requests.iter().any(|event| right.covers(event)));
    (refused.collect(), unused.filter(|right| !right.is_rare()).cloned().collect())
}

/// Fails if anything is left over; then takes every right away that was used, to see that it would be missed.
pub fn check(rights: &BTreeSet<Right>, events: &[&AuditEvent]) -> Result<()> {
    ensure!(rights.len() > 15 && events.len() > 50, "{} rights, {} requests", rights.len(), events.len());
    let (refused, unused) = left_over(rights, events);
    ensure!(refused.is_empty(), "requests without a right: {refused:#?}");
    ensure!(unused.is_empty(), "rights without a request: {unused:#?}");
    for right in rights {
        let mut fewer = rights.clone();
        fewer.remove(right);
        let used = events.iter().any(|event| right.covers(event));
        ensure!(used != left_over(&fewer, events).0.is_empty(), "{right:?} would not be missed");
    }
    Ok(())
}
