//! Rules of the base branch and its merge queue as data: what GitHub tells of them, and what a step or the queue itself does.
//! Part of `github`.

use super::{dice::Dice, world::failure, *};
use crate::{
    api::{MergeQueueState, PullRequestState, conditions::reason},
    domain::{
        failure::{Class, Failure},
        pull_request::Source,
    },
};

/// The rules and the queue of every base branch.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    /// The base branch has a queue.
    pub exists: bool,
    /// Rules are shown, with this in them.
    pub rules: Option<RulesView>,
    /// The place of the newest pull request.
    pub place: Option<QueuePlace>,
    /// Checks of any commit, as the queue's side tells them; `None`: those of `GitHub::checks`.
    pub checks: Option<Vec<HeadCheck>>,
    pub review: Review,
    pub unread: Option<String>,
    /// GitHub does not tell this token how a head stands.
    pub hidden: bool,
    /// Why nothing is let in.
    pub refuses: Option<String>,
    pub out: Out,
    /// How often it was asked how a head stands.
    pub looks: usize,
    /// A head that the queue has thrown out when status knew that it was in, and the round of that.
    pub thrown: Option<(String, i64)>,
}

/// What comes of taking somebody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    Told,
    /// It is said to have failed, and has not.
    Silent,
    /// It is said to be done, and who was let out is in again at once.
    Sticky,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            exists: false,
            rules: Some(RulesView::default()),
            place: None,
            checks: None,
            review: Review::Fine,
            unread: None,
            hidden: false,
            refuses: None,
            out: Out::Told,
            looks: 0,
            thrown: None,
        }
    }
}

pub(super) fn place(position: u32, state: QueueProgress, minutes: u32) -> QueuePlace {
    QueuePlace { position: Some(position), state, minutes: Some(minutes) }
}

pub(super) fn check(name: &str, state: CheckProgress, app: Option<u64>) -> HeadCheck {
    HeadCheck { name: name.into(), state, required: false, app }
}

impl World {
    /// A base branch with a queue, of which its rules tell.
    pub(super) fn with_queue(mut self) -> Self {
        self.github.queue.exists = true;
        self.github.queue.rules = Some(RulesView { queue: true, ..RulesView::default() });
        self
    }

    pub(super) fn is_queued(&self, branch: &str) -> bool {
        let newest = self.github.pulls.last();
        self.github.queue.place.is_some() && newest.is_some_and(|pull| pull.branch == branch)
    }

    fn view(&self, number: i64) -> Option<MergeView> {
        let (queue, pull) =
            (&self.github.queue, self.github.pulls.iter().find(|pull| pull.number == number)?);
        let newest = self.github.pulls.last().is_some_and(|newest| newest.number == number);
        let Checks { passed, running, failed } = &self.github.checks;
        let told = [(running, CheckProgress::Running), (failed, CheckProgress::Failed)];
        let told = told
            .into_iter()
            .flat_map(|(names, state)| names.iter().map(move |name| check(name, state, None)));
        let passed = (0..*passed).map(|at| check(&format!("ok{at}"), CheckProgress::Passed, None));
        Some(MergeView {
            open: pull.state == PullRequestState::Open,
            head: pull.head.clone(),
            review: queue.review,
            place: queue.place.filter(|_| newest),
            checks: queue.checks.clone().unwrap_or_else(|| passed.chain(told).collect()),
            unread: queue.unread.clone(),
        })
    }

    /// What is read beside a pull request that is to be merged.
    pub(super) fn read_for_merge(&mut self, pull: &mut SeenPull, wanted: &MergeWanted) {
        let is_update = |head: &String| self.github.updates.contains(head);
        pull.updated = pull.asks_for_update(wanted) && pull.observed.head_sha.as_ref().is_some_and(is_update);
        if pull.asks_for_rules(wanted) {
            pull.rules.clone_from(&self.github.queue.rules);
        }
        if pull.asks_for_view(wanted) {
            self.github.queue.looks += 1;
            pull.view = self.view(pull.observed.number).filter(|_| !self.github.queue.hidden);
        }
        let checks = Some(self.github.checks.clone());
        pull.checks = checks.filter(|_| pull.asks_for_checks(wanted));
    }

    pub(super) fn look_at_queue(&mut self, number: i64) -> Result<MergeView, Failure> {
        self.github.queue.looks += 1;
        let view = self.view(number).filter(|_| !self.github.queue.hidden);
        view.ok_or_else(|| failure("getQueueState", Class::Denied, reason::PERMISSION_MISSING))
    }

