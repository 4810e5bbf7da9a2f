//! The one effect of a pass, without policy: a step in, an outcome out.
//! Part of the Task controller.

use super::{
    TaskController,
    access::{AtGitHub, author, name_of, seen_pull},
    commit, feedback,
    generate::{self, GenerationSpec},
    keys::gone,
    output,
    result::commit_date,
};
use crate::{
    api::{Publication, SANDBOX_FINALIZER, Sandbox, Task, TaskStatus, conditions::reason},
    cluster,
    controllers::shell::MANAGER,
    domain::{
        failure::{Failure, operation},
        git,
        output::Output,
        task::{Outcome, Step, apply_in_place, has_feedback, pull_request_text},
    },
    github::{CreatedPull, CreatedRef, DeletedBranch, NewPull, UpdatedRef},
};
use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams, Preconditions},
};
use secrecy::SecretString;

impl TaskController {
    pub(super) async fn execute(&self, task: &Task, step: &Step) -> Result<Outcome, Failure> {
        match step {
            Step::CreateSandbox { name } => self.create_sandbox(task, name).await,
            Step::PatchSandbox { name } => self.patch_sandbox(task, name).await,
            Step::DeleteSandbox { name } => self.delete_sandbox(task, name).await,
            Step::Start { generation } => self.start(task, generation).await,
            Step::Signal { generation, sandbox, kill } => self.signal(task, generation, sandbox, *kill).await,
            Step::CreateBranch { branch, sha } => self.create_branch(task, branch, sha).await,
            Step::UpdateBranch { branch, sha } => self.update_branch(task, branch, sha).await,
            Step::DeleteBranch { branch, sha, .. } => {
                let at = self.at_github(task).await?;
                Ok(match at.client.delete_branch_at(&at.name, branch, sha).await? {
                    DeletedBranch::Deleted => Outcome::Done,
                    DeletedBranch::Elsewhere => Outcome::BranchElsewhere,
                })
            }
            Step::CreatePullRequest { branch } => self.create_pull_request(task, branch).await,
            Step::SetPart { number, part } => self.set_part(task, *number, *part).await,
            Step::Merge { number, sha, method } => self.merge(task, *number, sha, *method).await,
            Step::Enqueue { node_id, sha } => self.enqueue(task, node_id, sha).await,
            Step::Dequeue { node_id } => self.dequeue(task, node_id).await,
        }
    }

    fn sandboxes(&self, task: &Task) -> Api<Sandbox> {
        Api::namespaced(self.client.clone(), &task.namespace().unwrap_or_default())
    }

    async fn create_sandbox(&self, task: &Task, name: &str) -> Result<Outcome, Failure> {
        let mut owner = task.controller_owner_ref(&()).unwrap_or_default();
        // kube leaves it out; with it, a foreground deletion of the Task waits for the sandbox to be killed.
        owner.block_owner_deletion = Some(true);
        let spec = task.spec.sandbox_template.clone().unwrap_or_default().spec;
        let mut sandbox = Sandbox::new(name, spec);
        sandbox.metadata = ObjectMeta {
            owner_references: Some(vec![owner]),
            // Its controller would add it first thing: a write less.
            finalizers: Some(vec![SANDBOX_FINALIZER.into()]),
            ..sandbox.metadata
        };
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        match self.sandboxes(task).create(&params, &sandbox).await.map_err(cluster::Error::from) {
            // The name is the Task's own: one that exists is it, which the next look shows.
            Ok(_) | Err(cluster::Error::Conflict(_)) => Ok(Outcome::Done),
            Err(error) => Err(error.during("createSandbox")),
        }
    }

    async fn patch_sandbox(&self, task: &Task, name: &str) -> Result<Outcome, Failure> {
        if let (Some(sandbox), Some(template)) = (self.sandbox_named(task, name), &task.spec.sandbox_template)
        {
            let desired = apply_in_place(&sandbox.spec, &template.spec);
            let api = self.sandboxes(task);
            match cluster::status::write_spec(&api, &*sandbox, &sandbox.spec, &desired, MANAGER).await {
                Ok(_) | Err(cluster::Error::NotFound(_)) => {}
                Err(error) => return Err(error.during("patchSandbox")),
            }
        }
        Ok(Outcome::Done)
    }

