//! A pull request as a look at GitHub shows it, and what else has to be asked before it may be merged.
//! Between `mergeability`, which judges it, and `model`, whose answers have it.

use super::{
    mergeability::{Facts, MergeWanted, Mergeability},
    requirements::{Checks, MergeView, RulesView},
};
use crate::{api::PullRequestState, domain::pull_request::ObservedPullRequest};

/// A pull request as GitHub shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenPull {
    pub observed: ObservedPullRequest,
    pub body: String,
    /// `clean`, `blocked`, … ; absent in lists.
    pub mergeable_state: Option<String>,
    /// Checks of its head; absent where nobody has asked for them.
    pub checks: Option<Checks>,
    /// The rules of its base branch; absent where nobody has asked for them, or GitHub does not tell.
    pub rules: Option<RulesView>,
    /// How it stands towards a merge; absent where nobody has asked for it, or GitHub does not tell.
    pub view: Option<MergeView>,
    /// Its head is GitHub's own update of the Task's commit from the base branch; false also where nobody has asked.
    pub updated: bool,
}

impl SeenPull {
    fn facts(&self) -> Facts<'_> {
        Facts {
            state: self.mergeable_state.as_deref(),
            head: self.observed.head_sha.as_deref(),
            checks: self.checks.as_ref(),
            rules: self.rules.as_ref(),
            view: self.view.as_ref(),
        }
    }

    /// Returns whether its head may be GitHub's own update of the Task's commit.
    pub fn asks_for_update(&self, wanted: &MergeWanted) -> bool {
        let open = self.observed.state == PullRequestState::Open && self.observed.draft != Some(true);
        open && wanted.commit.is_some() && wanted.commit != self.observed.head_sha
    }

    /// Returns whether the rules of its base branch count for the merge.
    pub fn asks_for_rules(&self, wanted: &MergeWanted) -> bool {
        self.facts().asks_for_rules(wanted)
    }

    /// Returns whether GitHub has to be asked how it stands towards a merge, the rules being read.
    pub fn asks_for_view(&self, wanted: &MergeWanted) -> bool {
        self.facts().asks_for_view(wanted)
    }

    /// Returns whether the checks of its head have to be read before it is merged, rules and view being read.
    pub fn asks_for_checks(&self, wanted: &MergeWanted) -> bool {
        self.facts().asks_for_checks(wanted)
    }

    pub(super) fn mergeability(&self, wanted: &MergeWanted) -> Mergeability {
        self.facts().mergeability(wanted)
    }
}
