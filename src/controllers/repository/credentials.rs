//! GitHub under a Repository's credentials, or why that is impossible.
//! Reads the Secret through `cluster::Secrets`; `domain::repository` says what its keys amount to.

use super::RepositoryController;
use crate::{
    api::Repository,
    domain::{
        failure::operation,
        repository::{self, Credentials, Obstacle},
    },
    github,
};
use kube::ResourceExt;
use secrecy::ExposeSecret;

/// Age that a remembered Secret may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It is read again: a look-up follows a change, often of the Secret itself.
    Fresh,
    /// As the cache has it.
    Cached,
}

impl RepositoryController {
    pub(super) async fn client(
        &self,
        object: &Repository,
        freshness: Freshness,
    ) -> Result<github::Client, Obstacle> {
        let namespace = object.namespace().unwrap_or_default();
        let name = &object.spec.credentials_secret_ref.name;
        let read = match freshness {
            Freshness::Fresh => self.secrets.fresh(&namespace, name).await,
            Freshness::Cached => self.secrets.get(&namespace, name).await,
        };
        let read = read.map_err(|error| Obstacle::Failed(error.during(operation::GET_SECRET)))?;
        let secret = read.ok_or(Obstacle::NoSecret)?;
        let keys = secret.iter().filter(|(_, value)| !value.expose_secret().is_empty()).map(|(key, _)| key);
        match repository::credentials(keys) {
            Credentials::Token => match secret.text(repository::TOKEN) {
                Some(token) => Ok(self.github.client(&token)),
                None => Err(Obstacle::NoToken(Credentials::Unknown)),
            },
            unusable => Err(Obstacle::NoToken(unusable)),
        }
    }
}
