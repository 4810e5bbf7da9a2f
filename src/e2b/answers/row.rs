//! One row of the table: the answers it is for, what follows from them, and when it fits.
//! Below `lifecycle` and `envd`, which are the rows; `answers` finds one.

use crate::domain::failure::Class;
use crate::e2b::error;
use jiff::Timestamp;

/// Operations of the control API, as errors and `status.retry` name them.
pub const CREATE: &str = "createSandbox";
pub const GET: &str = "getSandbox";
pub const LIST: &str = "listSandboxes";
pub const CONNECT: &str = "connectSandbox";
pub const SET_TIMEOUT: &str = "setSandboxTimeout";
pub const PAUSE: &str = "pauseSandbox";
pub const KILL: &str = "killSandbox";
/// Every call to envd, the daemon in a sandbox.
pub const ENVD: &str = "envd";

/// What happens after a failure that passes.
pub(super) const AGAIN: &str = "it is asked again automatically";

/// One row: the answers it is for, and what follows from them.
#[derive(Debug)]
pub struct Row {
    pub operations: &'static [&'static str],
    /// First and last HTTP status.
    pub status: (u16, u16),
    /// Whether the body has E2B's form, where that matters.
    pub own: Option<bool>,
    /// `error_code` of E2B's body, or the code of a Connect error.
    pub code: Option<&'static str>,
    /// Words of the message.
    pub words: Option<&'static str>,
    /// Whether a `Retry-After` that can be read came with it, where that matters.
    pub retry_after: Option<bool>,
    pub means: Means,
    /// Empty where the answer is no failure.
    pub reason: &'static str,
    /// The answer in words, for people who read the table.
    pub meaning: &'static str,
    /// What a person can do, or what the operator does automatically; part of every message.
    pub cure: &'static str,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The call has done what it is for.
    Done,
    /// E2B's own 404: no sandbox of this id is visible to the key.
    NotFound,
    /// Done already, or not possible in the sandbox's present state: a look tells.
    Unclear,
    /// See [`Class`]; a limit's end is read from the answer.
    Transient,
    Limited,
    Denied,
    Invalid,
    Missing,
}

/// Content of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    pub status: u16,
    /// The body is JSON whose `code` is the status.
    pub own: bool,
    pub error_code: Option<&'a str>,
    pub message: &'a str,
    pub retry_after: Option<&'a str>,
}

impl Row {
    pub(super) const fn new(
        operations: &'static [&'static str],
        status: (u16, u16),
        means: Means,
        reason: &'static str,
        meaning: &'static str,
        cure: &'static str,
    ) -> Self {
        let (own, code, words, retry_after) = (None, None, None, None);
        Self { operations, status, own, code, words, retry_after, means, reason, meaning, cure }
    }

    pub(super) const fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) const fn words(mut self, words: &'static str) -> Self {
        self.words = Some(words);
        self
    }

    pub(super) const fn own(mut self, own: bool) -> Self {
        self.own = Some(own);
        self
    }

    pub(super) const fn retry_after(mut self, given: bool) -> Self {
        self.retry_after = Some(given);
        self
    }

    pub(super) fn fits(&self, operation: &str, answer: &Answer<'_>) -> bool {
        let given =
            || answer.retry_after.and_then(|value| error::retry_at(value, Timestamp::UNIX_EPOCH)).is_some();
        self.operations.contains(&operation)
            && (self.status.0..=self.status.1).contains(&answer.status)
            && self.own.is_none_or(|own| own == answer.own)
            && self.code.is_none_or(|code| answer.error_code == Some(code))
            && self.words.is_none_or(|words| answer.message.contains(words))
            && self.retry_after.is_none_or(|wanted| wanted == given())
    }

    /// Returns the class of a failure.
    pub(in crate::e2b) fn class(&self, answer: &Answer<'_>, now: Timestamp) -> Class {
        let until = || answer.retry_after.and_then(|value| error::retry_at(value, now)).unwrap_or(now);
        match self.means {
            Means::Limited => Class::Throttled { until: until() },
            Means::Denied => Class::Denied,
            Means::Invalid => Class::Invalid,
            Means::NotFound | Means::Missing => Class::NotFound,
            Means::Transient | Means::Done | Means::Unclear => Class::Transient,
        }
    }
}
