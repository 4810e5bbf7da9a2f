//! Tells whose a pull request is: no pull request but the Task's own moves it, whoever brings the news.
//! Asked before `transition` by the receiver, the sync and the Task's decision; a Task that is being deleted is never asked.

use super::{ObservedPullRequest, Stored};
use crate::api::TaskStatus;

/// Beginning of the marker. Git reads trailers in any case, so lines of others are compared without regard to case.
const MARKER: &str = "Slipway-Task:";

/// Returns whether the pull request is the own one of the Task with this uid, in the round that its status speaks of.
pub fn is_own(uid: &str, status: &TaskStatus, observed: &ObservedPullRequest) -> bool {
    Stored::of(status).owns(uid, observed)
}

/// The last line in the body of a pull request of ours: it names the Task and the round.
pub fn marker(uid: &str, round: i64) -> String {
    format!("{MARKER} {uid}/{round}")
}

/// `text` without lines that look like a marker: nobody else's text may claim a pull request for a Task.
pub fn strip_markers(text: &str) -> String {
    if !text.lines().any(claims) {
        return text.to_owned();
    }
    text.split_inclusive('\n').filter(|line| !claims(line)).collect()
}

fn claims(line: &str) -> bool {
    line.trim().get(..MARKER.len()).is_some_and(|start| start.eq_ignore_ascii_case(MARKER))
}

/// The marker that a body ends with. A marker anywhere else is a quotation.
pub fn marker_in(body: &str) -> Option<&str> {
    body.trim_end().lines().next_back().map(str::trim).filter(|line| line.starts_with(MARKER))
}

impl Stored {
    /// Returns whether the pull request is the own one of the Task with this uid.
    ///
    /// Once the Task has a number, the number decides, in the repository that the number was given in. Before that the
    /// head has to be the round's branch in that repository itself, and either stand at the round's commit or on it, or
    /// the body has to end with the round's marker. The branch alone says nothing: others may have used the name before,
    /// and another Task may use it now.
    pub fn owns(&self, uid: &str, observed: &ObservedPullRequest) -> bool {
        let elsewhere = self.repository_id.zip(observed.base_repository_id).is_some_and(|(a, b)| a != b);
        if elsewhere || self.history.contains(&observed.number) {
            return false;
        }
        if let Some(known) = &self.pull_request {
            return known.number == observed.number;
        }
        self.has_branch_of(observed) && (self.has_commit_of(observed) || self.has_marker_of(uid, observed))
    }

    /// Returns whether the head is the round's branch, in the repository itself: a fork may call its branch like ours.
    fn has_branch_of(&self, observed: &ObservedPullRequest) -> bool {
        self.branch.is_some()
            && self.branch == observed.branch
            && self.repository_id.is_some()
            && self.repository_id == observed.base_repository_id
            && self.repository_id == observed.head_repository_id
    }

    fn has_commit_of(&self, observed: &ObservedPullRequest) -> bool {
        self.commit_sha.is_some() && (self.commit_sha == observed.head_sha || observed.stands_on_commit)
    }

    fn has_marker_of(&self, uid: &str, observed: &ObservedPullRequest) -> bool {
        !uid.is_empty() && observed.marker.as_deref() == Some(marker(uid, self.round).as_str())
    }
}
