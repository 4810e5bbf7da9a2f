//! GitHub as data: branches, commits by content, pull requests, and what people do with them.

use super::{ledger::Made, queues::Queue, world::failure, *};
use crate::{
    api::{PullRequestState, conditions::reason},
    domain::{
        failure::Class,
        pull_request::{ObservedPullRequest, Source, Stored, is_own, marker_in},
    },
};
use jiff::Timestamp;
use std::collections::BTreeMap;

pub(super) const BASE: &str = "base00";

#[derive(Debug, Clone)]
pub(super) struct Pull {
    pub number: i64,
    pub branch: String,
    pub body: String,
    pub state: PullRequestState,
    pub draft: bool,
    pub head: String,
    pub updated_at: Timestamp,
    pub merged_at: Option<Timestamp>,
    /// The branch it goes to.
    pub base: String,
    /// GitHub's id of its repository.
    pub repository: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct GitHub {
    /// Tips by name.
    pub branches: BTreeMap<String, String>,
    /// Branches of other people.
    pub foreign: Vec<String>,
    pub pulls: Vec<Pull>,
    /// Our commits, and what they were made of.
    pub commits: BTreeMap<String, Made>,
    /// What reviewers have pushed, by branch.
    pub pushes: Vec<(String, String)>,
    /// Heads that GitHub has made of those before by merging the base branch.
    pub updates: Vec<String>,
    /// What GitHub says of merging an open pull request.
    pub mergeable: &'static str,
    /// Checks of any commit.
    pub checks: Checks,
    /// Its rules and its merge queue.
    pub queue: Queue,
    /// It takes neither labels nor reviewers.
    pub refuses_parts: bool,
    /// Another repository has the name by now: its id.
    pub replaced_by: Option<i64>,
    /// The merge call's answer where it is not a merge.
    pub merge_answer: Option<Outcome>,
    pub refuses_branches: bool,
    /// What others push changes the same paths as the Task's commits.
    pub overlaps: bool,
    /// The newest pull request as it was before the last change, and how many reads still show it so.
    pub lagging: Option<(Pull, u64)>,
}

impl GitHub {
    pub(super) fn new() -> Self {
        Self {
            branches: BTreeMap::from([("main".to_owned(), BASE.to_owned())]),
            foreign: Vec::new(),
            pulls: Vec::new(),
            commits: BTreeMap::new(),
            pushes: Vec::new(),
            updates: Vec::new(),
            mergeable: "clean",
            checks: Checks { passed: 1, ..Checks::default() },
            queue: Queue::default(),
            replaced_by: None,
            merge_answer: None,
            refuses_branches: false,
            refuses_parts: false,
            overlaps: true,
            lagging: None,
        }
    }

    pub(super) fn take_name(&mut self, branch: &str) {
        self.foreign.push(branch.into());
        // What was pushed to an earlier branch of the name went with it.
        self.pushes.retain(|(name, _)| name != branch);
        self.branches.insert(branch.into(), "theirs".into());
    }

    pub(super) fn observed(&self, number: i64) -> Option<SeenPull> {
        Some(self.seen(self.pulls.iter().find(|pull| pull.number == number)?))
    }

    /// The same by a replica that may lag.
    pub(super) fn shown(&mut self, number: i64) -> Option<SeenPull> {
        let old = match &mut self.lagging {
            Some((old, looks)) if old.number == number && *looks > 0 => {
                *looks -= 1;
                old.clone()
            }
            _ => return self.observed(number),
        };
        Some(self.seen(&old))
    }

    fn seen(&self, pull: &Pull) -> SeenPull {
        let number = pull.number;
        SeenPull {
            observed: ObservedPullRequest {
                draft: Some(pull.draft),
                branch: Some(pull.branch.clone()),
                node_id: Some(format!("PR_{number}")),
                url: Some(format!("https://github.test/o/r/pull/{number}")),
                head_sha: Some(pull.head.clone()),
                merge_sha: (pull.state == PullRequestState::Merged).then(|| "merged".into()),
                merged_at: pull.merged_at,
                updated_at: Some(pull.updated_at),
                head_repository_id: pull.repository,
                base_repository_id: pull.repository,
                marker: marker_in(&pull.body).map(Into::into),
                ..ObservedPullRequest::new(number, pull.state)
            },
            body: pull.body.clone(),
            mergeable_state: Some(self.mergeable.into()),
            checks: None,
            rules: None,
            view: None,
            updated: false,
        }
    }

