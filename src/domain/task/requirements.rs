//! What a pull request still lacks before it may be merged: the rules of its base branch against the checks and reviews of its head.
//! Used by `mergeability`; the controller reads both where they are asked for.

use std::collections::BTreeSet;

/// Number of checks that a message names.
const NAMED: usize = 5;

/// Checks of a commit: check runs and commit statuses, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// Number of those that have succeeded, were skipped or are neutral.
    pub passed: usize,
    pub running: Vec<String>,
    pub failed: Vec<String>,
}

/// What the rules of a base branch ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesView {
    pub checks: Vec<RequiredCheck>,
    /// Commits need a verified signature.
    pub signatures: bool,
    /// Number of approving reviews.
    pub approvals: u32,
    /// Pull requests are merged by a queue.
    pub queue: bool,
    /// What else is asked for, in words: GitHub alone can tell whether it is met.
    pub others: Vec<&'static str>,
}

/// A check that has to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredCheck {
    pub name: String,
    /// The App that alone may answer for it.
    pub app: Option<u64>,
}

/// How the head of a pull request stands towards a merge, beyond what its `mergeable_state` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeView {
    /// False once it is closed or merged.
    pub open: bool,
    pub head: String,
    pub review: Review,
    /// Its place in the merge queue; absent outside of it.
    pub place: Option<QueuePlace>,
    /// The checks of the head, the newest of each.
    pub checks: Vec<HeadCheck>,
    /// Why `checks` are not all that GitHub has, in GitHub's words.
    pub unread: Option<String>,
}

/// How the reviews stand that the base branch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    /// Enough, or none is asked for.
    Fine,
    Missing,
    ChangesRequested,
}

/// A place in the merge queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePlace {
    /// 1 is merged next; absent where GitHub does not say.
    pub position: Option<u32>,
    pub state: QueueProgress,
    /// GitHub's guess of when it is merged.
    pub minutes: Option<u32>,
}

/// How far the queue is with a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueProgress {
    Queued,
    AwaitingChecks,
    Mergeable,
    Unmergeable,
    /// About to be merged: it can't be taken out any more.
    Locked,
    /// A word of GitHub's that is not known here.
    Unknown,
}

/// A check of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadCheck {
    pub name: String,
    pub state: CheckProgress,
    /// A rule of the base branch asks for it.
    pub required: bool,
    /// The App that it is of; absent of a commit status.
    pub app: Option<u64>,
}

/// How far a check is; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckProgress {
    /// Succeeded, skipped or neutral.
    Passed,
    Running,
    /// Everything else: failed, cancelled, timed out, stale, waiting for a person's action.
    Failed,
}

/// What is missing, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Missing {
    pub words: Vec<String>,
    /// All of it may come without anybody.
    pub comes: bool,
}

impl QueuePlace {
    /// Returns whether nothing has happened between the two.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.position, self.state) == (other.position, other.state)
    }

    pub(super) fn words(&self, number: i64) -> String {
        let place = self.position.map_or_else(String::new, |place| format!(" at place {place}"));
        let state = match self.state {
            QueueProgress::Queued => Some("waiting for its turn"),
            QueueProgress::AwaitingChecks => Some("awaiting checks"),
            QueueProgress::Mergeable => Some("all checks have passed"),
            QueueProgress::Unmergeable => Some("it can't be merged as it is"),
            QueueProgress::Locked => Some("about to be merged"),
            QueueProgress::Unknown => None,
        };
        let time = self.minutes.map(|minutes| format!("about {minutes} min"));
        let told: Vec<String> = state.map(str::to_owned).into_iter().chain(time).collect();
        let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) };
        format!("pull request {number} is in the merge queue{place}{told}")
    }
}

impl MergeView {
    /// The same checks without what is required of them.
    pub(super) fn all_checks(&self) -> Checks {
        let named = |progress| {
            let of = self.checks.iter().filter(|check| check.state == progress);
            of.map(|check| check.name.clone()).collect::<Vec<_>>()
        };
        let passed = named(CheckProgress::Passed).len();
        Checks { passed, running: named(CheckProgress::Running), failed: named(CheckProgress::Failed) }
    }

