//! Rules of branches, as rulesets have them: what the API shows of them, and what they refuse.
//! `merge` and `refs` ask before a branch moves, `merge_queue` before it takes a pull request in; `rules` looks at commits.

use std::collections::BTreeMap;

use git2::Oid;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome};
use super::auth::{Access, Caller};
use super::checks::Shown;
use super::request::{Request, paginate};
use super::state::{Pull, Repository, State};
use super::{GitHub, Refused, talk};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    Deletion,
    MergeQueue,
    NonFastForward,
    PullRequest,
    RequiredLinearHistory,
    RequiredSignatures,
    RequiredStatusChecks,
}

/// A rule of a branch. Parameters that are not given are GitHub's defaults.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchRule {
    /// The name of a branch, one that ends with `*`, `~DEFAULT_BRANCH` or `~ALL`.
    pub branch: String,
    #[serde(rename = "type")]
    pub kind: RuleKind,
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// The organization has it, not the repository.
    #[serde(default)]
    pub organization: bool,
}

impl BranchRule {
    /// A rule of the repository; `parameters` is an object, or null for none.
    pub fn new(branch: &str, kind: RuleKind, parameters: &Value) -> Self {
        let parameters = parameters.as_object().cloned().unwrap_or_default();
        Self { branch: branch.to_owned(), kind, parameters, organization: false }
    }

    fn of(branch: &str, kind: RuleKind) -> Self {
        Self { branch: branch.to_owned(), kind, parameters: defaults(kind), organization: false }
    }

    fn applies(&self, repository: &Repository, branch: &str) -> bool {
        match self.branch.as_str() {
            "~ALL" => true,
            "~DEFAULT_BRANCH" => branch == repository.default_branch,
            name => name.strip_suffix('*').map_or(branch == name, |prefix| branch.starts_with(prefix)),
        }
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.parameters.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(super) fn word(&self, name: &str) -> &str {
        self.parameters.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self.parameters.get(name).is_some_and(|value| *value == true)
    }
}

/// All parameters of a rule of this kind.
fn defaults(kind: RuleKind) -> Map<String, Value> {
    let all = match kind {
        RuleKind::MergeQueue => json!({
            "check_response_timeout_minutes": 60,
            "grouping_strategy": "ALLGREEN",
            "max_entries_to_build": 5,
            "max_entries_to_merge": 5,
            "merge_method": "MERGE",
            "min_entries_to_merge": 1,
            "min_entries_to_merge_wait_minutes": 5,
        }),
        RuleKind::PullRequest => json!({
            "allowed_merge_methods": ["merge", "squash", "rebase"],
            "dismiss_stale_reviews_on_push": false,
            "require_code_owner_review": false,
            "require_last_push_approval": false,
            "required_approving_review_count": 0,
            "required_review_thread_resolution": false,
            "required_reviewers": [],
        }),
        RuleKind::RequiredStatusChecks => json!({
            "do_not_enforce_on_create": false,
            "required_status_checks": [],
            "strict_required_status_checks_policy": false,
        }),
        _ => json!({}),
    };
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn view(state: &State, repository: &Repository, rule: &BranchRule, at: usize) -> Value {
    let (kind, source) = if rule.organization {
        ("Organization", repository.owner.clone())
    } else {
        ("Repository", repository.full_name())
    };
    let id = 42 + repository.id % 1_000_000 + state.account_id(&repository.owner) + at as u64;
    let mut view = json!({
        "type": rule.kind,
        "ruleset_source_type": kind,
        "ruleset_source": source,
        "ruleset_id": id,
    });
    if !rule.parameters.is_empty() {
        view["parameters"] = Value::Object(rule.parameters.clone());
    }
    view
}

/// The rules that a branch of this name has or would have: none is an empty list, also where there is no such branch.
pub(super) fn list(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    if repository.private && repository.manners.plan_without_rules {
        return Err(Answer::forbidden(
            "Upgrade to GitHub Pro or make this repository public to enable this feature.",
        ));
    }
    let rules = repository.rules_of(request.param("branch"));
    let views = rules.iter().enumerate().map(|(at, rule)| view(state, repository, rule, at)).collect();
    let (page, link) = paginate(request, &state.url, views);
    Ok(Answer::page(Value::Array(page), link))
}

/// How a required check stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Expected,
    Failing,
    Pending,
    Queued,
    InProgress,
    Passed,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Failing => "failing",
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::InProgress => "in progress",
            Self::Passed => "successful",
        }
    }

    fn of(shown: &Shown<'_>) -> Self {
        match shown.check {
            check if check.has_passed() => Self::Passed,
            check if check.has_failed() => Self::Failing,
            check if check.commit_status => Self::Pending,
            check if check.status() == "queued" => Self::Queued,
            _ => Self::InProgress,
        }
    }

    /// Whether somebody is still at work, which a merge queue does not mind.
    fn runs(self) -> bool {
        matches!(self, Self::Pending | Self::Queued | Self::InProgress)
    }
}

