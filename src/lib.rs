//! Slipway carries AI-written code from a cloud sandbox to a merged pull request.
//! This crate is the operator behind its one binary; the README tells what it does for its users.
//!
//! # A guided tour
//!
//! 1. [`api`] is the contract as data: the kinds [`api::Task`], [`api::Sandbox`] and [`api::Repository`], their bounds,
//!    the names of their conditions, and every reason ([`api::conditions::reason`]). What `kubectl explain` prints stands
//!    there. [`api::Phase`] says where a round of a Task stands.
//! 2. [`domain`] is everything that is decided, without touching the world. Start with [`domain::task`]:
//!    [`domain::task::locate`] finds where a Task stands and gives a [`domain::task::Position`] with the one question to
//!    answer there, [`domain::task::decide`] says what follows from the answer, [`domain::task::record`] what a step has
//!    changed. [`domain::sandbox`] and [`domain::repository`] have the same shape. [`domain::retry`] turns the class of a
//!    failure into a wait, [`domain::pull_request`] knows whose a pull request is and turns news of it into a move on the
//!    board, [`domain::turn`] gives Tasks their turn in a shared Sandbox, [`domain::secrets`] finds what must not leave.
//! 3. [`controllers::shell`] runs one reconcile, for all kinds alike: observe → decide → write the intent → perform at
//!    most one effect → record. A crash between any two of these heals, because the next pass looks at the world.
//!    [`controllers::task`], [`controllers::sandbox`] and [`controllers::repository`] answer the questions and perform the
//!    effects. Conditions are output: a decision goes by the other fields of status.
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
