//! The API key and the environment of a Sandbox, from Secrets. Values stay in `secrecy` types.
//! Part of the Sandbox controller. They are read as they are now: calls are rare, and often follow a change of just this Secret.

use super::{SandboxController, uid};
use crate::{
    api::{
        Sandbox,
        common::{EnvVar, SecretKeyRef},
    },
    cluster::{Age, SecretKey},
    domain::failure::Failure,
    e2b::Account,
};
use kube::ResourceExt;
use secrecy::SecretString;
use std::collections::BTreeMap;

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

    /// The variables of `spec.env` with their values.
    pub(super) async fn env(&self, object: &Sandbox) -> Result<BTreeMap<String, SecretString>, Failure> {
        let mut env = BTreeMap::new();
        for variable in &object.spec.env {
            env.insert(variable.name.clone(), self.value(object, variable).await?);
        }
        Ok(env)
    }

    async fn value(&self, object: &Sandbox, variable: &EnvVar) -> Result<SecretString, Failure> {
        match &variable.value_from {
            None => Ok(variable.value.clone().unwrap_or_default().into()),
            Some(source) => {
                let SecretKeyRef { name: secret, key } = &source.secret_key_ref;
                let namespace = object.namespace().unwrap_or_default();
                let purpose = format!("the value of the variable {}", variable.name);
                let key = SecretKey { namespace: &namespace, secret, key, purpose: &purpose };
                Ok(self.secrets.text(key, Age::Fresh).await?.value)
            }
        }
    }
}
