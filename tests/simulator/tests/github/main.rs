//! The GitHub stand-in where octokit does not reach: git itself, faults, the clock, webhooks.
//! What octokit does reach is in `tests/sdk/octokit`.

mod app_rights;
mod app_support;
mod apps;
mod delivery_log;
mod faults;
mod git;
mod hooks;
mod manners;
mod support;
mod verified;
mod webhooks;
