//! The list of pull requests that changed, page by page back to where the last sync stopped.
//! `memory` keeps that place; asked by `observe`.

use super::{RepositoryController, memory::Position, name_today};
use crate::{
    api::{Repository, Task, conditions::reason},
    domain::{
        failure::Class,
        pull_request::ObservedPullRequest,
        repository::{Found, sync},
    },
    github::{self, PullsPage, RepositoryName, UpdatedPulls},
};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// Pages of 100 that one sync reads at most; only a sync after a start reads more than one or two.
const MAX_PAGES: u32 = 30;

impl RepositoryController {
    /// Lists what changed since the last sync, newest change first, and the repository if it had to be looked up on the way.
    pub(super) async fn changes(
        &self,
        github: &github::Client,
        object: &Repository,
        tasks: &[Arc<Task>],
    ) -> Result<(Vec<ObservedPullRequest>, Option<Found>), github::Error> {
        match self.read(github, object, tasks, &name_today(object)).await {
            Ok(listed) => Ok((listed, None)),
            // Under this name it is not there (any more); by its id it may be.
            Err(error) if error.class == Class::NotFound || error.reason == reason::REPOSITORY_MOVED => {
                let Some(found) = self.look_up(github, object).await? else { return Err(error) };
                match RepositoryName::parse(&found.full_name) {
                    Some(name) if name != name_today(object) => {
                        Ok((self.read(github, object, tasks, &name).await?, Some(found)))
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
    ) -> Result<Vec<ObservedPullRequest>, github::Error> {
        let uid = object.uid().unwrap_or_default();
        let known = self.memory.position(&uid);
        let back_to = sync::back_to(known.newest, tasks);
        let first = match github.list_pulls_updated(name, 1, known.etag.as_deref()).await? {
            UpdatedPulls::NotModified => return Ok(Vec::new()),
            UpdatedPulls::Page(page) => page,
        };
        let newest = first.pulls.first().map(|pull| pull.updated_at).max(known.newest);
        let position = Position { newest, etag: first.etag.clone() };
        let mut pulls = Vec::new();
        let mut page = first;
        loop {
            let next = next_page(&page, back_to);
            pulls.append(&mut page.pulls);
            let Some(number) = next else { break };
            if number > MAX_PAGES {
                tracing::warn!(repository = %name, pages = MAX_PAGES, "sync stopped: pull requests that changed before are not read");
                break;
            }
            match github.list_pulls_updated(name, number, None).await? {
                UpdatedPulls::NotModified => break,
                UpdatedPulls::Page(more) => page = more,
            }
        }
        self.memory.set_position(&uid, position);
        Ok(pulls.iter().map(ObservedPullRequest::from).collect())
    }
}

/// The page to read after this one: none once it reaches back far enough.
fn next_page(page: &PullsPage, back_to: Option<Timestamp>) -> Option<u32> {
    let oldest = page.pulls.last().map(|pull| pull.updated_at);
    // An older pull request may share the second of the place to reach.
    if oldest >= Some(back_to?) { page.next } else { None }
}
