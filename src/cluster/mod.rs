//! The Kubernetes adapter: status and finalizer writes, Secrets, events, watches, the Lease.
//! Serves `controllers` and `webhook`; knows the kinds of `api` and no policy.

mod error;
pub mod events;
pub mod finalizer;
mod guard;
mod kept;
pub mod lease;
mod patience;
pub mod secrets;
pub mod status;
pub mod watch;

pub use error::Error;
pub use events::Events;
pub use guard::Guarded;
pub use kept::{KeptSandbox, KeptSandboxes, NAME as KEPT_SANDBOXES, Record};
pub use lease::{Elector, Handover, Leadership};
pub use patience::{Waits, chance};
pub use secrets::{Age, SecretError, SecretKey, SecretText, SecretValues, Secrets};
pub use status::Written;
