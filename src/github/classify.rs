//! Classifies each of GitHub's refusals, per operation: the one table. Pure.
//! `client` asks it about every answer that is not a plain success.

use super::{error::Error, operation::Operation};
use crate::{api::conditions::reason, domain::failure::Class};
use std::time::Duration;

/// An answer that is neither a success nor a failure: a state of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    AlreadyExists,
    NotFastForward,
    NotMergeable {
        message: String,
    },
    HeadChanged,
    NotModified,
    /// Renamed or transferred; the id if GitHub named it.
    Moved {
        id: Option<u64>,
    },
}

impl State {
    /// This state where the operation has no use for it.
    pub(super) fn unexpected(self, operation: Operation) -> Error {
        let name = operation.name();
        let (class, reason, message) = match self {
            Self::Moved { .. } => (
                Class::Transient,
                reason::REPOSITORY_MOVED,
                format!(
                    "{name}: the repository was renamed or transferred; its new name is read with the next look at the Repository"
                ),
            ),
            Self::AlreadyExists => (
                Class::Denied,
                reason::EXISTS_BUT_NOT_VISIBLE,
                format!(
                    "{name}: GitHub says it exists already, but the token may not see it: give the token access to it or choose another name"
                ),
            ),
            other => (
                Class::Invalid,
                reason::UNEXPECTED_ANSWER,
                format!("{name}: GitHub's answer ({other:?}) has no meaning for this call"),
            ),
        };
        Error { operation: name, class, reason, message, status: None }
    }
}

/// A limit GitHub named; without a wait it did not say how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) wait: Option<Duration>,
}

/// Meaning of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    State(State),
    Limited(Limit),
    Failed { class: Class, reason: &'static str, message: String },
}

/// An answer other than success, reduced to what its meaning depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// GitHub's message, with the messages of `errors[]` behind it.
    pub(super) message: String,
    pub(super) documentation_url: String,
    pub(super) retry_after: Option<Duration>,
    /// `x-ratelimit-remaining`.
    pub(super) remaining: Option<u64>,
    /// `x-ratelimit-reset`, as time from now.
    pub(super) reset_in: Option<Duration>,
    /// `x-accepted-github-permissions`: what would have been enough.
    pub(super) accepted_permissions: Option<String>,
    /// Target of a redirect.
    pub(super) moved_to: Option<u64>,
}

impl Refusal {
    fn says(&self, any: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        any.iter().any(|words| message.contains(words))
    }

    /// GitHub's limits come as 403 and as 429, with or without headers.
    fn limit(&self) -> Option<Limit> {
        if !matches!(self.status, 403 | 429) {
            return None;
        }
        if let Some(wait) = self.retry_after {
            return Some(Limit { wait: Some(wait) });
        }
        if self.remaining == Some(0) {
            return Some(Limit { wait: self.reset_in });
        }
        let url = self.documentation_url.to_lowercase();
        let spoken = self.says(&["rate limit", "abuse detection"]) || url.contains("rate-limit");
        spoken.then_some(Limit { wait: None })
    }
}

/// The table. `about` names the repository in messages; `recent`: what the call is about was created by this process
/// within the last minute.
pub(super) fn classify(operation: Operation, refusal: &Refusal, about: &str, recent: bool) -> Verdict {
    if let Some(limit) = refusal.limit() {
        return Verdict::Limited(limit);
    }
    let context = RefusalContext { operation, refusal, about, recent };
    match refusal.status {
        304 => Verdict::State(State::NotModified),
        301 | 302 | 307 | 308 => Verdict::State(State::Moved { id: refusal.moved_to }),
        408 | 429 | 500..=599 => context.failed(Class::Transient, reason::GITHUB_UNAVAILABLE, "it is tried again"),
        401 => context.failed(
            Class::Denied,
            reason::BAD_CREDENTIALS,
            "the token is wrong, expired or revoked: put a valid one into the Secret that credentialsSecretRef names, \
             then set the annotation slipway.dev/reconcile to any new value",
        ),
        403 => context.forbidden(),
        404 => context.not_found(),
        405 if operation == Operation::MergePull => Verdict::State(State::NotMergeable { message: context.said() }),
        409 => context.conflict(),
        422 => context.unprocessable(),
        _ => context.failed(Class::Invalid, reason::REFUSED, "see GitHub's message"),
    }
}

