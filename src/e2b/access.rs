//! What it takes to talk to one sandbox. The API gives it, envd's calls need it.
//! Used by `e2b` and by whoever keeps it for the next call.

use secrecy::SecretString;

/// What it takes to reach the envd of one sandbox. The token lives in memory only.
#[derive(Debug, Clone)]
pub struct Access {
    pub sandbox_id: String,
    /// `X-Access-Token` of every envd call; the same for the life of the sandbox.
    pub token: Option<SecretString>,
    /// The domain the answer named; private clusters only.
    pub domain: Option<String>,
}
