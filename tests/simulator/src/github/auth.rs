//! Who calls and what they may do: tokens, accounts, access to a repository.
//! Asked by `mod` once per call and by handlers through `State::repository`.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::apps::Acting;
use super::permissions::Permissions;
use super::state::{Repository, State};

/// A token that the stand-in accepts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    pub value: String,
    /// The user the token belongs to, or `name[bot]` of an App installation. Must be an account.
    pub login: String,
    #[serde(default)]
    pub kind: TokenKind,
    /// Owners whose repositories the token reaches; empty: those of every owner.
    #[serde(default)]
    pub owners: Vec<String>,
    /// `false`: the token may only read.
    #[serde(default = "yes")]
    pub write: bool,
    /// A fine-grained token may do what these say and no more, beside reading metadata; absent: a classic one.
    #[serde(default)]
    pub permissions: Option<Permissions>,
}

fn yes() -> bool {
    true
}

/// What kind of token it is; it decides the wording of refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A personal access token.
    #[default]
    Personal,
    /// An installation access token of a GitHub App that the stand-in does not know, with all permissions or none.
    /// Tokens with permissions of their own are minted: see `apps`.
    Installation,
}

impl Token {
    /// A personal access token that may do everything.
    pub fn personal(value: &str, login: &str) -> Self {
        let (value, login) = (value.to_owned(), login.to_owned());
        Self { value, login, kind: TokenKind::Personal, owners: Vec::new(), write: true, permissions: None }
    }
}

/// The one who makes a call.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Anonymous,
    Token(Token),
    /// An installation of an App, by a token that it was given.
    Installation(Arc<Acting>),
    /// An App itself, by a JWT.
    App(u64),
    /// A person at a browser: may do everything, is not limited.
    Person(String),
}

impl Caller {
    /// The login, or the refusal of a call that needs one.
    pub(super) fn login(&self) -> Result<&str, Answer> {
        match self {
            Self::Anonymous => Err(Answer::refused(StatusCode::UNAUTHORIZED, "Requires authentication")),
            Self::Token(token) => Ok(&token.login),
            Self::Installation(acting) => Ok(&acting.login),
            // An App by itself is nobody: its JWT leads to its own routes only.
            Self::App(_) => Err(self.not_accessible()),
            Self::Person(login) => Ok(login),
        }
    }

    pub(super) fn may_write(&self) -> bool {
        match self {
            Self::Anonymous | Self::App(_) => false,
            Self::Token(token) => token.write,
            // By its permissions, which each route asks for.
            Self::Installation(_) | Self::Person(_) => true,
        }
    }

    /// Whether the caller gets at what an account has.
    pub(super) fn reaches(&self, owner: &str) -> bool {
        match self {
            Self::Anonymous | Self::App(_) => false,
            Self::Installation(acting) => acting.account.eq_ignore_ascii_case(owner),
            Self::Token(token) => {
                token.owners.is_empty() || token.owners.iter().any(|one| one.eq_ignore_ascii_case(owner))
            }
            Self::Person(_) => true,
        }
    }

    pub(super) fn reaches_repository(&self, repository: &Repository) -> bool {
        match self {
            Self::Installation(acting) => acting.reaches(repository),
            _ => self.reaches(&repository.owner),
        }
    }

    /// The permissions that decide, of those whose rights consist of permissions.
    pub(super) fn granted(&self) -> Option<&Permissions> {
        match self {
            Self::Installation(acting) => Some(&acting.permissions),
            Self::Token(token) => token.permissions.as_ref(),
            _ => None,
        }
    }

    pub(super) fn is_installation(&self) -> bool {
        match self {
            Self::Token(token) => token.kind == TokenKind::Installation,
            Self::Installation(_) => true,
            _ => false,
        }
    }

    /// What the caller has shown, if it was a token.
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Token(token) => &token.value,
            Self::Installation(acting) => &acting.token,
            _ => "",
        }
    }

    /// The refusal of a call that the token's permissions do not cover.
    pub(super) fn not_accessible(&self) -> Answer {
        match self {
            Self::Anonymous => Answer::refused(StatusCode::UNAUTHORIZED, "Requires authentication"),
            _ if self.is_installation() => Answer::forbidden("Resource not accessible by integration"),
            Self::App(_) => Answer::forbidden("Resource not accessible by integration"),
            Self::Token(_) | Self::Installation(_) | Self::Person(_) => {
                Answer::forbidden("Resource not accessible by personal access token")
            }
        }
    }
}

/// What a call wants of a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    /// A write that an archived repository still takes (un-archiving, deletion).
    Administer,
}

/// Reads the `Authorization` header: `Bearer`, `token`, or `Basic` with the token as password (git over HTTP).
pub(super) fn authenticate(state: &State, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Answer> {
    let Some(header) = headers.get(http::header::AUTHORIZATION) else {
        return Ok(Caller::Anonymous);
    };
    let bad = || Answer::refused(StatusCode::UNAUTHORIZED, "Bad credentials");
    let (scheme, value) = header.to_str().map_err(|_| bad())?.split_once(' ').ok_or_else(bad)?;
    let value = match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => value.trim().to_owned(),
        "basic" => {
            use base64::Engine as _;
            let decoded =
                base64::engine::general_purpose::STANDARD.decode(value.trim()).map_err(|_| bad())?;
            let decoded = String::from_utf8(decoded).map_err(|_| bad())?;
            decoded.split_once(':').map(|(_, password)| password.to_owned()).ok_or_else(bad)?
        }
        _ => return Err(bad()),
    };
    if let Some(token) = state.tokens.iter().find(|token| token.value == value) {
        return Ok(Caller::Token(token.clone()));
    }
    state.apps.acting(&value, now).ok_or_else(bad)?.map(Caller::Installation)
}

/// Whether `caller` gets at the repository; private ones do not exist for those who may not read them.
pub(super) fn authorize(caller: &Caller, repository: &Repository, access: Access) -> Result<(), Answer> {
    let reaches = caller.reaches_repository(repository);
    if repository.private && !reaches {
        return Err(Answer::not_found());
    }
    if access == Access::Read {
        return Ok(());
    }
    if !reaches || !caller.may_write() {
        return Err(caller.not_accessible());
    }
    if access == Access::Write && repository.archived {
        return Err(Answer::forbidden("Repository was archived so is read-only."));
    }
    Ok(())
}
