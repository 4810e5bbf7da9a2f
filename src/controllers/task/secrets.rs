//! The Secrets that a Task's sandbox is given: read as they are now, and remembered as they were when the command started.
//! Part of the Task controller; `domain::secrets` searches and masks with the values.

use super::TaskController;
use crate::{
    api::{Sandbox, SecretVersion, Task, common::EnvVar, conditions::reason},
    cluster::{SecretError, SecretKey, SecretValues},
    controllers::brought::Brought,
    domain::{
        failure::{Class, Failure, operation},
        secrets::{Needles, SecretValue, rotated},
    },
};
use kube::ResourceExt;
use secrecy::SecretString;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Secrets that were read, by name.
type Secrets = BTreeMap<String, Arc<SecretValues>>;

/// The field that lists the command's own variables.
const COMMAND: &str = "generate.env";

/// What a command is given of Secrets, all of it from one reading: what runs and what is masked can't differ.
#[derive(Debug, Clone, Default)]
pub struct GivenSecrets {
    /// The variables of `generate.env`, in its order.
    pub env: Vec<(String, SecretString)>,
    /// Every value that the sandbox has from a Secret, by the command or by itself.
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
    /// Secrets that the sandbox was made with, have changed since, and whose values then this process does not know.
    forgotten: BTreeSet<String>,
}

