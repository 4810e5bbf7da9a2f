//! The GitHub adapter and the commit step against the GitHub stand-in, over loopback.
//! One stand-in per test; no other part of the operator runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod app_repositories;
mod app_rights;
mod app_support;
mod app_work;
mod apps;
mod commit;
mod failures;
mod git_rules;
mod hooks;
mod limits;
mod operations;
mod queue;
mod renames;
mod resume;
mod secrets;
mod support;
mod updates;
