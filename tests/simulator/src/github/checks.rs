//! Checks of a commit: runs in suites, which may come late, be run again or never end, and commit statuses beside them.
//! `manners` brings those of each push; `branch_rules` asks which of them are required and how they stand.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::check_views::{run_view, status_view, suite_view};
use super::objects::resolve;
use super::request::{Request, paginate};
use super::state::{Repository, State};
use super::talk::CheckOutput;
use super::{GitHub, Refused};

/// The App that runs a check which names none: GitHub Actions.
pub(super) const ACTIONS: u64 = 15368;

/// What the conclusion of a run may be (`stale` and `startup_failure` are GitHub's own), and the state of a commit status.
const CONCLUSIONS: [&str; 9] = [
    "success",
    "failure",
    "neutral",
    "cancelled",
    "skipped",
    "timed_out",
    "action_required",
    "stale",
    "startup_failure",
];
const STATES: [&str; 4] = ["success", "failure", "error", "pending"];

/// A check run (`conclusion` absent: not finished) on one commit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    pub name: String,
    /// `success`, `failure`, `neutral`, `cancelled`, `timed_out`, `action_required`, `skipped`, `stale`, `startup_failure`.
    pub conclusion: Option<String>,
    pub output: CheckOutput,
    /// A commit status and no check run: its conclusion is its `state`, its title the `description`.
    pub commit_status: bool,
    /// Of a run that is not finished: `queued`, `in_progress` (the default), `waiting`, `requested`, `pending`.
    pub status: Option<String>,
    /// The App that runs it; absent: GitHub Actions.
    pub app: Option<u64>,
    /// The workflow of GitHub Actions that it is a job of.
    pub workflow: u64,
    /// Which run of the workflow on this commit: the event may come again. Each has a suite of its own, and its jobs stay listed.
    pub run: u64,
    /// It appears so many seconds after the others; its suite is there before.
    pub after_seconds: i64,
}

/// The checks of a commit, and since when.
pub(super) struct CheckSet {
    pub(super) since: Timestamp,
    pub(super) checks: Vec<Check>,
}

/// A check that can be seen.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) id: u64,
    pub(super) at: Timestamp,
    pub(super) check: &'a Check,
}

impl Check {
    pub(super) fn app(&self) -> u64 {
        self.app.unwrap_or(ACTIONS)
    }

    /// What it has its suite with.
    pub(super) fn suite(&self) -> (u64, u64) {
        (self.app(), self.run)
    }

    pub(super) fn status(&self) -> &str {
        match (&self.conclusion, &self.status) {
            (Some(_), _) => "completed",
            (None, Some(status)) => status,
            (None, None) => "in_progress",
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        matches!(self.conclusion.as_deref(), Some("success" | "neutral" | "skipped"))
    }

    pub(super) fn has_failed(&self) -> bool {
        let ended = self.conclusion.as_deref().is_some_and(|word| word != "pending");
        ended && !self.has_passed()
    }

    fn valid(&self) -> Result<(), Answer> {
        let known: &[&str] = if self.commit_status { &STATES } else { &CONCLUSIONS };
        match self.conclusion.as_deref() {
            Some(word) if !known.contains(&word) => {
                Err(Answer::unprocessable(format!("stand-in: {word} is no conclusion of {}", self.name)))
            }
            _ => Ok(()),
        }
    }
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The id of the nth check run of a commit.
fn run_id(sha: &str, index: usize) -> u64 {
    u64::from_str_radix(&sha[..8], 16).unwrap_or_default() * 100 + index as u64 + 1
}

/// The id of the suite of an App's runs on a commit.
pub(super) fn suite_id(sha: &str, (app, run): (u64, u64)) -> u64 {
    u64::from_str_radix(&sha[8..16], 16).unwrap_or_default() * 1_000_000 + app % 100_000 * 10 + run % 10
}

impl Repository {
    /// The checks that are meant for a commit, and since when they could be there: those that were set for it, or those of each push.
    pub(super) fn meant_for(&self, sha: &str) -> Option<(Timestamp, &[Check])> {
        if let Some(set) = self.checks.get(sha) {
            return Some((set.since, &set.checks));
        }
        let pushed = after(*self.pushed.get(sha)?, self.manners.checks_after_seconds);
        Some((pushed, &self.manners.checks))
    }

    /// All checks of a commit that have appeared, oldest first.
    pub(super) fn checks_of(&self, sha: &str, now: Timestamp) -> Vec<Shown<'_>> {
        let Some((since, checks)) = self.meant_for(sha) else { return Vec::new() };
        let shown = checks.iter().enumerate().map(|(index, check)| Shown {
            id: run_id(sha, index),
            at: after(since, check.after_seconds),
            check,
        });
        shown.filter(|shown| now >= shown.at).collect()
    }

    /// The newest of each name: what has been run again no longer counts.
    pub(super) fn latest_checks_of(&self, sha: &str, now: Timestamp) -> Vec<Shown<'_>> {
        newest(self.checks_of(sha, now), |check| (check.app(), 0))
    }

