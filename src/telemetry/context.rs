//! On whose behalf a call is made: the object being reconciled and the attempt its retry stands at.
//! Set by the controllers around a pass, read by the call layer and by the retry log lines.

use std::{fmt, future::Future};

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
    static ATTEMPT: Attempt;
}

/// Runs a future with `object` attached to every outbound call it makes.
pub async fn with_object<F: Future>(object: ObjectLabel, future: F) -> F::Output {
    OBJECT.scope(object, future).await
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
