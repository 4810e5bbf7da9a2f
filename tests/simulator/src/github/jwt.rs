//! The JSON web tokens by which an App signs in: their signature, and what GitHub asks of their claims.
//! Called by `mod` for the routes that are an App's own; the keys are in `apps`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::answer::Answer;
use super::app_keys::public_key;
use super::apps::{App, Apps};
use super::auth::Caller;

/// How far ahead `exp` may be.
const LONGEST: i64 = 600;

fn refused(message: &str) -> Answer {
    with_docs(Answer::refused(StatusCode::UNAUTHORIZED, message))
}

fn undecodable() -> Answer {
    refused("A JSON web token could not be decoded")
}

/// The App that a request's `Authorization` speaks for; any other kind of token is a JWT that can't be read.
pub(super) fn authenticate(apps: &Apps, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Answer> {
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = header.and_then(|value| value.split_once(' ')).ok_or_else(undecodable)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(undecodable());
    }
    verify(apps, token.trim(), apps.time(now)).map(|app| Caller::App(app.id))
}

/// Refused before a route is looked at, so the documentation is that of all of them.
fn with_docs(mut refusal: Answer) -> Answer {
    if let Some(body) = &mut refusal.body {
        body["documentation_url"] = "https://docs.github.com/rest".into();
    }
    refusal
}

fn verify<'a>(apps: &'a Apps, token: &str, now: Timestamp) -> Result<&'a App, Answer> {
    let (signed, signature) = token.rsplit_once('.').ok_or_else(undecodable)?;
    let (header, claims) = signed.split_once('.').ok_or_else(undecodable)?;
    let (header, claims) = (object(header)?, object(claims)?);
    if header["alg"] != "RS256" {
        return Err(undecodable());
    }
    let app = issuer(apps, &claims["iss"])?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| undecodable())?;
    let by = |pem: &String| {
        let key = public_key(pem).map(|der| UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der));
        key.is_some_and(|key| key.verify(signed.as_bytes(), &signature).is_ok())
    };
    // A signature of another App's key, or of one that was taken back, is not told apart from nonsense.
    if !app.public_keys.iter().any(by) {
        return Err(undecodable());
    }
    let now = now.as_second();
    let past = "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires";
    match claims["exp"].as_i64() {
        Some(exp) if exp > now + LONGEST => {
            return Err(refused("'Expiration time' claim ('exp') is too far in the future"));
        }
        Some(exp) if exp > now => {}
        _ => return Err(refused(past)),
    }
    if claims["iat"].as_i64().is_none_or(|iat| iat > now) {
        let message = "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued";
        return Err(refused(message));
    }
    Ok(app)
}

fn object(part: &str) -> Result<Value, Answer> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| undecodable())?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object).ok_or_else(undecodable)
}

/// The App named by its id, as a number or in digits, or by its client id.
fn issuer<'a>(apps: &'a Apps, iss: &Value) -> Result<&'a App, Answer> {
    let id = iss.as_u64().or_else(|| iss.as_str()?.parse().ok());
    let found = match (id, iss.as_str()) {
        (Some(id), _) => apps.known.iter().find(|app| app.id == id),
        (None, Some(client)) if apps.known.iter().any(|app| app.client_id() == client) => {
            apps.known.iter().find(|app| app.client_id() == client)
        }
        // What is no client id that GitHub knows has to be an App's id.
        (None, _) => return Err(refused("'Issuer' claim ('iss') must be an Integer")),
    };
    found.ok_or_else(|| with_docs(Answer::refused(StatusCode::NOT_FOUND, "Integration not found")))
}
