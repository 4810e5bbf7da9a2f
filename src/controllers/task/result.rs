//! The result of a round: what the sandbox has, as a commit that GitHub has. Of a work tree what git says has changed; of a plain
//! directory what it puts over the base branch. Part of the Task controller; uses `files`, `parent` and `commit`.
//!
//! Prepared here: blobs, trees and commits, which nobody sees before a branch stands at them.

use super::{
    TaskController,
    access::{AtGitHub, author, commit_message},
    commit::{self, Base, Prepared},
    files::{self, Collected, Collection, FilesError, History, cut},
    output,
    parent::{self, BaseBranch, Parent},
};
use crate::{
    api::{Task, TaskStatus, conditions::reason},
    domain::{
        failure::{Class, Failure},
        output::Output,
        secrets::Needles,
        task::{Collect, Files, Remarks, pull_request_text, source_generation},
    },
    github::{Client, RepositoryName},
};
use jiff::Timestamp;
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::Instant;

/// A pass with files left to upload ends after this; the next goes on.
const UPLOAD: Duration = Duration::from_secs(90);

impl TaskController {
    /// Prepares files, tree and commit: content-addressed, so that doing it again gives the same.
    pub(super) async fn look_at_files(&self, task: &Task, question: &Collect) -> Result<Files, Failure> {
        let status = task.status.clone().unwrap_or_default();
        let generation = source_generation(task, &status).map(|run| run.id.clone()).unwrap_or_default();
        let secrets = self.secret_values(task, &generation).await?;
        secrets.rotation(false)?;
        // Paths and the sandbox's own words stand in what goes wrong.
        self.commit_files(task, question, &secrets.needles)
            .await
            .map_err(|failure| secrets.needles.mask_failure(failure))
    }

    async fn commit_files(
        &self,
        task: &Task,
        question: &Collect,
        needles: &Needles,
    ) -> Result<Files, Failure> {
        let spooled = self.spooled(&question.spool).await?;
        let (at, collected, base) = match (spooled, &question.sandbox) {
            (Some(collected), _) => (self.at_github(task).await?, collected, None),
            (None, None) => return Ok(Files::NotSpooled),
            (None, Some(sandbox)) => {
                let at = self.at_github(task).await?;
                match self.collect(task, &at, question, sandbox).await {
                    Ok((collected, base)) => (at, collected, base),
                    Err(failure)
                        if [reason::WAITING_FOR_SPOOL, reason::WAITING_FOR_TRANSFER]
                            .contains(&failure.reason) =>
                    {
                        return Ok(Files::Waiting { reason: failure.reason });
                    }
                    Err(failure) => return Err(failure),
                }
            }
        };
        let status = task.status.clone().unwrap_or_default();
        let ledger = self.spool.ledger(&question.spool);
        let output = &collected.snapshot.output;
        let text = question.opens.then(|| pull_request_text(task, &status, output));
        let (title, body) = text.clone().unwrap_or_default();
        let author = author(task);
        let request = commit::Request {
            repository: &at.name,
            parent: &question.parent,
            base_sha: &question.base,
            base_branch: &question.base_branch,
            last: question.last.as_deref(),
            base: base.as_ref(),
            snapshot: &collected.snapshot,
            message: &commit_message(task, output),
            title: &title,
            body: &body,
            needles,
            author: author.as_ref(),
            date: commit_date(task, &status),
            ledger: Some(&ledger),
            deadline: Instant::now() + UPLOAD,
        };
        let prepared = commit::prepare(&at.client, request).await;
        self.prepared(task, collected, text, prepared, needles).await
    }

