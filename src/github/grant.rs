//! What a token of a GitHub App may do: the permissions that a call needs, in GitHub's words and in GitHub's names. Pure.
//! `client` asks for a call's, `mint` buys a token with it; what each call needs stands in `operation`.

use super::operation::Operation;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What most work needs. One token does for all of it, so that its `ETag`s last its hour.
const STANDING: &str = "Contents: write and Pull requests: write and Metadata: read";
/// What writes files below `.github/workflows`.
pub(super) const WORKFLOWS: &str = "Workflows: write";
/// What makes labels.
pub(super) const ISSUES: &str = "Issues: write";
/// What sees the teams of an organization.
pub(super) const MEMBERS: &str = "Members: read";
const ADMINISTRATION: &str = "Administration";
/// What looking asks for, and what every token has.
const METADATA: &str = "Metadata: read";

/// Level of a permission: what writes reads too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Level {
    Read,
    Write,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Permissions that a token is bought with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    /// By their names on GitHub's pages.
    permissions: BTreeMap<&'static str, Level>,
    /// For all repositories of the account: a repository that is to be created can't be named.
    pub(super) whole_account: bool,
}

impl Grant {
    /// What ordinary work needs.
    pub(super) fn standing() -> Self {
        Self { permissions: parse(STANDING), whole_account: false }
    }

    /// Enough to look for something in the whole account: what an installation has not been given, or what is no repository.
    pub(super) fn to_look_around() -> Self {
        Self { permissions: parse(METADATA), whole_account: true }
    }

    /// What an operation needs: the standing permissions, or its own where those are not enough.
    pub(super) fn of(operation: Operation) -> Self {
        let (needs, standing) = (parse(operation.permission()), Self::standing());
        if standing.covers(&needs) {
            return standing;
        }
        let whole_account = needs.contains_key(ADMINISTRATION);
        let mut permissions = needs;
        permissions.entry("Metadata").or_insert(Level::Read);
        if permissions.keys().any(|name| ["Checks", "Commit statuses"].contains(name)) {
            // They are asked for by their commit.
            permissions.entry("Contents").or_insert(Level::Read);
        }
        Self { permissions, whole_account }
    }

    /// The same and `more`, in GitHub's words.
    pub(super) fn with(mut self, more: &'static str) -> Self {
        self.permissions.extend(parse(more));
        self
    }

    pub(super) fn has(&self, right: &'static str) -> bool {
        self.covers(&parse(right))
    }

    /// Whether it reaches so far that no token is kept for another use.
    pub(super) fn is_for_one_use(&self) -> bool {
        self.whole_account && self.permissions.contains_key(ADMINISTRATION)
    }

    fn covers(&self, needs: &BTreeMap<&'static str, Level>) -> bool {
        needs.iter().all(|(name, level)| self.permissions.get(name).is_some_and(|has| has >= level))
    }

    /// As the body of a request has it: `{"contents": "write", "metadata": "read"}`.
    pub(super) fn names(&self) -> Map<String, Value> {
        let pair = |(name, level): (&&str, &Level)| (name_of(name), Value::from(level.name()));
        self.permissions.iter().map(pair).collect()
    }

    /// As messages have it, without what every token has, and of what exceeds ordinary work nothing but that:
    /// `Contents: write" and "Pull requests: write`, `Workflows: write`.
    pub(super) fn words(&self) -> String {
        let standing = Self::standing();
        let exceeds = |(name, level): &(&&'static str, &Level)| {
            standing.permissions.get(**name).is_none_or(|has| has < *level)
        };
        let any = self.permissions.iter().any(|right| exceeds(&right));
        let told = self.permissions.iter();
        let told = told.filter(|right| if any { exceeds(right) } else { *right.0 != "Metadata" });
        told.map(|(name, level)| format!("{name}: {}", level.name())).collect::<Vec<_>>().join("\" and \"")
    }
}

fn parse(text: &'static str) -> BTreeMap<&'static str, Level> {
    let pairs = text.split(" and ").filter_map(|one| one.split_once(": "));
    pairs.map(|(name, level)| (name, if level == "write" { Level::Write } else { Level::Read })).collect()
}

/// The name in the API of a permission on GitHub's pages.
fn name_of(permission: &str) -> String {
    match permission {
        "Commit statuses" => "statuses".to_owned(),
        "Webhooks" => "repository_hooks".to_owned(),
        other => other.to_lowercase().replace(' ', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(operation: Operation) -> Value {
        Grant::of(operation).names().into()
    }

    #[test]
    fn one_set_does_for_all_ordinary_work() {
        let extra = [
            Operation::CreateRepository,
            Operation::ListCheckRuns,
            Operation::CombinedStatus,
            Operation::ListFailedChecks,
            Operation::GetQueueState,
        ];
        for operation in Operation::ALL {
            let of_hooks = operation.permission().starts_with("Webhooks: ");
            let is_standing = Grant::of(*operation) == Grant::standing();
            assert_eq!(is_standing, !of_hooks && !extra.contains(operation), "{operation:?}");
            let hooks = json!({"metadata": "read", "repository_hooks": "write"});
            assert_eq!(of(*operation) == hooks, of_hooks, "{operation:?}");
            assert_eq!(of(*operation).get("repository_hooks").is_some(), of_hooks, "{operation:?}");
        }
        let standing = json!({"contents": "write", "metadata": "read", "pull_requests": "write"});
        assert_eq!(of(Operation::MergePull), standing);
    }

    #[test]
    fn what_is_needed_seldom_is_asked_for_by_itself() {
        assert_eq!(
            of(Operation::ListCheckRuns),
            json!({"checks": "read", "contents": "read", "metadata": "read"})
        );
        assert_eq!(
            of(Operation::ListFailedChecks),
            json!({"checks": "read", "contents": "read", "metadata": "read", "statuses": "read"})
        );
        assert_eq!(
            of(Operation::GetQueueState),
            json!({"checks": "read", "contents": "read", "metadata": "read", "pull_requests": "read", "statuses": "read"})
        );
        let create = Grant::of(Operation::CreateRepository);
        assert!(create.whole_account && !Grant::of(Operation::ListCheckRuns).whole_account);
        assert_eq!(Value::from(create.names()), json!({"administration": "write", "metadata": "read"}));
        assert!(create.is_for_one_use() && !Grant::standing().is_for_one_use());
        let around = Grant::to_look_around();
        assert!(around.whole_account && !around.is_for_one_use());
        assert_eq!(Value::from(around.names()), json!({"metadata": "read"}));
        let workflows = Grant::standing().with(WORKFLOWS);
        assert!(workflows.has(WORKFLOWS) && !Grant::standing().has(WORKFLOWS));
        assert_eq!(workflows.names()["workflows"], "write");
        assert_eq!(workflows.words(), "Workflows: write");
        assert_eq!(Grant::standing().words(), "Contents: write\" and \"Pull requests: write");
        assert_eq!(Grant::of(Operation::ListCheckRuns).words(), "Checks: read");
    }

    #[test]
    fn each_permission_has_githubs_name() {
        for (page, name) in [
            ("Pull requests", "pull_requests"),
            ("Commit statuses", "statuses"),
            ("Webhooks", "repository_hooks"),
            ("Issues", "issues"),
            ("Members", "members"),
        ] {
            assert_eq!(name_of(page), name);
        }
    }
}
