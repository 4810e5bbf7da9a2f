//! Entity tags of answers, and whether a request has one of them already.
//! Used by `mod`, which leaves out the body then.

use http::HeaderMap;
use sha2::Digest as _;

use super::auth::Caller;

/// A tag is the token's own: the same body has another one under another token.
pub(super) fn of(caller: &Caller, body: &str) -> String {
    format!("W/\"{}\"", hex::encode(sha2::Sha256::digest(format!("{}\0{body}", caller.token()))))
}

/// Whether `If-None-Match` names this tag (weak comparison, RFC 9110 section 13.1.2).
pub(super) fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let Some(wanted) = headers.get(http::header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let opaque = etag.trim_start_matches("W/");
    wanted.split(',').any(|one| one.trim() == "*" || one.trim().trim_start_matches("W/") == opaque)
}
