//! The list of pull requests that changed, page by page back to where the last sync stopped.
//! `memory` keeps that place; asked by `observe`.

use super::{RepositoryController, memory::Position, name_today, of_github};
use crate::{
    api::{Repository, Task, conditions::reason},
    domain::{
        failure::Class,
        pull_request::ObservedPullRequest,
        repository::{Base, Found, sync},
    },
    github::{self, PullsPage, RepositoryName, UpdatedPulls},
};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// Pages of 100 that one sync reads at most; only a sync after a start reads more than one or two.
const MAX_PAGES: u32 = 10;
/// Pull requests that one sync reads one by one, because its pages did not reach back to them.
const MAX_SINGLE: usize = 50;

/// What a sync has read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) pulls: Vec<ObservedPullRequest>,
    /// The repository, as the list or a look-up on the way describes it.
    pub(super) repository: Option<Found>,
}

impl RepositoryController {
    /// Lists what changed since the last sync, newest change first.
    pub(super) async fn changes(
        &self,
        github: &github::Client,
        object: &Repository,
        tasks: &[Arc<Task>],
    ) -> Result<Read, github::Error> {
        match self.read(github, object, tasks, &name_today(object)).await {
            Ok(read) => Ok(read),
            // Under this name it is not there (any more); by its id it may be.
            Err(error) if error.class == Class::NotFound || error.reason == reason::REPOSITORY_MOVED => {
                let Some(found) = self.look_up(github, object).await? else { return Err(error) };
                match RepositoryName::parse(&found.full_name) {
                    Some(name) if name != name_today(object) => {
                        let read = self.read(github, object, tasks, &name).await?;
                        Ok(Read { repository: Some(found), ..read })
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn read(
        &self,
        github: &github::Client,
        object: &Repository,
        tasks: &[Arc<Task>],
        name: &RepositoryName,
    ) -> Result<Read, github::Error> {
        let uid = object.uid().unwrap_or_default();
        let known = self.memory.position(&uid);
        let back_to = sync::back_to(known.newest, tasks);
        let mut unreached = known.unreached;
        let mut read = Read::default();
        let mut position = Position { newest: known.newest, etag: known.etag, unreached: Vec::new() };
        if let UpdatedPulls::Page(first) =
            github.list_pulls_updated(name, 1, position.etag.as_deref()).await?
        {
            position.newest = first.pulls.first().map(|pull| pull.updated_at).max(known.newest);
            position.etag.clone_from(&first.etag);
            let described = first.pulls.first().and_then(|pull| pull.base_repository.as_deref());
            let described = described.map(|repository| of_github(github, repository, Base::Unknown));
            // Another repository may have the name by now: the id decides.
            let id = object.status.as_ref().and_then(|status| status.repository_id);
            read.repository = match described.filter(|described| id.is_none_or(|id| id == described.id)) {
                Some(described) => Some(described),
                None => self.look_up(github, object).await?,
            };
            let (pulls, reached) = pages(github, name, first, back_to).await?;
            if !reached {
                unreached = sync::unreached(tasks, &pulls);
                tracing::info!(repository = %name, pages = MAX_PAGES, pull_requests = unreached.len(), "what changed longer ago is read one by one");
            }
            read.pulls = pulls;
        }
        let later = unreached.split_off(unreached.len().min(MAX_SINGLE));
        for number in unreached {
            let number = u64::try_from(number).unwrap_or_default();
            let pull = github.get_pull(name, number).await?;
            read.pulls.extend(pull.as_ref().map(ObservedPullRequest::from));
        }
        position.unreached = later;
        self.memory.set_position(&uid, position);
        Ok(read)
    }
}

/// Reads on from the first page; returns what was found and whether that reaches back far enough.
async fn pages(
    github: &github::Client,
    name: &RepositoryName,
    first: PullsPage,
    back_to: Option<Timestamp>,
) -> Result<(Vec<ObservedPullRequest>, bool), github::Error> {
    let (mut pulls, mut page) = (Vec::new(), first);
    for number in 2.. {
        let more = goes_on(&page, back_to);
        pulls.extend(page.pulls.iter().map(ObservedPullRequest::from));
        if !more || number > MAX_PAGES {
            return Ok((pulls, !more));
        }
        match github.list_pulls_updated(name, number, None).await? {
            UpdatedPulls::NotModified => break,
            UpdatedPulls::Page(more) => page = more,
        }
    }
    Ok((pulls, true))
}

/// Returns whether the list has to be read beyond this page: not once it reaches back far enough.
fn goes_on(page: &PullsPage, back_to: Option<Timestamp>) -> bool {
    let oldest = page.pulls.last().map(|pull| pull.updated_at);
    // An older pull request may share the second of the place to reach.
    page.next.is_some() && back_to.is_some_and(|back_to| oldest >= Some(back_to))
}
