//! Follows a repository by its id. Calls name it by the name that was read last, which may be old, or another's by now.
//! `client` asks before each write, and where GitHub says that the repository has moved; `names` keeps what was just read.

use super::{Client, Error, call::Call, client::Source, name::RepositoryName, operation::Operation};
use crate::{api::conditions::reason, domain::failure::Class};
use futures::{FutureExt as _, future::BoxFuture};

impl Client {
    /// This client, for the repository with this id, where it is known: a rename is followed, and nothing is written to another that
    /// has its name by now.
    #[must_use]
    pub fn of_repository(mut self, id: Option<u64>) -> Self {
        self.repository = id;
        self
    }

    /// Notes under which name GitHub shows the repository with this id.
    pub(super) fn saw(&self, id: u64, full_name: &str) {
        if let (Source::Token(token), Some(name)) = (&self.source, RepositoryName::parse(full_name)) {
            self.names().saw(token.fingerprint, id, name);
        }
    }

    /// The call under today's name of its repository; `None`: it stands as it is. Only a write is worth asking for the name.
    pub(super) async fn today<'c>(&self, call: &Call<'c>) -> Result<Option<Call<'c>>, Error> {
        // An App's token is for the repository with the id alone, and an id of GraphQL's is no name.
        let (Some(id), Some(called), Source::Token(token)) = (self.repository, call.repository, &self.source)
        else {
            return Ok(None);
        };
        let name = match self.names().today(token.fingerprint, id) {
            Some(name) => name,
            None if call.operation.writes() && !call.is_graphql() => self.name_of(id, call.operation).await?,
            None => return Ok(None),
        };
        Ok((!is_same(&name, called)).then(|| call.under(&name)))
    }

    /// The call under the name that the repository has, where it may have another; `None`: it has this one.
    pub(super) async fn moved<'c>(&self, call: &Call<'c>) -> Result<Option<Call<'c>>, Error> {
        let (Some(id), Some(called)) = (self.repository, call.repository) else { return Ok(None) };
        if call.operation == Operation::GetRepository {
            return Ok(None);
        }
        let name = self.name_of(id, call.operation).await?;
        Ok((!is_same(&name, called)).then(|| call.under(&name)))
    }

    /// The name that the repository has today, where its id is known: for what goes by a name that is not in the path of a call.
    pub async fn name_of_today(&self, called: &RepositoryName) -> Result<RepositoryName, Error> {
        self.name_today(called, Operation::GetRepository).await
    }

    pub(super) async fn name_today(
        &self,
        called: &RepositoryName,
        operation: Operation,
    ) -> Result<RepositoryName, Error> {
        let Some(id) = self.repository else { return Ok(called.clone()) };
        let known = match &self.source {
            Source::Token(token) => self.names().today(token.fingerprint, id),
            Source::App(_) => None,
        };
        match known {
            Some(name) => Ok(name),
            None => self.name_of(id, operation).await,
        }
    }

    /// Boxed: to ask is a call as well.
    fn name_of(&self, id: u64, operation: Operation) -> BoxFuture<'_, Result<RepositoryName, Error>> {
        async move {
            let found = self.get_repository_by_id(id).await?;
            found
                .and_then(|found| RepositoryName::parse(&found.full_name))
                .ok_or_else(|| gone(operation, Some(id)))
        }
        .boxed()
    }
}

/// What is not sent, because the name that it would go to is another repository's.
pub(super) fn gone(operation: Operation, id: Option<u64>) -> Error {
    let id = id.map(|id| format!(" with id {id}")).unwrap_or_default();
    Error {
        operation: operation.name(),
        class: Class::NotFound,
        reason: reason::REPOSITORY_GONE,
        message: format!(
            "GitHub does not show the repository{id} to this token any more, so {} is not sent to what has its name: \
             restore it or the token's access to it",
            operation.name()
        ),
        status: None,
    }
}

/// GitHub compares names without regard to case.
fn is_same(one: &RepositoryName, other: &RepositoryName) -> bool {
    one.owner.eq_ignore_ascii_case(&other.owner) && one.name.eq_ignore_ascii_case(&other.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_made_under_another_name_with_all_that_it_carries() {
        let (old, new) = (RepositoryName::new("acme", "old"), RepositoryName::new("else", "new"));
        let under = |path: &str| Call::get(Operation::ListPulls, path.into()).about(&old).under(&new).path;
        for (path, there) in [
            ("/repos/acme/old/git/trees/1?recursive=1", "/repos/else/new/git/trees/1?recursive=1"),
            ("/repos/acme/old", "/repos/else/new"),
            ("/repos/acme/older/pulls", "/repos/acme/older/pulls"),
            (
                "/repos/acme/old/pulls?head=acme%3Aa%2Fb&state=all",
                "/repos/else/new/pulls?head=else%3Aa%2Fb&state=all",
            ),
            ("/acme/old.git/git-upload-pack", "/else/new.git/git-upload-pack"),
            ("/graphql", "/graphql"),
        ] {
            assert_eq!(under(path), there);
        }
    }
}
