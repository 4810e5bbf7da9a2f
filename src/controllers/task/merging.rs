//! Reads how a pull request stands towards its merge, and merges it: at once, or by the queue of its base branch.
//! Part of the Task controller; policy stands in `domain::task`, what GitHub answers in `github`.

use super::{
    TaskController,
    access::{AtGitHub, seen_checks, seen_pull},
    commit,
};
use crate::{
    api::{MergeMethod, Task},
    domain::{
        failure::Failure,
        task::{
            CheckProgress, HeadCheck, InQueue, MergeView, MergeWanted, Outcome, PullRead, QueuePlace,
            QueueProgress, ReadPull, RepositoryView, RequiredCheck, Review, RulesView, SeenPull, Step,
        },
    },
    github::{
        self, BranchRules, CheckState, Dequeued, Enqueued, Merged, OtherRule, PullState, QueueEntryState,
        QueueState, ReviewDecision,
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

impl TaskController {
    pub(super) async fn look_at_pull(
        &self,
        task: &Task,
        question: &ReadPull,
        now: Timestamp,
    ) -> Result<Option<SeenPull>, Failure> {
        let at = self.at_github(task).await?;
        let number = u64::try_from(question.number).unwrap_or_default();
        let pull = at.client.get_pull(&at.name, number).await?;
        let base = pull.as_ref().and_then(|pull| pull.base_branch.clone());
        let mut pull = pull.as_ref().map(seen_pull);
        if let (Some(pull), Some(wanted)) = (&mut pull, &question.merge) {
            let status = task.status.as_ref();
            let base = base.or_else(|| status?.base_branch.clone()).unwrap_or_default();
            // Of another base branch than the Task's own nothing is taken in: somebody may set it back afterwards.
            if status.is_some_and(|status| status.base_branch.as_ref() == Some(&base))
                && pull.asks_for_update(wanted)
            {
                pull.updated = self.is_update(task, &at, &base, wanted, pull).await?;
            }
            if pull.asks_for_rules(wanted) {
                pull.rules = self.rules(task, &at, &base, now).await?;
            }
            if pull.asks_for_view(wanted) {
                let state = match told(at.client.queue_state(&at.name, number).await)? {
                    Some(state) => Some(state),
                    // The right to checks is one more than the merge needs.
                    None => told(at.client.queue_place(&at.name, number).await)?,
                };
                pull.view = state.map(seen_state);
            }
            if let Some(head) = pull.observed.head_sha.clone().filter(|_| pull.asks_for_checks(wanted)) {
                pull.checks = Some(seen_checks(at.client.get_checks(&at.name, &head).await?));
            }
        }
        let (uid, mut memory) = (task.uid().unwrap_or_default(), self.memory());
        let previous = memory.pull_read(&uid);
        let read = PullRead::after(previous.as_ref(), pull.as_ref(), question.merge.as_ref(), now);
        memory.remember_pull(uid, read, now);
        Ok(pull)
    }

    /// Returns whether the head of a pull request is GitHub's own update of the Task's commit. That it is none stays so.
    async fn is_update(
        &self,
        task: &Task,
        at: &AtGitHub,
        base: &str,
        wanted: &MergeWanted,
        pull: &SeenPull,
    ) -> Result<bool, Failure> {
        let Some((commit, head)) = wanted.commit.as_ref().zip(pull.observed.head_sha.as_ref()) else {
            return Ok(false);
        };
        let key = (task.uid().unwrap_or_default(), commit.clone(), head.clone());
        if self.memory().is_no_update(&key) {
            return Ok(false);
        }
        let is_update = match commit::is_update(&at.client, &at.name, base, commit, head).await {
            // What GitHub does not compare is not taken in.
            Err(failure) if !failure.class.is_retryable() => false,
            asked => asked?,
        };
        if !is_update {
            self.memory().remember_no_update(key);
        }
        Ok(is_update)
    }

    /// The rules of a base branch. All Tasks of a Repository share what was read in its last interval.
    async fn rules(
        &self,
        task: &Task,
        at: &AtGitHub,
        base: &str,
        now: Timestamp,
    ) -> Result<Option<RulesView>, Failure> {
        let repository = self.repository(task);
        let interval = repository.as_ref().map_or(SignedDuration::from_secs(300), |repository| {
            RepositoryView::of(repository).sync_interval
        });
        let uid = repository.and_then(|repository| repository.uid()).unwrap_or_default();
        let key = (uid, base.to_owned());
        let turn = self.memory().rules_turn(&key);
        let _turn = turn.lock().await;
        if let Some((_, known)) = self.memory().rules(&key, interval, now) {
            return Ok(known);
        }
        if let Some(failure) = self.memory().rules_failure(&key, now) {
            return Err(failure);
        }
        let read = told(at.client.rules_of_branch(&at.name, base).await);
        let rules = match read {
            Ok(rules) => rules.map(|rules| seen_rules(&rules)),
            Err(failure) => {
                self.memory().remember_rules_failure(key, failure.clone(), Timestamp::now());
                return Err(failure);
            }
        };
        self.memory().remember_rules(key, rules.clone(), now);
        Ok(rules)
    }

    pub(super) async fn look_at_queue(&self, task: &Task, question: &InQueue) -> Result<MergeView, Failure> {
        let at = self.at_github(task).await?;
        let number = u64::try_from(question.number).unwrap_or_default();
        Ok(seen_state(at.client.queue_place(&at.name, number).await?))
    }

    pub(super) async fn merge(
        &self,
        task: &Task,
        number: i64,
        sha: &str,
        method: MergeMethod,
    ) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        let number = u64::try_from(number).unwrap_or_default();
        let method = match method {
            MergeMethod::Merge => github::MergeMethod::Merge,
            MergeMethod::Squash => github::MergeMethod::Squash,
            MergeMethod::Rebase => github::MergeMethod::Rebase,
        };
        Ok(match at.client.merge_pull(&at.name, number, sha, method).await? {
            Merged::Merged { sha } => Outcome::Merged { sha: Some(sha) },
            Merged::NotMergeable { message } => Outcome::NotMergeable(message),
            Merged::HeadChanged => Outcome::HeadChanged,
            Merged::InQueue => Outcome::InQueue,
        })
    }

    pub(super) async fn enqueue(&self, task: &Task, node_id: &str, sha: &str) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        Ok(match at.client.enqueue(&at.name, node_id, sha).await? {
            Enqueued::InQueue => Outcome::InQueue,
            Enqueued::HeadChanged => Outcome::HeadChanged,
            Enqueued::NotYet { message } => Outcome::NotMergeable(message),
            Enqueued::NoQueue => Outcome::NoQueue,
        })
    }

    pub(super) async fn dequeue(&self, task: &Task, node_id: &str) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        Ok(match at.client.dequeue(&at.name, node_id).await? {
            Dequeued::Left => Outcome::Done,
            Dequeued::Unclear => Outcome::DequeueUnclear,
        })
    }

    /// Keeps GitHub's words on why it does not merge, so that the next refusal in the same words is no news.
    pub(super) fn remember_refusal(&self, task: &Task, step: &Step, outcome: &Outcome) {
        if let Outcome::NotMergeable(words) = outcome {
            self.memory().merge_refused(&task.uid().unwrap_or_default(), step, words);
        }
    }
}