    pub(super) fn enqueue(&mut self, node_id: &str, sha: &str) -> Outcome {
        let status = self.status();
        assert!(
            !scope::is_under_way(&status),
            "queued while a round is under way: {}",
            ledger::short(&status)
        );
        let Some(pull) =
            self.github.pulls.iter().find(|pull| format!("PR_{}", pull.number) == node_id).cloned()
        else {
            return Outcome::NotMergeable("no such pull request".into());
        };
        let queue = &mut self.github.queue;
        let refused = |words: &str| Outcome::NotMergeable(words.into());
        let answer = match () {
            () if pull.state != PullRequestState::Open => refused("it is closed"),
            () if !queue.exists => Outcome::NoQueue,
            () if queue.place.is_some() => Outcome::InQueue,
            () if pull.head != sha => Outcome::HeadChanged,
            () if pull.draft => refused("it is a draft"),
            () if queue.refuses.is_some() => refused(queue.refuses.as_deref().unwrap_or_default()),
            () => {
                let again = (sha.to_owned(), round::number(&status));
                assert!(
                    queue.thrown.as_ref() != Some(&again),
                    "in again by itself: {}",
                    ledger::short(&status)
                );
                queue.place = Some(place(1, QueueProgress::Queued, 5));
                self.effects.push(format!("Enqueue {sha}"));
                Outcome::InQueue
            }
        };
        if let (Outcome::NotMergeable(words), Some(read)) = (&answer, &mut self.pull_read) {
            let step = Step::Enqueue { node_id: node_id.into(), sha: sha.into() };
            read.refuse(&step, words);
        }
        answer
    }

    pub(super) fn dequeue(&mut self) -> Outcome {
        let queue = &mut self.github.queue;
        // For another commit, which somebody asked for: whatever comes of that is no longer the queue's doing.
        queue.thrown = None;
        let locked = |place: &QueuePlace| place.state == QueueProgress::Locked;
        if queue.place.as_ref().is_none_or(locked) {
            return Outcome::DequeueUnclear;
        }
        if queue.out == Out::Sticky {
            return Outcome::Done;
        }
        queue.place = None;
        self.effects.push("Dequeue".into());
        if self.github.queue.out == Out::Silent { Outcome::DequeueUnclear } else { Outcome::Done }
    }

    /// The queue throws out what is in it.
    pub(super) fn queue_throws_out(&mut self) {
        let pull = self.status().pull_request;
        let known =
            pull.and_then(|pull| pull.merge_queue).filter(|queue| queue.state == MergeQueueState::Queued);
        let newest = self.github.pulls.last().map(|pull| pull.head.clone());
        if self.github.queue.place.take().is_some()
            && let Some(queue) = known.filter(|queue| Some(&queue.head_sha) == newest.as_ref())
        {
            self.github.queue.thrown = Some((queue.head_sha, round::number(&self.status())));
        }
    }

    /// Something happens in the queue, or to it.
    pub(super) fn queue_event(&mut self, dice: &mut Dice) {
        let states = [
            QueueProgress::Queued,
            QueueProgress::AwaitingChecks,
            QueueProgress::Mergeable,
            QueueProgress::Unmergeable,
            QueueProgress::Locked,
            QueueProgress::Unknown,
        ];
        let ready =
            self.github.pulls.last().is_some_and(|pull| pull.state == PullRequestState::Open && !pull.draft);
        match dice.roll(12) {
            0 => {
                self.github.queue.exists = dice.one_in(2);
                let rules = RulesView { queue: self.github.queue.exists, ..RulesView::default() };
                self.github.queue.rules = dice.one_of(&[None, Some(RulesView::default()), Some(rules)]);
            }
            // A person puts it in by hand.
            1 | 2 if self.github.queue.exists && ready => {
                self.github.queue.thrown = None;
                self.github.queue.place = Some(place(2, QueueProgress::Queued, 10));
            }
            3 | 4 => {
                let state = dice.one_of(&states);
                let position = 1 + u32::try_from(dice.roll(3)).expect("small");
                if let Some(there) = &mut self.github.queue.place {
                    *there = place(position, state, position * 5);
                }
            }
            5 | 6 => self.queue_throws_out(),
            7 if self.github.open_pulls() == 1 => self.queue_merges(),
            8 => self.github.queue.refuses = dice.one_in(2).then(|| "checks are expected".to_owned()),
            9 => self.github.queue.out = dice.one_of(&[Out::Told, Out::Silent]),
            10 => self.github.queue.hidden = dice.one_in(3),
            _ => self.github.queue.review = dice.one_of(&[Review::Fine, Review::Fine, Review::Missing]),
        }
        if dice.one_in(2) {
            self.news(Source::Delivery);
        }
    }

    /// The queue merges what is in it.
    pub(super) fn queue_merges(&mut self) {
        if self.github.queue.place.is_some() {
            self.person_sets(PullRequestState::Merged);
        }
    }
}