    /// The pull requests from a branch; whether their heads stand on `commit` is asked too.
    pub(super) fn pulls_of(&self, branch: &str, commit: Option<&str>) -> Vec<SeenPull> {
        let of = self.pulls.iter().rev().filter(|pull| pull.branch == branch);
        let seen = of.filter_map(|pull| {
            let mut seen = self.observed(pull.number)?;
            seen.observed.stands_on_commit = commit.is_some_and(|commit| stands_on(&pull.head, commit));
            Some(seen)
        });
        seen.collect()
    }

    pub(super) fn open_pulls(&self) -> usize {
        self.pulls.iter().filter(|pull| pull.state == PullRequestState::Open).count()
    }

    /// GitHub closes what a deleted branch carried.
    pub(super) fn delete_branch(&mut self, branch: &str, now: Timestamp) {
        self.branches.remove(branch);
        for pull in self.pulls.iter_mut().filter(|pull| pull.branch == branch) {
            if pull.state == PullRequestState::Open {
                self.queue.place = None;
                (pull.state, pull.updated_at) = (PullRequestState::Closed, now);
            }
        }
    }
}

/// A commit names its parents, the oldest first.
pub(super) fn stands_on(head: &str, commit: &str) -> bool {
    head == commit || head.starts_with(&format!("{commit}>"))
}

impl World {
    /// The pull request the Task knows.
    pub(super) fn number(&self) -> i64 {
        self.status().pull_request.expect("a pull request").number
    }

    /// A person changes the newest pull request at GitHub.
    pub(super) fn person(&mut self, change: impl FnOnce(&mut Pull)) {
        self.pass_time(1);
        let now = self.now;
        if let Some(pull) = self.github.pulls.last_mut().filter(|pull| pull.state != PullRequestState::Merged)
        {
            self.github.lagging = Some((pull.clone(), 0));
            let head = pull.head.clone();
            change(pull);
            pull.updated_at = now;
            if pull.state != PullRequestState::Open || pull.draft || pull.head != head {
                self.github.queue.place = None;
                self.github.queue.thrown = None;
            }
            if pull.state == PullRequestState::Merged {
                pull.merged_at = Some(now);
            }
        }
    }

    pub(super) fn person_sets(&mut self, state: PullRequestState) {
        self.person(|pull| pull.state = state);
    }

    /// News of the Task's pull request, by delivery or by sync.
    pub(super) fn news(&mut self, source: Source) {
        let Some(number) = self.status().pull_request.map(|pull| pull.number) else { return };
        let Some(seen) = self.github.observed(number) else { return };
        self.tell(&seen.observed, source);
    }

    pub(super) fn tell(&mut self, observed: &ObservedPullRequest, source: Source) {
        let mut status = self.status();
        let own = is_own(&self.task.metadata.uid.clone().unwrap_or_default(), &status, observed);
        if own && let Some(change) = Stored::of(&status).transition(observed, source, self.now) {
            change.apply(&mut status);
            self.task.status = Some(status);
        }
    }

    /// A person does it, the delivery arrives, and the operator comes to rest.
    pub(super) fn delivered(&mut self, state: PullRequestState) {
        self.person_sets(state);
        self.news(Source::Delivery);
        self.rest();
    }
}

/// What GitHub makes of a step.
impl World {
    pub(super) fn create_branch(&mut self, branch: &str, sha: &str) -> Outcome {
        self.check_commit(sha);
        if self.github.refuses_branches || self.github.branches.contains_key(branch) {
            return Outcome::BranchExists { ours: !self.github.foreign.iter().any(|name| name == branch) };
        }
        self.effects.push(format!("CreateBranch {}/{branch}", self.status().round.unwrap_or(0)));
        self.github.branches.insert(branch.into(), sha.into());
        Outcome::Done
    }

