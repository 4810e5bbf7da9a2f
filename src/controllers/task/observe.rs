//! Answers the question of a Task's position: exactly what it asks for, as data.
//! Part of the Task controller. Blobs, trees and commits are prepared here too; nothing here changes anything that somebody
//! would see.

use super::{
    TaskController,
    access::{author, commit_message, seen_checks, seen_pull},
    commit::{self, Prepared},
    files::{self, Collected, FilesError},
    generate,
};
use crate::{
    api::{Task, TaskStatus, conditions::reason},
    domain::{
        failure::{Class, Failure},
        secrets::Needles,
        task::{
            Branches, Collect, Files, FindPulls, Generation, LeftBranch, Leftover, Look, Observed,
            PlannedRound, Position, PullRead, ReadPull, SeenPull, Start, StartAnswer, source_generation,
            spool_id,
        },
    },
};
use jiff::Timestamp;
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::Instant;

/// A pass with files left to upload ends after this; the next goes on.
const UPLOAD: Duration = Duration::from_secs(90);

impl TaskController {
    /// Answers the question of a position.
    pub(super) async fn answer(&self, task: &Task, position: Position, now: Timestamp) -> Observed {
        match position {
            Position::Decided(plan) => Observed::Decided(plan),
            Position::Start(asked) => {
                let answer = self.look_at_start(&asked.task(task), &asked.question).await;
                asked.answered(answer)
            }
            Position::Generation(asked) => {
                let answer = self.look_at_generation(task, &asked.question, now).await;
                let answer = self.forget_unreachable(&asked.question.sandbox, answer);
                asked.answered(answer)
            }
            Position::Collect(asked) => {
                let answer = self.look_at_files(task, &asked.question).await;
                let sandbox = asked.question.sandbox.clone().unwrap_or_default();
                let answer = self.forget_unreachable(&sandbox, answer);
                asked.answered(answer)
            }
            Position::FindPulls(asked) => {
                let answer = self.look_at_pulls(task, &asked.question).await;
                asked.answered(answer)
            }
            Position::ReadPull(asked) => {
                let answer = self.look_at_pull(task, &asked.question, now).await;
                asked.answered(answer)
            }
            Position::LeftBranch(asked) => {
                let answer = self.look_at_leftover(task, &asked.question).await;
                asked.answered(answer)
            }
        }
    }

    /// Makes the next look ask E2B again how to get to a sandbox that gave no answer.
    fn forget_unreachable<T>(&self, sandbox: &str, answer: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(Failure { reason: reason::SANDBOX_UNREACHABLE, .. }) = &answer {
            self.memory().forget_access(sandbox);
        }
        answer
    }

    async fn look_at_start(&self, task: &Task, question: &Start) -> Result<StartAnswer, Failure> {
        let secrets = if question.runs { self.secret_versions(task).await? } else { Vec::new() };
        let branches = match &question.plan {
            Some(plan) => Some(self.branches(task, plan).await?),
            None => None,
        };
        Ok(StartAnswer { secrets, branches })
    }

    async fn branches(&self, task: &Task, plan: &PlannedRound) -> Result<Branches, Failure> {
        let at = self.at_github(task).await?;
        let base_sha = at.client.get_branch_sha(&at.name, &plan.base).await?;
        if plan.open {
            let head_sha = at.client.get_branch_sha(&at.name, &plan.branch).await?;
            return Ok(Branches { base_sha, taken: false, head_sha });
        }
        let below = format!("{}/", plan.branch);
        let branches = at.client.matching_branches(&at.name, &plan.branch).await?;
        let taken = branches.iter().any(|(name, _)| *name == plan.branch || name.starts_with(&below));
        Ok(Branches { base_sha, taken, head_sha: None })
    }

    async fn look_at_generation(
        &self,
        task: &Task,
        question: &Generation,
        now: Timestamp,
    ) -> Result<Look, Failure> {
        let Generation { id, sandbox, .. } = question;
        let envd = self.envd(task, sandbox).await?;
        let secrets = self.secret_values(task, id).await?;
        let mut look = generate::look(&envd, id, &secrets.needles)
            .await
            .map_err(|e| secrets.needles.mask_failure(e.into()))?;
        if let (Look::Exited { tail, .. }, Err(rotated)) = (&mut look, secrets.rotation(false)) {
            // It may show a value that is not known any more.
            *tail = format!("its output is not shown: {}", rotated.message);
        }
        let mut memory = self.memory();
        match &look {
            Look::PidDead => memory.looks_dead(id, now),
            Look::Exited { .. } => memory.ended(id),
            _ => memory.looks_alive(id),
        }
        Ok(look)
    }

