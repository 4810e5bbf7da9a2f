//! A token as it is held: its value, what names it, and since when it is there if it was bought.
//! Used by `session`, which sends it; `mint` makes those of a GitHub App.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, header::InvalidHeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::time::Instant;

/// GitHub's servers do not all know a token at once. In this time a refusal says nothing of it.
const NEW: Duration = Duration::from_secs(10);

/// What stands for a secret where something is kept by it: the secret itself is not a key of anything.
pub(super) type Fingerprint = [u8; 32];

pub(super) fn fingerprint(parts: &[&[u8]]) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in parts {
        // Lengths keep two lists of the same bytes apart.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Somebody's own, and as old as may be.
    Own,
    /// Bought for a GitHub App.
    Bought,
    /// The same so lately that GitHub may not know it everywhere yet.
    JustBought,
}

/// What a call is made with.
#[derive(Debug)]
pub(super) struct Token {
    value: SecretString,
    pub(super) fingerprint: Fingerprint,
    /// `None`: it is somebody's own, and as old as may be.
    bought: Option<Instant>,
}

impl Token {
    pub(super) fn own(value: SecretString) -> Self {
        let fingerprint = fingerprint(&[value.expose_secret().as_bytes()]);
        Self { value, fingerprint, bought: None }
    }

    /// What an App signs in with: new each time, and as good as the App's key.
    pub(super) fn of_app(value: SecretString, key: Fingerprint) -> Self {
        Self { value, fingerprint: key, bought: None }
    }

    pub(super) fn bought(value: SecretString, now: Instant) -> Self {
        Self { bought: Some(now), ..Self::own(value) }
    }

    /// Whether GitHub may not know it everywhere yet.
    pub(super) fn is_new(&self) -> bool {
        self.bought.is_some_and(|at| at.elapsed() < NEW)
    }

    pub(super) fn origin(&self) -> Origin {
        match self.bought {
            None => Origin::Own,
            Some(_) if self.is_new() => Origin::JustBought,
            Some(_) => Origin::Bought,
        }
    }

    /// How GitHub's API takes it.
    pub(super) fn bearer(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        sensitive(&format!("Bearer {}", self.value.expose_secret()))
    }

    /// How git's own protocols take it.
    pub(super) fn basic(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let pair = format!("x-access-token:{}", self.value.expose_secret());
        sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_token_that_was_bought_is_new_and_for_ten_seconds() {
        let (own, bought) = (Token::own("t".into()), Token::bought("t".into(), Instant::now()));
        assert!(bought.is_new() && !own.is_new());
        tokio::time::advance(NEW).await;
        assert!(!bought.is_new());
        assert_eq!((own.origin(), bought.origin()), (Origin::Own, Origin::Bought));
        assert_eq!(own.fingerprint, bought.fingerprint);
        assert_ne!(own.fingerprint, Token::own("u".into()).fingerprint);
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    }

    #[test]
    fn no_value_is_printed_and_any_length_is_sent() {
        let long = "ghs_".to_owned() + &"x".repeat(4000);
        let token = Token::own(long.clone().into());
        assert!(!format!("{token:?} {:?}", token.bearer()).contains("xxx"));
        assert_eq!(token.bearer().expect("ASCII").as_bytes(), format!("Bearer {long}").as_bytes());
        assert!(token.basic().expect("base64").as_bytes().starts_with(b"Basic eC1hY2Nlc3MtdG9rZW46"));
        assert!(Token::own("a\nb".into()).bearer().is_err());
    }
}
