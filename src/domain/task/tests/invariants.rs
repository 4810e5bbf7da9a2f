//! What holds after every write, every step and every pass, whatever happens.

use super::{drive::Passed, *};
use crate::{
    api::{MergePolicy, Phase, PullRequestState, conditions::reason},
    domain::plan::Next,
};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// kstatus, the board's table, and that both agree.
    pub(super) fn check_status(&self) {
        let status = self.status();
        let conditions = &status.conditions;
        let told = || format!("{} {:?} {conditions:#?}", self.reason(), self.row());
        let ready = find(conditions, names::READY).unwrap_or_else(|| panic!("Ready is there: {}", told()));
        let standing = [names::READY, names::RECONCILING, names::STALLED].map(|type_| self.holds(type_));
        assert_eq!(standing.iter().filter(|holds| **holds).count(), 1, "exactly one standing: {}", told());
        assert!(!ready.reason.is_empty() && !ready.message.is_empty(), "{}", told());
        let types: BTreeSet<_> = conditions.iter().map(|condition| &condition.type_).collect();
        assert_eq!(types.len(), conditions.len(), "a type once: {}", told());
        let generation = self.task.metadata.generation;
        assert_eq!(Some(status.observed_generation), generation, "{}", told());
        for condition in conditions {
            assert_eq!(condition.observed_generation, generation, "{}: {}", condition.type_, told());
        }
        let followed = status.sandbox_request.is_some();
        assert!(followed || !self.holds(names::SANDBOX_READY), "the sandbox is not followed: {}", told());
        for type_ in [names::GENERATED, names::COMMITTED] {
            let at_work = scope::AT_WORK.contains(&self.reason_of(type_).as_str());
            assert!(!at_work || status.phase != Some(Phase::Ended), "{type_}: nothing goes on: {}", told());
        }
        self.check_row(&status);
        assert!(status.code_generations.len() <= 10 && status.pull_request_history.len() <= 10);
        let past: BTreeSet<_> = status.pull_request_history.iter().map(|pull| pull.number).collect();
        assert!(status.pull_request.is_none_or(|pull| !past.contains(&pull.number)), "an old number is new");
    }

    fn check_row(&self, status: &TaskStatus) {
        let (row, told) =
            (self.row(), format!("{:?} {} {}", self.row(), self.reason(), ledger::short(status)));
        assert_eq!(status.completed_at.is_some(), row == DONE, "{told}");
        if let Some(pull) = &status.pull_request {
            let open = matches!(pull.state, PullRequestState::Open | PullRequestState::Unknown);
            let own = match pull.state {
                PullRequestState::Merged => DONE,
                PullRequestState::Closed => NEW,
                _ if pull.draft => BUILDING,
                _ => REVIEW,
            };
            let at_work = scope::is_under_way(status) && open;
            let failed = status.phase == Some(Phase::Ended) && status.ended.is_some() && open;
            let rows: &[Row] = match () {
                // News move the board of a suspended Task, and nobody says what its round makes of them.
                () if (at_work || failed) && self.task.spec.suspend => &[BUILDING, FAILED_LATE, REVIEW, NEW],
                () if at_work => &[BUILDING, FAILED_LATE],
                // News of it stand as they came until GitHub has confirmed them.
                () if failed && pull.unconfirmed => &[FAILED_LATE, own],
                () if failed => &[FAILED_LATE],
                () => &[own],
            };
            assert!(rows.contains(&row), "the board is the pull request's or its round's: {told}");
            return;
        }
        let stalled = self.holds(names::STALLED);
        let resting = matches!(self.reason().as_str(), reason::SUSPENDED | reason::DELETING)
            || self.task.metadata.deletion_timestamp.is_some();
        let rows: &[Row] = match () {
            () if resting => &[NEW, BUILDING, FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED],
            () if stalled && self.holds(names::GENERATED) => &[FAILED_LATE],
            () if stalled => &[FAILED_EARLY],
            () if self.reason() == reason::NOTHING_TO_COMMIT => &[NOTHING_CHANGED],
            () => &[NEW, BUILDING],
        };
        assert!(rows.contains(&row), "not a row for this: {told}");
    }

    /// Nothing exists twice.
    pub(super) fn check_world(&self) {
        assert!(self.alive() <= 1, "two commands live: {:?}", self.processes);
        // Per round: a person may reopen an old one beside the present one.
        let open = self.github.pulls.iter().filter(|pull| pull.state == PullRequestState::Open);
        let mut rounds = BTreeSet::new();
        for pull in open {
            assert!(rounds.insert(pull.body.lines().last()), "two open ones: {:?}", self.github.pulls);
        }
        let once = |effect: &&String| {
            ["Start", "CreateBranch", "CreatePullRequest", "Merge"]
                .iter()
                .any(|step| effect.starts_with(step))
        };
        for (branch, push) in &self.github.pushes {
            let kept = self.github.branches.get(branch).is_none_or(|tip| github::stands_on(tip, push));
            assert!(kept, "published over the push {push}: {:?}", self.github.branches);
        }
        let mut seen = BTreeMap::new();
        for effect in &self.effects {
            if let Some(branch) = effect.strip_prefix("DeleteBranch ") {
                // A round that was about to be left goes on after all: the operator died in between, and the rerun was taken back.
                seen.retain(|_, made: &mut Option<&str>| *made != Some(branch));
            }
            if !once(&effect) {
                continue;
            }
            // `CreateBranch <round>/<branch>`: one per round, whatever its name.
            let (key, made) = match effect.strip_prefix("CreateBranch ").and_then(|made| made.split_once('/'))
            {
                Some((round, branch)) => (format!("CreateBranch {round}"), Some(branch)),
                None => (effect.clone(), None),
            };
            assert!(seen.insert(key, made).is_none(), "made twice: {effect} in {:?}", self.effects);
        }
    }

    /// No circle: who wants to go on at once has changed something.
    pub(super) fn check_pass(&self, passed: &Passed) {
        let progress = passed.wrote || passed.stepped;
        assert!(
            passed.next != Next::Now || progress,
            "in a circle at {}: {:?}",
            self.reason(),
            self.status()
        );
        let merges = self.task.spec.pull_request.merge.policy == MergePolicy::WhenReady
            && [reason::IN_REVIEW, reason::DEQUEUED].contains(&self.reason().as_str());
        let forgotten = merges && !passed.wrote && passed.next == Next::AwaitChange;
        assert!(!forgotten, "nobody comes back to merge");
        if let Next::At(at) = passed.next {
            assert!(at > self.now, "a time that is over at {}: {at}", self.reason());
        }
    }
}
