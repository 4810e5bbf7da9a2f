//! GitHub under a Repository's credentials, or why that is impossible.
//! Reads the Secret through `cluster::Secrets`; `domain::repository` says what its keys amount to.

use super::RepositoryController;
use crate::{
    api::Repository,
    cluster::{Age, SecretError, SecretKey},
    domain::{
        failure::operation,
        repository::{self, Credentials, Obstacle},
    },
    github,
};
use kube::ResourceExt;
use secrecy::ExposeSecret;

impl RepositoryController {
    pub(super) async fn client(&self, object: &Repository, age: Age) -> Result<github::Client, Obstacle> {
        let namespace = object.namespace().unwrap_or_default();
        let secret = &object.spec.credentials_secret_ref.name;
        let key = repository::TOKEN;
        let key = SecretKey { namespace: &namespace, secret, key, purpose: "a GitHub token" };
        match self.secrets.credential(key, age).await {
            Ok(token) => Ok(self.github.client(&token.value)),
            Err(error @ SecretError::Unread(_)) => Err(Obstacle::Failed(error.into())),
            Err(error) => Err(self.without_token(key, error).await),
        }
    }

    /// Names what stands there instead of a token; the Secret has just been read.
    async fn without_token(&self, key: SecretKey<'_>, error: SecretError) -> Obstacle {
        let read = self.secrets.get(key.namespace, key.secret).await;
        match read.map_err(|error| error.during(operation::GET_SECRET)) {
            Ok(Some(secret)) => {
                let keys = secret.iter().filter(|(_, value)| !value.expose_secret().is_empty());
                Obstacle::NoToken(match repository::credentials(keys.map(|(key, _)| key)) {
                    // It is there, and is no text.
                    Credentials::Token => Credentials::Unknown,
                    found => found,
                })
            }
            Ok(None) => Obstacle::Failed(error.into()),
            Err(failure) => Obstacle::Failed(failure),
        }
    }
}
