//! The address and the token of one sandbox's envd. The API gives them, envd's calls need them.
//! Used by `e2b` and by whoever keeps it for the next call.

use secrecy::SecretString;

/// The first envd that has a default user: one before it refuses what names none.
/// Source: `ENVD_DEFAULT_USER` of the official SDKs.
const DEFAULT_USER_SINCE: (u32, u32) = (0, 4);

/// Address and token of the envd of one sandbox. The token lives in memory only.
#[derive(Debug, Clone)]
pub struct Access {
    pub sandbox_id: String,
    /// `X-Access-Token` of every envd call; the same for the life of the sandbox.
    pub token: Option<SecretString>,
    /// The domain the answer named; private clusters only.
    pub domain: Option<String>,
    /// The version of envd, which is that of the template's build: a template that is not built again keeps an old one.
    pub envd_version: Option<String>,
}

impl Access {
    /// User to name where a call would leave it to envd, as the official SDKs do. `None`: envd has a default user.
    pub(super) fn default_user(&self) -> Option<&'static str> {
        let version = self.envd_version.as_deref().and_then(major_and_minor)?;
        (version < DEFAULT_USER_SINCE).then_some("user")
    }
}

/// `None`: it is no version, so that nothing is known.
fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_to_an_envd_that_has_no_default_one() {
        for (version, user) in [
            (Some("0.1.0"), Some("user")),
            (Some("v0.3.9"), Some("user")),
            (Some("0.4.0"), None),
            (Some("0.6.13"), None),
            (Some("0.10.0-rc1"), None),
            (Some("1.0.0"), None),
            (Some("dev"), None),
            (Some(""), None),
            (None, None),
        ] {
            let envd_version = version.map(str::to_owned);
            let access = Access { sandbox_id: "i".into(), token: None, domain: None, envd_version };
            assert_eq!(access.default_user(), user, "{version:?}");
        }
    }
}
