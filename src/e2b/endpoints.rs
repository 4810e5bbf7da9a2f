//! Finds E2B's control API and the sandboxes' envd, by the rules of the official SDKs.
//! Used by `e2b` for every URL it builds; filled by `config`.

use super::Access;
use reqwest::Url;

/// The port envd listens on inside every sandbox.
pub(super) const ENVD_PORT: &str = "49983";

/// E2B's own domain.
const DEFAULT_DOMAIN: &str = "e2b.app";

/// Domains whose proxy routes by headers under the shared host `sandbox.<domain>` (the SDKs' list).
const HEADER_ROUTED: [&str; 4] = ["e2b.app", "e2b.dev", "e2b.pro", "e2b-staging.dev"];

/// The base URLs of one E2B installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The control API (`E2B_API_URL`); a path prefix is kept.
    pub api_url: Url,
    /// All envd traffic goes here when set (`E2B_SANDBOX_URL`); a path prefix is kept.
    pub sandbox_url: Option<Url>,
    /// `E2B_DOMAIN`.
    pub domain: String,
}

/// A setting that is not a URL to call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}: {problem}; it must be an http or https URL")]
pub struct EndpointError {
    pub name: &'static str,
    pub value: String,
    pub problem: String,
}

impl Endpoints {
    /// From `E2B_DOMAIN`, `E2B_API_URL` and `E2B_SANDBOX_URL`, as the SDKs read them: empty means unset,
    /// the API is `https://api.<domain>`, envd is found by the sandbox's domain.
    pub fn new(
        domain: Option<&str>,
        api_url: Option<&str>,
        sandbox_url: Option<&str>,
    ) -> Result<Self, EndpointError> {
        let set = |value: Option<&str>| value.map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
        let domain = set(domain).unwrap_or_else(|| DEFAULT_DOMAIN.to_owned());
        let api_url = match set(api_url) {
            Some(value) => http_url("E2B_API_URL", &value)?,
            None => http_url("E2B_DOMAIN", &format!("https://api.{domain}"))?,
        };
        let sandbox_url = set(sandbox_url).map(|v| http_url("E2B_SANDBOX_URL", &v)).transpose()?;
        Ok(Self { api_url, sandbox_url, domain })
    }

    /// The base URL of one sandbox's envd. `None` when the domain the API named makes no URL.
    pub(super) fn envd_url(&self, access: &Access) -> Option<Url> {
        if let Some(url) = &self.sandbox_url {
            return Some(url.clone());
        }
        let domain = access.domain.as_deref().unwrap_or(&self.domain);
        let host = if HEADER_ROUTED.contains(&domain) {
            format!("sandbox.{domain}")
        } else {
            format!("{ENVD_PORT}-{}.{domain}", access.sandbox_id)
        };
        Url::parse(&format!("https://{host}")).ok()
    }
}

fn http_url(name: &'static str, value: &str) -> Result<Url, EndpointError> {
    let wrong = |problem: String| EndpointError { name, value: value.to_owned(), problem };
    let url = Url::parse(value).map_err(|e| wrong(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(wrong(format!("the scheme is {}", url.scheme())));
    }
    Ok(url)
}

/// `base` with `segments` appended to its path, whatever slash it ends with.
pub(super) fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    fn access(domain: Option<&str>) -> Access {
        Access {
            sandbox_id: "iabc".into(),
            token: None,
            domain: domain.map(str::to_owned),
            envd_version: None,
        }
    }

    #[test]
    fn follows_the_sdks() {
        let plain = Endpoints::new(None, Some(""), None).unwrap();
        assert_eq!(plain.api_url.as_str(), "https://api.e2b.app/");
        assert_eq!(plain.envd_url(&access(None)).unwrap().as_str(), "https://sandbox.e2b.app/");
        assert_eq!(
            plain.envd_url(&access(Some("corp.example"))).unwrap().as_str(),
            "https://49983-iabc.corp.example/"
        );
        let own = Endpoints::new(Some("corp.example"), None, None).unwrap();
        assert_eq!(own.api_url.as_str(), "https://api.corp.example/");
        let local =
            Endpoints::new(None, Some("http://127.0.0.1:1/e2b/"), Some("http://127.0.0.1:2/x")).unwrap();
        assert_eq!(
            join(&local.api_url, &["v2", "sandboxes"]).as_str(),
            "http://127.0.0.1:1/e2b/v2/sandboxes"
        );
        assert_eq!(
            join(&local.envd_url(&access(Some("else"))).unwrap(), &["files"]).as_str(),
            "http://127.0.0.1:2/x/files"
        );
    }

    #[test]
    fn names_the_wrong_setting() {
        let error = Endpoints::new(None, Some("localhost:3000"), None).unwrap_err().to_string();
        assert!(error.starts_with("E2B_API_URL is \"localhost:3000\""), "{error}");
        assert!(Endpoints::new(None, None, Some("not a url")).is_err());
    }
}
