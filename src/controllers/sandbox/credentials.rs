//! The API key and the environment of a Sandbox, from Secrets. Values stay in `secrecy` types.
//! Part of the Sandbox controller; what is missing becomes a `SecretError`, which `domain::sandbox` words into conditions.

use super::{SandboxController, uid};
use crate::{
    api::{Sandbox, common::EnvVar},
    domain::{failure::operation, sandbox::SecretError},
    e2b::Account,
};
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// The key of an E2B credentials Secret.
const API_KEY: &str = "apiKey";

impl SandboxController {
    /// E2B under the key to use now. A deletion falls back to the last key that worked, when the present one is gone
    /// or has never seen the sandbox.
    pub(super) async fn account(&self, object: &Sandbox) -> Result<Account, SecretError> {
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

    async fn present_account(&self, object: &Sandbox) -> Result<Account, SecretError> {
        let Some(reference) = &object.spec.credentials_secret_ref else {
            let key = self.operator_key.clone().ok_or_else(|| {
                SecretError::Invalid(
                    "no credentialsSecretRef is set and the operator has no E2B_API_KEY: set one of them"
                        .into(),
                )
            })?;
            return Ok(self.e2b.account(key));
        };
        let key = self.text(object, &reference.name, API_KEY, "an E2B API key").await?;
        if key.expose_secret().is_empty() {
            let message =
                format!("key {API_KEY} of Secret {} is empty: put an E2B API key there", reference.name);
            return Err(SecretError::Invalid(message));
        }
        Ok(self.e2b.account(key))
    }

    /// The variables of `spec.env` with their values.
    pub(super) async fn env(&self, object: &Sandbox) -> Result<BTreeMap<String, SecretString>, SecretError> {
        let mut env = BTreeMap::new();
        for variable in &object.spec.env {
            env.insert(variable.name.clone(), self.value(object, variable).await?);
        }
        Ok(env)
    }

    async fn value(&self, object: &Sandbox, variable: &EnvVar) -> Result<SecretString, SecretError> {
        match &variable.value_from {
            None => Ok(variable.value.clone().unwrap_or_default().into()),
            Some(source) => {
                let (secret, key) = (&source.secret_key_ref.name, &source.secret_key_ref.key);
                let purpose = format!("the value of the variable {}", variable.name);
                self.text(object, secret, key, &purpose).await
            }
        }
    }

    /// One key of a Secret as it is now: calls are rare, and often follow a change of just this Secret.
    async fn text(
        &self,
        object: &Sandbox,
        secret: &str,
        key: &str,
        purpose: &str,
    ) -> Result<SecretString, SecretError> {
        let namespace = object.namespace().unwrap_or_default();
        let values = self
            .secrets
            .fresh(&namespace, secret)
            .await
            .map_err(|error| SecretError::Unread(error.during(operation::GET_SECRET)))?;
        let values = values.ok_or_else(|| {
            SecretError::Missing(format!(
                "Secret {secret} does not exist: create it with the key {key}, {purpose}"
            ))
        })?;
        if values.get(key).is_none() {
            return Err(SecretError::Missing(format!(
                "Secret {secret} has no key {key}: put {purpose} there"
            )));
        }
        values.text(key).ok_or_else(|| {
            SecretError::Invalid(format!(
                "key {key} of Secret {secret} is not UTF-8 text; it must be {purpose}"
            ))
        })
    }
}
