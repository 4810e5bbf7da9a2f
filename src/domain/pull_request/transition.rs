//! The transition: what news of a Task's own pull request do to its board, in whatever order they come.
//! Comes after `ownership`, which says whose the pull request is.

use super::{Change, ObservedPullRequest, Source, Stored};
use crate::{
    api::{Phase, PullRequest, PullRequestState, State, bounds, common::whole_seconds},
    domain::board::{BUILDING, Board, DONE, PENDING, REVIEW, Row},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

impl Stored {
    /// Returns whether the Task is `done` for good: GitHub has confirmed the merge, so nothing moves it any more.
    fn is_final(&self) -> bool {
        let confirmed = self.pull_request.as_ref().is_none_or(|stored| !stored.unconfirmed);
        self.board.state == State::Done && confirmed
    }

    /// Finds what `observed` changes; `None` when it changes nothing, is older than what is stored, or is about another one.
    ///
    /// Reports are ordered by `updated_at`; of equal ones the last to arrive is applied and marked to be asked for again.
    /// A report without a time is applied and leaves the stored time. A merge is believed whenever it is reported, and
    /// only GitHub's own answer can undo it, as long as it has not confirmed it. `now` is the time of receipt.
    pub fn transition(
        &self,
        observed: &ObservedPullRequest,
        source: Source,
        now: Timestamp,
    ) -> Option<Change> {
        if observed.number < 1 || observed.state == PullRequestState::Unknown {
            return None;
        }
        let Some(stored) = &self.pull_request else { return self.adopt(observed, source, now) };
        if stored.number != observed.number || self.is_final() {
            return None;
        }
        let older = source != Source::Confirmation && is_older(observed.updated_at, stored);
        let merged = observed.state == PullRequestState::Merged;
        let unmerging = stored.state == PullRequestState::Merged && !merged;
        if (older && !merged) || (unmerging && source != Source::Confirmation) {
            return None;
        }
        let mut new = stored.clone();
        if older {
            new.state = PullRequestState::Merged;
            overlay(&mut new.merge_sha, observed.merge_sha.as_deref(), bounds::SHA);
        } else {
            report(&mut new, observed);
        }
        if unmerging {
            new.merge_sha = None;
        }
        self.change(stored, new, observed, source, now)
    }

    /// The open pull request, marked to be asked for: something has happened to it that news do not tell. `None` where it is
    /// marked already, or not open.
    pub fn asked_again(&self) -> Option<PullRequest> {
        let stored = self.pull_request.as_ref().filter(|stored| is_open(stored) && !stored.unconfirmed)?;
        Some(PullRequest { unconfirmed: true, ..stored.clone() })
    }

    /// The first news of a pull request of this round.
    fn adopt(&self, observed: &ObservedPullRequest, source: Source, now: Timestamp) -> Option<Change> {
        if self.history.contains(&observed.number) || self.is_final() {
            return None;
        }
        let mut new = PullRequest {
            number: observed.number,
            branch: None,
            node_id: None,
            url: None,
            state: observed.state,
            draft: false,
            head_sha: None,
            merge_sha: None,
            updated_at: None,
            unconfirmed: source == Source::Delivery,
            due: Vec::new(),
            merge_queue: None,
        };
        report(&mut new, observed);
        let board = Board::new(row_of(&new), completed(&new, observed, None, now));
        Some(Change { board, pull_request: new, merge_undone: false })
    }

    /// Returns whether a round runs while its pull request is open, so that the board shows the round. Once the head is the
    /// round's own commit, the board shows the pull request again.
    fn round_runs_on(&self, open: &PullRequest) -> bool {
        match self.phase {
            Some(Phase::Pending | Phase::Preparing | Phase::Generating | Phase::Collecting) => true,
            Some(Phase::Committed | Phase::BranchCreated) => open.head_sha != self.commit_sha,
            Some(Phase::PullRequestOpen | Phase::Ended | Phase::Unknown) | None => false,
        }
    }

    fn change(
        &self,
        stored: &PullRequest,
        mut new: PullRequest,
        observed: &ObservedPullRequest,
        source: Source,
        now: Timestamp,
    ) -> Option<Change> {
        let row = row_of(&new);
        let stays = row == row_of(stored) && row != DONE;
        let hidden = is_open(stored) && is_open(&new) && self.round_runs_on(stored);
        let board = if stays || hidden {
            self.board.clone()
        } else {
            Board::new(row, completed(&new, observed, self.board.completed_at.as_ref(), now))
        };
        if source == Source::Confirmation {
            new.unconfirmed = false;
        } else if new != *stored || board != self.board {
            let equal = new.updated_at == stored.updated_at;
            new.unconfirmed |= source == Source::Delivery || equal;
        }
        if new == *stored && board == self.board {
            return None;
        }
        let merge_undone = stored.state == PullRequestState::Merged && new.state != PullRequestState::Merged;
        Some(Change { board, pull_request: new, merge_undone })
    }
}

/// The row of a pull request: draft counts only while it is open.
fn row_of(pull_request: &PullRequest) -> Row {
    match pull_request.state {
        PullRequestState::Merged => DONE,
        PullRequestState::Closed => PENDING,
        PullRequestState::Open | PullRequestState::Unknown if pull_request.draft => BUILDING,
        PullRequestState::Open | PullRequestState::Unknown => REVIEW,
    }
}

/// A state of another release counts as open: the next report says what it is.
fn is_open(pull_request: &PullRequest) -> bool {
    matches!(pull_request.state, PullRequestState::Open | PullRequestState::Unknown)
}

/// Returns whether a report of this time is older than what is stored; one without a time is not.
pub fn is_older(updated_at: Option<Timestamp>, stored: &PullRequest) -> bool {
    updated_at.zip(stored.updated_at.as_ref()).is_some_and(|(new, Time(old))| whole_seconds(new) < *old)
}

/// Everything that `observed` says, over what is stored.
fn report(new: &mut PullRequest, observed: &ObservedPullRequest) {
    new.state = observed.state;
    new.draft = observed.draft.unwrap_or(new.draft);
    overlay(&mut new.branch, observed.branch.as_deref(), bounds::BRANCH);
    overlay(&mut new.node_id, observed.node_id.as_deref(), bounds::ID);
    overlay(&mut new.url, observed.url.as_deref().filter(|url| is_web_page(url)), bounds::URL);
    overlay(&mut new.head_sha, observed.head_sha.as_deref(), bounds::SHA);
    if observed.state == PullRequestState::Merged {
        overlay(&mut new.merge_sha, observed.merge_sha.as_deref(), bounds::SHA);
    }
    if let Some(updated_at) = observed.updated_at {
        new.updated_at = Some(Time(whole_seconds(updated_at)));
    }
}

/// Only a web page is stored: people click on it, and a delivery may bring any text.
fn is_web_page(url: &str) -> bool {
    url.starts_with("https://")
}

fn overlay(stored: &mut Option<String>, observed: Option<&str>, max: u32) {
    if let Some(text) = observed {
        *stored = Some(bounds::cut(text, max));
    }
}

/// The time of the merge: GitHub's, else what is known, else the time of receipt.
fn completed(
    new: &PullRequest,
    observed: &ObservedPullRequest,
    known: Option<&Time>,
    now: Timestamp,
) -> Option<Time> {
    if new.state != PullRequestState::Merged {
        return None;
    }
    let merged_at = observed.merged_at.map(|at| Time(whole_seconds(at)));
    Some(merged_at.or_else(|| known.cloned()).unwrap_or_else(|| Time(whole_seconds(now))))
}
