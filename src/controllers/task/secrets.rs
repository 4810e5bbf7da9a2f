//! The Secrets that a Task's sandbox is given: read as they are now, and remembered as they were when the command started.
//! Part of the Task controller; `domain::secrets` searches and masks with the values.

use super::TaskController;
use crate::{
    api::{Sandbox, SecretVersion, Task, common::EnvVar, conditions::reason},
    cluster::SecretValues,
    domain::{
        failure::{Class, Failure, operation},
        secrets::{Needles, SecretValue, rotated},
    },
};
use kube::ResourceExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Secrets that were read, by name.
type Secrets = BTreeMap<String, Arc<SecretValues>>;

/// Values and versions of Secrets as they were read at one time.
#[derive(Debug, Clone, Default)]
pub struct GivenSecrets {
    pub values: Vec<SecretValue>,
    /// For `status.codeGenerations[].secretVersions`, by name.
    pub versions: Vec<SecretVersion>,
}

impl GivenSecrets {
    /// Masks the words of the one that the values are given to.
    pub fn needles(&self) -> Needles {
        Needles::new(self.values.iter().cloned())
    }
}

/// Knowledge of the values that a generation's sandbox has.
#[derive(Debug, Clone)]
pub struct SandboxSecrets {
    /// The values as they were at the start, as far as this process knows them, and as they are now.
    pub needles: Needles,
    recorded: Vec<SecretVersion>,
    now: Vec<SecretVersion>,
    known: bool,
}

impl SandboxSecrets {
    /// Fails where a value that the sandbox has is not among the needles, because its Secret has changed since the start and
    /// another process started the run. Nothing of the run may be shown or sent then. `accepted`: somebody has said, by the
    /// annotation `slipway.dev/reconcile`, that the old value is worthless by now.
    pub fn rotation(&self, accepted: bool) -> Result<(), Failure> {
        let Some(names) = rotated(&self.recorded, &self.now, self.known, accepted) else { return Ok(()) };
        let (noun, verb) = if names.len() == 1 { ("Secret", "has") } else { ("Secrets", "have") };
        Err(Failure {
            operation: operation::GET_SECRET,
            class: Class::Invalid,
            reason: reason::SECRET_ROTATED,
            message: format!(
                "{noun} {} {verb} changed since the command was started, and the operator no longer knows the old value \
                 that the files may hold: set annotation slipway.dev/reconcile to say that the old value is worthless by \
                 now, or slipway.dev/rerun to begin anew",
                names.join(", ")
            ),
        })
    }
}

impl TaskController {
    /// Reads the Secrets that a start of the Task's command needs. One that is missing, or lacks its key, holds the start
    /// back: class `NotFound`, reason `SecretNotFound`.
    pub async fn secrets_to_give(&self, task: &Task) -> Result<GivenSecrets, Failure> {
        let (references, read) = self.read_secrets(task, &[]).await?;
        if let Some(missing) = references.iter().find(|reference| reference.value(&read).is_none()) {
            return Err(missing.failure());
        }
        Ok(GivenSecrets { values: values(&references, &read), versions: versions(&read) })
    }

    /// The versions to record with a generation that is about to start.
    pub async fn secret_versions(&self, task: &Task) -> Result<Vec<SecretVersion>, Failure> {
        Ok(self.secrets_to_give(task).await?.versions)
    }

    /// Remembers what the generation was given, for as long as the Task or its sandbox exists. To be called before its command starts.
    pub fn remember_secrets(&self, task: &Task, generation: &str, values: Vec<SecretValue>) {
        let (uid, sandbox) = (task.uid().unwrap_or_default(), sandbox_of(task, generation));
        let tasks: BTreeSet<String> =
            self.stores.tasks.state().iter().filter_map(|task| task.uid()).collect();
        let live = |sandbox: &Arc<Sandbox>| sandbox.status.as_ref()?.sandbox_id.clone();
        let sandboxes: BTreeSet<String> = self.stores.sandboxes.state().iter().filter_map(live).collect();
        let mut memory = self.memory();
        memory.given.keep(|known| tasks.contains(known), |known| sandboxes.contains(known));
        memory.given.remember(&uid, generation, &sandbox, values);
    }

    /// Collects the values that must neither be shown nor sent of a generation's output and files.
    pub async fn secret_values(&self, task: &Task, generation: &str) -> Result<SandboxSecrets, Failure> {
        let uid = task.uid().unwrap_or_default();
        let runs = task.status.iter().flat_map(|status| &status.code_generations);
        let recorded = runs.clone().find(|run| run.id == generation);
        let recorded = recorded.map(|run| run.secret_versions.clone()).unwrap_or_default();
        let (references, read) = self.read_secrets(task, &recorded).await?;
        let (values, now) = (values(&references, &read), versions(&read));
        let mut known = self.memory().given.knows(&uid, generation);
        if !known && rotated(&recorded, &now, false, false).is_none() {
            // Another process started the run, but nothing has changed since: from here on this one knows the values too.
            self.remember_secrets(task, generation, values.clone());
            known = true;
        }
        let at_start = self.memory().given.of(&uid, &sandbox_of(task, generation));
        Ok(SandboxSecrets { needles: Needles::new(at_start.into_iter().chain(values)), recorded, now, known })
    }

