//! Rules of the base branch and its merge queue as data: what GitHub tells of them, and what a step or the queue itself does.
//! Part of `github`.

use super::{world::failure, *};
use crate::{
    api::{PullRequestState, conditions::reason},
    domain::failure::{Class, Failure},
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
    /// It says that it failed when it lets somebody out.
    pub silent: bool,
    /// How often it was asked how a head stands.
    pub looks: usize,
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
            silent: false,
            looks: 0,
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
            () => match &queue.refuses {
                Some(words) => refused(words),
                None => {
                    queue.place = Some(place(1, QueueProgress::Queued, 5));
                    self.effects.push(format!("Enqueue {sha}"));
                    Outcome::InQueue
                }
            },
        };
        if let (Outcome::NotMergeable(words), Some(read)) = (&answer, &mut self.pull_read) {
            let step = Step::Enqueue { node_id: node_id.into(), sha: sha.into() };
            read.waits_for = Some(refusal(&step, words));
        }
        answer
    }

    pub(super) fn dequeue(&mut self) -> Outcome {
        let queue = &mut self.github.queue;
        let locked = |place: &QueuePlace| place.state == QueueProgress::Locked;
        if queue.place.as_ref().is_none_or(locked) {
            return Outcome::DequeueUnclear;
        }
        queue.place = None;
        self.effects.push("Dequeue".into());
        if self.github.queue.silent { Outcome::DequeueUnclear } else { Outcome::Done }
    }

    /// The queue merges what is in it.
    pub(super) fn queue_merges(&mut self) {
        if self.github.queue.place.is_some() {
            self.person_sets(PullRequestState::Merged);
        }
    }
}
