//! The values of one Secret, as they are meant.
//! Below `key`, which asks for one of them, and `secrets`, which reads them.

use k8s_openapi::api::core::v1::Secret;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::collections::BTreeMap;

/// The values of one Secret, one trailing newline stripped from each.
#[derive(Debug)]
pub struct SecretValues {
    version: String,
    values: BTreeMap<String, SecretSlice<u8>>,
}

impl SecretValues {
    /// The `resourceVersion` of the Secret that they were read from.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&SecretSlice<u8>> {
        self.values.get(key)
    }

    /// The value under `key` as text; `None` when there is none or it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<SecretString> {
        let text = std::str::from_utf8(self.get(key)?.expose_secret()).ok()?;
        Some(SecretString::from(text))
    }

    /// All keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretSlice<u8>)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl From<Secret> for SecretValues {
    fn from(secret: Secret) -> Self {
        let values = secret.data.unwrap_or_default();
        let values = values.into_iter().map(|(key, value)| (key, strip(value.0).into())).collect();
        Self { version: secret.metadata.resource_version.unwrap_or_default(), values }
    }
}

/// Editors and `echo` end a file with a newline that nobody means to be part of a secret.
fn strip(mut value: Vec<u8>) -> Vec<u8> {
    if value.last() == Some(&b'\n') {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn one_newline_goes_and_no_more() {
        for (before, after) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", ""), ("", ""), ("a\r", "a\r")]
        {
            assert_eq!(strip(before.into()), after.as_bytes());
        }
    }

    #[test]
    fn values_are_never_printed() {
        let data = BTreeMap::from([("token".to_owned(), ByteString(b"ghp_canary\n".to_vec()))]);
        let values = SecretValues::from(Secret { data: Some(data), ..Secret::default() });
        assert!(!format!("{values:?}").contains("canary"));
        assert_eq!(values.text("token").expect("text").expose_secret(), "ghp_canary");
        assert!(values.text("other").is_none());
    }
}
