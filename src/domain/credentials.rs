//! Tells what a Secret with GitHub credentials offers: a token, or the three keys of a GitHub App. Pure.
//! Asked by `controllers::credentials`, the one place that makes a client of it.

use super::failure::{Class, Failure, operation};
use crate::api::conditions::reason;

/// Key of a token, which wins over an App's keys.
pub const TOKEN: &str = "token";
/// Key of an App's number.
pub const APP_ID: &str = "appID";
/// Key of the number that an App's installation on an account has.
pub const INSTALLATION_ID: &str = "installationID";
/// Key of an App's private key.
pub const PRIVATE_KEY: &str = "privateKey";

/// Secrets are not watched, so a corrected one is seen when somebody says so.
const AGAIN: &str = "Then set the annotation slipway.dev/reconcile of the Repository to any new value: it is looked at again at once";
/// What would do.
const EITHER: &str = "put a GitHub token into the key token, or those of a GitHub App into appID, installationID and privateKey";

/// Credentials that a Secret holds; the values that are secret stay there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// Under [`TOKEN`].
    Token,
    /// Its key is under [`PRIVATE_KEY`].
    App { id: u64, installation: u64 },
}

/// Reason why a Secret is of no use, without a word of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No key that is known.
    Nothing,
    /// The value of a key is empty.
    Empty(&'static str),
    NotText(&'static str),
    /// Some of an App's keys are there, this one is not.
    Missing(&'static str),
    /// An id that is no number.
    NotDigits(&'static str),
}

/// Judges the values of a Secret by their keys. One that is empty counts as absent as long as another will do.
pub fn credentials<'a>(value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Credentials, Fault> {
    let filled = |key: &str| value(key).filter(|value| !value.is_empty());
    if filled(TOKEN).is_some() {
        return text(TOKEN, &value).map(|_| Credentials::Token);
    }
    if [APP_ID, INSTALLATION_ID, PRIVATE_KEY].iter().all(|key| filled(key).is_none()) {
        let empty =
            [TOKEN, APP_ID, INSTALLATION_ID, PRIVATE_KEY].into_iter().find(|key| value(key).is_some());
        return Err(empty.map_or(Fault::Nothing, Fault::Empty));
    }
    let app =
        Credentials::App { id: number(APP_ID, &value)?, installation: number(INSTALLATION_ID, &value)? };
    text(PRIVATE_KEY, &value).map(|_| app)
}

fn text<'a>(key: &'static str, value: &impl Fn(&str) -> Option<&'a [u8]>) -> Result<&'a str, Fault> {
    match value(key) {
        None => Err(Fault::Missing(key)),
        Some([]) => Err(Fault::Empty(key)),
        Some(bytes) => std::str::from_utf8(bytes).map_err(|_| Fault::NotText(key)),
    }
}

fn number<'a>(key: &'static str, value: &impl Fn(&str) -> Option<&'a [u8]>) -> Result<u64, Fault> {
    let text = text(key, value)?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0).ok_or(Fault::NotDigits(key))
}

/// Names what to do about a Secret that is not there (yet).
pub fn no_secret(secret: &str) -> Failure {
    Failure {
        operation: operation::GET_SECRET,
        class: Class::NotFound,
        reason: reason::SECRET_NOT_FOUND,
        message: format!(
            "Secret {secret} does not exist in this namespace: create it with a GitHub token under the key token, or with the keys of \
             a GitHub App under appID, installationID and privateKey"
        ),
    }
}

impl Fault {
    /// Names cause and cure.
    pub fn failure(self, secret: &str) -> Failure {
        let complaint = match self {
            Self::Nothing => format!("Secret {secret} has no credentials for GitHub: {EITHER}"),
            Self::Empty(key) => format!("key {key} of Secret {secret} is empty: {EITHER}"),
            Self::NotText(key) => format!("key {key} of Secret {secret} is not UTF-8 text: {}", wanted(key)),
            Self::Missing(key) => {
                format!("Secret {secret} has a part of a GitHub App's keys but not {key}: {}", wanted(key))
            }
            Self::NotDigits(key) => {
                format!("key {key} of Secret {secret} is not a number in digits: {}", wanted(key))
            }
        };
        Failure {
            operation: operation::GET_SECRET,
            class: Class::Invalid,
            reason: reason::CREDENTIALS_INVALID,
            message: format!("{complaint}. {AGAIN}"),
        }
    }
}

