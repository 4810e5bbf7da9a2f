//! What was seen of E2B and of the objects around a Sandbox, and what became of a step: plain data.
//! Filled by `controllers::sandbox`, read by the decisions of this folder.

use crate::{
    api::CreateAnswer,
    domain::{failure::Failure, turn::Turn},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What is asked of a Sandbox from outside, known without any call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// `operatingMode: Running`, or a Task keeps it up.
    pub needed: bool,
    /// A Task says that the sandbox gives no answer.
    pub unreachable: bool,
    /// When this process last looked at the sandbox.
    pub last_look: Option<Timestamp>,
}

/// Everything a decision is made from, beside the object and the time.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub asked: Asked,
    /// Whose turn it is by now.
    pub turn: Turn,
    /// Fingerprint of the API key and base URL; absent: no call is due.
    pub credential: Option<Result<String, Lack>>,
    /// Whether the Secrets of `spec.env` are there; absent: not asked.
    pub env: Option<Result<(), Lack>>,
    /// GET of `status.sandboxID`: `None` inside is E2B's definite 404.
    pub look: Option<Result<Option<Seen>, Failure>>,
    /// Every sandbox of E2B that carries our installation and the uid of the object.
    pub listed: Option<Result<Vec<Seen>, Failure>>,
}

/// Why something a Secret should give is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The Secret, or its key, does not exist: it may still come.
    Missing(String),
    /// It is there and can't be right.
    Invalid(String),
    /// The API server did not give it.
    Unread(Failure),
}

/// One sandbox as E2B shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    pub life: Life,
    pub started_at: Timestamp,
    /// When it ends; of a paused one: when it was paused.
    pub end_at: Timestamp,
    pub metadata: BTreeMap<String, String>,
}

/// The two states E2B shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    Paused,
}

/// What became of a step.
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
    /// Whether it was paused before; `None` inside is the definite 404.
    Connected(Result<Option<bool>, Failure>),
    /// What a look after the renewal saw.
    Renewed(Result<Option<Seen>, Failure>),
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

/// How a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseEnd {
    Paused,
    /// Paused already, or in a state that can't be paused now: a look tells which.
    Unclear,
    Gone,
}
