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
    /// How far it has read.
    pub(super) position: Position,
}

/// What a sync has found.
pub(super) enum Synced {
    Read(Box<Read>),
    /// Neither its name nor its id shows the repository.
    Absent,
    /// Its name shows another's list, and its id nothing.
    Replaced,
}

/// Why the list does not tell of the repository.
enum Elsewhere {
    /// Another has the name, as far as the list shows.
    Another,
    Failed(github::Error),
}

impl From<github::Error> for Elsewhere {
    fn from(error: github::Error) -> Self {
        Self::Failed(error)
    }
}

impl RepositoryController {
    /// Lists what changed since the last sync, newest change first.
    pub(super) async fn changes(
        &self,
        github: &github::Client,
        object: &Repository,
        tasks: &[Arc<Task>],
    ) -> Result<Synced, github::Error> {
        let asked = name_today(object);
        let elsewhere = match self.read(github, object, tasks, &asked).await {
            Ok(read) => return Ok(Synced::Read(Box::new(read))),
            Err(Elsewhere::Failed(error)) if !tells_of_another_place(&error) => return Err(error),
            Err(elsewhere) => elsewhere,
        };
        // Under this name it is not there (any more); by its id it may be.
        let Some(found) = self.look_up(github, object).await? else {
            return Ok(match elsewhere {
                Elsewhere::Another => Synced::Replaced,
                Elsewhere::Failed(_) => Synced::Absent,
            });
        };
        let elsewhere = match RepositoryName::parse(&found.full_name).filter(|name| *name != asked) {
            Some(name) => match self.read(github, object, tasks, &name).await {
                Ok(read) => return Ok(Synced::Read(Box::new(Read { repository: Some(found), ..read }))),
                Err(elsewhere) => elsewhere,
            },
            None => elsewhere,
        };
        Err(match elsewhere {
            Elsewhere::Failed(error) => error,
            Elsewhere::Another => between_names(&asked),
        })
    }

    async fn read(
        &self,
        github: &github::Client,
        object: &Repository,
        tasks: &[Arc<Task>],
        name: &RepositoryName,
    ) -> Result<Read, Elsewhere> {
        let uid = object.uid().unwrap_or_default();
        let known = self.memory.position(&uid);
        let back_to = sync::back_to(known.newest, tasks);
        let mut unreached = known.unreached;
        let mut read = Read::default();
        let mut position = Position { newest: known.newest, etag: known.etag, unreached: Vec::new() };
        if let UpdatedPulls::Page(first) =
            github.list_pulls_updated(name, 1, position.etag.as_deref()).await?
        {
            read.repository = Some(self.described(github, object, name, &first).await?);
            position.newest = first.pulls.first().map(|pull| pull.updated_at).max(known.newest);
            // The empty lists of two repositories are alike: such a tag would say of another's that nothing has changed.
            position.etag = first.etag.clone().filter(|_| !first.pulls.is_empty());
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
        Ok(Read { position, ..read })
    }

    /// The repository of this name, where it is the known one. Another may have the name by now: the id decides. What its list
    /// says is nothing to remember.
    async fn described(
        &self,
        github: &github::Client,
        object: &Repository,
        name: &RepositoryName,
        first: &PullsPage,
    ) -> Result<Found, Elsewhere> {
        let described = first.pulls.first().and_then(|pull| pull.base_repository.as_deref());
        let id = object.status.as_ref().and_then(|status| status.repository_id);
        if let Some(described) = described.map(|repository| of_github(github, repository, Base::Unknown)) {
            let same = id.is_none_or(|id| id == described.id);
            return if same { Ok(described) } else { Err(Elsewhere::Another) };
        }
        // An empty list does not tell whose it is.
        let found = self.look_up(github, object).await?;
        let here = |found: &Found| found.full_name.eq_ignore_ascii_case(&name.to_string());
        found.filter(here).ok_or(Elsewhere::Another)
    }
}

/// Whether the repository may be found elsewhere.
fn tells_of_another_place(error: &github::Error) -> bool {
    error.class == Class::NotFound || error.reason == reason::REPOSITORY_MOVED
}

/// Its id says that it has the name, and the list of that name that it is another's: two moments.
fn between_names(asked: &RepositoryName) -> github::Error {
    github::Error {
        operation: "syncPullRequests",
        class: Class::Transient,
        reason: reason::REPOSITORY_MOVED,
        message: format!(
            "GitHub shows another repository under the name {asked} for now: it is looked at again"
        ),
        status: None,
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