/// GitHub's words for required checks that have not passed. Those that run are not counted where others are worse.
fn words(standings: &BTreeMap<String, Standing>) -> Option<String> {
    let mut open: Vec<(&String, Standing)> =
        standings.iter().map(|(name, standing)| (name, *standing)).collect();
    open.retain(|(_, standing)| *standing != Standing::Passed);
    let (all, left) = (standings.len(), open.len());
    let first = open.first()?.1;
    if let [(name, standing)] = open.as_slice() {
        return Some(format!("Required status check \"{name}\" is {}.", standing.word()));
    }
    if open.iter().all(|(_, standing)| *standing == first) {
        return Some(format!("{left} of {all} required status checks are {}.", first.word()));
    }
    let count = |wanted: Standing| open.iter().filter(|(_, standing)| *standing == wanted).count();
    let mut parts = Vec::new();
    for standing in [Standing::Expected, Standing::Failing, Standing::Pending] {
        if count(standing) > 0 {
            parts.push(format!("{} {}", count(standing), standing.word()));
        }
    }
    if parts.is_empty() {
        parts.push(format!("{left} {}", Standing::InProgress.word()));
    }
    Some(format!("{left} of {all} required status checks have not succeeded: {}.", parts.join(" and ")))
}

impl Repository {
    /// The rules of a branch: those that were set, and what tests have asked for in shorter words.
    pub(super) fn rules_of(&self, branch: &str) -> Vec<BranchRule> {
        let mut rules: Vec<BranchRule> =
            self.rules.iter().filter(|rule| rule.applies(self, branch)).cloned().collect();
        let has = |rules: &[BranchRule], kind| rules.iter().any(|rule| rule.kind == kind);
        for (kind, wanted) in [
            (RuleKind::PullRequest, self.protected.contains(branch)),
            (RuleKind::RequiredSignatures, self.wants_signatures(branch)),
            (RuleKind::MergeQueue, self.manners.merge_queue && branch == self.default_branch),
        ] {
            if wanted && !has(&rules, kind) {
                rules.push(BranchRule::of(branch, kind));
            }
        }
        rules
    }

    /// Whether such a rule was set, in so many words.
    pub(super) fn has_rule(&self, branch: &str, kind: RuleKind) -> bool {
        self.rules.iter().any(|rule| rule.kind == kind && rule.applies(self, branch))
    }

    pub(super) fn rule(&self, branch: &str, kind: RuleKind) -> Option<BranchRule> {
        self.rules_of(branch).into_iter().find(|rule| rule.kind == kind)
    }

    /// Names of the checks that a branch requires, with the App that alone may answer.
    fn required_checks(&self, branch: &str) -> BTreeMap<String, Option<u64>> {
        let rules = self.rules_of(branch);
        let of = |rule: &BranchRule| rule.parameters.get("required_status_checks").cloned();
        let listed = rules.iter().filter_map(of).filter_map(|list| list.as_array().cloned()).flatten();
        listed
            .filter_map(|one| Some((one["context"].as_str()?.to_owned(), one["integration_id"].as_u64())))
            .collect()
    }

    /// Whether a branch requires a check of this name by this App (`None`: a commit status).
    pub(super) fn requires(&self, branch: &str, name: &str, app: Option<u64>) -> bool {
        let required = self.required_checks(branch);
        required.get(name).is_some_and(|wanted| wanted.is_none() || *wanted == app)
    }

    fn standings(&self, branch: &str, sha: &str, now: Timestamp) -> BTreeMap<String, Standing> {
        let latest = self.latest_checks_of(sha, now);
        let required = self.required_checks(branch).into_iter().map(|(name, app)| {
            let answers = latest.iter().filter(|shown| {
                let check = shown.check;
                check.name == name && app.is_none_or(|app| !check.commit_status && check.app() == app)
            });
            let standing = answers.map(Standing::of).min().unwrap_or(Standing::Expected);
            (name, standing)
        });
        required.collect()
    }

    /// Whether a rule wants the head to contain the base as it is now, and it does not.
    pub(super) fn is_behind(&self, pull: &Pull) -> bool {
        let strict = self.rules_of(&pull.base_ref).iter().any(|rule| {
            let checks = rule.parameters.get("required_status_checks").and_then(Value::as_array);
            rule.flag("strict_required_status_checks_policy") && checks.is_some_and(|all| !all.is_empty())
        });
        let (Some(base), Ok(head)) = (self.tip(&pull.base_ref), Oid::from_str(&pull.head_sha)) else {
            return false;
        };
        strict && base != head && !self.git.graph_descendant_of(head, base).unwrap_or(false)
    }