    pub(super) fn update_branch(&mut self, branch: &str, sha: &str) -> Outcome {
        self.check_commit(sha);
        self.check_base(branch);
        let Some(tip) = self.github.branches.get(branch).cloned() else {
            return Outcome::Failed(failure("updateBranch", Class::NotFound, "BranchMissing"));
        };
        if self.is_queued(branch) {
            return Outcome::Failed(failure("updateBranch", Class::Transient, reason::IN_MERGE_QUEUE));
        }
        if !stands_on(sha, &tip) {
            if stands_on(&tip, sha) {
                return Outcome::Done;
            }
            return if self.github.overlaps { Outcome::BranchMoved } else { self.rebase(sha, tip) };
        }
        if tip != sha {
            self.effects.push(format!("UpdateBranch {}", self.status().round.unwrap_or(0)));
            self.github.branches.insert(branch.into(), sha.into());
            for pull in self.github.pulls.iter_mut().filter(|pull| pull.branch == branch) {
                (pull.head, pull.updated_at) = (sha.into(), self.now);
            }
        }
        Outcome::Done
    }

    /// The same commit on top of what others have pushed.
    fn rebase(&mut self, sha: &str, tip: String) -> Outcome {
        let made = self.github.commits[sha].clone();
        let content = sha.rsplit('>').next().unwrap_or_default();
        let commit = format!("{tip}>{content}");
        self.github.commits.insert(commit.clone(), made);
        Outcome::Rebased { parent: tip, tree: "tree on theirs".into(), commit }
    }

    pub(super) fn create_pull(&mut self, branch: &str) -> Outcome {
        let status = self.status();
        self.check_publication(&status);
        let publication = status.publication.clone().expect("fixed with the commit");
        let Some(head) = self.github.branches.get(branch).cloned() else {
            return Outcome::Failed(failure("createPullRequest", Class::Invalid, "Refused"));
        };
        let open = |pull: &Pull| pull.branch == branch && pull.state == PullRequestState::Open;
        if self.github.pulls.iter().any(open) {
            return Outcome::PullRequestExists;
        }
        self.effects.push(format!("CreatePullRequest {}", self.status().round.unwrap_or(0)));
        let number = 1 + i64::try_from(self.github.pulls.len()).expect("few");
        self.github.pulls.push(Pull {
            number,
            branch: branch.into(),
            body: publication.body,
            state: PullRequestState::Open,
            draft: self.task.spec.pull_request.draft,
            head,
            updated_at: self.now,
            merged_at: None,
            base: publication.base,
            repository: self.github.replaced_by.or(status.repository_id),
        });
        Outcome::PullRequest(Box::new(self.github.observed(number).expect("just made")))
    }

    pub(super) fn merge(&mut self, number: i64, sha: &str) -> Outcome {
        if let Some(answer) = self.github.merge_answer.clone() {
            if let (Outcome::NotMergeable(words), Some(read)) = (&answer, &mut self.pull_read) {
                let method = crate::api::MergeMethod::Merge;
                read.refuse(&Step::Merge { number, sha: sha.into(), method }, words);
            }
            return answer;
        }
        let now = self.now;
        let Some(pull) = self.github.pulls.iter_mut().find(|pull| pull.number == number) else {
            return Outcome::NotMergeable("no such pull request".into());
        };
        if pull.head != sha {
            return Outcome::HeadChanged;
        }
        if self.github.queue.place.is_some() {
            return Outcome::InQueue;
        }
        if self.github.queue.exists {
            return Outcome::Failed(failure(
                "mergePullRequest",
                Class::Invalid,
                reason::MERGE_QUEUE_REQUIRED,
            ));
        }
        if pull.state != PullRequestState::Open || pull.draft {
            return Outcome::NotMergeable("it is closed or a draft".into());
        }
        (pull.state, pull.updated_at, pull.merged_at) = (PullRequestState::Merged, now, Some(now));
        self.effects.push(format!("Merge {number}"));
        Outcome::Merged { sha: Some("merged".into()) }
    }
}
