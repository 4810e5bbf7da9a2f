//! Decides about one Sandbox: where it stands, which read to make, which one step to take, what its outcome means.
//! Pure data and decisions; `controllers::sandbox` makes the reads and the steps.

mod adopt;
mod create;
mod decide;
mod delete;
mod existing;
mod mark;
mod marks;
mod orphans;
mod pauses;
mod record;
mod scope;
mod stage;
mod sweep;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use mark::{BEHIND, after_create, after_resume};
pub use marks::{idempotency_key, installation_marks, metadata, other_installation, own_marks, owner};
pub use record::{record, timed_out};
pub use stage::locate;
pub use sweep::{Owner, Sightings};

use super::{failure::Failure, turn::Turn};
use crate::api::{CreateAnswer, Creating, LastRun, SecretVersion};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The surroundings of a Sandbox, known without any call to E2B.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold with any other"
)]
pub struct Context {
    /// `operatingMode: Running`, or a Task keeps it up.
    pub needed: bool,
    /// A Task has, or may have, files in the sandbox that are in no commit yet.
    pub uncommitted: bool,
    /// A Task says that the sandbox gives no answer.
    pub unreachable: bool,
    /// It has said so for two minutes.
    pub silent: bool,
    /// Last end of a command that a Task ran in the sandbox.
    pub last_finished: Option<Timestamp>,
    /// This process's last look at the sandbox.
    pub last_look: Option<Timestamp>,
    /// The turn as it should stand by now.
    pub turn: Turn,
    /// The last commands in a Sandbox that Tasks share.
    pub last_runs: Vec<LastRun>,
}

/// Position of a Sandbox, found from its status and its surroundings. A stage is also the question that has to be
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
    /// Being deleted, and what is to stay at E2B is not on record yet.
    Keep,
    /// Being deleted, with nothing left to do at E2B.
    Release,
}

/// The incarnation that is about to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewIncarnation(pub i64);

/// Purpose of a look at the recorded sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// To keep it, resume it or replace it.
    Existing,
    /// To renew it while everything else is suspended.
    Suspended,
    /// To end it as `deletionPolicy` says.
    Deletion,
}

/// Purpose of a list by metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// To kill what doubtful creates have made.
    Orphans,
    /// To end what creates without a recorded id have made.
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
    /// With the versions of the Secrets of `spec.env`.
    Create(NewIncarnation, Keyed<Vec<SecretVersion>>),
    Unfinished(Creating, Keyed<Attempts>),
    Look(Look, Keyed<Result<LookupResult, Failure>>),
    Search(Search, Keyed<Listing>),
}

/// An answer that takes an API key, or why there is no key.
pub type Keyed<T> = Result<UnderKey<T>, Failure>;

/// E2B's answer under one API key.
#[derive(Debug, Clone)]
pub struct UnderKey<T> {
    /// Fingerprint of the API key and base URL.
    pub credential: String,
    pub answer: T,
}

/// Every sandbox of E2B that carries our installation and the uid of the object.
pub type Listing = Result<Vec<E2bSandbox>, Failure>;

/// Answers about an unfinished create.
#[derive(Debug, Clone)]
pub struct Attempts {
    pub listed: Listing,
    /// The versions of the Secrets of `spec.env`; error where they are not there.
    pub env: Result<Vec<SecretVersion>, Failure>,
}

/// Result of a GET of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupResult {
    Found(E2bSandbox),
    /// E2B's own 404, the first witness, and a list by our uid that was made after it, the second: E2B's GET answers 404 also
    /// where its own store fails.
    NotFound(Listing),
}

/// One sandbox as E2B shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct E2bSandbox {
    pub id: String,
    pub life: Life,
    /// Start of its present run: E2B counts anew from each resume.
    pub started_at: Timestamp,
    /// End of its life; of a paused one, the time of the pause.
    pub end_at: Timestamp,
    pub metadata: BTreeMap<String, String>,
}

/// The two states that E2B documents, and every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    Paused,
    /// Neither running nor gone, as far as we know: it is looked at again.
    Other,
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create under an intent that is written first.
    Create {
        incarnation: i64,
        key: String,
    },
    /// Resume. Without its memory it starts anew from its disk.
    Connect {
        id: String,
        memory: bool,
    },
    /// Read and write the mark of a sandbox that runs without the one it should have.
    Mark {
        id: String,
        text: String,
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
    /// Record outside the object, which is about to go, that what was made for it stays.
    Keep,
}

/// The result of a step.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Fingerprint of the API key and base URL it was made with.
    pub credential: String,
    /// Just before the first call of the step was sent.
    pub sent: Timestamp,
    pub ended: Ended,
    /// The mark that the sandbox was given after the step; none, where it could not be.
    pub mark: Option<Marked>,
}

/// A mark that was written into a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// What the file said before; empty where there was none.
    pub before: String,
    /// What it says by now: the same as before, where the sandbox's disk took nothing.
    pub written: String,
    /// The directory of the newest command that has ended in it is not there.
    pub lacks_run: bool,
}

/// Result of a step.
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
    /// The mark is in [`Outcome::mark`].
    Marked,
    /// Result of the look after the renewal.
    Renewed(Result<LookupResult, Failure>),
    Killed {
        id: String,
        result: Result<KillEnd, Failure>,
    },
    Paused {
        id: String,
        result: Result<PauseEnd, Failure>,
    },
    Kept(Result<(), Failure>),
}

/// Result of a connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectEnd {
    Resumed,
    /// It ran already: somebody else has resumed it.
    Ran,
    /// E2B's own 404, and a list that was made after it.
    NotFound(Listing),
}

/// Result of a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillEnd {
    Killed,
    /// E2B's own 404: not there any more, or never there for this key.
    NotFound,
}

/// Result of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseEnd {
    Paused,
    /// Paused already, or in a state that can't be paused now: a look tells which.
    Unclear,
    Gone,
}
