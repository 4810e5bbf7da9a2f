//! Ends a command: which signal it gets, and how long each is given.
//! Used by `generation` and `release`.

use super::{
    model::{Context, Step},
    stage::Generation,
};
use jiff::{SignedDuration, Timestamp};

/// Between SIGTERM and SIGKILL, and between the two looks that make a dead process lost.
pub(super) const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// SIGTERM first; SIGKILL once this process has waited for [`GRACE`].
pub(super) fn signal(context: &Context, question: &Generation, now: Timestamp) -> Step {
    let kill = context.signalled_since.is_some_and(|since| now.duration_since(since) >= GRACE);
    Step::Signal { generation: question.id.clone(), sandbox: question.sandbox.clone(), kill }
}
