//! GitHub's API: one call per method, its failure classified, its limits kept. No retries and no policy: what to do
//! about a failure is decided by the controllers from its class. Uses `domain`, `telemetry` and the reasons of `api` only.

mod access;
mod account;
mod accounts;
mod app;
mod call;
mod checks;
mod classify;
mod client;
mod commits;
mod error;
mod etags;
mod feedback;
mod follow;
mod git;
mod grant;
mod graphql;
mod hooks;
mod identities;
mod lacking;
mod lfs;
mod lost;
mod mint;
mod name;
mod names;
mod operation;
mod pack;
mod parts;
mod pulls;
mod queue;
mod recent;
mod repositories;
mod rollup;
mod row;
mod rules;
mod session;
mod table;
mod token;
mod tokens;
mod trust;

pub use access::AppSource;
pub use account::{Account, AccountLimit};
pub use app::App;
pub use checks::{Check, CheckState};
pub use client::{Client, GitHub};
pub use commits::{Author, Commit, NewCommit};
pub use error::Error;
pub use git::{CreatedRef, Tree, TreeContent, TreeEntry, UpdatedRef};
pub use graphql::{DeletedBranch, FailedChecks};
pub use hooks::{
    ChangedHook, CreatedHook, DeliveriesPage, Hook, HookDelivery, LastResponse, NewHook, Redelivered,
};
pub use lfs::{LfsAction, LfsActions, LfsAnswer, LfsError};
pub use name::RepositoryName;
pub use pack::{Pack, WantedPack};
pub use pulls::{
    CreatedPull, MergeMethod, Merged, NewPull, Pull, PullHead, PullState, PullsPage, UpdatedPulls,
};
pub use queue::{Dequeued, Enqueued, QueueCheck, QueueEntry, QueueEntryState, QueueState, ReviewDecision};
pub use repositories::{CreateRepository, Repository};
pub use rules::{BranchRules, MergeQueueRule, OtherRule, RequiredCheck};
