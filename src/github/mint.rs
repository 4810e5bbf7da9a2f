//! Buys a token for a GitHub App: for one repository, with the permissions that the work at hand needs.
//! `tokens` keeps what is bought; `session` makes the call, with what `app` signs in with.
//!
//! Source: GitHub REST API, "Create an installation access token for an app".

use super::{
    Error,
    app::App,
    call::{Call, Reply},
    grant::Grant,
    name::RepositoryName,
    operation::Operation,
    session::{Caller, Session, Shared},
    token::Token,
};
use crate::{api::conditions::reason, domain::failure::Class};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const OPERATION: Operation = Operation::CreateInstallationToken;
/// Time before its end at which a token is used no more.
const RENEWAL: Duration = Duration::from_mins(5);

/// The repository that a token is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) name: &'a RepositoryName,
    /// Known once the repository was seen.
    pub(super) id: Option<u64>,
}

/// A token that was bought.
#[derive(Debug, Clone)]
pub(super) struct Minted {
    pub(super) token: Arc<Token>,
    /// From then on another is bought.
    pub(super) renewal: Instant,
    /// The one repository that it is for, if it is for one.
    pub(super) repository: Option<u64>,
    /// It was bought because the one before it was refused.
    pub(super) replaces_refused: bool,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    expires_at: Timestamp,
    #[serde(default)]
    repositories: Vec<Identified>,
}

#[derive(Deserialize)]
struct Identified {
    id: u64,
}

/// Asks GitHub for a token.
pub(super) async fn mint(
    shared: &Shared,
    app: &App,
    place: Place<'_>,
    grant: &Grant,
) -> Result<Minted, Error> {
    let jwt = app.jwt(Timestamp::now()).map_err(|fault| Error {
        operation: OPERATION.name(),
        class: Class::Invalid,
        reason: reason::CREDENTIALS_INVALID,
        message: format!(
            "privateKey in the Secret that credentialsSecretRef names {fault}; put the private key there that GitHub gave out for \
             the App, then set the annotation slipway.dev/reconcile of the Repository to a new value"
        ),
        status: None,
    })?;
    let mut body = json!({ "permissions": grant.names() });
    match place.id {
        _ if grant.whole_account => {}
        Some(id) => body["repository_ids"] = json!([id]),
        None => body["repositories"] = json!([place.name.name]),
    }
    let path = format!("/app/installations/{}/access_tokens", app.installation);
    let call = Call::post(OPERATION, path, &body)
        .about(place.name)
        .permission(grant.words())
        .by_id(place.id.is_some());
    // Not the account that the installation's calls count for: whoever signs in has still to show that the App is his.
    let account = shared.accounts.of(&app.fingerprint());
    let jwt = Token::of_app(jwt, app.fingerprint());
    let request = shared.request(&call, &jwt)?;
    let asked = Instant::now();
    let session = Session { shared, account: &account, token: &jwt, caller: &Caller::default() };
    let success = match session.send(&call, request).await? {
        Reply::Success(success) => success,
        Reply::State(other) => return Err(other.unexpected(OPERATION)),
    };
    let now = success.date.unwrap_or_else(Timestamp::now);
    // What can't be read is not shown: it holds a token.
    let answer: Answer = serde_json::from_slice(&success.body).map_err(|_| Error {
        operation: OPERATION.name(),
        class: Class::Transient,
        reason: reason::UNREADABLE_ANSWER,
        message: format!("GitHub's answer to {} could not be read", OPERATION.name()),
        status: None,
    })?;
    let only = if answer.repositories.len() == 1 { answer.repositories.first() } else { None };
    Ok(Minted {
        renewal: asked + usable(answer.expires_at.duration_since(now)),
        token: Arc::new(Token::bought(SecretString::from(answer.token), Instant::now())),
        repository: only.map(|repository| repository.id),
        replaces_refused: false,
    })
}

/// Time for which a token with so long to live is used.
fn usable(life: SignedDuration) -> Duration {
    let life = Duration::try_from(life).unwrap_or_default();
    life.saturating_sub(RENEWAL.min(life / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_until_five_minutes_before_its_end() {
        for (life, used) in [(3600, 3300), (600, 300), (60, 30), (0, 0), (-5, 0)] {
            assert_eq!(usable(SignedDuration::from_secs(life)).as_secs(), used, "{life}");
        }
    }
}
