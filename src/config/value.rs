//! One setting from text to value. Used by `config`, which knows the names and bounds.
//! Errors name the variable, its flag, the value and what is allowed; a secret's value is never repeated.

use crate::e2b::EndpointError;
use secrecy::SecretString;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Secrets of the environment, by name; a parameter so that a test needs no environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A setting that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{variable} (or --{flag}) is {value:?}: it must be {allowed}")]
    Value { variable: &'static str, flag: String, value: String, allowed: String },
    #[error("{variable} must be {allowed}; its value is not shown")]
    Secret { variable: &'static str, allowed: &'static str },
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// Secrets shorter than this can be guessed.
const MIN_SECRET: usize = 16;

/// A setting under its name, still text.
pub(super) struct Setting<'a> {
    variable: &'static str,
    raw: Raw<'a>,
}

/// The text of a setting. Each method gives the value, or what would be allowed.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a>(&'a str);

impl<'a> Setting<'a> {
    pub(super) fn new(variable: &'static str, value: &'a str) -> Self {
        Self { variable, raw: Raw(value.trim()) }
    }

    pub(super) fn read<T>(&self, parse: impl FnOnce(Raw<'a>) -> Result<T, String>) -> Result<T, Error> {
        parse(self.raw).map_err(|allowed| self.must_be(&allowed))
    }

    /// Empty is unset.
    pub(super) fn optional<T>(
        &self,
        parse: impl FnOnce(Raw<'a>) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        if self.raw.0.is_empty() { Ok(None) } else { self.read(parse).map(Some) }
    }

    pub(super) fn must_be(&self, allowed: &str) -> Error {
        // The flag is the variable's name without the prefix that only the environment needs.
        let flag = self.variable.trim_start_matches("SLIPWAY_").to_lowercase().replace('_', "-");
        Error::Value {
            variable: self.variable,
            flag,
            value: self.raw.0.to_owned(),
            allowed: allowed.to_owned(),
        }
    }
}

impl Raw<'_> {
    pub(super) fn address(self) -> Result<SocketAddr, String> {
        self.0.parse().map_err(|_| "an IP address and port, like [::]:8080 or 0.0.0.0:8080".to_owned())
    }

    /// `1s`, `500ms`, `1m 30s`.
    pub(super) fn duration(self, min: Duration, max: Duration) -> Result<Duration, String> {
        let allowed = || {
            format!(
                "a duration from {} s to {} s with its unit, like 1s or 500ms",
                min.as_secs(),
                max.as_secs()
            )
        };
        let parsed: jiff::SignedDuration = self.0.parse().map_err(|_| allowed())?;
        Duration::try_from(parsed).ok().filter(|d| (min..=max).contains(d)).ok_or_else(allowed)
    }

    /// `1048576`, `1MiB`, `1Mi`.
    pub(super) fn bytes(self, min: u64, max: u64) -> Result<u64, String> {
        let allowed = || format!("a size from {min} to {max} bytes, like 1048576, 512KiB, 5MiB or 1GiB");
        let digits = self.0.len() - self.0.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = self.0.split_at(digits);
        let shift = match unit.trim().trim_end_matches('B') {
            "" => 0,
            "Ki" => 10,
            "Mi" => 20,
            "Gi" => 30,
            _ => return Err(allowed()),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        bytes.filter(|bytes| (min..=max).contains(bytes)).ok_or_else(allowed)
    }

    pub(super) fn count(self, min: usize, max: usize) -> Result<usize, String> {
        let count = self.0.parse().ok().filter(|count| (min..=max).contains(count));
        count.ok_or_else(|| format!("a number from {min} to {max}"))
    }

    /// An upper bound; 0: none.
    pub(super) fn most(self, max: u32) -> Result<u32, String> {
        let most = self.0.parse().ok().filter(|most| *most <= max);
        most.ok_or_else(|| format!("a number from 1 to {max}, or 0 for no bound"))
    }

    pub(super) fn absolute_path(self) -> Result<PathBuf, String> {
        let path = PathBuf::from(self.0);
        if path.is_absolute() { Ok(path) } else { Err("an absolute path".to_owned()) }
    }

    /// Without a trailing slash, query or credentials.
    pub(super) fn base_url(self) -> Result<String, String> {
        let allowed =
            || "an http or https URL without credentials and query, like https://api.github.com".to_owned();
        let url = reqwest::Url::parse(self.0).map_err(|_| allowed())?;
        let plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
            Ok(url.as_str().trim_end_matches('/').to_owned())
        } else {
            Err(allowed())
        }
    }

    /// A host that others reach, without a path.
    pub(super) fn origin(self) -> Result<String, String> {
        let url = self.base_url()?;
        if reqwest::Url::parse(&url).is_ok_and(|url| url.path() == "/") {
            Ok(url)
        } else {
            Err("an http or https URL without a path, like https://hooks.example.com".to_owned())
        }
    }

    /// GitHub itself, by the base URL of its API. `api.github.com` and `api.NAME.ghe.com` are hosts of their own; a GitHub
    /// Enterprise Server has both at one
    /// (<https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api>).
    pub(super) fn server_url(self) -> Result<String, String> {
        let url = self.base_url()?;
        let (scheme, authority) = (url.split("://").next().unwrap_or_default(), authority(&url));
        let own = authority.strip_prefix("api.");
        let own = own.filter(|host| *host == "github.com" || host.ends_with(".ghe.com"));
        Ok(format!("{scheme}://{}", own.unwrap_or(authority)))
    }

    /// A namespace's name (RFC 1123 label).
    pub(super) fn dns_label(self) -> Result<String, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edges = self.0.starts_with('-') || self.0.ends_with('-');
        if (1..=63).contains(&self.0.len()) && self.0.chars().all(fits) && !edges {
            Ok(self.0.to_owned())
        } else {
            Err("the name of one namespace: lower case letters, digits and -, at most 63".to_owned())
        }
    }

    /// A value that travels in metadata and queries.
    pub(super) fn id(self) -> Result<String, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if (1..=63).contains(&self.0.len()) && self.0.chars().all(fits) {
            Ok(self.0.to_owned())
        } else {
            Err("1 to 63 letters, digits, -, _ or .".to_owned())
        }
    }
}

/// Host and port of a URL.
pub(super) fn authority(url: &str) -> &str {
    url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// A secret of the environment; empty is unset, one trailing newline is dropped as in a Kubernetes Secret.
pub(super) fn secret(
    variable: &'static str,
    environment: Environment<'_>,
) -> Result<Option<SecretString>, Error> {
    let Some(value) = environment(variable) else { return Ok(None) };
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        Ok(None)
    } else if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Err(Error::Secret { variable, allowed: "one word: no spaces, tabs or line breaks" })
    } else {
        Ok(Some(SecretString::from(value)))
    }
}

/// A webhook secret: any text, but long enough not to be guessed.
pub(super) fn webhook_secret(
    variable: &'static str,
    environment: Environment<'_>,
) -> Result<Option<SecretString>, Error> {
    let Some(value) = environment(variable) else { return Ok(None) };
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    match value.len() {
        0 => Ok(None),
        1..MIN_SECRET => Err(Error::Secret { variable, allowed: "at least 16 bytes long" }),
        _ => Ok(Some(SecretString::from(value))),
    }
}
