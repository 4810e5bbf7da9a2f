//! Answers the question of a Task's position: exactly what it asks for, as data.
//! Part of the Task controller; the files have a module of their own, `result`, and so has the merge, `merging`.

use super::{
    TaskController,
    access::{AtGitHub, seen_pull},
    generate,
};
use crate::{
    api::{Task, conditions::reason},
    domain::{
        failure::Failure,
        task::{
            Branches, FindPulls, Generation, LeftBranch, Leftover, Look, Observed, PlannedRound, Position,
            SeenPull, Start, StartAnswer, spool_id,
        },
    },
};
use jiff::Timestamp;
use kube::ResourceExt;

impl TaskController {
    /// Answers the question of a position.
    pub(super) async fn answer(&self, task: &Task, position: Position, now: Timestamp) -> Observed {
        match position {
            Position::Decided(plan) => Observed::Decided(plan),
            Position::Start(asked) => {
                let answer = self.look_at_start(&asked.task(task), &asked.question).await;
                let answer = self.forget_unreachable(asked.question.sandbox_id(), answer);
                asked.answered(answer)
            }
            Position::Generation(asked) => {
                let answer = self.look_at_generation(task, &asked.question, now).await;
                let answer = self.forget_unreachable(&asked.question.sandbox, answer);
                asked.answered(answer)
            }
            Position::Collect(asked) => {
                let answer = Box::pin(self.look_at_files(task, &asked.question)).await;
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
            Position::InQueue(asked) => {
                let answer = self.look_at_queue(task, &asked.question).await;
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
        if let Some(checkout) = &question.checkout
            && let Some(reason) = self.check_out(task, checkout).await?
        {
            return Ok(StartAnswer::Waiting { reason });
        }
        if let Some(wanted) = &question.feedback {
            self.write_feedback(task, wanted).await?;
        }
        Ok(StartAnswer::Ready { secrets, branches })
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

    /// Forgets the Task's spooled files but those that its round still needs: every end of a round, an attempt or the Task
    /// gives the room back. What can't be removed is swept at the next start.
    pub(super) async fn tidy_spool(&self, task: &Task) {
        let status = task.status.clone().unwrap_or_default();
        let keep = spool_id(task, &status).filter(|_| task.metadata.deletion_timestamp.is_none());
        self.unspool(task, keep).await;
    }

    pub(super) async fn unspool(&self, task: &Task, keep: Option<String>) {
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

    async fn look_at_leftover(&self, task: &Task, question: &LeftBranch) -> Result<Leftover, Failure> {
        let AtGitHub { client, name } = self.at_github(task).await?;
        // Of another repository that has the name by now nothing is to be told. Where ours is gone, all of it is.
        let name = match client.name_of_today(&name).await {
            Err(gone) if gone.reason == reason::REPOSITORY_GONE => name,
            today => today?,
        };
        let tip = client.get_branch_sha(&name, &question.branch).await?;
        // Also where the branch is gone: GitHub may delete it with the merge.
        let pulls = client.list_pulls_by_head(&name, &question.branch).await?;
        Ok(Leftover { tip, pulls: pulls.iter().map(seen_pull).collect() })
    }
}
