//! GitHub under the credentials that a Repository names: the one place that knows of which kind they are.
//! Used by the controllers of Repositories and Tasks; `domain::credentials` judges the Secret, `cluster::Secrets` reads it.

use crate::{
    api::Repository,
    cluster::{Age, SecretKey, SecretValues, Secrets},
    domain::{
        credentials::{self, Credentials},
        failure::{Failure, operation},
    },
    github::{App, AppSource, Client, GitHub, RepositoryName},
};
use futures::FutureExt as _;
use kube::ResourceExt as _;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// What is read of a Secret.
enum Held {
    Token(SecretString),
    App(App),
}

/// GitHub as the Repository's credentials see it.
pub async fn client(
    github: &GitHub,
    secrets: &Secrets,
    repository: &Repository,
    age: Age,
) -> Result<Client, Failure> {
    let namespace = repository.namespace().unwrap_or_default();
    let name = &repository.spec.credentials_secret_ref.name;
    let read = match age {
        Age::Cached => secrets.get(&namespace, name).await,
        Age::Fresh => secrets.fresh(&namespace, name).await,
    };
    let values = read.map_err(|error| error.during(operation::GET_SECRET))?;
    let client = match held(&namespace, name, values.as_deref())? {
        Held::Token(token) => github.client(&token),
        Held::App(app) => github.app(source(app, secrets, repository, namespace)),
    };
    Ok(client.of_repository(id_of(repository)))
}

/// GitHub's id of the repository, once it was seen.
fn id_of(repository: &Repository) -> Option<u64> {
    let id = repository.status.as_ref().and_then(|status| status.repository_id);
    id.and_then(|id| u64::try_from(id).ok())
}

fn held(namespace: &str, secret: &str, values: Option<&SecretValues>) -> Result<Held, Failure> {
    let key = |key| SecretKey { namespace, secret, key, purpose: "a credential for GitHub" };
    let values = values.ok_or_else(|| credentials::no_secret(secret))?;
    let value = |key: &str| values.get(key).map(ExposeSecret::expose_secret);
    let found = credentials::credentials(value).map_err(|fault| fault.failure(secret))?;
    let text = |name| key(name).text_in(Some(values));
    Ok(match found {
        Credentials::Token => Held::Token(text(credentials::TOKEN)?),
        Credentials::App { id, installation } => {
            Held::App(App { id, installation, key: text(credentials::PRIVATE_KEY)? })
        }
    })
}

/// The App for this repository alone, and the way to its key where GitHub does not take the one at hand.
fn source(app: App, secrets: &Secrets, repository: &Repository, namespace: String) -> AppSource {
    let (secrets, name) = (secrets.clone(), repository.spec.credentials_secret_ref.name.clone());
    let again = move || {
        let (secrets, namespace, name) = (secrets.clone(), namespace.clone(), name.clone());
        async move {
            let values = secrets.fresh(&namespace, &name).await.ok()?;
            match held(&namespace, &name, values.as_deref()).ok()? {
                Held::App(app) => Some(app),
                Held::Token(_) => None,
            }
        }
        .boxed()
    };
    let status = repository.status.as_ref();
    let full_name = status.and_then(|status| status.full_name.as_deref()).and_then(RepositoryName::parse);
    let name =
        full_name.unwrap_or_else(|| RepositoryName::new(&repository.spec.owner, &repository.spec.name));
    AppSource { app, name, id: id_of(repository), again: Arc::new(again) }
}
