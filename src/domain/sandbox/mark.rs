//! The mark in a sandbox: shows that it came back with the files it was paused with, and not with older ones.
//! E2B keeps old snapshots under the same id. Used by `scope`, `decide` and `record`; the controller writes the file.

use super::{E2bSandbox, Life, Marked};
use crate::{
    api::{SandboxStatus, bounds, common::whole_seconds, conditions as names, conditions::reason},
    domain::{conditions::find, plan::Note},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Stands between a mark and the one that it was written over.
pub const BEHIND: &str = " <- ";

/// Interval at which a sandbox that could not be marked is tried again.
pub(super) const AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// Time after which a daemon that should tell of its files counts as silent, and one of which nothing is expected is left alone.
const SILENT: SignedDuration = SignedDuration::from_mins(2);

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

/// Returns the mark of a sandbox whose last create or resume is on record.
pub(super) fn owed(status: &SandboxStatus) -> String {
    text(status.incarnation.unwrap_or_default(), status.reconnects)
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

/// Records the mark that was written, and whether the one before shows older files. What could not be read is judged later.
pub(super) fn record(status: &mut SandboxStatus, marked: Option<Marked>, now: Timestamp) {
    let Some(Marked { before, written, lacks_run }) = marked else {
        status.unmarked_since.get_or_insert(Time(now));
        return;
    };
    status.unmarked_since = None;
    let expected = status.mark.take();
    if lacks_run || expected.is_some_and(|expected| parsed(unjudged(&before)) < parsed(&expected)) {
        status.rolled_back_at = Some(Time(now));
    }
    let mark = written.split(BEHIND).next().unwrap_or_default();
    status.mark = Some(bounds::cut(mark, bounds::ID)).filter(|mark| !mark.is_empty());
}

/// Returns whether the sandbox has not told yet with which files it runs.
pub(super) fn is_awaited(status: &SandboxStatus) -> bool {
    status.unmarked_since.is_some() && status.mark.is_some()
}

/// Returns whether the mark is to be tried again by now.
pub(super) fn is_due(status: &SandboxStatus, last_look: Option<Timestamp>, now: Timestamp) -> bool {
    next_try(status, last_look, now).is_some_and(|at| at <= now)
}

/// Returns when the mark is tried again, if it is owed.
pub(super) fn next_try(
    status: &SandboxStatus,
    last_look: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    status.unmarked_since.as_ref().map(|_| last_look.map_or(now, |at| at + AGAIN))
}

/// Returns whether a daemon that should tell of its files has given no answer for long.
pub(super) fn is_silent(status: &SandboxStatus, now: Timestamp) -> bool {
    is_awaited(status) && for_long(status, now)
}

/// Gives up to mark a sandbox of which nothing is expected: a template without a shell can't be marked.
pub(super) fn give_up(status: &mut SandboxStatus, now: Timestamp) {
    if status.mark.is_none() && for_long(status, now) {
        status.unmarked_since = None;
    }
}

fn for_long(status: &SandboxStatus, now: Timestamp) -> bool {
    status.unmarked_since.as_ref().is_some_and(|since| since.0 + SILENT <= now)
}

/// Reason and words for a sandbox that has not told yet with which files it runs. They are the same from one try to the next.
pub(super) fn awaited(status: &SandboxStatus, now: Timestamp) -> (&'static str, String) {
    let id = status.sandbox_id.as_deref().unwrap_or_default();
    // Also without its memory: nothing else is left to be tried.
    if status.memory_dropped && is_silent(status, now) {
        let message = format!(
            "the daemon of E2B sandbox {id} gives no answer: no Task works in it before it tells whether it has come back with \
             the files it was paused with"
        );
        return (reason::SANDBOX_UNREACHABLE, message);
    }
    let message = format!("E2B sandbox {id} runs; it is asked whether it has the files it was paused with");
    (reason::PROGRESSING, message)
}

/// Tells once that Tasks wait for a daemon that stays silent.
pub(super) fn silence(before: Option<&SandboxStatus>, status: &SandboxStatus) -> Option<Note> {
    let said = |status: &SandboxStatus| {
        let ready = find(&status.conditions, names::READY)?;
        (ready.reason == reason::SANDBOX_UNREACHABLE).then(|| ready.message.clone())
    };
    let message = said(status)?;
    before.and_then(said).is_none().then(|| Note::warning(reason::SANDBOX_UNREACHABLE, message))
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