    /// Reads what the Task and its Sandbox refer to, and also every Secret of `recorded`, as they are now.
    async fn read_secrets(
        &self,
        task: &Task,
        recorded: &[SecretVersion],
    ) -> Result<(Vec<Reference>, Secrets), Failure> {
        let sandbox = self.sandbox(task);
        let of_task = task.spec.generate.iter().flat_map(|generate| &generate.env);
        let of_sandbox = sandbox.iter().flat_map(|sandbox| &sandbox.spec.env);
        let mut references: Vec<Reference> =
            of_task.filter_map(|variable| Reference::of(variable, "generate.env")).collect();
        references.extend(of_sandbox.filter_map(|variable| Reference::of(variable, "the Sandbox's env")));
        let names: BTreeSet<&str> = references
            .iter()
            .map(|reference| reference.secret.as_str())
            .chain(recorded.iter().map(|then| then.name.as_str()))
            .collect();
        let namespace = task.namespace().unwrap_or_default();
        let mut read = Secrets::new();
        for name in names {
            let values =
                self.secrets.get(&namespace, name).await.map_err(|e| e.during(operation::GET_SECRET))?;
            if let Some(values) = values {
                read.insert(name.to_owned(), values);
            }
        }
        Ok((references, read))
    }
}

/// E2B's id of the sandbox that the generation runs in.
fn sandbox_of(task: &Task, generation: &str) -> String {
    let Some(status) = &task.status else { return String::new() };
    let run = status.code_generations.iter().find(|run| run.id == generation);
    run.map(|run| run.sandbox_id.clone()).or_else(|| status.sandbox_id.clone()).unwrap_or_default()
}

/// One variable's key of a Secret.
#[derive(Debug)]
struct Reference {
    variable: String,
    /// The field that names it.
    field: &'static str,
    secret: String,
    key: String,
}

impl Reference {
    fn of(variable: &EnvVar, field: &'static str) -> Option<Self> {
        let source = &variable.value_from.as_ref()?.secret_key_ref;
        let (secret, key) = (source.name.clone(), source.key.clone());
        Some(Self { variable: variable.name.clone(), field, secret, key })
    }

    fn value(&self, read: &Secrets) -> Option<SecretValue> {
        text(read.get(&self.secret)?, &self.secret, &self.key)
    }

    fn failure(&self) -> Failure {
        let Self { variable, field, secret, key } = self;
        Failure {
            operation: operation::GET_SECRET,
            class: Class::NotFound,
            reason: reason::SECRET_NOT_FOUND,
            message: format!(
                "Secret {secret} does not exist or has no text under the key {key}: create it, or correct {variable} in {field}"
            ),
        }
    }
}

fn text(values: &SecretValues, secret: &str, key: &str) -> Option<SecretValue> {
    Some(SecretValue { secret: secret.to_owned(), key: key.to_owned(), value: values.text(key)? })
}

/// The values that are referred to, and all of a Secret that was when the command started and is not any more.
fn values(references: &[Reference], read: &Secrets) -> Vec<SecretValue> {
    let mut found: Vec<SecretValue> =
        references.iter().filter_map(|reference| reference.value(read)).collect();
    for (name, secret) in read {
        if !references.iter().any(|reference| reference.secret == *name) {
            found.extend(secret.iter().filter_map(|(key, _)| text(secret, name, key)));
        }
    }
    found
}

fn versions(read: &Secrets) -> Vec<SecretVersion> {
    let version = |(name, values): (&String, &Arc<SecretValues>)| SecretVersion {
        name: name.clone(),
        version: values.version().to_owned(),
    };
    read.iter().map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::given::Given, *};

    fn value(text: &str) -> Vec<SecretValue> {
        vec![SecretValue { secret: "s".into(), key: "k".into(), value: text.into() }]
    }

    fn version(version: &str) -> Vec<SecretVersion> {
        vec![SecretVersion { name: "keys".into(), version: version.into() }]
    }

    #[test]
    fn what_is_remembered_is_never_printed() {
        let mut given = Given::default();
        given.remember("a", "a-1-1", "x", value("canary-value"));
        let secrets = SandboxSecrets {
            needles: Needles::new(given.of("a", "x")),
            recorded: version("1"),
            now: version("2"),
            known: false,
        };
        assert!(!format!("{given:?} {secrets:?}").contains("canary"));
    }

    #[test]
    fn a_rotation_names_the_secret_and_both_cures() {
        let secrets = |known, now: Vec<SecretVersion>| SandboxSecrets {
            needles: Needles::default(),
            recorded: version("1"),
            now,
            known,
        };
        assert_eq!(secrets(true, version("2")).rotation(false), Ok(()));
        assert_eq!(secrets(false, version("1")).rotation(false), Ok(()));
        assert_eq!(secrets(false, version("2")).rotation(true), Ok(()));
        for now in [version("2"), Vec::new()] {
            let failure = secrets(false, now).rotation(false).unwrap_err();
            assert_eq!((failure.class, failure.reason), (Class::Invalid, reason::SECRET_ROTATED));
            for part in ["Secret keys has changed", "slipway.dev/reconcile", "slipway.dev/rerun"] {
                assert!(failure.message.contains(part), "{}", failure.message);
            }
        }
    }
}
