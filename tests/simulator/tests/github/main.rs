//! The GitHub stand-in where octokit does not reach: git itself, faults, the clock, webhooks.
//! What octokit does reach is in `tests/sdk/octokit`.

mod app_rights;
mod app_support;
mod apps;
mod branch_rules;
mod checks;
mod delivery_log;
mod faults;
mod git;
mod hooks;
mod manners;
mod merge_queue;
mod support;
mod verified;
mod webhooks;
