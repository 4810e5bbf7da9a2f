//! Where GitHub Enterprise Server has what github.com has: REST below `/api/v3`, GraphQL at `/api/graphql`, git at the host.
//! `mod` translates each path before anything else looks at it.

use http::Uri;
use http::request::Parts;

use super::{git_http, lfs};

/// Below the host.
pub(super) const REST: &str = "/api/v3";
/// What its answers name as its version.
pub(super) const VERSION: &str = "3.18.0";

/// The path as github.com has it. What is not there becomes the root, which no route has.
pub(super) fn canonical(parts: &Parts) -> &str {
    let path = parts.uri.path();
    if path == "/api/graphql" {
        return "/graphql";
    }
    if let Some(rest) = path.strip_prefix(REST) {
        let rest_only = rest.starts_with('/') && rest != "/graphql" && git_http::split(rest).is_none();
        return if rest_only { rest } else { "/" };
    }
    let at_host = git_http::split(path).is_some() || lfs::endpoint(&parts.method, path).is_some();
    if at_host { path } else { "/" }
}

/// Gives the request the path that github.com has for it.
pub(super) fn translate(mut parts: Parts) -> Parts {
    let path = canonical(&parts);
    let target = parts.uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    parts.uri = target.parse().unwrap_or_else(|_| Uri::from_static("/"));
    parts
}
