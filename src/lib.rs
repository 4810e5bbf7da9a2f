//! Slipway carries AI-written code from a cloud sandbox to a merged pull request.
//! This crate is the operator behind its one binary; the README tells what it does for its users.
//!
//! # A guided tour
//!
//! 1. [`api`] is the contract as data: the kinds [`api::Task`], [`api::Sandbox`] and [`api::Repository`], their bounds,
//!    the names of their conditions. What `kubectl explain` prints stands there.
//! 2. [`domain`] is everything that is decided, without touching the world. Start with [`domain::task`]: where a Task
//!    stands, what has to be looked at ([`domain::task::wants`]), what follows ([`domain::task::decide`]) and what a step
//!    has changed ([`domain::task::record`]). [`domain::sandbox`] and [`domain::repository`] have the same shape.
//!    [`domain::retry`] turns the class of a failure into a wait, [`domain::pull_request`] turns news of a pull request
//!    into a move on the board, in whatever order they come.
//! 3. [`controllers::shell`] runs one reconcile, for all kinds alike: observe → decide → write the intent → perform at
//!    most one effect → record. A crash between any two of these heals, because the next pass looks at the world.
//!    [`controllers::task`], [`controllers::sandbox`] and [`controllers::repository`] fill in the reading and the effects.
//! 4. [`github`] and [`e2b`] are the adapters: one call per method, each failure with a class and a stable reason, no
//!    retries of their own. All their calls, and those to Kubernetes, pass [`telemetry::CallLayer`].
//! 5. [`webhook`] is the receiver: who signed, whose Task, one patch.
//! 6. [`cluster`] is what controllers and receiver share of Kubernetes: [`cluster::status::write`] is the one way to write
//!    status, [`cluster::Secrets`] the one way to read Secrets.
//! 7. [`config`] reads arguments and environment, [`app`] builds every client once and starts and ends it all.

pub mod api;
pub mod app;
pub mod cluster;
pub mod config;
pub mod controllers;
pub mod domain;
pub mod e2b;
pub mod github;
pub mod telemetry;
pub mod webhook;