    async fn delete_sandbox(&self, task: &Task, name: &str) -> Result<Outcome, Failure> {
        let sandbox = self.sandbox_named(task, name);
        let preconditions =
            sandbox.map(|sandbox| Preconditions { uid: sandbox.uid(), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.sandboxes(task).delete(name, &params).await.map_err(cluster::Error::from) {
            Ok(_) | Err(cluster::Error::NotFound(_) | cluster::Error::Conflict(_)) => Ok(Outcome::Done),
            Err(error) => Err(error.during(operation::DELETE_SANDBOX)),
        }
    }

    async fn start(&self, task: &Task, id: &str) -> Result<Outcome, Failure> {
        let Some(command) = &task.spec.generate else { return Ok(Outcome::Done) };
        let status = task.status.clone().unwrap_or_default();
        let envd = self.envd(task, status.sandbox_id.as_deref().unwrap_or_default()).await?;
        let mut env = self.variables(task, &status, id);
        let given = self.secrets_to_give(task).await?;
        let needles = given.needles();
        env.extend(given.env);
        self.remember_secrets(task, id, given.values);
        let spec = GenerationSpec {
            id: id.to_owned(),
            command: command.command.clone(),
            working_dir: command.working_dir.clone().unwrap_or_else(|| task.spec.source.path.clone()),
            env,
        };
        generate::start(&envd, &spec).await.map_err(|error| needles.mask_failure(error.into()))?;
        Ok(Outcome::Done)
    }

    /// What every command finds in its environment, as the round recorded it: neither spec nor Repository may have a word in a
    /// round that has begun.
    fn variables(&self, task: &Task, status: &TaskStatus, id: &str) -> Vec<(String, SecretString)> {
        let attempt = id.rsplit('-').next().unwrap_or_default();
        let repository = self.repository(task).map(|repository| name_of(&repository).to_string());
        let variables = [
            ("TASK_NAME", task.name_any()),
            ("TASK_TITLE", task.spec.title.clone()),
            ("TASK_DESCRIPTION", task.spec.description.clone().unwrap_or_default()),
            ("REPOSITORY", repository.unwrap_or_default()),
            ("BRANCH", status.branch.clone().unwrap_or_default()),
            ("BASE_BRANCH", status.base_branch.clone().unwrap_or_default()),
            ("BASE_SHA", status.base_sha.clone().unwrap_or_default()),
            ("ROUND", status.round.unwrap_or(1).to_string()),
            ("ATTEMPT", attempt.to_owned()),
            ("OUTPUT", output::directory(id)),
            ("PROMPT", generate::prompt(id)),
        ];
        let feedback = has_feedback(status).then(|| ("FEEDBACK", feedback::place(id)));
        let all = variables.into_iter().chain(feedback);
        all.map(|(name, value)| (format!("SLIPWAY_{name}"), value.into())).collect()
    }

    async fn signal(&self, task: &Task, id: &str, sandbox: &str, kill: bool) -> Result<Outcome, Failure> {
        let envd = self.envd(task, sandbox).await?;
        // A command that had come to its own end was not ended by us: its result counts.
        if generate::signal(&envd, id, kill).await? {
            self.memory().signalled(id, Timestamp::now());
        }
        Ok(Outcome::Done)
    }

    async fn update_branch(&self, task: &Task, branch: &str, sha: &str) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        match at.client.update_ref(&at.name, branch, sha).await? {
            UpdatedRef::Updated => Ok(Outcome::Done),
            // Somebody pushed, unless an earlier answer was lost and the push is on top of our commit.
            UpdatedRef::NotFastForward if at.client.contains(&at.name, branch, sha).await? => {
                Ok(Outcome::Done)
            }
            UpdatedRef::NotFastForward => self.rebase(task, &at, branch, sha).await,
            UpdatedRef::Missing => Err(gone(
                "updateBranch",
                reason::BRANCH_MISSING,
                format!(
                    "the branch {branch} of the open pull request does not exist: restore it, or close the pull request"
                ),
            )),
        }
    }

    /// Makes the round's commit again on top of what somebody has pushed to the branch.
    async fn rebase(&self, task: &Task, at: &AtGitHub, branch: &str, sha: &str) -> Result<Outcome, Failure> {
        // The next look tells what has become of the branch.
        let Some(head) = at.client.get_branch_sha(&at.name, branch).await? else {
            return Ok(Outcome::BranchMoved);
        };
        let status = task.status.clone().unwrap_or_default();
        let author = author(task);
        let asked = commit::Rebase {
            repository: &at.name,
            commit: sha,
            onto: &head,
            author: author.as_ref(),
            date: commit_date(task, &status),
        };
        Ok(match commit::rebase(&at.client, asked).await? {
            Some((tree, commit)) => Outcome::Rebased { parent: head, tree, commit },
            None => Outcome::BranchMoved,
        })
    }

    async fn create_branch(&self, task: &Task, branch: &str, sha: &str) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        let created = at.client.create_ref(&at.name, branch, sha).await;
        Ok(match created? {
            CreatedRef::Created => Outcome::Done,
            CreatedRef::AlreadyExists => {
                let Some(tip) = at.client.get_branch_sha(&at.name, branch).await? else {
                    return Ok(Outcome::BranchNotVisible);
                };
                Outcome::BranchExists { ours: self.is_ours(task, &at, &tip, sha).await? }
            }
        })
    }

    /// Asks whether a branch is this Task's: at our commit, on top of it, or at an older commit of this Task.
    async fn is_ours(&self, task: &Task, at: &AtGitHub, tip: &str, sha: &str) -> Result<bool, Failure> {
        if tip == sha {
            return Ok(true);
        }
        let uid = task.uid().unwrap_or_default();
        let commit = at.client.get_commit(&at.name, tip).await?;
        let marked = commit.is_some_and(|commit| git::task_of(&commit.message) == Some(uid.as_str()));
        Ok(marked || at.client.contains(&at.name, tip, sha).await?)
    }

    async fn create_pull_request(&self, task: &Task, branch: &str) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        let status = task.status.clone().unwrap_or_default();
        let Publication { title, body, base, .. } = status.publication.clone().unwrap_or_else(|| {
            let (title, body) = pull_request_text(task, &status, &Output::default());
            Publication { title, body, base: status.base_branch.clone().unwrap_or_default(), sandbox: None }
        });
        let new = NewPull { title, body, head: branch.to_owned(), base, draft: task.spec.pull_request.draft };
        Ok(match at.client.create_pull(&at.name, &new).await? {
            CreatedPull::Created(pull) => Outcome::PullRequest(Box::new(seen_pull(&pull))),
            CreatedPull::AlreadyExists => Outcome::PullRequestExists,
        })
    }
}