struct RefusalContext<'a> {
    operation: Operation,
    refusal: &'a Refusal,
    about: &'a str,
    recent: bool,
}

const ARCHIVED: &[&str] = &["was archived"];
const OBJECTS: &[&str] = &["is not a valid blob", "is not a valid tree", "sha does not exist"];
const EMPTY: &[&str] = &["repository is empty"];
const PROTECTED: &[&str] = &[
    "protected branch",
    "protected ref",
    "rule violation",
    "through a pull request",
    "creations being restricted",
    "gh006",
    "gh013",
    "branch protection",
];

impl RefusalContext<'_> {
    /// GitHub's words, cut where a condition's message would suffer.
    fn said(&self) -> String {
        self.refusal.message.chars().take(300).collect()
    }

    fn failed(&self, class: Class, reason: &'static str, cure: &str) -> Verdict {
        let (name, status, said) = (self.operation.name(), self.refusal.status, self.said());
        // A 5xx body is a proxy's page or carries a request id: it would change with every attempt.
        let said = if said.is_empty() || status >= 500 { String::new() } else { format!(": {said}") };
        let about = if self.about.is_empty() { String::new() } else { format!(" for {}", self.about) };
        Verdict::Failed {
            class,
            reason,
            message: format!("GitHub answered {name}{about} with {status}{said}; {cure}"),
        }
    }

    fn lagging(&self) -> Verdict {
        self.failed(
            Class::Transient,
            reason::NOT_VISIBLE_YET,
            "it was created less than a minute ago and is not visible everywhere yet",
        )
    }

    fn permission_missing(&self) -> Verdict {
        let needed =
            self.refusal.accepted_permissions.as_deref().unwrap_or_else(|| self.operation.permission());
        let cure = format!("give the token the permission \"{needed}\" on this repository");
        self.failed(Class::Denied, reason::PERMISSION_MISSING, &cure)
    }

    fn blocked(&self) -> Option<Verdict> {
        let refusal = self.refusal;
        if refusal.says(EMPTY) {
            let cure = "the repository has no commit to start from: push one, or create it with create.autoInit: true";
            return Some(self.failed(Class::Invalid, reason::REPOSITORY_EMPTY, cure));
        }
        if refusal.says(ARCHIVED) {
            return Some(self.failed(
                Class::Invalid,
                reason::REPOSITORY_ARCHIVED,
                "the repository is read-only: unarchive it",
            ));
        }
        if refusal.says(&["workflow` scope", "`workflows` permission"]) {
            let cure = "files below .github/workflows need a token with the permission \"Workflows: write\"";
            return Some(self.failed(Class::Denied, reason::WORKFLOW_PERMISSION_MISSING, cure));
        }
        if refusal.says(PROTECTED) && self.operation != Operation::MergePull {
            let cure = "a rule of the repository protects this branch: choose a branch name outside the rule, or let the token bypass it";
            return Some(self.failed(Class::Invalid, reason::BRANCH_PROTECTED, cure));
        }
        None
    }

    fn forbidden(&self) -> Verdict {
        self.blocked().unwrap_or_else(|| self.permission_missing())
    }

    fn not_found(&self) -> Verdict {
        match self.operation {
            _ if self.recent => self.lagging(),
            operation if operation.looks_up() => Verdict::State(State::Absent),
            Operation::CreateRepository => self.failed(
                Class::Denied,
                reason::OWNER_NOT_USABLE,
                "the owner is neither the token's own user nor an organisation in which it may create repositories: \
                 correct spec.owner, or give the token the organisation permission \"Administration: write\"",
            ),
            Operation::GetTree => {
                self.failed(Class::NotFound, reason::TREE_MISSING, "the commit this work starts from is not in the repository any more: set the annotation slipway.dev/rerun to begin again from the base branch")
            }
            // GitHub hides with 404 what a token may not do.
            operation if operation.writes() => self.permission_missing(),
            operation => {
                let cure = format!("it does not exist, or the token lacks \"{}\" on it", operation.permission());
                self.failed(Class::NotFound, reason::REPOSITORY_NOT_FOUND, &cure)
            }
        }
    }

    fn conflict(&self) -> Verdict {
        if self.operation == Operation::MergePull {
            return Verdict::State(State::HeadChanged);
        }
        self.blocked().unwrap_or_else(|| {
            self.failed(
                Class::Transient,
                reason::CONFLICT,
                "something else changes it at the same time: it is tried again",
            )
        })
    }

    fn unprocessable(&self) -> Verdict {
        if let Some(blocked) = self.blocked() {
            return blocked;
        }
        match self.operation {
            Operation::CreateRepository => self.repository_refused(),
            Operation::CreateRef | Operation::UpdateRef | Operation::DeleteRef => self.reference_refused(),
            Operation::CreatePull => self.pull_refused(),
            Operation::CreateTree | Operation::CreateCommit if self.refusal.says(OBJECTS) => self.failed(
                Class::Transient,
                reason::OBJECT_MISSING,
                "GitHub does not find what this is made of: it is made again",
            ),
            Operation::CreateTree => self.failed(
                Class::Invalid,
                reason::TREE_REFUSED,
                "GitHub does not take these files as they are: see its message",
            ),
            Operation::CreateBlob => self.failed(
                Class::Invalid,
                reason::BLOB_REFUSED,
                "GitHub does not take this file: see its message",
            ),
            Operation::MergePull => Verdict::State(State::NotMergeable { message: self.said() }),
            _ => self.failed(Class::Invalid, reason::REFUSED, "see GitHub's message"),
        }
    }

    fn repository_refused(&self) -> Verdict {
        if self.refusal.says(&["already exists"]) {
            return Verdict::State(State::AlreadyExists);
        }
        self.failed(
            Class::Invalid,
            reason::REPOSITORY_REFUSED,
            "GitHub does not create it like this: correct owner, name or spec.create",
        )
    }

    fn reference_refused(&self) -> Verdict {
        let refusal = self.refusal;
        if refusal.says(&["reference already exists"]) {
            Verdict::State(State::AlreadyExists)
        } else if refusal.says(&["not a fast forward", "not a fast-forward"]) {
            Verdict::State(State::NotFastForward)
        } else if refusal.says(&["reference does not exist"]) {
            if self.recent { self.lagging() } else { Verdict::State(State::Absent) }
        } else if refusal.says(&["object does not exist", "no commit found"]) {
            self.failed(Class::NotFound, reason::COMMIT_MISSING, "the commit is not in the repository any more: set the annotation slipway.dev/rerun to have it made again")
        } else {
            let cure = "a rule of the repository forbids this branch, or another branch is in its way (a and a/b can't both be): choose another spec.branch";
            self.failed(Class::Invalid, reason::BRANCH_REFUSED, cure)
        }
    }

    fn pull_refused(&self) -> Verdict {
        let refusal = self.refusal;
        if refusal.says(&["pull request already exists"]) {
            Verdict::State(State::AlreadyExists)
        } else if refusal.says(&["no commits between"]) {
            self.failed(
                Class::Invalid,
                reason::NOTHING_TO_MERGE,
                "the branch has nothing that the base branch has not: somebody has merged the same change, so delete the Task, or change its input",
            )
        } else if refusal.says(&["base invalid", "base is invalid"]) {
            self.failed(
                Class::Invalid,
                reason::BASE_BRANCH_MISSING,
                "create the base branch or correct baseBranch",
            )
        } else if refusal.says(&["head invalid", "head is invalid"]) {
            if self.recent {
                return self.lagging();
            }
            self.failed(Class::NotFound, reason::BRANCH_MISSING, "the branch is not in the repository any more: restore it, or set the annotation slipway.dev/rerun to begin again")
        } else if refusal.says(&["draft pull requests are not supported"]) {
            self.failed(
                Class::Invalid,
                reason::DRAFTS_NOT_SUPPORTED,
                "this repository knows no draft pull requests: set pullRequest.draft to false",
            )
        } else {
            self.failed(
                Class::Invalid,
                reason::PULL_REQUEST_REFUSED,
                "correct pullRequest.title or pullRequest.body: see GitHub's message",
            )
        }
    }
}

#[cfg(test)]
mod tests;
