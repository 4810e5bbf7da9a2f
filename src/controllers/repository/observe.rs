//! Asks GitHub what the Repository's stage wants to know.
//! Uses `controllers::credentials` for the client and `pulls` for the list of what changed.

use super::{RepositoryController, name_in_spec, of_github, pulls::Synced};
use crate::{
    api::{Repository, Task, conditions::reason},
    cluster::Age,
    domain::{
        failure::{Class, Failure},
        repository::{self, Base, Changes, Found, Listing, LookUp, Observed, Stage, sync},
    },
    github::{self, RepositoryName},
};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

impl RepositoryController {
    pub(super) async fn look(&self, object: &Repository, now: Timestamp) -> Observed {
        let uid = object.uid().unwrap_or_default();
        let interval = repository::interval(object);
        let due = self.memory.schedule(&uid, interval, now);
        let stage = repository::stage(object, due, now, || !self.open_tasks(object).is_empty());
        let next = now + interval;
        let finding = match stage {
            Stage::Rest(finding) => finding,
            Stage::LookUp(question) => {
                let finding = question.answered(self.inspect(object, question).await);
                if question.is_routine() && finding.is_answer() {
                    self.memory.synced(&uid, next);
                }
                finding
            }
            Stage::List(question) => {
                let finding = question.answered(self.list(object, now).await);
                if finding.is_answer() && !finding.has_step() {
                    self.memory.applied(&uid);
                }
                finding
            }
        };
        let hook = self.look_at_hook(object, due, finding.has_step(), now).await;
        let next_sync = if finding.has_step() { next } else { self.memory.next_sync(&uid, interval, now) };
        let next_hook = self.memory.hook(&uid).next;
        Observed { finding, next_sync, account: self.account(&uid), hook, next_hook }
    }

    /// The repository and whether its base branch is there; the branch is asked for until it has been seen.
    async fn inspect(&self, object: &Repository, question: LookUp) -> Result<Option<Found>, Failure> {
        let age = if question.is_routine() { Age::Cached } else { Age::Fresh };
        let github = self.client(object, age).await?;
        let found = self.look_up(&github, object).await;
        let uid = object.uid().unwrap_or_default();
        self.learn_account(&uid, &github, found.as_ref().err()).await;
        let Some(mut found) = found? else { return Ok(None) };
        if !question.is_routine() || !self.memory.has_branch(&uid) {
            found.base = base_of(&github, object, &found).await?;
            self.memory.set_branch(&uid, found.base == Base::Exists);
        }
        Ok(Some(found))
    }

    async fn list(&self, object: &Repository, now: Timestamp) -> Result<Listing, Failure> {
        let tasks = self.open_tasks(object);
        let github = self.client(object, Age::Cached).await?;
        let read = self.changes(&github, object, &tasks).await;
        self.learn_account(&object.uid().unwrap_or_default(), &github, read.as_ref().err()).await;
        Ok(match read? {
            Synced::Read(read) => {
                let next = now + repository::interval(object);
                self.memory.read(&object.uid().unwrap_or_default(), read.position, next);
                let moves = sync::moves(&tasks, &read.pulls, now);
                Listing::Changes(Changes { moves, repository: read.repository })
            }
            Synced::Absent => Listing::Absent,
            Synced::Replaced => Listing::Replaced,
        })
    }

    /// Keeps the account that calls were just made through; of a call that was refused otherwise nothing more is asked.
    async fn learn_account(&self, uid: &str, github: &github::Client, refused: Option<&github::Error>) {
        let limited = |error: &github::Error| matches!(error.class, Class::Throttled { .. });
        if refused.is_none_or(limited)
            && let Ok(account) = github.account().await
        {
            self.memory.set_account(uid, account);
        }
    }

    /// The repository: by its id once that is known, so that it is followed through a rename and never mistaken for
    /// another one that took its name.
    pub(super) async fn look_up(
        &self,
        github: &github::Client,
        object: &Repository,
    ) -> Result<Option<Found>, github::Error> {
        let known = object.status.as_ref().and_then(|status| status.repository_id);
        let found = match known.and_then(|id| u64::try_from(id).ok()) {
            Some(id) => github.get_repository_by_id(id).await?,
            None => github.get_repository(&name_in_spec(object)).await?,
        };
        Ok(found.map(|found| of_github(github, &found, Base::Unknown)))
    }

    /// The Tasks of this Repository that a pull request can still move.
    fn open_tasks(&self, object: &Repository) -> Vec<Arc<Task>> {
        let name = object.name_any();
        let mut tasks = self.tasks.state();
        tasks.retain(|task| {
            task.metadata.namespace == object.metadata.namespace
                && task.spec.repository_ref.name == name
                && sync::is_open(task)
        });
        tasks
    }
}

/// Asks whether the branch that pull requests go to is there.
async fn base_of(github: &github::Client, object: &Repository, found: &Found) -> Result<Base, github::Error> {
    let branch = object.spec.base_branch.as_ref().unwrap_or(&found.default_branch);
    let name = RepositoryName::parse(&found.full_name).unwrap_or_else(|| name_in_spec(object));
    match github.get_branch_sha(&name, branch).await {
        Ok(Some(_)) => Ok(Base::Exists),
        Ok(None) => Ok(Base::Missing),
        Err(error) if error.reason == reason::REPOSITORY_EMPTY => Ok(Base::Empty),
        Err(error) => Err(error),
    }
}
