//! The Sandbox controller on a real API server, against the E2B stand-in: what it makes of expiry, loss, lost answers,
//! wrong keys and templates, crashes and deletion. Neighbours: `operator` runs it, `world` is what each test stands in.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails its test")]

#[path = "../controlplane/mod.rs"]
mod controlplane;

mod crash;
mod deletion;
mod lies;
mod life;
mod loss;
mod older;
mod operator;
mod refusal;
mod shell;
mod sweep;
mod turns;
mod world;
