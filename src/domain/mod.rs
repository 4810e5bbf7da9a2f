//! What Slipway knows, without touching the world: decisions, transitions, names, git object ids.
//! Pure: may use `api` only; time, randomness and ids come in as arguments.

pub mod conditions;
pub mod failure;
pub mod files;
pub mod need;
pub mod plan;
pub mod retry;
pub mod sandbox;
