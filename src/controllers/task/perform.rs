//! The one effect of a pass, without policy: a step in, an outcome out.
//! Part of the Task controller.

use super::{
    TaskController,
    generate::{self, GenerationSpec},
    reach::seen_pull,
};
use crate::{
    api::{MergeMethod, SANDBOX_FINALIZER, Sandbox, Task},
    cluster,
    controllers::shell::MANAGER,
    domain::{
        failure::Failure,
        git, need,
        task::{Outcome, Step, followed, pull_request_text},
    },
    github::{CreatedPull, CreatedRef, Merged, NewPull},
    telemetry,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams, Preconditions},
};
use secrecy::SecretString;

impl TaskController {
    pub(super) async fn take(&self, task: &Task, step: &Step) -> Result<Outcome, Failure> {
        match step {
            Step::CreateSandbox => self.create_sandbox(task).await,
            Step::PatchSandbox => self.patch_sandbox(task).await,
            Step::DeleteSandbox => self.delete_sandbox(task).await,
            Step::Start { generation } => self.start(task, generation).await,
            Step::Signal { generation, kill } => self.signal(task, generation, *kill).await,
            Step::CreateBranch { branch, sha, generation } => {
                self.create_branch(task, branch, sha, generation).await
            }
            Step::DeleteBranch { branch, .. } => {
                let at = self.at_github(task).await?;
                at.client.delete_ref(&at.name, branch).await?;
                Ok(Outcome::Done)
            }
            Step::CreatePullRequest { branch, base } => self.create_pull_request(task, branch, base).await,
            Step::Merge { number, sha, method } => self.merge(task, *number, sha, *method).await,
        }
    }

    fn sandboxes(&self, task: &Task) -> Api<Sandbox> {
        Api::namespaced(self.client.clone(), &task.namespace().unwrap_or_default())
    }

    async fn create_sandbox(&self, task: &Task) -> Result<Outcome, Failure> {
        let mut owner = task.controller_owner_ref(&()).unwrap_or_default();
        // kube leaves it out; with it, a foreground deletion of the Task waits for the sandbox to be killed.
        owner.block_owner_deletion = Some(true);
        let spec = task.spec.sandbox_template.clone().unwrap_or_default().spec;
        let mut sandbox = Sandbox::new(&need::sandbox_name(task), spec);
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

    async fn patch_sandbox(&self, task: &Task) -> Result<Outcome, Failure> {
        if let (Some(sandbox), Some(template)) = (self.sandbox(task), &task.spec.sandbox_template) {
            let wanted = followed(&sandbox.spec, &template.spec);
            match cluster::status::write_spec(
                &self.sandboxes(task),
                &*sandbox,
                &sandbox.spec,
                &wanted,
                MANAGER,
            )
            .await
            {
                Ok(_) | Err(cluster::Error::NotFound(_)) => {}
                Err(error) => return Err(error.during("patchSandbox")),
            }
        }
        Ok(Outcome::Done)
    }

    async fn delete_sandbox(&self, task: &Task) -> Result<Outcome, Failure> {
        let preconditions =
            self.sandbox(task).map(|sandbox| Preconditions { uid: sandbox.uid(), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self
            .sandboxes(task)
            .delete(&need::sandbox_name(task), &params)
            .await
            .map_err(cluster::Error::from)
        {
            Ok(_) | Err(cluster::Error::NotFound(_) | cluster::Error::Conflict(_)) => Ok(Outcome::Done),
            Err(error) => Err(error.during("deleteSandbox")),
        }
    }

    async fn start(&self, task: &Task, id: &str) -> Result<Outcome, Failure> {
        let Some(command) = &task.spec.generate else { return Ok(Outcome::Done) };
        let status = task.status.clone().unwrap_or_default();
        let envd = self.envd(task, status.sandbox_id.as_deref().unwrap_or_default()).await?;
        let base = self.context(task).repository.and_then(|repository| repository.base_branch);
        let base = task.spec.base_branch.clone().or(base).unwrap_or_default();
        let mut env: Vec<(String, SecretString)> = vec![
            ("SLIPWAY_TASK_NAME".into(), task.name_any().into()),
            ("SLIPWAY_TASK_TITLE".into(), task.spec.title.clone().into()),
            ("SLIPWAY_TASK_DESCRIPTION".into(), task.spec.description.clone().unwrap_or_default().into()),
            ("SLIPWAY_BRANCH".into(), status.branch.unwrap_or_default().into()),
            ("SLIPWAY_BASE_BRANCH".into(), base.into()),
        ];
        // A Secret that has vanished since it was looked for leaves its variable out: the command says what it misses.
        env.extend(self.env(task).await?.unwrap_or_default());
        let spec = GenerationSpec {
            id: id.to_owned(),
            command: command.command.clone(),
            working_dir: command.working_dir.clone().unwrap_or_else(|| task.spec.source.path.clone()),
            env,
        };
        let given = self.secrets_to_give(task).await?;
        let needles = given.needles();
        self.remember_secrets(task, id, given.values);
        generate::start(&envd, &spec).await.map_err(|error| needles.mask_failure(error.into()))?;
        Ok(Outcome::Done)
    }

    async fn signal(&self, task: &Task, id: &str, kill: bool) -> Result<Outcome, Failure> {
        let sandbox = task.status.as_ref().and_then(|status| status.sandbox_id.clone()).unwrap_or_default();
        let envd = self.envd(task, &sandbox).await?;
        generate::signal(&envd, id, kill).await?;
        Ok(Outcome::Done)
    }

    async fn create_branch(
        &self,
        task: &Task,
        branch: &str,
        sha: &str,
        id: &str,
    ) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        let created = at.client.create_ref(&at.name, branch, sha).await;
        // The commit is in status, whatever becomes of the branch; unless the call was not sent, and status goes back.
        if !telemetry::writes().refused {
            self.unspool(id).await;
        }
        Ok(match created? {
            CreatedRef::Created => Outcome::Done,
            CreatedRef::AlreadyExists => {
                let ours = match at.client.get_branch_sha(&at.name, branch).await? {
                    Some(tip) if tip == sha => true,
                    // Somebody has pushed on top of it, or it is an older commit of this Task.
                    Some(tip) => {
                        let commit = at.client.get_commit(&at.name, &tip).await?;
                        let uid = task.uid().unwrap_or_default();
                        commit.is_some_and(|commit| git::task_of(&commit.message) == Some(uid.as_str()))
                            || at.client.contains(&at.name, &tip, sha).await?
                    }
                    None => false,
                };
                Outcome::BranchExists { ours }
            }
        })
    }

    async fn create_pull_request(&self, task: &Task, branch: &str, base: &str) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        let (title, body) = pull_request_text(task, &task.status.clone().unwrap_or_default());
        let new = NewPull {
            title,
            body,
            head: branch.to_owned(),
            base: base.to_owned(),
            draft: task.spec.pull_request.draft,
        };
        Ok(match at.client.create_pull(&at.name, &new).await? {
            CreatedPull::Created(pull) => Outcome::PullRequest(seen_pull(&pull)),
            CreatedPull::AlreadyExists => Outcome::PullRequestExists,
        })
    }

    async fn merge(
        &self,
        task: &Task,
        number: i64,
        sha: &str,
        method: MergeMethod,
    ) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        let number = u64::try_from(number).unwrap_or_default();
        Ok(match at.client.merge_pull(&at.name, number, sha, method).await? {
            Merged::Merged { sha } => Outcome::Merged { sha: Some(sha) },
            Merged::NotMergeable { message } => Outcome::NotMergeable(message),
            Merged::HeadChanged => Outcome::HeadChanged,
        })
    }
}
