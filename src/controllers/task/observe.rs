//! Reading the world for one pass: exactly what `domain::task::wants` asks for, as data.
//! Part of the Task controller; nothing here changes anything that somebody would see.

use super::{
    TaskController,
    commit::{self, Prepared},
    files::{self, Collected, FilesError},
    generate,
    reach::{author, commit_message, seen_pull},
};
use crate::{
    api::{Task, TaskStatus, conditions::reason},
    domain::{
        failure::{Class, Failure},
        secrets::Needles,
        task::{Context, Files, Look, Looking, PlannedBranch, PullRead, Seen, pull_request_text},
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::Instant;

/// The longest interval between two looks is a day: what was last seen before this belongs to nobody any more.
const FORGET: SignedDuration = SignedDuration::from_hours(72);
/// A pass with files left to upload ends after this; the next goes on.
const UPLOAD: Duration = Duration::from_secs(90);

impl TaskController {
    pub(super) async fn look(
        &self,
        task: &Task,
        context: &Context,
        looking: Looking,
        now: Timestamp,
    ) -> Seen {
        let seen = match looking {
            Looking::Nothing => Ok(Seen::Nothing),
            Looking::Start { plan } => self.look_at_start(task, plan).await,
            Looking::Generation { id } => self.look_at_generation(task, context, &id, now).await,
            Looking::Files { id } => self.look_at_files(task, context, &id).await,
            Looking::Pulls { branch } => self.look_at_pulls(task, &branch).await,
            Looking::Pull { number } => self.look_at_pull(task, number, now).await,
            Looking::Leftover { branch } => self.look_at_leftover(task, &branch).await,
        };
        if let Err(Failure { reason: reason::SANDBOX_UNREACHABLE, .. }) = &seen
            && let Some(id) = context.sandbox.as_ref().and_then(|sandbox| sandbox.id.as_ref())
        {
            // The next look asks E2B again how to get there.
            self.memory().access.remove(id);
        }
        seen.unwrap_or_else(Seen::Failed)
    }

    async fn look_at_start(&self, task: &Task, plan: Option<PlannedBranch>) -> Result<Seen, Failure> {
        if let Err(missing) = self.env(task).await? {
            return Ok(Seen::SecretMissing(missing));
        }
        let Some(plan) = plan else { return Ok(Seen::Nothing) };
        let at = self.at_github(task).await?;
        let base_sha = at.client.get_branch_sha(&at.name, &plan.base).await?;
        let below = format!("{}/", plan.branch);
        let branches = at.client.matching_branches(&at.name, &plan.branch).await?;
        let taken = branches.iter().any(|(name, _)| *name == plan.branch || name.starts_with(&below));
        Ok(Seen::Branches { base_sha, taken })
    }

    async fn look_at_generation(
        &self,
        task: &Task,
        context: &Context,
        id: &str,
        now: Timestamp,
    ) -> Result<Seen, Failure> {
        let sandbox = context.sandbox.as_ref().and_then(|sandbox| sandbox.id.clone()).unwrap_or_default();
        let envd = self.envd(task, &sandbox).await?;
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
            Look::PidDead => {
                // Tasks may go while their process looks dead: nobody takes their entries away.
                memory.dead.retain(|_, since| now.duration_since(*since) < FORGET);
                memory.dead.entry(id.to_owned()).or_insert(now);
            }
            _ => {
                memory.dead.remove(id);
            }
        }
        Ok(Seen::Generation(look))
    }

    /// Files, tree and commit: content-addressed, so that doing it again gives the same.
    async fn look_at_files(&self, task: &Task, context: &Context, id: &str) -> Result<Seen, Failure> {
        let secrets = self.secret_values(task, id).await?;
        secrets.rotation(false)?;
        // Paths and the sandbox's own words stand in what goes wrong.
        self.commit_files(task, context, id, &secrets.needles)
            .await
            .map_err(|failure| secrets.needles.mask_failure(failure))
    }

    async fn commit_files(
        &self,
        task: &Task,
        context: &Context,
        id: &str,
        needles: &Needles,
    ) -> Result<Seen, Failure> {
        let collected = match self.spooled(id).await? {
            Some(collected) => collected,
            None => match self.collect(task, context, id).await {
                Ok(collected) => collected,
                Err(FilesError::WaitingForSpool { .. }) => return Ok(Seen::Files(Files::WaitingForSpool)),
                Err(error) => return Err(error.into()),
            },
        };
        let at = self.at_github(task).await?;
        let status = task.status.clone().unwrap_or_default();
        let ledger = self.spool.ledger(id);
        let (title, body) = pull_request_text(task, &status);
        let request = commit::Request {
            repository: &at.name,
            parent: status.base_sha.as_deref().unwrap_or_default(),
            snapshot: &collected.snapshot,
            message: &commit_message(task),
            title: &title,
            body: &body,
            needles,
            author: &author(task),
            date: commit_date(&status, id),
            ledger: &ledger,
            deadline: Instant::now() + UPLOAD,
        };
        let prepared = commit::prepare(&at.client, request).await;
        match prepared {
            Ok(Prepared::Commit { tree, commit }) => {
                Ok(Seen::Files(Files::Committed { tree, commit, digest: collected.digest }))
            }
            Ok(Prepared::NothingToCommit) => {
                self.unspool(id).await;
                Ok(Seen::Files(Files::Unchanged { digest: collected.digest }))
            }
            Ok(Prepared::Progress { uploaded, of, failure }) => {
                Ok(Seen::Files(Files::Progress { uploaded, of, failure }))
            }
            Err(failure) if failure.reason == commit::SPOOLED_FILES_LOST => {
                self.unspool(id).await;
                Err(Failure { class: Class::Transient, ..failure })
            }
            Err(failure) if failure.reason == reason::SECRET_IN_FILES => {
                // The values would lie on the operator's disk for as long as nobody acts.
                self.unspool(id).await;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn collect(&self, task: &Task, context: &Context, id: &str) -> Result<Collected, FilesError> {
        let sandbox = context.sandbox.as_ref().and_then(|sandbox| sandbox.id.clone()).unwrap_or_default();
        let envd = self.envd(task, &sandbox).await.map_err(FilesError::Unreached)?;
        files::collect(&envd, &task.spec.source, self.caps, &self.spool, id).await
    }

    /// The spool's disk may block: its calls run beside the reconciles.
    async fn spooled(&self, id: &str) -> Result<Option<Collected>, Failure> {
        let (spool, id) = (self.spool.clone(), id.to_owned());
        let opened = tokio::task::spawn_blocking(move || spool.open(&id)).await;
        match opened {
            Ok(opened) => opened.map_err(|error| FilesError::Spool(error).into()),
            Err(_) => Ok(None),
        }
    }

    /// Forgets spooled files; what can't be removed is swept at the next start.
    pub(super) async fn unspool(&self, id: &str) {
        let (spool, id) = (self.spool.clone(), id.to_owned());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || spool.remove(&id)).await {
            tracing::warn!(%error, "spooled files can't be removed");
        }
    }

    async fn look_at_pulls(&self, task: &Task, branch: &str) -> Result<Seen, Failure> {
        let at = self.at_github(task).await?;
        let pulls = at.client.list_pulls_by_head(&at.name, branch).await?;
        Ok(Seen::Pulls(pulls.iter().map(seen_pull).collect()))
    }

    async fn look_at_pull(&self, task: &Task, number: i64, now: Timestamp) -> Result<Seen, Failure> {
        let at = self.at_github(task).await?;
        let pull = at.client.get_pull(&at.name, u64::try_from(number).unwrap_or_default()).await?;
        let pull = pull.as_ref().map(seen_pull);
        let (uid, mut memory) = (task.uid().unwrap_or_default(), self.memory());
        let read = PullRead::after(memory.pulls.get(&uid).copied(), pull.as_ref(), now);
        if !memory.pulls.contains_key(&uid) {
            memory.pulls.retain(|_, read| now.duration_since(read.at) < FORGET);
        }
        memory.pulls.insert(uid, read);
        Ok(Seen::Pull(pull))
    }

    async fn look_at_leftover(&self, task: &Task, branch: &str) -> Result<Seen, Failure> {
        let at = self.at_github(task).await?;
        let tip = at.client.get_branch_sha(&at.name, branch).await?;
        // Also where the branch is gone: GitHub may delete it with the merge.
        let pulls = at.client.list_pulls_by_head(&at.name, branch).await?;
        Ok(Seen::Leftover { tip, pulls: pulls.iter().map(seen_pull).collect() })
    }
}

/// The end of the generation, or the start of the round: the same whenever it is asked, so that the commit is too.
fn commit_date(status: &TaskStatus, id: &str) -> Timestamp {
    let finished =
        status.code_generations.iter().find(|run| run.id == id).and_then(|run| run.finished_at.as_ref());
    finished.or(status.round_started_at.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