    async fn prepared(
        &self,
        task: &Task,
        collected: Collected,
        text: Option<(String, String)>,
        prepared: Result<Prepared, Failure>,
        needles: &Needles,
    ) -> Result<Files, Failure> {
        let Collected { snapshot, digest } = collected;
        let tree = snapshot.work_tree.unwrap_or_default();
        // The sandbox has given these names.
        let shown = |names: Vec<String>| names.iter().map(|name| cut(&needles.mask(name))).collect();
        let remarks = Remarks {
            submodules: shown(tree.moved),
            elsewhere: shown(tree.elsewhere),
            output: snapshot.output.odd,
            ..Remarks::default()
        };
        match prepared {
            Ok(Prepared::Commit { tree, commit, parent, stays, verified }) => {
                let remarks = Remarks { verified, stays, ..remarks };
                Ok(Files::Committed { tree, commit, parent, digest, text, remarks })
            }
            Ok(Prepared::NothingToCommit) => Ok(Files::Unchanged { digest, remarks }),
            Ok(Prepared::Progress { uploaded, of, failure }) => Ok(Files::Progress { uploaded, of, failure }),
            Err(failure) if failure.reason == commit::SPOOLED_FILES_LOST => {
                self.unspool(task, None).await;
                Err(Failure { class: Class::Transient, ..failure })
            }
            // What lies in the sandbox has to change first. The values of Secrets would stay on the operator's disk meanwhile,
            // and the next look would find the old files.
            Err(failure) if UNFIT.contains(&failure.reason) => {
                self.unspool(task, None).await;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads the result out of the sandbox; of a plain directory also the tree that it is laid over.
    async fn collect(
        &self,
        task: &Task,
        at: &AtGitHub,
        question: &Collect,
        sandbox: &str,
    ) -> Result<(Collected, Option<Base>), Failure> {
        let namespace = task.namespace().unwrap_or_default();
        let _permit = self.transfers.try_acquire(&namespace).ok_or(FilesError::WaitingForTransfer)?;
        let envd = self.envd(task, sandbox).await?;
        let status = task.status.clone().unwrap_or_default();
        let output = match source_generation(task, &status) {
            Some(run) => output::read(&envd, &run.id).await?,
            None => Output::default(),
        };
        let collection = Collection {
            envd: &envd,
            source: &question.source,
            caps: self.caps,
            spool: &self.spool,
            id: &question.spool,
            output: &output,
        };
        let base = BaseBranch { name: &question.base_branch, sha: &question.base };
        read(&at.client, &at.name, collection, base, &question.parent).await
    }

    /// Opens spooled files on a thread of its own, because the spool's disk may block.
    async fn spooled(&self, id: &str) -> Result<Option<Collected>, Failure> {
        let (spool, id) = (self.spool.clone(), id.to_owned());
        let opened = tokio::task::spawn_blocking(move || spool.open(&id)).await;
        match opened {
            Ok(opened) => opened.map_err(|error| FilesError::Spool(error).into()),
            Err(_) => Ok(None),
        }
    }
}

/// Reads a result into the spool. A checkout is compared with `parent`, which it was made from; a copy of the repository is compared with the commit of `base` that it starts from; anything
/// else is a plain directory, laid over `parent`, whose tree is returned too: the commit needs it again.
pub async fn read(
    github: &Client,
    repository: &RepositoryName,
    collection: Collection<'_>,
    base: BaseBranch<'_>,
    parent: &str,
) -> Result<(Collected, Option<Base>), Failure> {
    let source = collection.source;
    let home = github.git_url(repository);
    if source.checkout.is_some() {
        return Ok((files::collect_work_tree(collection, parent, &home).await?, None));
    }
    let history = match source.destination {
        Some(_) => History::None,
        None => files::history(collection.envd, &source.path).await?,
    };
    if let History::Commits(commits) = history {
        match parent::find(github, repository, base, &commits).await? {
            Parent::Commit(commit) => {
                return Ok((files::collect_work_tree(collection, &commit, &home).await?, None));
            }
            Parent::TooOld => return Err(parent::too_old(&source.path)),
            Parent::Unrelated => {}
        }
    }
    let mut base = Base::read(github, repository, parent).await?;
    if let Some(destination) = &source.destination {
        base.list_below(github, repository, destination).await?;
    }
    let selected = files::select(collection, &base.tree).await?;
    let places = selected.places(source);
    let paths = places.iter().map(String::as_str);
    let attributes = commit::attributes(github, repository, &base.tree, paths).await?;
    let has = |path: &str| base.tree.entry(path).map(|(_, id)| id);
    let selected = files::leave_out_unchanged(
        collection,
        selected,
        |path| attributes.filter(path) == Some("lfs") && has(path).is_some(),
        |path, pointer| has(path) == Some(pointer.id().as_str()),
    )
    .await?;
    Ok((files::collect(collection, selected).await?, Some(base)))
}

/// Reasons for which the files have to be read again after somebody has changed something in the sandbox.
const UNFIT: [&str; 6] = [
    reason::LFS_OBJECT_MISSING,
    reason::SECRET_IN_FILES,
    reason::SUBMODULE_PATH,
    reason::FILTERED_FILE,
    reason::HEAD_MOVED,
    reason::NO_FILES,
];

/// Returns the end of the generation, or the start of the round: the same whenever it is asked, so that the commit is too.
pub(super) fn commit_date(task: &Task, status: &TaskStatus) -> Timestamp {
    let finished = source_generation(task, status).and_then(|run| run.finished_at.as_ref());
    finished.or(status.round_started_at.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
