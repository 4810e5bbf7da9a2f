//! What one repository asks for beyond the ordinary, and how late it shows what was just made: rules of merging, checks that appear
//! later, replicas that lag. `state` keeps it with the repository; the handlers ask here.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::checks::Check;
use super::request::Request;
use super::state::{Repository, State};
use super::{GitHub, Refused};

/// The manners of a repository; the default is a fast one without rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Manners {
    /// For so many seconds reads, and writes that build on it, do not find what was just made: a commit, a branch, a pull request.
    pub lag_seconds: i64,
    /// The checks of each commit that is pushed.
    pub checks: Vec<Check>,
    /// They appear so many seconds after the push.
    pub checks_after_seconds: i64,
    /// The methods that merge here; empty: all three.
    pub merge_methods: Vec<String>,
    /// The default branch has a merge queue.
    pub merge_queue: bool,
    /// A pull request leaves the queue, and the answer says that it could not be removed.
    pub dequeues_in_silence: bool,
    /// The owner has not paid for rules of private repositories: they can't be asked for.
    pub plan_without_rules: bool,
    /// The default branch takes verified commits alone, as `GitHub::require_signatures` asks of any branch.
    pub signed_commits: bool,
    /// Tokens may not push to the default branch, of which `mergeable_state` says nothing.
    pub restricts_pushes: bool,
    /// The branch of a merged pull request goes with it.
    pub delete_merged_branches: bool,
    /// The token may not touch workflow files, which GitHub's API hides behind a 404.
    pub refuses_workflows: bool,
    /// Texts in which push protection sees a secret.
    pub secrets: Vec<String>,
    /// Between two pull requests of an author there must be so many seconds.
    pub pull_interval_seconds: i64,
    /// `base_tree` has to be a tree's id, as the docs say; GitHub takes a commit's too.
    pub trees_only: bool,
    /// Lists show, before each pull request, a closed one of a fork from a branch of the same name and with the same text, and
    /// one whose fork is gone.
    pub foreign_pulls: bool,
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

impl Repository {
    /// Notes when something was made: a commit by its SHA, a branch as `heads/…`, a pull request as `pull/…`.
    pub(super) fn made(&mut self, what: String, now: Timestamp) {
        self.made_at.insert(what, now);
    }

    /// Whether the replica that answers has it already. What is not known was always there.
    pub(super) fn shows(&self, what: &str, now: Timestamp) -> bool {
        let lag = self.manners.lag_seconds;
        lag == 0 || self.made_at.get(what).is_none_or(|made| now >= after(*made, lag))
    }

    /// Whether anything may be merged by this method, in GitHub's words where it may not.
    pub(super) fn may_merge(&self, method: &str) -> Result<(), Answer> {
        let manners = &self.manners;
        if !manners.merge_methods.is_empty() && !manners.merge_methods.iter().any(|known| known == method) {
            return Err(method_refused(method));
        }
        Ok(())
    }
}

impl Repository {
    /// Refuses files that the token may not touch, or that hold a secret, in GitHub's words.
    pub(super) fn takes_file(&self, path: Option<&str>, content: &[u8]) -> Result<(), Answer> {
        if self.manners.refuses_workflows && path.is_some_and(|path| path.starts_with(".github/workflows/")) {
            return Err(Answer::not_found());
        }
        let holds = |secret: &String| {
            !secret.is_empty() && content.windows(secret.len()).any(|window| window == secret.as_bytes())
        };
        if self.manners.secrets.iter().any(holds) {
            return Err(Answer::conflict(
                "Repository rule violations found\n\nSecret detected in content\n\n",
            ));
        }
        Ok(())
    }

    /// Refuses a pull request that follows the author's last one too soon.
    pub(super) fn takes_pull(&self, author: &str, now: Timestamp) -> Result<(), Answer> {
        let last = self.pulls.iter().filter(|pull| pull.author == author).map(|pull| pull.created_at).max();
        let free = last.map(|last| after(last, self.manners.pull_interval_seconds));
        if free.is_some_and(|free| now < free) {
            return Err(Answer::custom("PullRequest", "was submitted too quickly"));
        }
        Ok(())
    }
}

/// The entries of others that a list shows beside one of its own.
pub(super) fn foreign(own: &Value) -> [Value; 2] {
    let closed = |number: u64, repository: Value| {
        let mut view = own.clone();
        view["number"] = (own["number"].as_u64().unwrap_or_default() + number).into();
        view["id"] = (own["id"].as_u64().unwrap_or_default() + number).into();
        (view["state"], view["closed_at"], view["merged_at"]) =
            ("closed".into(), own["updated_at"].clone(), Value::Null);
        view["head"]["label"] =
            format!("stranger:{}", own["head"]["ref"].as_str().unwrap_or_default()).into();
        view["head"]["repo"] = repository;
        view
    };
    let mut fork = own["head"]["repo"].clone();
    fork["id"] = 9_000_001.into();
    (fork["full_name"], fork["fork"]) = ("stranger/fork".into(), true.into());
    [closed(1000, fork), closed(2000, Value::Null)]
}

pub(super) fn method_refused(method: &str) -> Answer {
    let name = match method {
        "squash" => "Squash merges",
        "rebase" => "Rebase merges",
        _ => "Merge commits",
    };
    Answer::not_allowed(format!("{name} are not allowed on this repository."))
}

/// `422` for what builds on something that the replica does not have yet.
pub(super) fn not_there_yet() -> Answer {
    Answer::unprocessable("Object does not exist")
}

/// The branch of a merged pull request goes, where the repository wants it.
pub(super) fn delete_merged_branch(
    state: &mut State,
    at: usize,
    branch: &str,
    request: &Request,
) -> Result<(), Answer> {
    let repository = &state.repositories[at];
    let goes = repository.manners.delete_merged_branches && branch != repository.default_branch;
    if goes && repository.tip(branch).is_some() {
        super::refs::remove_branch(state, at, branch, request)?;
    }
    Ok(())
}

impl GitHub {
    /// Gives a repository other manners.
    pub fn set_manners(&self, full_name: &str, manners: Manners) -> Result<(), Refused> {
        self.with_repository(full_name, |state, at| state.repositories[at].manners = manners)
    }

    /// Moves `updated_at` of a pull request and nothing else, as a reaction or a mention does.
    pub fn touch(&self, full_name: &str, number: u64) -> Result<(), Refused> {
        let now = self.inner.clock.now();
        let touched = self.with_repository(full_name, |state, at| {
            let pull = state.repositories[at].pulls.iter_mut().find(|pull| pull.number == number);
            pull.map(|pull| pull.updated_at = now).is_some()
        })?;
        if touched {
            Ok(())
        } else {
            // In GitHub's words.
            self.act("reviewer", &Method::GET, &format!("/repos/{full_name}/pulls/{number}"), json!({}))
                .map(drop)
        }
    }
}
