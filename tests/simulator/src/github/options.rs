//! How the GitHub stand-in starts, and what tests may want to be different from GitHub.
//! Read by `mod`; what can be changed while it runs is in `manners`, `apps` and `delivery`.

use std::net::SocketAddr;
use std::time::Duration;

use super::auth::Token;
use super::state::{Account, AccountKind};

/// How the GitHub stand-in starts.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    pub settings: Settings,
    /// Accounts that exist from the start; more can be added later.
    pub accounts: Vec<Account>,
    /// Tokens that are accepted from the start.
    pub tokens: Vec<Token>,
}

/// What tests may want to be different from GitHub.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Entries of a recursive tree before it is `truncated` (GitHub: 100,000).
    pub tree_limit: usize,
    /// Whether the first read of a pull request after a change says `mergeable: null`, as GitHub's does.
    pub mergeable_lag: bool,
    /// How long a hook may take to answer (GitHub: 10 s).
    pub webhook_timeout: Duration,
    /// The paths of GitHub Enterprise Server: REST below `/api/v3`, GraphQL at `/api/graphql`, and no others.
    pub enterprise: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tree_limit: 100_000,
            mergeable_lag: true,
            webhook_timeout: Duration::from_secs(10),
            enterprise: false,
        }
    }
}

impl Default for Options {
    /// User `slipway-bot` with the token `slipway-bot-token`, a person `reviewer`, the organization `acme`.
    fn default() -> Self {
        let account = |login: &str, kind| Account { login: login.to_owned(), kind };
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            settings: Settings::default(),
            accounts: vec![
                account("slipway-bot", AccountKind::User),
                account("reviewer", AccountKind::User),
                account("acme", AccountKind::Organization),
            ],
            tokens: vec![Token::personal("slipway-bot-token", "slipway-bot")],
        }
    }
}
