//! What to do next about a Task: from what is known of it and of the world to one plan.
//! `stage` says where a Task stands and what has to be looked at, `decide` what follows, `record` what a step has changed.

mod board;
mod case;
mod decide;
mod generation;
mod publish;
mod record;
mod release;
mod review;
mod round;
mod sandbox;
mod stage;
mod template;

#[cfg(test)]
mod tests;

pub use decide::decide;
pub use publish::pull_request_text;
pub use record::record;
pub use round::spool_id;
pub use stage::{Looking, PlannedBranch, wants};
pub use template::{Drift, followed};

use super::{failure::Failure, plan, pull_request::ObservedPullRequest};
use crate::api::{MergeMethod, PullRequestState, TaskStatus};
use jiff::{SignedDuration, Timestamp};

/// The plan for a Task.
pub type Plan = plan::Plan<TaskStatus, Step>;

/// What is known without a call: other objects of the cluster, and what this process remembers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// The Repository, if it exists.
    pub repository: Option<RepositoryView>,
    /// The Sandbox, if it exists.
    pub sandbox: Option<SandboxView>,
    /// Another Task that has the turn in the same Sandbox.
    pub holder: Option<String>,
    /// When this process first saw the generation's process dead without an exit code.
    pub dead_since: Option<Timestamp>,
    /// When this process last read the pull request, for `merge.policy: WhenReady`.
    pub pull_read: Option<PullRead>,
}

/// One process's memory of reading a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullRead {
    pub at: Timestamp,
    /// How many reads in a row found GitHub still working out whether it can be merged.
    pub undecided: u32,
}

impl PullRead {
    /// What to remember after reading `pull`.
    pub fn after(previous: Option<Self>, pull: Option<&SeenPull>, at: Timestamp) -> Self {
        let decided = pull.is_none_or(|pull| {
            pull.observed.state != PullRequestState::Open
                || pull.mergeable_state.as_deref().is_some_and(|state| state != "unknown")
        });
        let undecided = if decided { 0 } else { previous.map_or(0, |read| read.undecided).saturating_add(1) };
        Self { at, undecided }
    }
}

/// Where a Repository or Sandbox stands, as its own conditions say.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    Ready,
    NotReady(String),
    Stalled(String),
}

/// Why a Sandbox is not ready before its own conditions tell more than that.
pub const COMING_UP: &str = "it is being created";

/// What a Task has to know of its Repository.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryView {
    pub id: Option<i64>,
    /// The Repository's own base branch, or GitHub's default branch.
    pub base_branch: Option<String>,
    pub health: Health,
    pub suspended: bool,
    pub sync_interval: SignedDuration,
}

/// What a Task has to know of its Sandbox.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxView {
    pub id: Option<String>,
    pub incarnation: i64,
    /// `status.state` is `Running`.
    pub running: bool,
    pub health: Health,
    /// Its controlling owner (uid), if it has one.
    pub owner: Option<String>,
    pub deleting: bool,
    /// How it differs from the Task's `sandboxTemplate`; not at all where the Task has none.
    pub drift: Drift,
}

/// The world as one pass saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub context: Context,
    pub seen: Seen,
}

/// The answer to [`Looking`].
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Nothing had to be looked at.
    Nothing,
    Failed(Failure),
    /// A Secret that the command's environment needs is missing; the text names it.
    SecretMissing(String),
    /// Before a start or the first read of files.
    Branches {
        /// The tip of the base branch, if there is such a branch.
        base_sha: Option<String>,
        /// Branches that stand in the way of the planned one: itself, or one nested below it.
        taken: bool,
    },
    Generation(Look),
    Files(Files),
    /// Pull requests from our branch, newest first.
    Pulls(Vec<SeenPull>),
    /// One pull request; `None` when GitHub has it no more.
    Pull(Option<SeenPull>),
    /// A branch that is to go: its tip, and the pull requests from it.
    Leftover {
        tip: Option<String>,
        pulls: Vec<SeenPull>,
    },
}

/// What one look at a generation saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    NotStarted,
    /// Its directory can't be made; mkdir's own words.
    DirectoryFailed(String),
    Running,
    /// No live process and no exit code.
    PidDead,
    Exited {
        code: i32,
        tail: String,
    },
}

/// How far the files have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// All of them are in a commit that GitHub has.
    Committed { tree: String, commit: String, digest: String },
    /// The base has them all.
    Unchanged { digest: String },
    /// The pass ended before the last upload.
    Progress {
        uploaded: usize,
        of: usize,
        /// What ended the pass early, if it was not its time.
        failure: Option<Failure>,
    },
    /// The spool has no room now.
    WaitingForSpool,
}

/// A pull request as GitHub shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenPull {
    pub observed: ObservedPullRequest,
    pub body: String,
    /// `clean`, `blocked`, … ; absent in lists.
    pub mergeable_state: Option<String>,
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    CreateSandbox,
    /// Brings the own Sandbox as close to its template as can be done in place.
    PatchSandbox,
    DeleteSandbox,
    Start {
        generation: String,
    },
    Signal {
        generation: String,
        kill: bool,
    },
    CreateBranch {
        branch: String,
        sha: String,
        generation: String,
    },
    DeleteBranch {
        branch: String,
        why: DeleteBranch,
    },
    CreatePullRequest {
        branch: String,
        base: String,
    },
    Merge {
        number: i64,
        sha: String,
        method: MergeMethod,
    },
}

/// Why a branch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteBranch {
    /// The next round works on another branch.
    NewRound,
    /// The Task is being deleted and no pull request carries it.
    Deletion,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done,
    Failed(Failure),
    /// The branch exists: ours, or somebody else's.
    BranchExists {
        ours: bool,
    },
    PullRequest(SeenPull),
    /// GitHub says there is one already: it is looked up.
    PullRequestExists,
    Merged {
        sha: Option<String>,
    },
    /// 405: something stands in the way; GitHub's words.
    NotMergeable(String),
    /// 409: the head is another one now.
    HeadChanged,
}
