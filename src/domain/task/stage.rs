//! The positions of a Task, as values: each carries its question and accepts only the answer to it.
//! Made by `position`, answered by the Task controller, decided in the file that the stage belongs to.

use super::{
    mergeability::MergeWanted,
    model::{Context, Files, Look, Plan},
    requirements::MergeView,
    scope::Scope,
    seen_pull::SeenPull,
};
use crate::{
    api::{SecretVersion, Source, Task, TaskStatus},
    domain::failure::Failure,
};
use jiff::Timestamp;

/// Position of a Task, with what has to be looked at before deciding.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// Nothing has to be looked at.
    Decided(Box<Plan>),
    Start(Asked<Start>),
    Generation(Asked<Generation>),
    Collect(Asked<Collect>),
    FindPulls(Asked<FindPulls>),
    ReadPull(Asked<ReadPull>),
    InQueue(Asked<InQueue>),
    LeftBranch(Asked<LeftBranch>),
}

/// A position with what was seen there.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    Decided(Box<Plan>),
    /// The pass failed before its plan was carried out.
    Failed(Box<Plan>, Failure),
    Start(Answered<Start>),
    Generation(Answered<Generation>),
    Collect(Answered<Collect>),
    FindPulls(Answered<FindPulls>),
    ReadPull(Answered<ReadPull>),
    InQueue(Answered<InQueue>),
    LeftBranch(Answered<LeftBranch>),
}

/// Something that has to be looked at.
pub trait Question: Sized {
    /// The type of the answer.
    type Answer;
    #[doc(hidden)]
    fn observed(answered: Answered<Self>) -> Observed;
}

/// A question, and the Task's status up to there.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked<Q> {
    pub(super) status: TaskStatus,
    pub(super) context: Context,
    pub question: Q,
}

/// A question with its answer, or with why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered<Q: Question> {
    asked: Asked<Q>,
    answer: Result<Q::Answer, Failure>,
}

impl<Q> Asked<Q> {
    /// The Task as the plan has it up to there: what is looked at may stand in no written status yet.
    pub fn task(&self, task: &Task) -> Task {
        Task { status: Some(self.status.clone()), ..task.clone() }
    }
}

impl<Q: Question> Asked<Q> {
    /// Attaches the answer, or why there is none.
    pub fn answered(self, answer: Result<Q::Answer, Failure>) -> Observed {
        Q::observed(Answered { asked: self, answer })
    }
}

impl Position {
    /// Attaches the failure of a look, or of the whole pass.
    pub fn failed(self, failure: &Failure) -> Observed {
        let failure = failure.clone();
        match self {
            Self::Decided(plan) => Observed::Failed(plan, failure),
            Self::Start(asked) => asked.answered(Err(failure)),
            Self::Generation(asked) => asked.answered(Err(failure)),
            Self::Collect(asked) => asked.answered(Err(failure)),
            Self::FindPulls(asked) => asked.answered(Err(failure)),
            Self::ReadPull(asked) => asked.answered(Err(failure)),
            Self::InQueue(asked) => asked.answered(Err(failure)),
            Self::LeftBranch(asked) => asked.answered(Err(failure)),
        }
    }
}

/// Decides by an answer. Each question has one implementation, in the file of the part it belongs to.
pub(super) trait Decide: Question {
    fn decide(self, scope: Scope<'_>, context: &Context, answer: Self::Answer) -> Plan;

    fn failed(self, scope: Scope<'_>, failure: &Failure) -> Plan {
        scope.failed_plan(failure)
    }
}

/// Decides by an answered question.
pub(super) fn conclude<Q: Decide>(answered: Answered<Q>, task: &Task, now: Timestamp) -> Plan {
    let Asked { status, context, question } = answered.asked;
    let scope = Scope::new(task, status, now);
    match answered.answer {
        Ok(answer) => question.decide(scope, &context, answer),
        Err(failure) => question.failed(scope, &failure),
    }
}

/// The round's first intent or another attempt: the command's Secrets, and for the first intent the branches.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub plan: Option<PlannedRound>,
    pub(super) sandbox: RunningSandbox,
    /// True where a command has to be started; otherwise the files are there already.
    pub runs: bool,
    /// What has to lie in the sandbox before the command is started.
    pub checkout: Option<Checkout>,
    /// What the command is to be told.
    pub feedback: Option<WantedFeedback>,
}

impl Start {
    /// E2B's id of the sandbox that the round works in.
    pub fn sandbox_id(&self) -> &str {
        &self.sandbox.id
    }
}