/// `None` where GitHub does not tell this token: what can be merged without is merged.
fn told<T>(answer: Result<T, github::Error>) -> Result<Option<T>, Failure> {
    match answer.map_err(Failure::from) {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.class.is_retryable() => Err(failure),
        Err(failure) => {
            tracing::debug!(operation = failure.operation, reason = failure.reason, "GitHub does not tell");
            Ok(None)
        }
    }
}

fn seen_rules(rules: &BranchRules) -> RulesView {
    let check = |check: &github::RequiredCheck| RequiredCheck {
        name: check.context.clone(),
        app: check.integration_id,
    };
    RulesView {
        checks: rules.required_checks.iter().map(check).collect(),
        signatures: rules.signatures,
        approvals: rules.approvals,
        queue: rules.merge_queue.is_some(),
        others: rules.others.iter().map(|rule| words_of(*rule)).collect(),
    }
}

fn words_of(rule: OtherRule) -> &'static str {
    match rule {
        OtherRule::Conversations => "all conversations to be resolved",
        OtherRule::CodeOwners => "a code owner's approval",
        OtherRule::LastPush => "an approval of the last push by somebody else",
        OtherRule::Deployments => "deployments",
        OtherRule::CodeScanning => "results of code scanning",
        OtherRule::Workflows => "workflows that have to pass",
    }
}

fn seen_state(state: QueueState) -> MergeView {
    let place = state.entry.map(|entry| QueuePlace {
        position: Some(entry.position),
        state: match entry.state {
            QueueEntryState::Queued => QueueProgress::Queued,
            QueueEntryState::AwaitingChecks => QueueProgress::AwaitingChecks,
            QueueEntryState::Mergeable => QueueProgress::Mergeable,
            QueueEntryState::Unmergeable => QueueProgress::Unmergeable,
            QueueEntryState::Locked => QueueProgress::Locked,
            QueueEntryState::Unknown => QueueProgress::Unknown,
        },
        minutes: entry.estimated_seconds.map(|seconds| seconds.div_ceil(60)),
    });
    let unplaced = QueuePlace { position: None, state: QueueProgress::Unknown, minutes: None };
    MergeView {
        open: state.state == PullState::Open && !state.merged,
        head: state.head_sha,
        review: match state.review_decision {
            Some(ReviewDecision::ReviewRequired) => Review::Missing,
            Some(ReviewDecision::ChangesRequested) => Review::ChangesRequested,
            Some(ReviewDecision::Approved | ReviewDecision::Unknown) | None => Review::Fine,
        },
        place: place.or_else(|| state.in_queue.then_some(unplaced)),
        checks: state.checks.into_iter().map(seen_check).collect(),
        unread: state.unread,
    }
}

fn seen_check(check: github::QueueCheck) -> HeadCheck {
    let state = match check.state {
        CheckState::Passed => CheckProgress::Passed,
        CheckState::Running => CheckProgress::Running,
        CheckState::Failed => CheckProgress::Failed,
    };
    HeadCheck { name: check.name, state, required: check.required, app: check.app }
}
