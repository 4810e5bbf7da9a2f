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

tokio::task_local! {
    static OBJECT: ObjectLabel;
    static REFUSED: Cell<bool>;
    static ATTEMPT: Attempt;
}

/// Runs a future with `object` attached to every outbound call it makes, and knowing whether one was [`refused`].
pub async fn with_object<F: Future>(object: ObjectLabel, future: F) -> F::Output {
    OBJECT.scope(object, REFUSED.scope(Cell::new(false), future)).await
}

/// A write of the running task was not sent, because this process does not lead.
pub(super) fn refuse() {
    // Outside a pass nobody asks.
    let _ = REFUSED.try_with(|refused| refused.set(true));
}

/// Whether a write of the running pass was not sent, because this process does not lead. What came of the pass then
/// says nothing about the world.
pub fn refused() -> bool {
    REFUSED.try_with(Cell::get).unwrap_or(false)
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
