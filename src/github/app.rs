//! A GitHub App: who it is, its private key, and the JSON web token that it signs in with. No I/O, no clock.
//! `mint` signs in with it; its values come from the Secret of a Repository.
//!
//! Sources: GitHub, "Generating a JSON Web Token (JWT) for a GitHub App"; RFC 7515, 7518 (RS256), 8017 (PKCS #1), 5208 (PKCS #8).

use super::token::{Fingerprint, fingerprint};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// Time before now at which a JWT says that it was issued: GitHub's clock may be behind.
const BACK: SignedDuration = SignedDuration::from_mins(1);
/// Time for which it is good, counted from there. GitHub takes 10 min.
const LIFE: SignedDuration = SignedDuration::from_mins(9);

/// A GitHub App at one of its installations.
#[derive(Debug, Clone)]
pub struct App {
    pub id: u64,
    pub installation: u64,
    /// Its private key, in PEM.
    pub key: SecretString,
}

/// Why a private key is of no use, fit for a sentence that begins with its name. Never the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyFault {
    #[error("is not a private key in PEM, which begins with -----BEGIN RSA PRIVATE KEY-----")]
    NotPem,
    #[error(
        "has lost its line breaks or its end: put the file itself there, with kubectl create secret --from-file"
    )]
    Folded,
    #[error("has its line breaks written as \\n: put the file itself there, with its line breaks")]
    EscapedLines,
    #[error("is encrypted: put the key there as GitHub gave it out, without a passphrase")]
    Encrypted,
    #[error("is a public key or a certificate, and not the private key")]
    NotPrivate,
    #[error("is a key of an elliptic curve, and GitHub Apps have RSA keys")]
    EllipticCurve,
    #[error("is not a whole RSA private key of at least 2048 bits")]
    NotRsa,
}

impl App {
    /// What stands for this App with this key. Without the key nobody is answered what another with it was.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let [id, installation] = [self.id, self.installation].map(u64::to_be_bytes);
        fingerprint(&[b"app", &id, &installation, self.key.expose_secret().as_bytes()])
    }

    /// What GitHub counts the calls of all its tokens by.
    pub(super) fn account(&self) -> Fingerprint {
        let [id, installation] = [self.id, self.installation].map(u64::to_be_bytes);
        fingerprint(&[b"installation", &id, &installation])
    }

    /// What the App signs in with at `now`.
    pub(super) fn jwt(&self, now: Timestamp) -> Result<SecretString, KeyFault> {
        let key = parse(self.key.expose_secret())?;
        let issued = now - BACK;
        let claims = json!({
            "iat": issued.as_second(), "exp": (issued + LIFE).as_second(), "iss": self.id.to_string(),
        });
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| KeyFault::NotRsa)?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

fn parse(pem: &str) -> Result<RsaKeyPair, KeyFault> {
    // An editor may have put a byte order mark before it, a manifest blanks.
    let lines = pem.trim_start_matches('\u{feff}').lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let pem = lines.trim();
    if pem.contains("ENCRYPTED") {
        return Err(KeyFault::Encrypted);
    }
    if pem.contains("-----BEGIN ") && pem.contains("\\n") {
        return Err(KeyFault::EscapedLines);
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        let other = ["-----BEGIN PUBLIC", "-----BEGIN RSA PUBLIC", "-----BEGIN CERTIFICATE", "ssh-rsa "];
        if other.iter().any(|label| pem.contains(label)) {
            KeyFault::NotPrivate
        } else if pem.contains("-----BEGIN ") && pem.contains("PRIVATE KEY") {
            KeyFault::Folded
        } else {
            KeyFault::NotPem
        }
    })?;
    match &key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) if is_elliptic(key.secret_pkcs8_der()) => {
            return Err(KeyFault::EllipticCurve);
        }
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Sec1(_) => return Err(KeyFault::EllipticCurve),
        _ => return Err(KeyFault::NotPem),
    }
    .map_err(|_| KeyFault::NotRsa)
}