    /// How far a required check is; `None`: nobody has begun it.
    fn progress(&self, wanted: &RequiredCheck) -> Option<CheckProgress> {
        // Where a rule names an App, others may use the name for something else.
        let answers = |check: &&HeadCheck| {
            check.name == wanted.name && wanted.app.is_none_or(|app| check.app == Some(app))
        };
        self.checks.iter().filter(answers).map(|check| check.state).max()
    }
}

/// Names what is missing of what the base branch asks for.
pub(super) fn missing(rules: Option<&RulesView>, view: &MergeView) -> Missing {
    let none = RulesView::default();
    let rules = rules.unwrap_or(&none);
    let mut of_checks = checks(rules, view);
    let comes = of_checks.iter().all(|(comes, _)| *comes) && view.review == Review::Fine;
    let mut words: Vec<String> = of_checks.drain(..).map(|(_, words)| words).collect();
    match view.review {
        Review::Fine => {}
        Review::Missing if rules.approvals > 1 => {
            words.push(format!("{} approving reviews are needed", rules.approvals));
        }
        Review::Missing => words.push("an approving review is needed".to_owned()),
        Review::ChangesRequested => words.push("a review asks for changes".to_owned()),
    }
    Missing { comes: comes && !words.is_empty(), words }
}

/// What is missing of the checks, and whether it may come without anybody.
fn checks(rules: &RulesView, view: &MergeView) -> Vec<(bool, String)> {
    let (mut absent, mut running, mut failed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    // Protection of the older kind stands in no rule: its checks are told only once they have begun.
    let unruled = view.checks.iter().filter(|check| check.required);
    let unruled = unruled.filter(|check| rules.checks.iter().all(|rule| rule.name != check.name));
    let unruled = unruled.map(|check| RequiredCheck { name: check.name.clone(), app: check.app });
    for required in rules.checks.iter().cloned().chain(unruled) {
        match view.progress(&required) {
            None => absent.insert(required.name),
            Some(CheckProgress::Running) => running.insert(required.name),
            Some(CheckProgress::Failed) => failed.insert(required.name),
            Some(CheckProgress::Passed) => continue,
        };
    }
    let not_there = match &view.unread {
        None => "required checks that have not begun".to_owned(),
        Some(words) => format!("required checks that GitHub does not show (not all can be read: {words})"),
    };
    let named = [
        (true, not_there.as_str(), absent),
        (true, "required checks that still run", running),
        (false, "required checks that have failed", failed),
    ];
    let named = named.into_iter().filter(|(_, _, all)| !all.is_empty());
    let told = named.map(|(comes, what, all)| {
        (comes, format!("{what}: {}", names(&all.into_iter().collect::<Vec<_>>())))
    });
    told.collect()
}

/// What the base branch asks for, where GitHub does not tell how far the head is.
pub(super) fn asked_for(rules: &RulesView) -> Vec<String> {
    let mut words = Vec::new();
    if !rules.checks.is_empty() {
        let all: Vec<String> = rules.checks.iter().map(|check| check.name.clone()).collect();
        words.push(format!("the checks {}", names(&all)));
    }
    match rules.approvals {
        0 => {}
        1 => words.push("an approving review".to_owned()),
        more => words.push(format!("{more} approving reviews")),
    }
    words.extend(untold(rules).into_iter().map(str::to_owned));
    words
}

/// What the base branch asks for, of which GitHub does not tell whether it is met.
pub(super) fn untold(rules: &RulesView) -> Vec<&'static str> {
    let signatures = rules.signatures.then_some("verified signatures of all commits");
    signatures.into_iter().chain(rules.others.iter().copied()).collect()
}

/// Names the first of many.
pub(super) fn names(all: &[String]) -> String {
    let more = if all.len() > NAMED { format!(" and {} more", all.len() - NAMED) } else { String::new() };
    format!("{}{more}", all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
}