/// What the command of a later round is to be told, as a file in its sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFeedback {
    /// E2B's id of the sandbox.
    pub sandbox: String,
    /// The attempt that it is written for.
    pub generation: String,
    /// The words of the annotation, where it has asked for this round.
    pub rerun: Option<String>,
    /// The pull request that the round goes on with, or that was closed before it.
    pub pull: Option<DiscussedPull>,
    /// It is tried for the last time before a long wait: what GitHub is too busy to say of checks is left out.
    pub last_try: bool,
}

/// A pull request, as far as what is said of it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscussedPull {
    pub number: i64,
    pub head: Option<String>,
    /// Only what was said since is new.
    pub since: Option<Timestamp>,
    /// It was closed without merging: the round opens another.
    pub closed: bool,
}

/// A commit of the repository, to be checked out in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    pub how: crate::api::Checkout,
    /// Directory in the sandbox.
    pub path: String,
    /// E2B's id of the sandbox.
    pub sandbox: String,
    pub commit: String,
    /// Name of the branch that is checked out.
    pub branch: String,
    /// The attempt that it is made for, and the turn in a shared Sandbox: it is made once for both.
    pub generation: String,
    pub turn: String,
}

/// Branches that a round would like to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRound {
    pub branch: String,
    pub base: String,
    /// The branch is that of the open pull request: its head becomes the parent, and nothing may stand in its way.
    pub open: bool,
}

/// The sandbox that a Task may work in now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunningSandbox {
    /// E2B's id.
    pub id: String,
    pub incarnation: i64,
    pub paused_seconds: i64,
    pub rolled_back_at: Option<Timestamp>,
}

/// The answer to [`Start`].
#[derive(Debug, Clone, PartialEq)]
pub enum StartAnswer {
    /// All is there, the checkout too.
    Ready {
        /// Versions of the Secrets that the command gets.
        secrets: Vec<SecretVersion>,
        /// Asked for with `plan` only.
        branches: Option<Branches>,
    },
    /// No worker for transfers is free.
    Waiting { reason: &'static str },
}

/// Branches at GitHub as a round finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branches {
    /// The tip of the base branch, if there is such a branch.
    pub base_sha: Option<String>,
    /// Branches that stand in the way of the planned one: itself, or one nested below it.
    pub taken: bool,
    /// The tip of the planned branch, where there is one.
    pub head_sha: Option<String>,
}

/// One look at the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    pub id: String,
    /// E2B's id of the sandbox it runs in.
    pub sandbox: String,
    pub purpose: Purpose,
}

/// Purpose of a look at the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To go on when it has ended.
    Follow,
    /// To give the turn back, because the Task waits for a person.
    GiveBack,
    /// To end it: its round is over, or its files are lost.
    End,
    /// Only to notice its end, without ending it: the Task is suspended.
    Watch,
    /// To end it, because the Task is being deleted.
    Undo,
}

/// Files, tree and commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Collect {
    /// Id that the files are spooled under.
    pub spool: String,
    /// E2B's id of the sandbox; absent where the spool has them all.
    pub sandbox: Option<String>,
    /// The commit that the round's own is to stand on. A copy has its own, unless a pull request is open.
    pub parent: String,
    pub base_branch: String,
    /// The base branch's tip when the round began.
    pub base: String,
    /// What the round before has left on the branch of the open pull request.
    pub last: Option<String>,
    pub source: Source,
    /// The pull request that will carry the commit is still to be opened.
    pub opens: bool,
}

/// The pull requests from a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindPulls {
    pub branch: String,
}

/// One pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPull {
    pub number: i64,
    /// The merge that is asked for, where one is: it says whether the checks are read too.
    pub merge: Option<MergeWanted>,
}

/// Whether the pull request is in a merge queue, which it has to leave before its branch moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InQueue {
    pub number: i64,
}

/// The tip of a branch that is to be deleted, and the pull requests from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBranch {
    pub branch: String,
    /// The commit it stood at when it was ours.
    pub(super) sha: String,
    pub(super) why: super::model::DeleteBranch,
}

/// The answer to [`LeftBranch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Leftover {
    pub tip: Option<String>,
    pub pulls: Vec<SeenPull>,
}

macro_rules! questions {
    ($($question:ident => $answer:ty),+ $(,)?) => {$(
        impl Question for $question {
            type Answer = $answer;
            fn observed(answered: Answered<Self>) -> Observed {
                Observed::$question(answered)
            }
        }

        impl $question {
            /// Makes the position at which this is asked.
            pub(super) fn asked(self, scope: Scope<'_>, context: &Context) -> Position {
                Position::$question(Asked { status: scope.status, context: context.clone(), question: self })
            }
        }
    )+};
}

questions! {
    Start => StartAnswer,
    Generation => Look,
    Collect => Files,
    FindPulls => Vec<SeenPull>,
    ReadPull => Option<SeenPull>,
    InQueue => MergeView,
    LeftBranch => Leftover,
}
