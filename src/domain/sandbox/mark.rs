//! The mark in a sandbox: shows that it came back with the files it was paused with, and not with older ones.
//! E2B keeps old snapshots under the same id. Used by `scope`, `decide` and `record`; the controller writes the file.

use super::{E2bSandbox, Life, Marked};
use crate::{
    api::{SandboxStatus, bounds, common::whole_seconds, conditions::reason},
    domain::plan::Note,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Stands between a mark and the one that it was written over.
pub const BEHIND: &str = " <- ";

/// By so much a pause may seem to be earlier than what came before it: clocks differ.
const CLOCKS: SignedDuration = SignedDuration::from_secs(60);

/// Returns the mark of a new sandbox.
pub fn after_create(incarnation: i64, status: &SandboxStatus) -> String {
    text(incarnation, status.reconnects)
}

/// Returns the mark after the next resume.
pub fn after_resume(status: &SandboxStatus) -> String {
    text(status.incarnation.unwrap_or_default(), status.reconnects + 1)
}

/// `<incarnation>.<reconnects>.<sequence>`; nothing counts by the sequence yet.
fn text(incarnation: i64, reconnects: i64) -> String {
    format!("{incarnation}.{reconnects}.0")
}

fn parsed(mark: &str) -> Option<Vec<u64>> {
    mark.trim().split('.').map(|part| part.parse().ok()).collect()
}

/// Returns the mark to judge by. One that was written over another that did not fit has that one behind it, until status tells what
/// came of it: whoever wrote it may have died before.
fn unjudged(before: &str) -> &str {
    before.rsplit_once(BEHIND).map_or(before, |(_, oldest)| oldest)
}

/// Records the mark that was written, and whether the one before shows older files.
pub(super) fn record(status: &mut SandboxStatus, marked: Option<Marked>, now: Timestamp) {
    let expected = status.mark.take();
    let Some(Marked { before, written, lacks_run }) = marked else { return };
    if lacks_run || expected.is_some_and(|expected| parsed(unjudged(&before)) < parsed(&expected)) {
        status.rolled_back_at = Some(Time(now));
    }
    status.mark = Some(bounds::cut(&written, bounds::ID));
}

/// Notices a pause that E2B dates before the sandbox was last known to run, or before a command in it has ended: what it
/// shows is an older snapshot. `status` is still as it was before.
pub(super) fn check_pause(
    status: &mut SandboxStatus,
    last_finished: Option<Timestamp>,
    seen: &E2bSandbox,
    now: Timestamp,
) {
    let judged = status.rolled_back_at.as_ref().map(|at| at.0);
    let finished = last_finished.filter(|at| judged.is_none_or(|judged| judged < *at));
    let known = status.last_running_at.as_ref().map(|at| at.0).max(finished);
    if seen.life == Life::Paused && known.is_some_and(|known| seen.end_at + CLOCKS < known) {
        status.rolled_back_at = Some(Time(now));
        status.last_running_at = Some(Time(whole_seconds(seen.end_at)));
        // What its file says was judged with it.
        status.mark = None;
    }
}

/// Tells of a sandbox that has come back with older files since `before`.
pub(super) fn note(before: Option<&SandboxStatus>, status: &SandboxStatus) -> Option<Note> {
    let known: Option<Timestamp> = before.and_then(|before| Some(before.rolled_back_at.as_ref()?.0));
    let now = status.rolled_back_at.as_ref().map(|at| at.0);
    (now > known).then(|| {
        let id = status.sandbox_id.as_deref().unwrap_or_default();
        let message = format!(
            "E2B sandbox {id} has come back with older files, as an earlier pause has kept them: what was made in it since counts \
             as lost"
        );
        Note::warning(reason::SANDBOX_ROLLED_BACK, message)
    })
}
