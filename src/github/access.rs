//! What calls are made with: a token and its account; of a GitHub App one that is bought, with the key that the App has by now.
//! `client` chooses one for each call; `tokens` keeps those that were bought.

use super::{
    Error,
    account::Account,
    app::App,
    grant::Grant,
    mint::Place,
    name::RepositoryName,
    session::Shared,
    token::Token,
    tokens::{Bought, Tokens},
};
use crate::api::conditions::reason;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock};

/// A GitHub App for one repository.
#[derive(Clone)]
pub struct AppSource {
    pub app: App,
    pub name: RepositoryName,
    /// The repository's id, once it is known: the name may be another's by then.
    pub id: Option<u64>,
    /// Reads the App once more, past every cache: its key may have been rotated. `None`: it can't be had.
    pub again: Arc<dyn Fn() -> BoxFuture<'static, Option<App>> + Send + Sync>,
}

/// An App, and what its key turned out to be.
pub(super) struct Installed {
    source: AppSource,
    /// The App with the key that it turned out to have by now.
    rotated: OnceLock<App>,
}

/// The token of one call.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) account: Arc<Account>,
    pub(super) token: Arc<Token>,
    /// Where it is kept, and what it may do, if it was bought.
    pub(super) bought: Option<(Bought, Grant)>,
}

impl Access {
    /// Forgets the token where it reaches further than most work needs.
    pub(super) fn has_served(&self) {
        if let Some((bought, grant)) = &self.bought
            && grant.is_for_one_use()
        {
            bought.forget();
        }
    }
}

impl Installed {
    pub(super) fn new(source: AppSource) -> Self {
        Self { source, rotated: OnceLock::new() }
    }

    /// The App's number.
    pub(super) fn id(&self) -> u64 {
        self.source.app.id
    }

    /// Whether its tokens are bought by the repository's name, because nothing else of it is known.
    pub(super) fn is_by_name(&self) -> bool {
        self.source.id.is_none()
    }

    /// A token that may do what `grant` says.
    pub(super) async fn access(
        &self,
        shared: &Shared,
        tokens: &Tokens,
        grant: Grant,
    ) -> Result<Access, Error> {
        let Self { source, rotated } = self;
        let app = rotated.get().unwrap_or(&source.app);
        match self.buy(shared, tokens, app, grant.clone()).await {
            Err(refused) if is_unknown(&refused) => match (source.again)().await {
                // By its own name in the cache: who has the old key has no claim to what the new one is answered.
                Some(other) if other.fingerprint() != app.fingerprint() => {
                    let access = self.buy(shared, tokens, &other, grant).await?;
                    // Another call may have found out first.
                    let _ = rotated.set(other);
                    Ok(access)
                }
                _ => Err(refused),
            },
            bought => bought,
        }
    }

    async fn buy(&self, shared: &Shared, tokens: &Tokens, app: &App, grant: Grant) -> Result<Access, Error> {
        let place = Place { name: &self.source.name, id: self.source.id };
        let bought = tokens.get(shared, app, place, &grant).await?;
        let account = shared.accounts.of(&app.account());
        account.named(|| format!("installation {}", app.installation));
        Ok(Access { account, token: bought.minted.token.clone(), bought: Some((bought, grant)) })
    }
}

/// GitHub does not know (any more) who this is.
pub(super) fn is_unknown(refused: &Error) -> bool {
    refused.status == Some(401) && refused.reason == reason::BAD_CREDENTIALS
}
