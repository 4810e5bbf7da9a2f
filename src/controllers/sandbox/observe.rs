//! Finds out what a pass needs before it decides: the Tasks' demands from their store, and the answer to a stage's question.
//! Part of the Sandbox controller; `domain::sandbox` says where an object stands and so what is asked.

use super::{
    SandboxController, answer,
    memory::{Environment, Prepared},
    uid,
};
use crate::{
    api::{CodeGeneration, LastRun, OperatingMode, Sandbox, SecretVersion, Task},
    cluster,
    domain::{
        demand::{self, Demand},
        failure::Failure,
        sandbox::{self, Attempts, Context, Keyed, Listing, Look, LookupResult, Seen, Stage, UnderKey},
        turn::{self, Turn},
    },
    e2b::Account,
};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// The commands that Tasks have run in the recorded sandbox.
fn runs<'a>(object: &Sandbox, tasks: &'a [Arc<Task>]) -> impl Iterator<Item = &'a CodeGeneration> {
    let id = object.status.as_ref().and_then(|status| status.sandbox_id.clone());
    let all =
        tasks.iter().filter_map(|task| task.status.as_ref()).flat_map(|status| &status.code_generations);
    all.filter(move |run| Some(&run.sandbox_id) == id.as_ref())
}

/// Last end of a command in the recorded sandbox.
fn last_finished(object: &Sandbox, tasks: &[Arc<Task>]) -> Option<Timestamp> {
    runs(object, tasks).filter_map(|run| Some(run.finished_at.as_ref()?.0)).max()
}

/// The newest command that is known to have ended in the recorded sandbox, since it was last found with older files.
fn newest_run(object: &Sandbox, tasks: &[Arc<Task>]) -> Option<String> {
    let judged = object.status.as_ref()?.rolled_back_at.as_ref().map(|at| at.0);
    let ended = runs(object, tasks)
        .filter(|run| run.exit_code.is_some())
        .filter_map(|run| Some((run.finished_at.as_ref()?.0, &run.id)));
    ended.filter(|(at, _)| judged.is_none_or(|judged| judged < *at)).max().map(|(_, id)| id.clone())
}

/// The last commands in the recorded sandbox; of one that Tasks share.
fn last_runs(object: &Sandbox, tasks: &[Arc<Task>]) -> Vec<LastRun> {
    let status = object.status.as_ref().filter(|_| turn::is_shared(object));
    status.map(|status| turn::last_runs(status, tasks.iter().map(Arc::as_ref))).unwrap_or_default()
}

impl SandboxController {
    pub(super) fn newest_run(&self, object: &Sandbox) -> Option<String> {
        newest_run(object, &self.tasks_of(object))
    }

    pub(super) async fn context(&self, object: &Sandbox, now: Timestamp) -> Context {
        let tasks = self.tasks_of(object);
        let keeps_up = |task: &Arc<Task>| demand::keeps_up(demand::of(task), &object.spec);
        Context {
            needed: object.spec.operating_mode == OperatingMode::Running || tasks.iter().any(keeps_up),
            uncommitted: tasks.iter().any(|task| demand::of(task) != Demand::None),
            unreachable: tasks.iter().any(|task| demand::reports_unreachable(task)),
            silent: tasks.iter().any(|task| demand::is_silent(task, now)),
            last_finished: last_finished(object, &tasks),
            last_look: self.memory.last_look(&uid(object)),
            last_runs: last_runs(object, &tasks),
            turn: self.turn(object, tasks).await,
        }
    }

    /// The Tasks that work in the Sandbox, or would like to.
    fn tasks_of(&self, object: &Sandbox) -> Vec<Arc<Task>> {
        let name = object.name_any();
        let mut tasks = self.tasks.state();
        tasks.retain(|task| {
            task.metadata.namespace == object.metadata.namespace && demand::works_in(task, &name)
        });
        tasks
    }

