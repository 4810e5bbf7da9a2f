//! GitHub's signature of a webhook delivery: HMAC-SHA256 over the raw body, compared in constant time.
//! Used by the receiver, and by `slipway ping` to sign. Source: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// A shorter webhook secret, in bytes, can be guessed.
pub const SHORTEST_SECRET: usize = 16;
/// Keys of a Secret that hold credentials of another kind, whatever Secret they are in.
const NOT_WEBHOOK_SECRETS: [&str; 5] = ["token", "appID", "installationID", "privateKey", "apiKey"];
/// Bytes of a SHA-256 digest.
const LENGTH: usize = 32;

/// Returns whether the value under this key of a Secret may be a webhook secret.
pub fn is_webhook_secret(key: &str) -> bool {
    !NOT_WEBHOOK_SECRETS.contains(&key)
}

/// A well-formed value of the header `X-Hub-Signature-256`.
#[derive(Debug, Clone, Copy)]
pub struct Signature([u8; LENGTH]);

impl Signature {
    /// Reads `sha256=` and 64 hex digits of either case; `None` for anything else, SHA-1 and surrounding blanks included.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let digits = header.strip_prefix(b"sha256=")?;
        let mut digest = [0; LENGTH];
        hex::decode_to_slice(digits, &mut digest).ok()?;
        Some(Self(digest))
    }

    /// Signs `body` with `secret`.
    pub fn of(body: &[u8], secret: &[u8]) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        Self(mac.chain_update(body).finalize().into_bytes().into())
    }

    /// Returns whether `secret` signed `body`. Takes the same time wherever the digests differ.
    pub fn verifies(&self, body: &[u8], secret: &[u8]) -> bool {
        // HMAC takes keys of any length; should it ever refuse one, nothing was signed with it.
        Hmac::<Sha256>::new_from_slice(secret)
            .is_ok_and(|mac| mac.chain_update(body).verify_slice(&self.0).is_ok())
    }

    /// Returns whether one of `secrets` signed `body`. All are tried, so the time does not tell which.
    pub fn verifies_any<'a>(&self, body: &[u8], secrets: impl IntoIterator<Item = &'a [u8]>) -> bool {
        secrets.into_iter().fold(false, |found, secret| self.verifies(body, secret) | found)
    }
}

/// As the header has it.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256={}", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test values of GitHub's documentation.
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn header(digest: &str) -> Option<Signature> {
        Signature::parse(format!("sha256={digest}").as_bytes())
    }

    #[test]
    fn githubs_example_verifies() {
        for digest in [DIGEST.to_owned(), DIGEST.to_uppercase()] {
            assert!(header(&digest).expect("well-formed").verifies(BODY, SECRET));
        }
    }

    #[test]
    fn githubs_example_is_signed_alike() {
        assert_eq!(Signature::of(BODY, SECRET).to_string(), format!("sha256={DIGEST}"));
    }

    #[test]
    fn every_single_bit_counts() {
        let good = hex::decode(DIGEST).expect("hex");
        for bit in 0..LENGTH * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!header(&hex::encode(bad)).expect("well-formed").verifies(BODY, SECRET), "bit {bit}");
        }
        let signature = header(DIGEST).expect("well-formed");
        assert!(
            !signature.verifies(b"Hello, World", SECRET)
                && !signature.verifies(BODY, b"it's a Secret to Everybody")
        );
        assert!(!signature.verifies(b"", SECRET) && !signature.verifies(BODY, b""));
    }

    #[test]
    fn any_secret_of_a_list_will_do() {
        let signature = header(DIGEST).expect("well-formed");
        assert!(signature.verifies_any(BODY, [b"other".as_slice(), SECRET, b"third"]));
        assert!(signature.verifies_any(BODY, [SECRET, SECRET]), "two Repositories may share one");
        assert!(!signature.verifies_any(BODY, [b"other".as_slice(), b"third"]));
        assert!(!signature.verifies_any(BODY, []));
    }

    #[test]
    fn malformed_headers_are_none() {
        let long = format!("{DIGEST}00");
        for text in [
            "",
            "sha256",
            "sha256=",
            "sha256==",
            DIGEST,
            &DIGEST[..40],
            "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
            &format!("SHA256={DIGEST}"),
            &format!("sha256 ={DIGEST}"),
            &format!("sha256= {DIGEST}"),
            &format!(" sha256={DIGEST}"),
            &format!("sha256={DIGEST} "),
            &format!("sha256={DIGEST}\n"),
            &format!("sha256={}", &DIGEST[1..]),
            &format!("sha256={}", &DIGEST[2..]),
            &format!("sha256={long}"),
            &format!("sha256=g{}", &DIGEST[1..]),
            &format!("sha256=0x{}", &DIGEST[2..]),
            &format!("sha256={DIGEST},sha256={DIGEST}"),
            &format!("sha512={DIGEST}{DIGEST}"),
            &format!("sha256={}", "é".repeat(32)),
            "sha256=\0",
        ] {
            assert!(Signature::parse(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(Signature::parse(&[0xff; 71]).is_none());
    }
}
