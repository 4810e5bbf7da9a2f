//! The rules of a branch, of the repository's rulesets and of its organization's: what a pull request has to meet before it is merged.
//! Neighbour of `checks` and `queue`, which tell how far it is. Protection of the older kind GitHub does not show here.
//!
//! Source: GitHub REST API, "Get rules for a branch".

use super::{
    Client, Error,
    call::{Call, Reply, encode},
    classify::State,
    name::RepositoryName,
    operation::Operation,
    pulls::MergeMethod,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// Rules per page, as many as GitHub gives.
const PAGE: usize = 100;
/// A branch with more pages of rules than these is read no further.
const MAX_PAGES: u32 = 10;

/// What the rules of a branch ask for, all of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BranchRules {
    pub required_checks: Vec<RequiredCheck>,
    /// The head has to contain the base as it is now.
    pub strict: bool,
    /// Commits need a verified signature.
    pub signatures: bool,
    /// Pull requests are merged by a queue.
    pub merge_queue: Option<MergeQueueRule>,
    /// How many approving reviews a pull request needs.
    pub approvals: u32,
    /// What else is asked for, of which the API does not tell how far it is.
    pub others: BTreeSet<OtherRule>,
}

/// A rule that only GitHub itself can tell to be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OtherRule {
    /// All conversations of the review are resolved.
    Conversations,
    /// Who owns the changed code has approved.
    CodeOwners,
    /// Somebody else than the last who pushed has approved that push.
    LastPush,
    Deployments,
    CodeScanning,
    Workflows,
}

/// A check that has to pass before a pull request is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredCheck {
    pub context: String,
    /// The App that alone may answer for it.
    pub integration_id: Option<u64>,
}

/// How the queue of a branch merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeQueueRule {
    /// Absent where GitHub has a method that is not known here.
    pub merge_method: Option<MergeMethod>,
}

/// Rules differ in their parameters, and new kinds come: each is read by itself.
#[derive(Deserialize)]
struct RuleAnswer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: Value,
}

fn required(check: &Value) -> Option<RequiredCheck> {
    let context = check["context"].as_str()?.to_owned();
    Some(RequiredCheck { context, integration_id: check["integration_id"].as_u64() })
}

impl BranchRules {
    fn add(&mut self, rule: &RuleAnswer) {
        let parameters = &rule.parameters;
        match rule.kind.as_str() {
            "required_status_checks" => {
                let checks = parameters["required_status_checks"].as_array().into_iter().flatten();
                for check in checks.filter_map(required) {
                    if !self.required_checks.contains(&check) {
                        self.required_checks.push(check);
                    }
                }
                self.strict |= parameters["strict_required_status_checks_policy"] == true;
            }
            "required_signatures" => self.signatures = true,
            "merge_queue" => {
                let merge_method = match parameters["merge_method"].as_str() {
                    Some("MERGE") => Some(MergeMethod::Merge),
                    Some("SQUASH") => Some(MergeMethod::Squash),
                    Some("REBASE") => Some(MergeMethod::Rebase),
                    _ => None,
                };
                self.merge_queue.get_or_insert(MergeQueueRule { merge_method });
            }
            "pull_request" => {
                let approvals = parameters["required_approving_review_count"].as_u64().unwrap_or_default();
                self.approvals = self.approvals.max(u32::try_from(approvals).unwrap_or(u32::MAX));
                let asked = [
                    ("required_review_thread_resolution", OtherRule::Conversations),
                    ("require_code_owner_review", OtherRule::CodeOwners),
                    ("require_last_push_approval", OtherRule::LastPush),
                ];
                self.others
                    .extend(asked.iter().filter(|(name, _)| parameters[name] == true).map(|(_, rule)| *rule));
            }
            "required_deployments" => drop(self.others.insert(OtherRule::Deployments)),
            "code_scanning" => drop(self.others.insert(OtherRule::CodeScanning)),
            "workflows" => drop(self.others.insert(OtherRule::Workflows)),
            _ => {}
        }
    }
}

impl Client {
    /// The rules that a branch of this name has, or would have if there were one. None where the account's plan does not
    /// let GitHub tell them. Unchanged since the last call: costs no rate limit (`ETag`).
    pub async fn rules_of_branch(
        &self,
        repository: &RepositoryName,
        branch: &str,
    ) -> Result<BranchRules, Error> {
        let operation = Operation::RulesOfBranch;
        let mut rules = BranchRules::default();
        for page in 1..=MAX_PAGES {
            let branch = encode(branch);
            let path = format!("/repos/{repository}/rules/branches/{branch}?per_page={PAGE}&page={page}");
            let success = match self.send_unless_known(Call::get(operation, path).about(repository)).await? {
                Reply::Success(success) => success,
                Reply::State(State::Absent) => break,
                Reply::State(other) => return Err(other.unexpected(operation)),
            };
            let entries: Vec<Value> = success.json(operation)?;
            for rule in entries.iter().filter_map(|entry| RuleAnswer::deserialize(entry).ok()) {
                rules.add(&rule);
            }
            if success.next_page.is_none() {
                break;
            }
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn several_rulesets_add_up_and_what_is_not_known_is_left_out() {
        let check = |context: &str, app: Value| json!({"context": context, "integration_id": app});
        let checks = |strict: bool, checks: Value| {
            json!({"type": "required_status_checks",
                   "parameters": {"strict_required_status_checks_policy": strict, "required_status_checks": checks}})
        };
        let queue = |method: &str| json!({"type": "merge_queue", "parameters": {"merge_method": method}});
        let mut rules = BranchRules::default();
        for rule in [
            checks(true, json!([check("build", json!(15368)), check("lint", Value::Null), {"odd": 1}])),
            checks(false, json!([{"context": "lint", "integration_id": -1}])),
            json!({"type": "pull_request", "parameters": {"required_approving_review_count": 2}}),
            json!({"type": "pull_request", "parameters": {"required_approving_review_count": 1,
                   "required_review_thread_resolution": true, "require_code_owner_review": false}}),
            json!({"type": "pull_request"}),
            json!({"type": "workflows", "parameters": {"workflows": []}}),
            queue("FAST_FORWARD"),
            queue("SQUASH"),
            json!({"type": "required_signatures"}),
            json!({"type": "copilot_code_review", "parameters": {"review_on_push": true}}),
        ] {
            rules.add(&RuleAnswer::deserialize(&rule).expect("a rule"));
        }
        let names: Vec<_> =
            rules.required_checks.iter().map(|one| (one.context.as_str(), one.integration_id)).collect();
        assert_eq!(names, [("build", Some(15368)), ("lint", None)]);
        assert_eq!((rules.strict, rules.signatures, rules.approvals), (true, true, 2));
        assert_eq!(rules.others, [OtherRule::Conversations, OtherRule::Workflows].into());
        assert_eq!(rules.merge_queue, Some(MergeQueueRule { merge_method: None }));
    }
}
