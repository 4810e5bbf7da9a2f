//! One key of a Secret, and why it does not give what it should: the same words for every kind.
//! Used by `secrets`, and by whoever reads several keys of one Secret.

use super::values::SecretValues;
use crate::{
    api::{common::is_object_name, conditions::reason},
    cluster::Error,
    domain::failure::{Class, Failure, operation},
};
use secrecy::SecretString;

/// One key of a Secret, and what its value is for: the words of a complaint.
#[derive(Debug, Clone, Copy)]
pub struct SecretKey<'a> {
    pub namespace: &'a str,
    pub secret: &'a str,
    pub key: &'a str,
    /// Stands where a noun stands: `a GitHub token`, `the value of the variable TOKEN`.
    pub purpose: &'a str,
}

impl SecretKey<'_> {
    /// The value in `secret`, which was read already; `None`: there is no such Secret. An empty one is a value.
    pub fn text_in(self, secret: Option<&SecretValues>) -> Result<SecretString, SecretError> {
        let values = secret.ok_or_else(|| SecretError::no_secret(self))?;
        if values.get(self.key).is_none() {
            return Err(SecretError::no_key(self));
        }
        values.text(self.key).ok_or_else(|| SecretError::wrong(self, "not UTF-8 text"))
    }
}

/// Reason why a Secret does not give what it should, in the same words for every kind.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret or its key does not exist: it may still come, because manifests arrive in any order.
    #[error("{0}")]
    Missing(String),
    /// The value is there and can't be right.
    #[error("{0}")]
    Invalid(String),
    /// The API server did not give it.
    #[error(transparent)]
    Unread(#[from] Error),
}

impl SecretError {
    fn no_secret(key: SecretKey<'_>) -> Self {
        let SecretKey { secret, key, purpose, .. } = key;
        if !is_object_name(secret) {
            // None can come under it.
            return Self::Invalid(format!("no Secret can have the name {secret:?}: correct the reference"));
        }
        Self::Missing(format!(
            "Secret {secret} does not exist in this namespace: create it with {purpose} under the key {key}"
        ))
    }

    fn no_key(key: SecretKey<'_>) -> Self {
        let SecretKey { secret, key, purpose, .. } = key;
        Self::Missing(format!("Secret {secret} has no key {key}: put {purpose} there"))
    }

    pub(super) fn wrong(key: SecretKey<'_>, problem: &str) -> Self {
        let SecretKey { secret, key, purpose, .. } = key;
        Self::Invalid(format!("key {key} of Secret {secret} is {problem}: put {purpose} there"))
    }

    /// A stable name, fit for a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => reason::SECRET_NOT_FOUND,
            Self::Invalid(_) => reason::CREDENTIALS_INVALID,
            Self::Unread(error) => error.reason(),
        }
    }

    /// Returns the class of the failure for whoever needs the value.
    pub fn class(&self) -> Class {
        match self {
            Self::Missing(_) => Class::NotFound,
            Self::Invalid(_) => Class::Invalid,
            Self::Unread(error) => error.class(),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self {
            operation: operation::GET_SECRET,
            class: error.class(),
            reason: error.reason(),
            message: error.to_string(),
        }
    }
}
