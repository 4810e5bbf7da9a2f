//! RSA keys of Apps: the public ones that the stand-in checks signatures with, and two whole pairs for tests to sign with.
//! Used by `jwt`; a test hands `TestKey::public_pem` to the stand-in and keeps the rest.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

/// A key pair that opens nothing but this stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKey {
    One,
    /// What a rotation leads to.
    Two,
}

impl TestKey {
    fn der(self) -> &'static [u8] {
        match self {
            Self::One => include_bytes!("keys/one.der"),
            Self::Two => include_bytes!("keys/two.der"),
        }
    }

    fn pair(self) -> Option<RsaKeyPair> {
        RsaKeyPair::from_pkcs8(self.der()).ok()
    }

    /// The private key as most tools write it: PKCS#8.
    pub fn private_pem(self) -> String {
        pem("PRIVATE KEY", self.der())
    }

    /// The private key in the format of the file that GitHub gives out: PKCS#1.
    pub fn private_pkcs1_pem(self) -> String {
        // PKCS#8: a version, an algorithm, and the PKCS#1 key as an octet string.
        let inner = der_value(self.der(), 0x30).and_then(|(whole, _)| {
            let (_, rest) = der_value(whole, 0x02)?;
            let (_, rest) = der_value(rest, 0x30)?;
            der_value(rest, 0x04)
        });
        pem("RSA PRIVATE KEY", inner.map_or(&[], |(key, _)| key))
    }

    pub fn public_pem(self) -> String {
        let pair = self.pair();
        pem("RSA PUBLIC KEY", pair.as_ref().map_or(&[], |pair| pair.public_key().as_ref()))
    }

    /// A JWT with these claims, signed as GitHub wants it.
    pub fn jwt(self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
        let mut signature = Vec::new();
        if let Some(pair) = self.pair() {
            signature.resize(pair.public().modulus_len(), 0);
            // Fails only without randomness, and then no signature is the right one.
            let _ = pair.sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                signature.as_mut_slice(),
            );
        }
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    for (at, letter) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    lines + &format!("\n-----END {label}-----\n")
}

/// The PKCS#1 form of a public key in PEM, whatever of the two forms it has there; `None`: it is no RSA key.
pub(super) fn public_key(pem: &str) -> Option<Vec<u8>> {
    let body = |label: &str| {
        let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
        let (text, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let text: String = text.chars().filter(|one| !one.is_ascii_whitespace()).collect();
        STANDARD.decode(text).ok()
    };
    if let Some(der) = body("RSA PUBLIC KEY") {
        return der_value(&der, 0x30).is_some().then_some(der);
    }
    // SubjectPublicKeyInfo: an algorithm, and the PKCS#1 key as a bit string without unused bits.
    let der = body("PUBLIC KEY")?;
    let (whole, _) = der_value(&der, 0x30)?;
    let (algorithm, rest) = der_value(whole, 0x30)?;
    let rsa = algorithm.starts_with(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]);
    let (bits, _) = der_value(rest, 0x03)?;
    bits.strip_prefix(&[0]).filter(|_| rsa).map(<[u8]>::to_vec)
}

/// The content of the DER value at the start, which must have this tag, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pem: &str) -> Vec<u8> {
        let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(lines).unwrap_or_default()
    }

    #[test]
    fn both_forms_of_a_private_key_and_both_of_its_public_one_are_the_same_key() {
        for key in [TestKey::One, TestKey::Two] {
            let public = public_key(&key.public_pem()).expect("a key");
            let from_pkcs1 = RsaKeyPair::from_der(&body(&key.private_pkcs1_pem())).expect("PKCS#1");
            let from_pkcs8 = RsaKeyPair::from_pkcs8(&body(&key.private_pem())).expect("PKCS#8");
            assert_eq!(from_pkcs1.public_key().as_ref(), public);
            assert_eq!(from_pkcs8.public_key().as_ref(), public);
            // SubjectPublicKeyInfo: the algorithm with its NULL, then the key as a bit string.
            let algorithm = [0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
            let value = |tag: u8, content: &[u8]| {
                let length = u16::try_from(content.len()).expect("short").to_be_bytes();
                [&[tag, 0x82][..], &length, content].concat()
            };
            let bits = value(0x03, &[&[0][..], &public].concat());
            let info = value(0x30, &[&algorithm[..], &bits].concat());
            assert_eq!(public_key(&pem("PUBLIC KEY", &info)).expect("a key"), public);
        }
        assert_ne!(TestKey::One.public_pem(), TestKey::Two.public_pem());
    }

    #[test]
    fn what_is_no_rsa_key_is_none() {
        for wrong in ["", "nonsense", &pem("PUBLIC KEY", &[0x30, 2, 0x30, 0]), &pem("RSA PUBLIC KEY", &[1])] {
            assert_eq!(public_key(wrong), None, "{wrong}");
        }
    }
}
