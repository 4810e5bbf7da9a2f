//! Repositories: look one up, create it where that is wanted and it was never seen, re-read its pull requests once per
//! interval. Pure; fed and carried out by `controllers::repository`. The way: `stage` → `decide` → `record`.

mod current;
mod decide;
mod hook;
mod record;
mod scope;
mod stage;
pub mod sync;

#[cfg(test)]
mod tests;

pub use decide::decide;
pub use hook::{
    AGAIN, EVENTS, FINALIZER, Hook, HookFailure, HookOutcome, HookSeen, HookStage, HookStep, RECEIVER_PATH,
    hook_stage,
};
pub use record::record;
pub use stage::{Finding, List, LookUp, Observed, Stage, first_sync, interval, is_settled, stage, timed_out};

use super::failure::Failure;
use crate::api::{CreateRepository, Limits};
use sync::Move;

/// A repository as GitHub describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: i64,
    pub owner_id: i64,
    /// `owner/name` as it is today.
    pub full_name: String,
    pub default_branch: String,
    pub html_url: String,
    pub archived: bool,
    pub base: Base,
    /// The GitHub App that sees it; absent where a token does.
    pub app_id: Option<i64>,
}

/// The account of GitHub's that the Repository's calls count for.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// `None`: GitHub does not tell.
    pub name: Option<String>,
    /// The limit that holds now.
    pub limits: Option<Limits>,
}

/// Knowledge of the branch that pull requests go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nobody asked.
    Unknown,
    Exists,
    Missing,
    /// The repository has no commit at all.
    Empty,
}

/// Result of a list of the changed pull requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    pub moves: Vec<Move>,
    /// The repository, where the list or a look-up on the way has described it.
    pub repository: Option<Found>,
}

/// Answer to the question for the pull requests that changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    Changes(Changes),
    /// GitHub shows the repository neither by its name nor by its id.
    Absent,
    /// Another has its name, and its id shows nothing.
    Replaced,
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Create(CreateRepository),
    /// Tasks whose pull requests have moved.
    Move(Vec<Move>),
    /// The webhook is changed.
    Hook(HookStep),
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Created(Result<Found, Failure>),
    /// True where every Task was written.
    Moved {
        all: bool,
    },
    Hook(HookOutcome),
}
