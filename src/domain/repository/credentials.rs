//! Tells what a credentials Secret offers, from the names of its keys: values never come here.
//! Asked by the Repository controller before it calls GitHub.

use crate::api::conditions::reason;

/// Credentials that a Secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// The key `token`.
    Token,
    /// The keys of a GitHub App.
    App,
    /// Neither.
    Unknown,
}

/// Key of a token.
pub const TOKEN: &str = "token";
/// Secrets are not watched, so a corrected one is seen when somebody says so.
const AGAIN: &str =
    "Then set the annotation slipway.dev/reconcile to any new value: it is looked at again at once";
const APP: [&str; 3] = ["appID", "installationID", "privateKey"];

/// Judges the keys with a value that is not empty. A token wins over an App.
pub fn credentials<'a>(keys: impl IntoIterator<Item = &'a str>) -> Credentials {
    let keys: Vec<&str> = keys.into_iter().collect();
    if keys.contains(&TOKEN) {
        Credentials::Token
    } else if APP.iter().all(|key| keys.contains(key)) {
        Credentials::App
    } else {
        Credentials::Unknown
    }
}

impl Credentials {
    /// Reason and message of a Repository whose Secret is of no use.
    pub fn complaint(self, secret: &str) -> (&'static str, String) {
        match self {
            Self::App => (
                reason::CREDENTIALS_UNSUPPORTED,
                format!(
                    "Secret {secret} holds a GitHub App, which this release can't use yet: put a token into the key token \
                     (fine-grained: Contents and Pull requests, read and write). {AGAIN}"
                ),
            ),
            Self::Token | Self::Unknown => (
                reason::CREDENTIALS_INVALID,
                format!(
                    "Secret {secret} has no usable key token: put a GitHub token into it, as text. {AGAIN}"
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_decide() {
        assert_eq!(credentials(["token"]), Credentials::Token);
        assert_eq!(credentials(["appID", "token"]), Credentials::Token);
        assert_eq!(credentials(["privateKey", "installationID", "appID"]), Credentials::App);
        assert_eq!(credentials(["appID"]), Credentials::Unknown);
        assert_eq!(credentials([]), Credentials::Unknown);
    }
}