    /// The newest of each name in its suite, as lists of check runs have them.
    pub(super) fn latest_in_suites(&self, sha: &str, now: Timestamp) -> Vec<Shown<'_>> {
        newest(self.checks_of(sha, now), Check::suite)
    }

    /// A run by its id, and its commit.
    pub(super) fn run(&self, id: u64) -> Option<&Check> {
        let commits = self.checks.keys().chain(self.pushed.keys());
        let of = |sha: &String| self.checks_of(sha, Timestamp::MAX).into_iter().find(|shown| shown.id == id);
        commits.filter_map(of).map(|shown| shown.check).next()
    }
}

/// The newest of each name within what `of` tells of it.
fn newest(all: Vec<Shown<'_>>, of: impl Fn(&Check) -> (u64, u64)) -> Vec<Shown<'_>> {
    let key = |shown: &Shown<'_>| {
        let check = shown.check;
        (check.name.clone(), check.commit_status, if check.commit_status { (0, 0) } else { of(check) })
    };
    let last: Vec<u64> = all
        .iter()
        .enumerate()
        .filter(|(index, shown)| all[index + 1..].iter().all(|later| key(later) != key(shown)))
        .map(|(_, shown)| shown.id)
        .collect();
    all.into_iter().filter(|shown| last.contains(&shown.id)).collect()
}

/// A page of runs, of those that the query asks for.
fn runs(state: &State, at: usize, request: &Request, sha: &str, suite: Option<u64>) -> Answer {
    let repository = &state.repositories[at];
    let mut all = match request.query("filter") {
        Some("all") => repository.checks_of(sha, request.now),
        _ => repository.latest_in_suites(sha, request.now),
    };
    all.retain(|shown| {
        let check = shown.check;
        let is = |name: &str, value: &str| request.query(name).is_none_or(|wanted| wanted == value);
        !check.commit_status
            && suite.is_none_or(|suite| suite == suite_id(sha, check.suite()))
            && is("check_name", &check.name)
            && is("status", check.status())
            && is("app_id", &check.app().to_string())
    });
    // The newest first, as GitHub has them.
    all.reverse();
    let total = all.len();
    let (page, link) = paginate(request, &state.url, all);
    let page: Vec<Value> = page.iter().map(|shown| run_view(state, at, sha, shown)).collect();
    Answer::page(json!({ "total_count": total, "check_runs": page }), link)
}

pub(super) fn list_runs(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let sha = sha_of(&state.repositories[at], request.param("ref"))?;
    Ok(runs(state, at, request, &sha, None))
}

/// The suites of a commit: one for each App and run, there before its checks are.
pub(super) fn list_suites(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let sha = sha_of(&state.repositories[at], request.param("ref"))?;
    let mut views = Vec::new();
    for suite in suites_of(&state.repositories[at], &sha) {
        if request.query("app_id").is_none_or(|wanted| wanted == suite.0.to_string()) {
            views.push(suite_view(state, at, &sha, suite, request.now));
        }
    }
    let total = views.len();
    let (page, link) = paginate(request, &state.url, views);
    Ok(Answer::page(json!({ "total_count": total, "check_suites": page }), link))
}