    /// Prepares files, tree and commit: content-addressed, so that doing it again gives the same.
    async fn look_at_files(&self, task: &Task, question: &Collect) -> Result<Files, Failure> {
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
        let collected = match (self.spooled(&question.spool).await?, &question.sandbox) {
            (Some(collected), _) => collected,
            (None, None) => return Ok(Files::NotSpooled),
            (None, Some(sandbox)) => match self.collect(task, question, sandbox).await {
                Ok(collected) => collected,
                Err(error @ (FilesError::WaitingForSpool { .. } | FilesError::WaitingForTransfer)) => {
                    return Ok(Files::Waiting { reason: error.reason() });
                }
                Err(error) => return Err(error.into()),
            },
        };
        let at = self.at_github(task).await?;
        let status = task.status.clone().unwrap_or_default();
        let ledger = self.spool.ledger(&question.spool);
        let (title, body) = question.text.clone().unwrap_or_default();
        let request = commit::Request {
            repository: &at.name,
            parent: &question.parent,
            snapshot: &collected.snapshot,
            message: &commit_message(task),
            title: &title,
            body: &body,
            needles,
            author: &author(task),
            date: commit_date(task, &status),
            ledger: &ledger,
            deadline: Instant::now() + UPLOAD,
        };
        match commit::prepare(&at.client, request).await {
            Ok(Prepared::Commit { tree, commit }) => {
                Ok(Files::Committed { tree, commit, digest: collected.digest })
            }
            Ok(Prepared::NothingToCommit) => Ok(Files::Unchanged { digest: collected.digest }),
            Ok(Prepared::Progress { uploaded, of, failure }) => Ok(Files::Progress { uploaded, of, failure }),
            Err(failure) if failure.reason == commit::SPOOLED_FILES_LOST => {
                self.unspool(task, None).await;
                Err(Failure { class: Class::Transient, ..failure })
            }
            Err(failure) if failure.reason == reason::SECRET_IN_FILES => {
                // The values would lie on the operator's disk for as long as nobody acts.
                self.unspool(task, None).await;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn collect(&self, task: &Task, question: &Collect, sandbox: &str) -> Result<Collected, FilesError> {
        let namespace = task.namespace().unwrap_or_default();
        let _permit = self.transfers.try_acquire(&namespace).ok_or(FilesError::WaitingForTransfer)?;
        let envd = self.envd(task, sandbox).await.map_err(FilesError::Unreached)?;
        files::collect(&envd, &question.source, self.caps, &self.spool, &question.spool).await
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

    /// Forgets the Task's spooled files but those that its round still needs: every end of a round, an attempt or the Task
    /// gives the room back. What can't be removed is swept at the next start.
    pub(super) async fn tidy_spool(&self, task: &Task) {
        let status = task.status.clone().unwrap_or_default();
        let keep = spool_id(task, &status).filter(|_| task.metadata.deletion_timestamp.is_none());
        self.unspool(task, keep).await;
    }

    async fn unspool(&self, task: &Task, keep: Option<String>) {
        let (spool, uid) = (self.spool.clone(), task.uid().unwrap_or_default());
        let removed = tokio::task::spawn_blocking(move || spool.retain(&uid, keep.as_deref())).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "spooled files can't be removed");
        }
    }

    async fn look_at_pulls(&self, task: &Task, question: &FindPulls) -> Result<Vec<SeenPull>, Failure> {
        let at = self.at_github(task).await?;
        let commit = task.status.as_ref().and_then(|status| status.commit_sha.clone()).unwrap_or_default();
        let mut pulls = Vec::new();
        for pull in at.client.list_pulls_by_head(&at.name, &question.branch).await? {
            let mut seen = seen_pull(&pull);
            let observed = &mut seen.observed;
            let here = observed.head_repository_id == observed.base_repository_id;
            if here && observed.branch.as_ref() == Some(&question.branch) && observed.marker.is_none() {
                // Somebody may have pushed on top of the commit, and rewritten the text.
                let head = observed.head_sha.clone().unwrap_or_default();
                observed.stands_on_commit =
                    head == commit || at.client.contains(&at.name, &head, &commit).await?;
            }
            pulls.push(seen);
        }
        Ok(pulls)
    }

    async fn look_at_pull(
        &self,
        task: &Task,
        question: &ReadPull,
        now: Timestamp,
    ) -> Result<Option<SeenPull>, Failure> {
        let at = self.at_github(task).await?;
        let number = u64::try_from(question.number).unwrap_or_default();
        let mut pull = at.client.get_pull(&at.name, number).await?.as_ref().map(seen_pull);
        if let (Some(pull), Some(wanted)) = (&mut pull, question.merge)
            && let Some(head) = pull.observed.head_sha.clone().filter(|_| pull.asks_for_checks(wanted))
        {
            pull.checks = Some(seen_checks(at.client.get_checks(&at.name, &head).await?));
        }
        let (uid, mut memory) = (task.uid().unwrap_or_default(), self.memory());
        let previous = memory.pull_read(&uid);
        let read = PullRead::after(previous.as_ref(), pull.as_ref(), question.merge, now);
        memory.remember_pull(uid, read, now);
        Ok(pull)
    }

    async fn look_at_leftover(&self, task: &Task, question: &LeftBranch) -> Result<Leftover, Failure> {
        let at = self.at_github(task).await?;
        let tip = at.client.get_branch_sha(&at.name, &question.branch).await?;
        // Also where the branch is gone: GitHub may delete it with the merge.
        let pulls = at.client.list_pulls_by_head(&at.name, &question.branch).await?;
        Ok(Leftover { tip, pulls: pulls.iter().map(seen_pull).collect() })
    }
}

/// Returns the end of the generation, or the start of the round: the same whenever it is asked, so that the commit is too.
fn commit_date(task: &Task, status: &TaskStatus) -> Timestamp {
    let finished = source_generation(task, status).and_then(|run| run.finished_at.as_ref());
    finished.or(status.round_started_at.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
