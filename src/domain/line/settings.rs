//! What a line lets through: how far apart writes begin, and how many GitHub takes in a minute and in an hour.
//! Read by `window`, `forecast` and `past`; set where the operator is configured.

use std::time::Duration;

/// Limits of one account. Zero is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Writes begin at least so far apart.
    pub interval: Duration,
    /// Content-creating calls in any minute.
    pub per_minute: u32,
    /// Content-creating calls in any hour.
    pub per_hour: u32,
}

/// What GitHub asks for. Source: "Rate limits for the REST API" (content-creating requests), "Best practices" (a second apart).
impl Default for Settings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), per_minute: 80, per_hour: 500 }
    }
}