fn suites_of(repository: &Repository, sha: &str) -> Vec<(u64, u64)> {
    let checks = repository.meant_for(sha).map_or(&[][..], |(_, checks)| checks);
    let mut suites: Vec<_> = checks.iter().filter(|check| !check.commit_status).map(Check::suite).collect();
    suites.sort_unstable();
    suites.dedup();
    suites
}

pub(super) fn list_runs_of_suite(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let suite = request.number("check_suite_id")?;
    let repository = &state.repositories[at];
    let mut commits = repository.checks.keys().chain(repository.pushed.keys());
    let has = |sha: &&String| suites_of(repository, sha).iter().any(|one| suite_id(sha, *one) == suite);
    let sha = commits.find(has).ok_or_else(Answer::not_found)?.clone();
    Ok(runs(state, at, request, &sha, Some(suite)))
}

/// Every status that was ever set, the newest first.
pub(super) fn list_statuses(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    let sha = sha_of(repository, request.param("ref"))?;
    let mut all = repository.checks_of(&sha, request.now);
    all.retain(|shown| shown.check.commit_status);
    all.reverse();
    let views = all.iter().map(|shown| status_view(state, at, &sha, shown)).collect();
    let (page, link) = paginate(request, &state.url, views);
    Ok(Answer::page(Value::Array(page), link))
}

/// The combined commit status, of the newest of each context; check runs are no part of it, as on GitHub.
pub(super) fn combined_status(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    let sha = sha_of(repository, request.param("ref"))?;
    let mut all = repository.latest_checks_of(&sha, request.now);
    all.retain(|shown| shown.check.commit_status);
    let word = if all.iter().any(|shown| shown.check.has_failed()) {
        "failure"
    } else if !all.is_empty() && all.iter().all(|shown| shown.check.has_passed()) {
        "success"
    } else {
        "pending"
    };
    let total = all.len();
    let views: Vec<Value> = all.iter().map(|shown| status_view(state, at, &sha, shown)).collect();
    let (page, link) = paginate(request, &state.url, views);
    let commit_url = format!("{}/repos/{}/commits/{sha}", state.url, repository.full_name());
    let view = json!({
        "state": word,
        "statuses": page,
        "sha": sha,
        "total_count": total,
        "repository": state.repository_view(at, None),
        "commit_url": commit_url,
        "url": format!("{commit_url}/status"),
    });
    Ok(Answer::page(view, link))
}

fn sha_of(repository: &Repository, name: &str) -> Result<String, Answer> {
    repository.not_empty()?;
    let commit = resolve(repository, name).and_then(|object| object.peel_to_commit().ok());
    let Some(commit) = commit else {
        return Err(Answer::unprocessable(format!("No commit found for SHA: {name}")));
    };
    Ok(commit.id().to_string())
}

impl GitHub {
    /// The check runs of a commit, replacing what was set before.
    pub fn set_checks(&self, full_name: &str, sha: &str, checks: Vec<Check>) -> Result<(), Refused> {
        checks.iter().try_for_each(Check::valid)?;
        let since = self.inner.clock.now();
        self.with_repository(full_name, |state, at| {
            state.repositories[at].checks.insert(sha.to_owned(), CheckSet { since, checks });
        })
    }

    /// One more check of a commit: a new one, or one of the same name that is run again.
    pub fn add_check(&self, full_name: &str, sha: &str, check: Check) -> Result<(), Refused> {
        check.valid()?;
        let now = self.inner.clock.now();
        self.with_repository(full_name, |state, at| {
            let repository = &mut state.repositories[at];
            let (since, mut checks) = repository
                .meant_for(sha)
                .map_or_else(|| (now, Vec::new()), |(since, all)| (since, all.to_vec()));
            // Counted from the same time as the others.
            let later = now.duration_since(since).as_secs().max(0);
            checks.push(Check { after_seconds: later + check.after_seconds, ..check });
            repository.checks.insert(sha.to_owned(), CheckSet { since, checks });
        })
    }
}
