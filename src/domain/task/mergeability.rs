//! Whether GitHub, the checks and the queue let a pull request be merged, and what the merge waits for otherwise.
//! Used by `model`, `merge` and `queue`; what the base branch asks for stands in `requirements`.

use super::requirements::{self, Checks, MergeView, QueuePlace, Review, RulesView, names};
use crate::api::{MergeQueue, MergeQueueState};

/// A merge that a Task asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeWanted {
    /// `pullRequest.merge.requireChecks`.
    pub require_checks: bool,
    /// `checks` of the Repository.
    pub checks_expected: bool,
    /// The Task's own commit: no other head is merged.
    pub commit: Option<String>,
    /// What is known of the merge queue.
    pub queue: Option<MergeQueue>,
}

/// Whether a pull request can be merged, with what stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mergeability {
    Yes,
    /// By the queue of the base branch, as far as can be seen: GitHub has the last word.
    ByQueue,
    /// It is in the queue.
    InQueue(QueuePlace),
    /// It was in the queue and is not any more.
    LeftQueue,
    /// It was taken out of the queue before.
    Removed,
    /// It changes soon without anybody.
    Undecided(Option<String>),
    No(String),
}

/// What is known of a pull request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// GitHub's `mergeable_state` (<https://docs.github.com/en/graphql/reference/enums#mergestatestatus>).
    pub state: Option<&'a str>,
    pub head: Option<&'a str>,
    pub checks: Option<&'a Checks>,
    pub rules: Option<&'a RulesView>,
    pub view: Option<&'a MergeView>,
}

impl MergeWanted {
    /// What is known of the queue for this head.
    fn queue_of(&self, head: Option<&str>) -> Option<MergeQueueState> {
        self.queue.as_ref().filter(|queue| Some(queue.head_sha.as_str()) == head).map(|queue| queue.state)
    }
}