impl SandboxSecrets {
    /// Fails where a value that the sandbox has is not among the needles, because its Secret has changed since the start and
    /// another process started the run. Nothing of the run may be shown or sent then. `accepted`: somebody has said, by the
    /// annotation `slipway.dev/reconcile`, that the old value is worthless by now.
    pub fn rotation(&self, accepted: bool) -> Result<(), Failure> {
        let of_run = rotated(&self.recorded, &self.now, self.known, accepted).into_iter().flatten();
        let of_sandbox = self.forgotten.iter().filter(|_| !accepted).cloned();
        let names: BTreeSet<String> = of_run.chain(of_sandbox).collect();
        if names.is_empty() {
            return Ok(());
        }
        let (noun, verb) = if names.len() == 1 { ("Secret", "has") } else { ("Secrets", "have") };
        let names: Vec<String> = names.into_iter().collect();
        // A rerun goes on in the same sandbox, and would end here again.
        let anew = if self.forgotten.is_empty() {
            "slipway.dev/rerun to begin anew"
        } else {
            "have a new sandbox made: delete the Sandbox, or change its template"
        };
        Err(Failure {
            operation: operation::GET_SECRET,
            class: Class::Invalid,
            reason: reason::SECRET_ROTATED,
            message: format!(
                "{noun} {} {verb} changed since the sandbox was given the value, and the operator no longer knows the old value \
                 that the files may hold: set annotation slipway.dev/reconcile to say that the old value is worthless by \
                 now, or {anew}",
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
        let env = task.spec.generate.iter().flat_map(|generate| &generate.env);
        Ok(given(env, &references, &read)?)
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
        let all = self.stores.sandboxes.state();
        let sandboxes: BTreeSet<String> = all.iter().filter_map(live).collect();
        let objects: BTreeSet<String> = all.iter().filter_map(|sandbox| sandbox.uid()).collect();
        let mut memory = self.memory();
        memory.given.keep(|known| tasks.contains(known), |known| sandboxes.contains(known));
        self.brought.keep(|known| objects.contains(known));
        memory.given.remember(&uid, generation, &sandbox, values);
    }

    /// Collects the values that must neither be shown nor sent of a generation's output and files.
    pub async fn secret_values(&self, task: &Task, generation: &str) -> Result<SandboxSecrets, Failure> {
        let uid = task.uid().unwrap_or_default();
        let runs = task.status.iter().flat_map(|status| &status.code_generations);
        let recorded = runs.clone().find(|run| run.id == generation);
        let recorded = recorded.map(|run| run.secret_versions.clone()).unwrap_or_default();
        let made = self.made_with(task, generation);
        let of_sandbox = made.iter().flat_map(|made| &made.versions);
        let all: Vec<SecretVersion> = recorded.iter().chain(of_sandbox).cloned().collect();
        let (references, read) = self.read_secrets(task, &all).await?;
        let (values, now) = (values(&references, &read), versions(&read));
        let (forgotten, brought) = match &made {
            Some(made) => (made.forgotten(&self.brought, &now, &values), self.brought.of(&made.uid)),
            None => (BTreeSet::new(), Vec::new()),
        };
        let mut known = self.memory().given.knows(&uid, generation);
        if !known && rotated(&recorded, &now, false, false).is_none() {
            // Another process started the run, but nothing has changed since: from here on this one knows the values too.
            self.remember_secrets(task, generation, values.clone());
            known = true;
        }
        let at_start = self.memory().given.of(&uid, &sandbox_of(task, generation));
        let needles = Needles::new(at_start.into_iter().chain(brought).chain(values));
        Ok(SandboxSecrets { needles, recorded, now, known, forgotten })
    }

    /// Finds what the generation's sandbox was made with.
    fn made_with(&self, task: &Task, generation: &str) -> Option<MadeWith> {
        let sandbox = self.sandbox(task)?;
        let status = sandbox.status.as_ref()?;
        let id = status.sandbox_id.clone().filter(|id| *id == sandbox_of(task, generation))?;
        let accepted = task.status.as_ref().and_then(|status| status.accepted_rotation.as_ref());
        Some(MadeWith {
            uid: sandbox.uid().unwrap_or_default(),
            incarnation: status.incarnation.unwrap_or_default(),
            versions: status.secret_versions.clone(),
            accepted: accepted == Some(&id),
        })
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
            of_task.filter_map(|variable| Reference::of(variable, COMMAND)).collect();
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

/// The Secrets that an incarnation of a Sandbox was made with.
struct MadeWith {
    uid: String,
    incarnation: i64,
    versions: Vec<SecretVersion>,
    /// A person has said that the old values of this sandbox are worthless by now.
    accepted: bool,
}

impl MadeWith {
    /// Names what the sandbox has and nobody knows any more. What has not changed since it was made this process knows from here on,
    /// accepted or not: what is known is looked for all the same.
    fn forgotten(
        &self,
        brought: &Brought,
        now: &[SecretVersion],
        values: &[SecretValue],
    ) -> BTreeSet<String> {
        let unknown = brought.unknown(&self.uid, self.incarnation, &self.versions);
        let (same, changed): (Vec<_>, Vec<_>) =
            unknown.into_iter().partition(|version| now.contains(version));
        if !same.is_empty() {
            brought.learn(&self.uid, self.incarnation, &same, values.to_vec());
        }
        changed.into_iter().filter(|_| !self.accepted).map(|version| version.name).collect()
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

    fn value(&self, read: &Secrets) -> Result<SecretValue, SecretError> {
        let Self { variable, field, secret, key } = self;
        let purpose = format!("the value of the variable {variable} of {field}");
        // All of `read` is of one namespace.
        let wanted = SecretKey { namespace: "", secret, key, purpose: &purpose };
        let value = wanted.text_in(read.get(secret).map(Arc::as_ref))?;
        Ok(SecretValue { secret: secret.clone(), key: key.clone(), value })
    }
}

/// What a command with the variables `env` is given. A Secret that is not there, or lacks its key, holds the start back: no
/// variable is dropped.
fn given<'a>(
    env: impl IntoIterator<Item = &'a EnvVar>,
    references: &[Reference],
    read: &Secrets,
) -> Result<GivenSecrets, SecretError> {
    let values = references.iter().map(|reference| reference.value(read)).collect::<Result<_, _>>()?;
    let mut variables = Vec::new();
    for variable in env {
        let value = match Reference::of(variable, COMMAND) {
            Some(reference) => reference.value(read)?.value,
            None => variable.value.clone().unwrap_or_default().into(),
        };
        variables.push((variable.name.clone(), value));
    }
    Ok(GivenSecrets { env: variables, values, versions: versions(read) })
}

/// The values that are referred to, and all of a Secret that was when the command started and is not any more.
fn values(references: &[Reference], read: &Secrets) -> Vec<SecretValue> {
    let mut found: Vec<SecretValue> =
        references.iter().filter_map(|reference| reference.value(read).ok()).collect();
    for (name, secret) in read {
        if !references.iter().any(|reference| reference.secret == *name) {
            found.extend(secret.iter().filter_map(|(key, _)| {
                Some(SecretValue { secret: name.clone(), key: key.to_owned(), value: secret.text(key)? })
            }));
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
    use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    fn value(text: &str) -> Vec<SecretValue> {
        vec![SecretValue { secret: "s".into(), key: "k".into(), value: text.into() }]
    }

    fn version(version: &str) -> Vec<SecretVersion> {
        vec![SecretVersion { name: "keys".into(), version: version.into() }]
    }

    /// A Secret of this name with one key, `k`.
    fn secret(name: &str, text: &str) -> (String, Arc<SecretValues>) {
        let data = [("k".to_owned(), ByteString(text.into()))].into();
        let metadata = ObjectMeta { resource_version: Some("7".into()), ..ObjectMeta::default() };
        (name.into(), Arc::new(Secret { data: Some(data), metadata, ..Secret::default() }.into()))
    }

    #[test]
    fn a_secret_deleted_before_the_start_holds_it_back_and_drops_no_variable() {
        let env: Vec<EnvVar> = serde_json::from_value(json!([
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "first", "key": "k"}}},
            {"name": "B", "value": "plain"},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "second", "key": "k"}}},
        ]))
        .expect("variables");
        let references: Vec<Reference> =
            env.iter().filter_map(|variable| Reference::of(variable, COMMAND)).collect();
        let mut read = Secrets::from([secret("first", "first-value"), secret("second", "other-value")]);
        let given_now = given(&env, &references, &read).expect("all are there");
        let shown = |(name, value): &(String, SecretString)| format!("{name}={}", value.expose_secret());
        let variables: Vec<String> = given_now.env.iter().map(shown).collect();
        assert_eq!(variables, ["A=first-value", "B=plain", "C=other-value"]);
        let needles = given_now.needles();
        assert!(needles.found_in("first-value").is_some() && needles.found_in("other-value").is_some());
        read.remove("second");
        let failure = Failure::from(given(&env, &references, &read).expect_err("one is gone"));
        assert_eq!((failure.class, failure.reason), (Class::NotFound, reason::SECRET_NOT_FOUND));
        assert_eq!(
            failure.message,
            "Secret second does not exist in this namespace: create it with the value of the variable C of generate.env \
             under the key k"
        );
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
            forgotten: BTreeSet::new(),
        };
        assert!(!format!("{given:?} {secrets:?}").contains("canary"));
    }

