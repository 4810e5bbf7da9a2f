//! On whose behalf a call is made: the object being reconciled and the attempt its retry stands at.
//! Set by the controllers around a pass, read by the call layer and by the retry log lines.

use std::{cell::Cell, fmt, future::Future};

/// The object a pass is about. For logs, spans and faults only; never a metric label.
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

/// Where the object's retry stands when a pass begins (`status.retry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The operation that failed last; empty when nothing is being retried.
    pub operation: String,
    /// The attempt this pass is, counted from 1.
    pub number: u32,
    /// How many attempts there are before the slow retries.
    pub of: u32,
}

/// What became of the external writes of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// One was sent, whatever its answer.
    pub sent: bool,
    /// One was not sent, because this process does not lead or is told to end. What came of the pass then says nothing
    /// about the world.
    pub refused: bool,
}

tokio::task_local! {
    static OBJECT: ObjectLabel;
    static WRITES: Cell<Writes>;
    static ATTEMPT: Attempt;
}

/// Runs a future with `object` attached to every outbound call it makes, and counting its external [`writes`].
pub async fn with_object<F: Future>(object: ObjectLabel, future: F) -> F::Output {
    OBJECT.scope(object, WRITES.scope(Cell::default(), future)).await
}

/// Takes note of a write of the running pass. Outside a pass nobody asks.
pub(super) fn note_write(sent: bool) {
    let _ = WRITES.try_with(|writes| {
        let before = writes.get();
        writes.set(Writes { sent: before.sent || sent, refused: before.refused || !sent });
    });
}

/// The external writes of the running pass so far.
pub fn writes() -> Writes {
    WRITES.try_with(Cell::get).unwrap_or_default()
}

/// Runs a future with the attempt that its failed and recovered calls are logged under.
pub async fn with_attempt<F: Future>(attempt: Attempt, future: F) -> F::Output {
    ATTEMPT.scope(attempt, future).await
}

/// The object of the running task, if it reconciles one.
pub fn object() -> Option<ObjectLabel> {
    OBJECT.try_with(Clone::clone).ok()
}

/// The attempt of the running task, if it was told one.
pub fn attempt() -> Option<Attempt> {
    ATTEMPT.try_with(Clone::clone).ok()
}