impl Facts<'_> {
    /// Returns whether the rules of the base branch count: whether it has a queue, and what is asked for.
    pub(super) fn asks_for_rules(&self, wanted: &MergeWanted) -> bool {
        let hopeless = matches!(self.state, None | Some("unknown" | "dirty" | "draft"));
        wanted.commit.as_deref() == self.head && !hopeless
    }

    /// Returns whether GitHub has to be asked how the head stands: where `mergeable_state` alone decides, it is not.
    pub(super) fn asks_for_view(&self, wanted: &MergeWanted) -> bool {
        let known = wanted.queue_of(self.head).is_some_and(|queue| queue != MergeQueueState::Absent);
        let told = matches!(self.state, Some("clean" | "has_hooks" | "unstable"));
        wanted.commit.as_deref() == self.head && (known || (self.asks_for_rules(wanted) && !told))
    }

    /// Returns whether all checks of the head have to be read beside that.
    pub(super) fn asks_for_checks(&self, wanted: &MergeWanted) -> bool {
        let may = match self.state {
            Some("clean" | "has_hooks" | "unstable") => true,
            // The queue itself may be all that blocks it.
            _ => self.asks_for_rules(wanted) && self.has_queue(wanted),
        };
        let shown = self.view.is_some_and(|view| view.unread.is_none());
        wanted.require_checks && may && !shown
    }

    fn has_queue(&self, wanted: &MergeWanted) -> bool {
        match wanted.queue_of(self.head) {
            Some(MergeQueueState::Absent) => false,
            Some(_) => true,
            None => self.rules.is_some_and(|rules| rules.queue),
        }
    }

    /// GitHub lets it be merged, and no rule speaks of a queue.
    fn has_no_queue(&self) -> bool {
        let told = matches!(self.state, Some("clean" | "has_hooks" | "unstable"));
        told && self.rules.is_some_and(|rules| !rules.queue)
    }

    pub(super) fn mergeability(&self, wanted: &MergeWanted) -> Mergeability {
        let known = wanted.queue_of(self.head);
        match (self.view, known) {
            (Some(MergeView { place: Some(place), .. }), _) => return Mergeability::InQueue(*place),
            // Two answers about two moments: the next ones agree.
            (Some(view), _) if !view.open || Some(view.head.as_str()) != self.head => {
                return Mergeability::Undecided(None);
            }
            // Without a queue nothing can be put into it again.
            (_, Some(MergeQueueState::Removed)) if self.has_no_queue() => return self.directly(wanted),
            (_, Some(MergeQueueState::Removed)) => return Mergeability::Removed,
            (Some(_), Some(MergeQueueState::Queued)) => return Mergeability::LeftQueue,
            (None, Some(MergeQueueState::Queued)) => {
                let message = "it is in the merge queue, as far as is known: GitHub does not show its place to this token";
                return Mergeability::No(message.to_owned());
            }
            _ => {}
        }
        if self.has_queue(wanted) { self.by_queue(wanted) } else { self.directly(wanted) }
    }

    fn directly(&self, wanted: &MergeWanted) -> Mergeability {
        match self.state {
            None | Some("unknown") => Mergeability::Undecided(None),
            // Where the server runs pre-receive hooks it never says `clean`.
            Some("clean" | "has_hooks") => self.by_checks(wanted).unwrap_or(Mergeability::Yes),
            Some("unstable") if !wanted.require_checks => Mergeability::Yes,
            Some(state @ "unstable") => {
                self.by_checks(wanted).unwrap_or_else(|| says(state, "a check fails or still runs"))
            }
            Some(state @ "dirty") => says(state, "resolve the conflicts with the base branch"),
            Some(state @ "behind") => self.waits_for(state, Some("update the branch from the base branch")),
            Some(state) => self.waits_for(state, None),
        }
    }

    /// The queue brings what is behind up to date, and GitHub may say of what nothing else blocks that it is blocked, or something
    /// else that is not known here.
    fn by_queue(&self, wanted: &MergeWanted) -> Mergeability {
        if let None | Some("clean" | "has_hooks" | "unstable" | "unknown" | "dirty" | "draft") = self.state {
            let directly = self.directly(wanted);
            return if directly == Mergeability::Yes { Mergeability::ByQueue } else { directly };
        }
        // Of what can't be read GitHub itself tells when it is asked to take the pull request in.
        let unread = |view: &MergeView| view.unread.is_some() && view.review == Review::Fine;
        let read = self.view.filter(|view| !unread(view));
        let missing = read.map(|view| requirements::missing(self.rules, view)).unwrap_or_default();
        if missing.words.is_empty() {
            return self.by_checks(wanted).unwrap_or(Mergeability::ByQueue);
        }
        self.waits_for(self.state.unwrap_or_default(), None)
    }

    /// Names what GitHub waits for when it says `state`.
    fn waits_for(&self, state: &str, first: Option<&str>) -> Mergeability {
        let missing = self.view.map(|view| requirements::missing(self.rules, view)).unwrap_or_default();
        let told = first.is_some() || !missing.words.is_empty();
        let comes = missing.comes && first.is_none();
        let mut words: Vec<String> = first.map(str::to_owned).into_iter().chain(missing.words).collect();
        let untold = self.rules.map(requirements::untold).unwrap_or_default();
        match (self.view, self.rules.map(requirements::asked_for)) {
            _ if told => {}
            (None, Some(asked)) if !asked.is_empty() => {
                words.push(format!(
                    "the base branch asks for {}, and GitHub does not tell this token what of it is missing",
                    asked.join(", ")
                ));
            }
            (Some(_), _) if !untold.is_empty() => {
                words
                    .push(format!("the base branch asks for {}: see whether that is met", untold.join(", ")));
            }
            _ if state == "blocked" => {
                words.push(
                    "a review or a check that the base branch asks for is missing, or the token may not push to it".to_owned(),
                );
            }
            _ => {}
        }
        match says(state, &words.join("; ")) {
            Mergeability::No(message) if comes => Mergeability::Undecided(Some(message)),
            other => other,
        }
    }

    /// What the merge waits for by the checks, where it waits for one.
    fn by_checks(&self, wanted: &MergeWanted) -> Option<Mergeability> {
        if !wanted.require_checks {
            return None;
        }
        let shown = self.view.filter(|view| view.unread.is_none()).map(MergeView::all_checks);
        let Some(Checks { passed, running, failed }) = shown.as_ref().or(self.checks) else {
            return Some(Mergeability::Undecided(None));
        };
        if !failed.is_empty() {
            let message = format!(
                "merged once all checks have succeeded; failed: {} (pullRequest.merge.requireChecks)",
                names(failed)
            );
            return Some(Mergeability::No(message));
        }
        if !running.is_empty() {
            let message = format!("merged once all checks have succeeded; still running: {}", names(running));
            return Some(Mergeability::Undecided(Some(message)));
        }
        (*passed == 0 && wanted.checks_expected).then(|| {
            let message = "merged once its checks have succeeded, but the commit has none: where there are none, set \
                 checks: None on the Repository, or pullRequest.merge.requireChecks: false on the Task";
            Mergeability::Undecided(Some(message.to_owned()))
        })
    }
}

fn says(state: &str, why: &str) -> Mergeability {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    Mergeability::No(format!("merged as soon as GitHub allows it; now it says {state}{why}"))
}
