//! The address and the token of one sandbox's envd. The API gives them, envd's calls need them.
//! Used by `e2b` and by whoever keeps it for the next call.

use secrecy::SecretString;

/// Address and token of the envd of one sandbox. The token lives in memory only.
#[derive(Debug, Clone)]
pub struct Access {
    pub sandbox_id: String,
    /// `X-Access-Token` of every envd call; the same for the life of the sandbox.
    pub token: Option<SecretString>,
    /// The domain the answer named; private clusters only.
    pub domain: Option<String>,
}
