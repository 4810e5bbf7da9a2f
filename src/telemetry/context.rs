//! The pass that makes a call, as a value that the shell of the controllers owns.
//! Handed to a scope when the pass begins; read by the call layer and by the retry log lines.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The object a pass is about. For logs and spans only; never a metric label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLabel {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for ObjectLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// The object's retry as it stands when a pass begins (`status.retry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The operation that failed last; empty when nothing is being retried.
    pub operation: String,
    /// The attempt this pass is, counted from 1.
    pub number: u32,
    /// Number of attempts before the slow retries.
    pub of: u32,
}

/// The results of the external writes of one pass. Clones share one account: the pass keeps one, the call layer writes
/// into the other.
#[derive(Debug, Clone, Default)]
pub struct ExternalWrites(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    sent: AtomicBool,
    refused: AtomicBool,
}

impl ExternalWrites {
    /// Returns whether one was sent, whatever its answer.
    pub fn any_sent(&self) -> bool {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Returns whether one was not sent, because this process does not lead or is told to end. The results of the pass then say
    /// nothing about the world.
    pub fn any_refused(&self) -> bool {
        self.0.refused.load(Ordering::Relaxed)
    }

    fn note(&self, sent: bool) {
        let flag = if sent { &self.0.sent } else { &self.0.refused };
        flag.store(true, Ordering::Relaxed);
    }
}

/// One pass over one object.
#[derive(Debug, Clone)]
pub struct Pass {
    pub object: ObjectLabel,
    pub attempt: Attempt,
    pub writes: ExternalWrites,
}

impl Pass {
    pub fn new(object: ObjectLabel, attempt: Attempt) -> Self {
        Self { object, attempt, writes: ExternalWrites::default() }
    }
}

tokio::task_local! {
    static PASS: Pass;
}

/// Runs a future on behalf of `pass`: every outbound call it makes is logged under the pass's object, and its external
/// writes are noted in the pass's own account.
pub async fn in_pass<F: Future>(pass: Pass, future: F) -> F::Output {
    PASS.scope(pass, future).await
}

/// Notes a write of the running pass. Outside a pass nobody asks.
pub(super) fn note_write(sent: bool) {
    let _ = PASS.try_with(|pass| pass.writes.note(sent));
}

/// The object of the running pass, for log lines.
pub(super) fn object() -> Option<ObjectLabel> {
    PASS.try_with(|pass| pass.object.clone()).ok()
}

/// The attempt of the running pass, for log lines.
pub(super) fn attempt() -> Option<Attempt> {
    PASS.try_with(|pass| pass.attempt.clone()).ok()
}
