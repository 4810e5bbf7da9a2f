//! What both stand-ins share: the clock, the log of calls, injected faults and the HTTP server that applies them.
//! Knows neither GitHub nor E2B; `github` and `e2b` build on it, `control` shows it to shell users.

pub mod calls;
pub mod clock;
pub mod faults;
pub mod serve;

pub use calls::{Call, CallLog, Outcome};
pub use clock::Clock;
pub use faults::{Action, Faults, Rule, When};
pub use serve::{Api, Body, Endpoint, Server, empty, full, json, whole};

/// Handles shared by every part of one simulator; clones share the same state.
#[derive(Clone, Default)]
pub struct Core {
    pub clock: Clock,
    pub calls: CallLog,
    pub faults: Faults,
}