/// What belongs under a key.
fn wanted(key: &str) -> &'static str {
    match key {
        APP_ID => "put the App ID there, which the App's page at GitHub shows",
        INSTALLATION_ID => {
            "put the installation's number there, with which the address of its page at GitHub ends"
        }
        PRIVATE_KEY => "put the private key there that GitHub gave out for the App, a file that ends in .pem",
        _ => "put a GitHub token there, as text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Keys = &'static [(&'static str, &'static [u8])];
    const APP: Keys = &[("appID", b"12"), ("installationID", b"34"), ("privateKey", b"PEM")];

    fn judged(keys: &[(&str, &'static [u8])]) -> Result<Credentials, Fault> {
        credentials(|key| keys.iter().find(|(name, _)| *name == key).map(|(_, value)| *value))
    }

    fn app_with(key: &'static str, value: &'static [u8]) -> Vec<(&'static str, &'static [u8])> {
        let mut keys: Vec<_> = APP.iter().copied().filter(|(name, _)| *name != key).collect();
        keys.push((key, value));
        keys
    }

    #[test]
    fn a_token_wins_over_an_app() {
        assert_eq!(judged(&[("token", b"t")]), Ok(Credentials::Token));
        let app = Ok(Credentials::App { id: 12, installation: 34 });
        assert_eq!(judged(APP), app);
        assert_eq!(judged(&app_with("token", b"t")), Ok(Credentials::Token));
        assert_eq!(judged(&app_with("token", b"")), app, "an empty token is none");
        assert_eq!(judged(&app_with("other", b"\xff")), app);
    }

    #[test]
    fn a_secret_that_is_not_there_may_still_come_with_either_kind_of_credentials() {
        let failure = no_secret("github");
        assert_eq!((failure.class, failure.reason), (Class::NotFound, "SecretNotFound"));
        for words in ["Secret github ", "key token", "appID, installationID and privateKey"] {
            assert!(failure.message.contains(words), "{}", failure.message);
        }
    }

    #[test]
    fn each_fault_names_its_key_and_its_cure() {
        let cases = [
            (judged(&[]), Fault::Nothing, "no credentials for GitHub"),
            (judged(&[("password", b"x")]), Fault::Nothing, "key token"),
            (judged(&[("token", b"")]), Fault::Empty("token"), "key token of Secret github is empty"),
            (judged(&[("token", b"\xff")]), Fault::NotText("token"), "is not UTF-8 text: put a GitHub token"),
            (judged(&APP[..2]), Fault::Missing("privateKey"), ".pem"),
            (judged(&APP[1..]), Fault::Missing("appID"), "the App ID"),
            (judged(&app_with("installationID", b"")), Fault::Empty("installationID"), "is empty"),
            (judged(&app_with("appID", b"Iv23li")), Fault::NotDigits("appID"), "a number in digits"),
            (judged(&app_with("appID", b"+12")), Fault::NotDigits("appID"), "a number in digits"),
            (judged(&app_with("appID", b"0")), Fault::NotDigits("appID"), "a number in digits"),
            (judged(&app_with("installationID", b" 3")), Fault::NotDigits("installationID"), "with which"),
            (judged(&app_with("privateKey", b"\xff")), Fault::NotText("privateKey"), "the private key"),
        ];
        for (found, fault, words) in cases {
            assert_eq!(found, Err(fault));
            let failure = fault.failure("github");
            assert_eq!((failure.class, failure.reason), (Class::Invalid, "CredentialsInvalid"));
            assert!(failure.message.contains(words), "{}", failure.message);
            assert!(
                failure.message.contains("Secret github")
                    && failure.message.contains("slipway.dev/reconcile")
            );
        }
    }
}