    /// What the rules of its base have against merging a pull request, in GitHub's words; the queue has a say of its own.
    pub(super) fn violations(&self, pull: &Pull, now: Timestamp, may_run: bool) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(rule) = self.rule(&pull.base_ref, RuleKind::PullRequest) {
            found.extend(self.reviews_missing(pull, rule.number("required_approving_review_count")));
        }
        let mut standings = self.standings(&pull.base_ref, &pull.head_sha, now);
        if self.is_behind(pull) && !may_run {
            // What was checked is not what would be merged.
            for standing in standings.values_mut() {
                *standing = Standing::Expected;
            }
        }
        let waits = standings.values().all(|standing| *standing == Standing::Passed || standing.runs());
        if !(may_run && waits) {
            found.extend(words(&standings));
        }
        found
    }

    fn reviews_missing(&self, pull: &Pull, wanted: u64) -> Option<String> {
        if wanted == 0 || self.review_decision(pull) == Some("APPROVED") {
            return None;
        }
        let (review, are) = if wanted == 1 { ("review", "is") } else { ("reviews", "are") };
        Some(format!("At least {wanted} approving {review} {are} required by reviewers with write access."))
    }

    /// `reviewDecision`: nothing where no rule asks for a review, whatever was said.
    pub(super) fn review_decision(&self, pull: &Pull) -> Option<&'static str> {
        let wanted = self
            .rule(&pull.base_ref, RuleKind::PullRequest)
            .map_or(0, |rule| rule.number("required_approving_review_count"));
        if wanted == 0 {
            return None;
        }
        let verdicts = talk::verdicts(self, pull.number);
        let approvals = verdicts.values().filter(|word| **word == "APPROVED").count() as u64;
        match verdicts.values().any(|word| *word == "CHANGES_REQUESTED") {
            true => Some("CHANGES_REQUESTED"),
            false if approvals >= wanted => Some("APPROVED"),
            false => Some("REVIEW_REQUIRED"),
        }
    }

    /// Whether the rules of the base let a pull request be merged at once, by this method. People may pass them by.
    pub(super) fn rules_allow(
        &self,
        pull: &Pull,
        method: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(), Answer> {
        if matches!(caller, Caller::Person(_)) {
            return Ok(());
        }
        if let Some(rule) = self.rule(&pull.base_ref, RuleKind::PullRequest) {
            let allowed = rule.parameters.get("allowed_merge_methods").and_then(Value::as_array);
            if allowed.is_some_and(|allowed| allowed.iter().all(|one| one != method)) {
                return Err(super::manners::method_refused(method));
            }
        }
        let mut found = Vec::new();
        if self.rule(&pull.base_ref, RuleKind::MergeQueue).is_some() {
            found.push("Changes must be made through the merge queue".to_owned());
        }
        found.extend(self.violations(pull, now, false));
        if method == "merge" && self.rule(&pull.base_ref, RuleKind::RequiredLinearHistory).is_some() {
            found.push("This branch must not contain merge commits.".to_owned());
        }
        if found.is_empty() { Ok(()) } else { Err(Answer::not_allowed(told(&found))) }
    }

    /// Whether the rules of a branch let it be moved other than by a merge, or go (`None`).
    pub(super) fn rules_allow_push(&self, branch: &str, forward: Option<bool>) -> Result<(), Answer> {
        let has = |kind| self.rule(branch, kind).is_some();
        let mut found = Vec::new();
        if has(RuleKind::MergeQueue) {
            found.push("Changes must be made through the merge queue".to_owned());
        }
        if has(RuleKind::PullRequest) {
            found.push("Changes must be made through a pull request.".to_owned());
        }
        match forward {
            None if has(RuleKind::Deletion) => found.push("Cannot delete this branch".to_owned()),
            Some(false) if has(RuleKind::NonFastForward) => {
                found.push("Cannot force-push to this branch".to_owned());
            }
            _ => {}
        }
        if found.is_empty() { Ok(()) } else { Err(Answer::unprocessable(told(&found))) }
    }
}

fn told(violations: &[String]) -> String {
    format!("Repository rule violations found\n\n{}\n\n", violations.join("\n\n"))
}

impl GitHub {
    /// Gives a repository other rules, in place of all it had by this call.
    pub fn set_rules(&self, full_name: &str, rules: Vec<BranchRule>) -> Result<(), Refused> {
        let mut complete = Vec::new();
        for rule in rules {
            let mut parameters = defaults(rule.kind);
            for (name, value) in rule.parameters {
                if parameters.insert(name.clone(), value).is_none() {
                    let message = format!("stand-in: {:?} has no parameter {name}", rule.kind);
                    return Err(Answer::unprocessable(message).into());
                }
            }
            complete.push(BranchRule { parameters, ..rule });
        }
        self.with_repository(full_name, |state, at| state.repositories[at].rules = complete)
    }
}