/// Whether a PKCS #8 key names the algorithm id-ecPublicKey (RFC 5480) where its algorithm stands, at its beginning.
fn is_elliptic(der: &[u8]) -> bool {
    const EC: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    der.get(..32.min(der.len())).is_some_and(|start| start.windows(EC.len()).any(|part| part == EC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey,
    };
    use slipway_simulator::github::TestKey;

    fn app(key: &str) -> App {
        App { id: 12, installation: 34, key: key.into() }
    }

    fn decoded(part: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url")
    }

    #[test]
    fn a_jwt_is_signed_by_the_key_in_either_form_and_is_a_function_of_the_time() {
        let now = Timestamp::from_second(1_800_000_000).expect("in range");
        let jwt = app(&TestKey::One.private_pem()).jwt(now).expect("a JWT");
        let again = app(&TestKey::One.private_pkcs1_pem()).jwt(now).expect("a JWT");
        assert_eq!(jwt.expose_secret(), again.expose_secret());
        let (signed, signature) = jwt.expose_secret().rsplit_once('.').expect("three parts");
        let (header, claims) = signed.split_once('.').expect("three parts");
        let json = |part| serde_json::from_slice::<Value>(&decoded(part)).expect("JSON");
        assert_eq!(json(header), json!({"alg": "RS256", "typ": "JWT"}));
        assert_eq!(json(claims), json!({"iat": 1_799_999_940, "exp": 1_800_000_480, "iss": "12"}));
        let pair = parse(&TestKey::One.private_pem()).expect("a key");
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref().to_vec());
        public.verify(signed.as_bytes(), &decoded(signature)).expect("signed by the key");
    }

    #[test]
    fn what_is_no_key_of_an_app_is_named_and_never_shown() {
        let body = TestKey::One.private_pem().replace("PRIVATE KEY", "PUBLIC KEY");
        let curve = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let curve = base64::prelude::BASE64_STANDARD.encode(curve.expect("a key"));
        let pem =
            |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        for (key, fault) in [
            (String::new(), KeyFault::NotPem),
            ("sesame".into(), KeyFault::NotPem),
            ("BEGIN PRIVATE KEY".into(), KeyFault::NotPem),
            (pem("RSA PRIVATE KEY", "!!"), KeyFault::Folded),
            (TestKey::One.private_pem().replace('\n', " "), KeyFault::Folded),
            (TestKey::One.private_pem().replace("-----END PRIVATE KEY-----", ""), KeyFault::Folded),
            (pem("RSA PRIVATE KEY", "AAAA"), KeyFault::NotRsa),
            (TestKey::One.private_pem().replace('\n', "\\n"), KeyFault::EscapedLines),
            (pem("ENCRYPTED PRIVATE KEY", "AAAA"), KeyFault::Encrypted),
            (pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nAAAA"), KeyFault::Encrypted),
            (body, KeyFault::NotPrivate),
            (pem("EC PRIVATE KEY", "AAAA"), KeyFault::EllipticCurve),
            (pem("PRIVATE KEY", &curve), KeyFault::EllipticCurve),
        ] {
            assert_eq!(parse(&key).err(), Some(fault), "{key}");
            assert!(!format!("{:?}", app("sesame")).contains("sesame"));
        }
    }

    #[test]
    fn what_stands_before_a_key_and_its_lines_does_no_harm() {
        let key = TestKey::One.private_pem();
        for key in [format!("\u{feff}{key}"), format!(" \n\t{key}\n"), key.replace('\n', "\r\n  ")] {
            assert!(parse(&key).is_ok(), "{key:?}");
        }
    }

    #[test]
    fn another_key_is_another_app_of_the_same_account() {
        let (one, two) = (app("one"), app("two"));
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert_eq!(one.account(), two.account());
        assert_ne!(one.account(), App { installation: 35, ..app("one") }.account());
        assert_ne!(one.account(), one.fingerprint());
    }
}
