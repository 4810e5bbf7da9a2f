//! The data of a decision about a Task: what is known without a call, what a look tells, steps and their outcomes.
//! Used by every module of this folder and by the Task controller.

use super::{
    mergeability::{MergeWanted, Mergeability},
    requirements::QueuePlace,
    seen_pull::SeenPull,
};
use crate::{
    api::{MergeMethod, PullRequestPart, PullRequestState, SandboxSpec, TaskStatus},
    domain::{failure::Failure, plan},
};
use jiff::{SignedDuration, Timestamp};

/// The plan for a Task.
pub type Plan = plan::Plan<TaskStatus, Step>;

/// The surroundings of a Task, known without a call: other objects of the cluster, and what this process remembers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// The Repository, if it exists.
    pub repository: Option<RepositoryView>,
    /// The Sandboxes that exist of those the Task asks for, names in its spec, or owns.
    pub sandboxes: Vec<SandboxView>,
    /// The Task's place in the line for a shared Sandbox, from 1.
    pub place: Option<usize>,
    /// Last start of another Task's command in the sandbox that this Task's round works in.
    pub others_began: Option<Timestamp>,
    /// First time this process saw the generation's process dead without an exit code.
    pub dead_since: Option<Timestamp>,
    /// First time this process signalled the generation's process.
    pub signalled_since: Option<Timestamp>,
    /// This process's last read of the pull request, for `merge.policy: WhenReady`.
    pub pull_read: Option<PullRead>,
    /// A complete result of the round lies in this process's spool.
    pub spooled: bool,
    /// The Task was told to wait for its turn at GitHub, and was not called yet.
    pub awaits_turn: bool,
}

impl Context {
    /// The Sandbox of this name, if it exists.
    pub fn sandbox(&self, name: &str) -> Option<&SandboxView> {
        self.sandboxes.iter().find(|sandbox| sandbox.name == name)
    }
}

/// One process's memory of reading a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRead {
    pub at: Timestamp,
    /// Number of reads in a row that found GitHub still working out whether it can be merged.
    pub undecided: u32,
    /// The last message about what the merge waits for.
    pub waits_for: Option<String>,
    /// Its last place in the merge queue.
    pub place: Option<QueuePlace>,
    /// Time since which it is seen outside of the queue that it was in.
    pub outside_since: Option<Timestamp>,
    /// Number of times in a row that GitHub has refused to merge it or to take it into the queue, for reasons that only a try tells.
    pub refused: u32,
    /// The Task's own commit at that time: what is known of one says nothing of the next.
    pub commit: Option<String>,
}

impl PullRead {
    /// Returns what to remember after reading `pull`.
    pub fn after(
        previous: Option<&Self>,
        pull: Option<&SeenPull>,
        wanted: Option<&MergeWanted>,
        at: Timestamp,
    ) -> Self {
        let commit = wanted.and_then(|wanted| wanted.commit.clone());
        let mut read =
            Self { at, undecided: 0, waits_for: None, place: None, outside_since: None, refused: 0, commit };
        let open = pull.filter(|pull| pull.observed.state == PullRequestState::Open);
        let Some((pull, wanted)) = open.zip(wanted) else { return read };
        let said = previous.and_then(|read| read.waits_for.clone());
        let undecided = previous.map_or(0, |read| read.undecided).saturating_add(1);
        match pull.mergeability(wanted) {
            Mergeability::Undecided(words) => (read.undecided, read.waits_for) = (undecided, words),
            Mergeability::LeftQueue => {
                read.outside_since = previous.and_then(|read| read.outside_since).or(Some(at));
                let looked_at = || {
                    "the pull request was in the merge queue: whether it has left it is looked at again"
                        .to_owned()
                };
                (read.undecided, read.waits_for) = (undecided, said.or_else(|| Some(looked_at())));
            }
            Mergeability::No(words) => read.waits_for = Some(words),
            Mergeability::InQueue(place) => {
                // GitHub's guess of the time moves with every look, which is no news.
                let before = previous.and_then(|read| read.place).filter(|before| before.is_like(&place));
                let words = before.and(said).unwrap_or_else(|| place.words(pull.observed.number));
                (read.place, read.waits_for) = (Some(place), Some(words));
            }
            // The step comes next: a refusal in the same words is no news.
            Mergeability::Yes | Mergeability::ByQueue => {
                let before = previous.filter(|before| before.commit == read.commit);
                read.refused = before.map_or(0, |before| before.refused);
            }
            Mergeability::Removed => {}
        }
        read
    }

    /// GitHub's own words on why it does not merge, or does not take it into the queue.
    pub fn refuse(&mut self, step: &Step, words: &str) {
        self.waits_for = Some(refusal(step, words));
        self.refused = self.refused.saturating_add(1);
    }
}

/// Says why GitHub does not take a merge yet, in its words.
pub(super) fn refusal(step: &Step, words: &str) -> String {
    match step {
        Step::Enqueue { .. } => format!("GitHub does not take it into the merge queue yet: {words}"),
        _ => format!("GitHub does not allow the merge yet: {words}"),
    }
}

/// Health of a Repository or Sandbox, as its own conditions tell everybody.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    Ready,
    NotReady(String),
    Stalled(String),
}

/// Message for a Sandbox whose own conditions do not tell more yet.
pub const COMING_UP: &str = "it is being created";

