//! Decides what to do next about a Task: from what is known of it and of the world to one plan.
//! `position` says where a Task stands and what has to be looked at, `decide` what follows, `record` what a step has changed.

mod carry_over;
mod decide;
mod ending;
mod generation;
mod in_sandbox;
mod merge;
mod mergeability;
mod model;
mod position;
mod preconditions;
mod publish;
mod queue;
mod record;
mod reflect;
mod release;
mod requirements;
mod review;
mod round;
mod sandbox;
mod scope;
mod seen_pull;
mod signal;
mod stage;
mod suspend;
mod template;
mod views;

#[cfg(test)]
mod tests;

pub use decide::decide;
pub use mergeability::MergeWanted;
pub use model::{
    COMING_UP, Context, DeleteBranch, Files, Health, Look, Outcome, OwnerView, Plan, PullRead, Remarks,
    RepositoryView, SandboxView, Step,
};
pub use position::locate;
pub use publish::pull_request_text;
pub use record::record;
pub use requirements::{
    CheckProgress, Checks, HeadCheck, MergeView, QueuePlace, QueueProgress, RequiredCheck, Review, RulesView,
};
pub use round::{has_feedback, may_check_out, source_generation, spool_id};
pub use seen_pull::SeenPull;
pub use stage::{
    Answered, Asked, Branches, Checkout, Collect, DiscussedPull, FindPulls, Generation, InQueue, LeftBranch,
    Leftover, Observed, PlannedRound, Position, Question, ReadPull, Start, StartAnswer, WantedFeedback,
};
pub use template::{apply_in_place, needs_another};
