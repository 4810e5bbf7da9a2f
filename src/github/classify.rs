//! Classifies each of GitHub's refusals, per operation: by the first row of `table` that fits. Pure.
//! `client` asks it about every answer that is not a plain success.

use super::{
    error::Error,
    operation::Operation,
    row::{Known, Means, On, Row, Status, When},
    table::ROWS,
    token::Origin,
};
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
    /// Whether the call had its effect has to be looked up.
    Unclear,
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
                    "{name}: the repository was renamed or transferred, and GitHub does not show its new name yet: it is looked at again"
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
    /// True where one of `errors[]` has the code `abuse`.
    pub(super) abuse: bool,
    pub(super) retry_after: Option<Duration>,
    /// `x-ratelimit-remaining`.
    pub(super) remaining: Option<u64>,
    /// `x-ratelimit-reset`, as time from now.
    pub(super) reset_in: Option<Duration>,
    /// `x-accepted-github-permissions`: what would have been enough.
    pub(super) accepted_permissions: Option<String>,
    /// Target of a redirect.
    pub(super) moved_to: Option<u64>,
    /// Minutes by which GitHub's clock is ahead of ours.
    pub(super) ahead: Option<i64>,
}

impl Refusal {
    /// GitHub breaks lines inside of sentences.
    fn says(&self, any: &[&str]) -> bool {
        let words: Vec<_> = self.message.split_whitespace().collect();
        let message = words.join(" ").to_lowercase();
        any.iter().any(|words| message.contains(words))
    }

    /// GitHub's limits come as 403 and as 429, with or without headers. That on content comes as 422 too.
    fn limit(&self) -> Option<Limit> {
        let url = self.documentation_url.to_lowercase();
        let named = if self.status == 422 {
            self.abuse || self.says(&["submitted too quickly"])
        } else {
            self.retry_after.is_some()
                || self.remaining == Some(0)
                || self.says(&["rate limit", "abuse detection"])
                || url.contains("rate-limit")
        };
        let wait = self.retry_after.or(self.reset_in.filter(|_| self.remaining == Some(0)));
        named.then_some(Limit { wait })
    }
}

/// A call that was refused: what the rows ask about beside the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusedCall<'a> {
    pub(super) operation: Operation,
    /// The repository, for messages.
    pub(super) about: &'a str,
    /// The file that the call is about; of a tree, the first below `.github/workflows`.
    pub(super) file: Option<&'a str>,
    /// The right it needs in GitHub's words, where that is not the operation's.
    pub(super) permission: Option<&'a str>,
    /// What the call is about was made by this process within the last minute.
    pub(super) just_made: bool,
    pub(super) token: Origin,
    /// It names a repository that was seen by the id that it had then.
    pub(super) by_id: bool,
    /// The token has served, and was not refused for long enough to be sure.
    pub(super) stray: bool,
}

impl<'a> RefusedCall<'a> {
    /// With nothing known of it but the operation and the repository.
    pub(super) const fn new(operation: Operation, about: &'a str) -> Self {
        let (file, permission) = (None, None);
        let (just_made, by_id, stray) = (false, false, false);
        Self { operation, about, file, permission, just_made, token: Origin::Own, by_id, stray }
    }
}

/// Finds the row for an answer.
pub(super) fn row_of(call: RefusedCall<'_>, refusal: &Refusal) -> &'static Row {
    let last = &ROWS[ROWS.len() - 1];
    ROWS.iter().find(|row| fits(row, call, refusal)).unwrap_or(last)
}

/// Says what an answer means.
pub(super) fn classify(call: RefusedCall<'_>, refusal: &Refusal) -> Verdict {
    let row = row_of(call, refusal);
    match row.means {
        Means::Limited => Verdict::Limited(refusal.limit().unwrap_or(Limit { wait: None })),
        Means::State(known) => Verdict::State(state(known, refusal)),
        Means::Failed(class, reason) => failed(call, refusal, class, reason, &[row.cure]),
        Means::Rule => {
            let rules = ROWS.iter().filter(|row| matches!(row.means, Means::Rule));
            let cures: Vec<_> = rules.filter(|row| fits(row, call, refusal)).map(|row| row.cure).collect();
            failed(call, refusal, Class::Invalid, reason::BRANCH_PROTECTED, &cures)
        }
    }
}

fn fits(row: &Row, call: RefusedCall<'_>, refusal: &Refusal) -> bool {
    let on = match row.on {
        On::Every => true,
        On::All(side) => call.operation.side() == side,
        On::Only(operations) => operations.contains(&call.operation),
    };
    let status = match row.status {
        Status::Is(any) => any.contains(&refusal.status),
        Status::From(first, last) => (first..=last).contains(&refusal.status),
    };
    let when = match row.when {
        When::Always => true,
        When::NamesLimit => refusal.limit().is_some(),
        When::JustMade => call.just_made,
        When::NewToken => call.token == Origin::JustBought,
        When::AppToken => call.token != Origin::Own,
        When::ById => call.by_id,
        When::Stray => call.stray,
        When::Workflow => call.file.is_some_and(is_workflow),
    };
    on && status && when && (row.says.is_empty() || refusal.says(row.says))
}

/// Returns whether GitHub wants a right of its own for this path.
pub(super) fn is_workflow(path: &str) -> bool {
    path.starts_with(".github/workflows/")
}

fn state(known: Known, refusal: &Refusal) -> State {
    match known {
        Known::Absent => State::Absent,
        Known::AlreadyExists => State::AlreadyExists,
        Known::NotFastForward => State::NotFastForward,
        Known::NotMergeable => State::NotMergeable { message: said(refusal) },
        Known::HeadChanged => State::HeadChanged,
        Known::NotModified => State::NotModified,
        Known::Unclear => State::Unclear,
        Known::Moved => State::Moved { id: refusal.moved_to },
    }
}

/// GitHub's words, cut where a condition's message would suffer.
fn said(refusal: &Refusal) -> String {
    refusal.message.chars().take(300).collect()
}

fn skew(ahead: Option<i64>) -> String {
    match ahead {
        Some(ahead @ 1..) => format!("GitHub's is {ahead} min ahead"),
        Some(ahead @ ..=-1) => format!("GitHub's is {} min behind", -ahead),
        _ => "by more than GitHub takes".to_owned(),
    }
}

fn failed(
    call: RefusedCall<'_>,
    refusal: &Refusal,
    class: Class,
    reason: &'static str,
    cures: &[&str],
) -> Verdict {
    let (name, status, said) = (call.operation.name(), refusal.status, said(refusal));
    // A 5xx body is a proxy's page or carries a request id: it would change with every attempt.
    let said = if said.is_empty() || status >= 500 { String::new() } else { format!(": {said}") };
    let about = if call.about.is_empty() { String::new() } else { format!(" for {}", call.about) };
    let accepted = call.permission.or(refusal.accepted_permissions.as_deref());
    let permission = accepted.unwrap_or_else(|| call.operation.permission());
    let cure = cures
        .join("; ")
        .replace("{permission}", permission)
        .replace("{skew}", &skew(refusal.ahead))
        .replace("{file}", call.file.unwrap_or("the file that the message names"));
    Verdict::Failed {
        class,
        reason,
        message: format!("GitHub answered {name}{about} with {status}{said}; {cure}"),
    }
}

#[cfg(test)]
mod tests;