/// The part of its Repository that a Task has to know.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryView {
    pub id: Option<i64>,
    /// The Repository's own base branch, or GitHub's default branch.
    pub base_branch: Option<String>,
    pub health: Health,
    pub suspended: bool,
    pub sync_interval: SignedDuration,
    /// Its commits get checks.
    pub checks_expected: bool,
}

/// The part of a Sandbox that a Task has to know.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxView {
    pub name: String,
    /// E2B's id.
    pub id: Option<String>,
    pub incarnation: i64,
    /// `status.state` is `Running`, and E2B has not been found to miss it.
    pub running: bool,
    /// E2B neither shows nor lists it, or it runs and has not told yet with which files. The next looks tell whether it is gone:
    /// until then no call is worth its attempt, and nothing is given up.
    pub missing: bool,
    /// Total time for which this incarnation has been paused, in seconds.
    pub paused_seconds: i64,
    /// Time at which it was last found to have come back with older files.
    pub rolled_back_at: Option<Timestamp>,
    pub health: Health,
    /// Its controlling owner, if it has one.
    pub owner: Option<OwnerView>,
    pub deleting: bool,
    /// The request that has the turn, where Tasks share it.
    pub holder: Option<crate::api::Holder>,
    pub spec: SandboxSpec,
}

/// The controlling owner of a Sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerView {
    pub uid: String,
    pub name: String,
}

impl SandboxView {
    /// Returns whether the Task of this uid owns it.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.uid == uid)
    }
}

/// Result of one look at a generation.
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
        /// We had signalled it before: whatever its code, it did not come to its own end.
        signalled: bool,
    },
}

/// Progress of the files on their way to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// All of them are in a commit that GitHub has.
    Committed {
        tree: String,
        commit: String,
        /// The commit that it stands on: a copy has its own.
        parent: String,
        digest: String,
        /// Title and text of the pull request, where it is still to be opened.
        text: Option<(String, String)>,
        /// What people have to know of it.
        remarks: Remarks,
    },
    /// The parent has them all.
    Unchanged { digest: String, remarks: Remarks },
    /// The pass ended before the last upload.
    Progress {
        uploaded: usize,
        of: usize,
        /// The failure that ended the pass early; absent where its time was over.
        failure: Option<Failure>,
    },
    /// The spool has no room now, or no worker for transfers is free.
    Waiting { reason: &'static str },
    /// The files are not in the spool any more, and were not read from the sandbox.
    NotSpooled,
}

/// What the result does not carry, although the sandbox has it otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// GitHub has signed the commit.
    pub verified: bool,
    /// Number of files that the base has and a plain directory lacks.
    pub stays: usize,
    /// Submodules that lead elsewhere in the sandbox, or have changed there: their links are as before.
    pub submodules: Vec<String>,
    /// Names of commits in the sandbox that are not part of the result.
    pub elsewhere: Vec<String>,
    /// What of the command's own texts can't be used as it is.
    pub output: Vec<String>,
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    CreateSandbox {
        name: String,
    },
    /// Sets what of an own Sandbox follows its template in place.
    PatchSandbox {
        name: String,
    },
    DeleteSandbox {
        name: String,
    },
    Start {
        generation: String,
    },
    Signal {
        generation: String,
        sandbox: String,
        kill: bool,
    },
    CreateBranch {
        branch: String,
        sha: String,
    },
    /// Moves the branch of the open pull request forward to the round's commit.
    UpdateBranch {
        branch: String,
        sha: String,
    },
    /// Deletes the branch where it still stands at the commit.
    DeleteBranch {
        branch: String,
        sha: String,
        why: DeleteBranch,
    },
    CreatePullRequest {
        branch: String,
    },
    /// Sets a part of the pull request that was just opened.
    SetPart {
        number: i64,
        part: PullRequestPart,
    },
    Merge {
        number: i64,
        sha: String,
        method: MergeMethod,
    },
    /// Puts the pull request into the merge queue of its base branch.
    Enqueue {
        node_id: String,
        sha: String,
    },
    /// Takes it out again: its branch is to move.
    Dequeue {
        node_id: String,
    },
}

/// Reason for deleting a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteBranch {
    /// The next round works on another branch.
    NewRound,
    /// The Task is being deleted and no pull request carries it.
    Deletion,
    /// Its pull request is merged, and the spec wants it gone.
    Merged,
}

/// Result of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done,
    Failed(Failure),
    /// The branch exists: ours, or somebody else's.
    BranchExists {
        ours: bool,
    },
    /// GitHub says that the branch exists, and does not show it.
    BranchNotVisible,
    /// The branch is gone, or stands at another commit than the one it was to be deleted at.
    BranchElsewhere,
    /// The branch does not move forward to the commit: somebody pushed to it, and changed the same paths.
    BranchMoved,
    /// Somebody pushed to the branch: the commit was made again on top of that.
    Rebased {
        parent: String,
        tree: String,
        commit: String,
    },
    /// GitHub does not take a part of the pull request; its words.
    PartRefused(String),
    PullRequest(Box<SeenPull>),
    /// GitHub says there is one already: it is looked up.
    PullRequestExists,
    Merged {
        sha: Option<String>,
    },
    /// 405: something stands in the way; GitHub's words.
    NotMergeable(String),
    /// 409: the head is another one now.
    HeadChanged,
    /// It is in the merge queue.
    InQueue,
    /// GitHub says that the base branch has no queue.
    NoQueue,
    /// It may have left the queue or not.
    DequeueUnclear,
}
