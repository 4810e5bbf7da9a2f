//! What to do about one Sandbox: where it stands, which read to make, which one step to take, what its outcome means.
//! Pure data and decisions; `controllers::sandbox` makes the reads and the steps.

mod adopt;
mod create;
mod decide;
mod delete;
mod existing;
mod marks;
mod orphans;
mod pauses;
mod record;
mod scope;
mod stage;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use marks::{idempotency_key, metadata, own_marks};
pub use record::{record, timed_out};
pub use stage::locate;

use super::{failure::Failure, turn::Turn};
use crate::api::{CreateAnswer, Creating};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What is known of a Sandbox's surroundings without any call to E2B.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `operatingMode: Running`, or a Task keeps it up.
    pub needed: bool,
    /// A Task says that the sandbox gives no answer.
    pub unreachable: bool,
    /// When this process last looked at the sandbox.
    pub last_look: Option<Timestamp>,
    /// Whose turn it is by now.
    pub turn: Turn,
}

/// Where a Sandbox stands, found from its status and its surroundings. A stage is also the question that has to be
/// answered before a decision; [`Seen`] has the same stages with their answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Nothing is asked. Reading nothing is the rule.
    Quiet(Quiet),
    /// A sandbox is about to be made: the API key and the Secrets of `spec.env`.
    Create(NewIncarnation),
    /// A create is under way and its end is not recorded: a list by metadata, and the Secrets in case it is made again.
    Unfinished(Creating),
    /// GET of `status.sandboxID`.
    Look(Look),
    /// A list by metadata.
    Search(Search),
}

/// A stage in which nothing has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// `status.retry` forbids every call until then.
    Waits(Timestamp),
    /// Suspended, and no renewal is due.
    Suspended,
    /// It runs, and needs no attention yet.
    Running,
    /// It is paused, and nobody needs it.
    Paused,
    /// It is gone, and no other is made now.
    Gone,
    /// Being deleted, with nothing left to do at E2B.
    Release,
}

/// The incarnation that is about to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewIncarnation(pub i64);

/// What a look at the recorded sandbox is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// To keep it, resume it or replace it.
    Existing,
    /// To renew it while everything else is suspended.
    Suspended,
    /// To end it as `deletionPolicy` says.
    Deletion,
}

/// What a list by metadata is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// To kill what came of doubtful creates.
    Orphans,
    /// To end what came of creates without a recorded id.
    Deletion,
}

/// Everything a decision is made from, except the object and the time.
#[derive(Debug, Clone)]
pub struct Observed {
    pub context: Context,
    pub seen: Seen,
}

/// A stage with the answer to its question.
#[derive(Debug, Clone)]
pub enum Seen {
    Quiet(Quiet),
    Create(NewIncarnation, Keyed<()>),
    Unfinished(Creating, Keyed<Attempts>),
    Look(Look, Keyed<Result<LookupResult, Failure>>),
    Search(Search, Keyed<Listing>),
}

/// An answer that takes an API key, or why there is no key.
pub type Keyed<T> = Result<UnderKey<T>, Failure>;

/// What E2B answered under one API key.
#[derive(Debug, Clone)]
pub struct UnderKey<T> {
    /// Fingerprint of the API key and base URL.
    pub credential: String,
    pub answer: T,
}

/// Every sandbox of E2B that carries our installation and the uid of the object.
pub type Listing = Result<Vec<E2bSandbox>, Failure>;

/// What is known of an unfinished create.
#[derive(Debug, Clone)]
pub struct Attempts {
    pub listed: Listing,
    /// Whether the Secrets of `spec.env` are there.
    pub env: Result<(), Failure>,
}

/// What a GET of one sandbox says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupResult {
    Found(E2bSandbox),
    /// E2B's own 404.
    NotFound,
}

/// One sandbox as E2B shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct E2bSandbox {
    pub id: String,
    pub life: Life,
    /// When its present run began: E2B counts anew from each resume.
    pub started_at: Timestamp,
    /// When it ends; of a paused one: when it was paused.
    pub end_at: Timestamp,
    pub metadata: BTreeMap<String, String>,
}

/// The two states that E2B shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    Paused,
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create under an intent that is written first.
    Create {
        incarnation: i64,
        key: String,
    },
    /// Resume.
    Connect {
        id: String,
    },
    /// Set the time to live, then look once.
    Renew {
        id: String,
    },
    Kill {
        id: String,
    },
    Pause {
        id: String,
    },
}

/// The result of a step.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Fingerprint of the API key and base URL it was made with.
    pub credential: String,
    /// Just before the first call of the step was sent.
    pub sent: Timestamp,
    pub ended: Ended,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub enum Ended {
    Created {
        id: String,
    },
    NotCreated {
        answer: CreateAnswer,
        failure: Failure,
    },
    Connected(Result<ConnectEnd, Failure>),
    /// What a look after the renewal saw.
    Renewed(Result<LookupResult, Failure>),
    /// Killed, or not there any more.
    Killed {
        id: String,
        result: Result<(), Failure>,
    },
    Paused {
        id: String,
        result: Result<PauseEnd, Failure>,
    },
}

/// How a connect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectEnd {
    Resumed,
    /// It ran already: somebody else has resumed it.
    Ran,
    /// E2B's own 404.
    Gone,
}

/// How a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseEnd {
    Paused,
    /// Paused already, or in a state that can't be paused now: a look tells which.
    Unclear,
    Gone,
}