    #[test]
    fn what_is_accepted_stays_among_the_values_that_are_looked_for() {
        let brought = Brought::default();
        for (accepted, forgotten) in [(false, 1), (true, 0)] {
            let made = MadeWith { uid: "u".into(), incarnation: 1, versions: version("0"), accepted };
            assert_eq!(made.forgotten(&brought, &version("1"), &[]).len(), forgotten);
            // Learned where nothing has changed yet, and known from then on.
            let keys = SecretValue { secret: "keys".into(), key: "k".into(), value: "old".into() };
            let made = MadeWith { versions: version("1"), ..made };
            for now in [version("1"), version("2")] {
                assert!(made.forgotten(&brought, &now, std::slice::from_ref(&keys)).is_empty());
                let known = brought.of("u");
                assert!(known.iter().any(|value| value.value.expose_secret() == "old"), "{accepted}");
            }
        }
    }

    #[test]
    fn a_rotation_names_the_secret_and_both_cures() {
        let secrets = |known, now: Vec<SecretVersion>| SandboxSecrets {
            needles: Needles::default(),
            recorded: version("1"),
            now,
            known,
            forgotten: BTreeSet::new(),
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
        let both = SandboxSecrets { forgotten: ["box".to_owned()].into(), ..secrets(false, version("2")) };
        let message = both.rotation(false).unwrap_err().message;
        assert!(message.contains("Secrets box, keys have changed"), "{message}");
        assert!(message.contains("new sandbox") && !message.contains("slipway.dev/rerun"), "{message}");
        let made = SandboxSecrets { forgotten: ["box".to_owned()].into(), ..secrets(true, version("2")) };
        assert!(made.rotation(false).is_err() && made.rotation(true).is_ok());
    }
}
