//! The API key and the environment of a Sandbox, from Secrets. Values stay in `secrecy` types.
//! Part of the Sandbox controller. They are read as they are now: calls are rare, and often follow a change of just this Secret.

use super::{SandboxController, memory::Environment, uid};
use crate::{
    api::{
        Sandbox,
        common::{EnvVar, SecretKeyRef, SecretVersion},
    },
    cluster::{Age, SecretKey, SecretText},
    domain::{failure::Failure, secrets::SecretValue},
    e2b::Account,
};
use kube::ResourceExt;

impl SandboxController {
    /// E2B under the key to use now. A deletion falls back to the last key that worked, when the present one is gone
    /// or has never seen the sandbox.
    pub(super) async fn account(&self, object: &Sandbox) -> Result<Account, Failure> {
        let present = self.present_account(object).await;
        if object.metadata.deletion_timestamp.is_none() {
            return present;
        }
        let recorded = object.status.as_ref().and_then(|status| status.credential.as_deref());
        let fits = |account: &Account| recorded.is_none_or(|recorded| recorded == account.fingerprint());
        match (present, self.memory.last_worked(&uid(object))) {
            (Ok(present), _) if fits(&present) => Ok(present),
            (_, Some(worked)) if fits(&worked) => Ok(worked),
            (present, _) => present,
        }
    }

    async fn present_account(&self, object: &Sandbox) -> Result<Account, Failure> {
        let key = self.secrets.e2b_key(object, self.operator_key.as_ref(), Age::Fresh).await?;
        Ok(self.e2b.account(key))
    }

    /// Reads what `spec.env` gives a sandbox.
    pub(super) async fn env(&self, object: &Sandbox) -> Result<Environment, Failure> {
        let mut env = Environment::default();
        for variable in &object.spec.env {
            let value = match &variable.value_from {
                None => variable.value.clone().unwrap_or_default().into(),
                Some(source) => {
                    let SecretKeyRef { name, key } = &source.secret_key_ref;
                    let read = self.value(object, variable, &source.secret_key_ref).await?;
                    let version = SecretVersion { name: name.clone(), version: read.version };
                    if !env.versions.contains(&version) {
                        env.versions.push(version);
                    }
                    let (secret, key, value) = (name.clone(), key.clone(), read.value.clone());
                    env.values.push(SecretValue { secret, key, value });
                    read.value
                }
            };
            env.variables.insert(variable.name.clone(), value);
        }
        Ok(env)
    }

    /// Learns what the living sandbox has, where its Secrets are still as they were and this process did not make it. Once they
    /// have changed nobody can.
    pub(super) async fn learn(&self, object: &Sandbox) {
        let Some(status) = &object.status else { return };
        let (uid, incarnation) = (uid(object), status.incarnation.unwrap_or_default());
        let mut unknown = self.brought.unknown(&uid, incarnation, &status.secret_versions);
        if unknown.is_empty() {
            return;
        }
        if let Ok(env) = self.env(object).await {
            unknown.retain(|version| env.versions.contains(version));
            self.brought.learn(&uid, incarnation, &unknown, env.values);
        }
    }

    async fn value(
        &self,
        object: &Sandbox,
        variable: &EnvVar,
        SecretKeyRef { name: secret, key }: &SecretKeyRef,
    ) -> Result<SecretText, Failure> {
        let namespace = object.namespace().unwrap_or_default();
        let purpose = format!("the value of the variable {}", variable.name);
        let key = SecretKey { namespace: &namespace, secret, key, purpose: &purpose };
        Ok(self.secrets.text(key, Age::Fresh).await?)
    }
}