    /// Finds whose turn it is. The store may be older than the grant, so the end of a turn is confirmed by the API server.
    async fn turn(&self, object: &Sandbox, mut tasks: Vec<Arc<Task>>) -> Turn {
        // Nothing begins in a sandbox that is about to go.
        if !turn::is_shared(object) || object.metadata.deletion_timestamp.is_some() {
            return Turn::default();
        }
        let name = object.name_any();
        let current = object.status.as_ref().and_then(|status| status.holder.as_ref());
        if let Some(holder) = turn::ending(current, &name, tasks.iter().map(Arc::as_ref)) {
            let api = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
            match api.get_opt(&holder.task).await.map_err(cluster::Error::from) {
                Ok(live) => tasks = turn::confirmed(tasks, holder, live.map(Arc::new)),
                Err(error) => {
                    tracing::debug!(task = holder.task, %error, "the end of a turn can't be confirmed yet");
                    return turn::unconfirmed(holder, object);
                }
            }
        }
        turn::grant(current, &name, tasks.iter().map(Arc::as_ref))
    }

    /// The stage with the answer to its question. The key and the values that it took are kept for the step that may
    /// follow.
    pub(super) async fn answered(&self, object: &Sandbox, stage: Stage, now: Timestamp) -> Seen {
        match stage {
            Stage::Quiet(quiet) => Seen::Quiet(quiet),
            Stage::Create(new) => Seen::Create(new, self.secrets_of_create(object).await),
            Stage::Unfinished(creating) => Seen::Unfinished(creating, self.attempts(object).await),
            Stage::Look(purpose) => Seen::Look(purpose, self.look(object, purpose, now).await),
            Stage::Search(search) => Seen::Search(search, self.search(object).await),
        }
    }

    async fn secrets_of_create(&self, object: &Sandbox) -> Keyed<Vec<SecretVersion>> {
        let account = self.account(object).await?;
        let env = self.env(object).await?;
        let versions = env.versions.clone();
        Ok(self.under_key(object, account, env, versions))
    }

    async fn attempts(&self, object: &Sandbox) -> Keyed<Attempts> {
        let account = self.account(object).await?;
        let (env, values) = match self.env(object).await {
            Ok(values) => (Ok(values.versions.clone()), values),
            Err(error) => (Err(error), Environment::default()),
        };
        let listed = self.list(object, &account).await;
        Ok(self.under_key(object, account, values, Attempts { listed, env }))
    }

    async fn search(&self, object: &Sandbox) -> Keyed<Listing> {
        let account = self.account(object).await?;
        let listed = self.list(object, &account).await;
        Ok(self.under_key(object, account, Environment::default(), listed))
    }

    async fn look(
        &self,
        object: &Sandbox,
        purpose: Look,
        now: Timestamp,
    ) -> Keyed<Result<LookupResult, Failure>> {
        let account = self.account(object).await?;
        let id = object.status.as_ref().and_then(|status| status.sandbox_id.as_deref()).unwrap_or_default();
        let look = match purpose {
            // What ends it is called whatever a list says.
            Look::Deletion => {
                let found = account.get(id).await.map_err(answer::failure);
                let not_found = || LookupResult::NotFound(Ok(Vec::new()));
                found.map(|found| found.map_or_else(not_found, |detail| LookupResult::Found(detail.seen)))
            }
            Look::Existing | Look::Suspended => self.lookup(object, &account, id).await,
        };
        self.learn(object).await;
        let uid = uid(object);
        self.memory.looked(&uid, now);
        match &look {
            Ok(LookupResult::Found(_)) => self.memory.worked(&uid, &account),
            Ok(LookupResult::NotFound(_)) => {}
            Err(failure) => self.memory.failed(&uid, &account, failure.class),
        }
        Ok(self.under_key(object, account, Environment::default(), look))
    }

    /// Asks E2B for the sandbox. Its 404 alone proves nothing, so that a list is asked for after it.
    pub(super) async fn lookup(
        &self,
        object: &Sandbox,
        account: &Account,
        id: &str,
    ) -> Result<LookupResult, Failure> {
        Ok(match account.get(id).await.map_err(answer::failure)? {
            Some(detail) => LookupResult::Found(detail.seen),
            None => LookupResult::NotFound(self.list(object, account).await),
        })
    }

    pub(super) async fn list(&self, object: &Sandbox, account: &Account) -> Listing {
        let marks = sandbox::own_marks(object);
        let listed = account.list(&marks).await.map_err(answer::failure);
        if let Err(failure) = &listed {
            self.memory.failed(&uid(object), account, failure.class);
        }
        listed
    }

    fn under_key<T>(&self, object: &Sandbox, account: Account, env: Environment, answer: T) -> UnderKey<T> {
        let credential = account.fingerprint().to_owned();
        self.memory.prepare(&uid(object), Prepared { account, env });
        UnderKey { credential, answer }
    }
}
