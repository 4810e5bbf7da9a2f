//! The three controllers over three shared stores: each stream is driven by its own kind's controller, and tells the
//! others whom an event concerns. Used by `app`.

mod related;

use super::{clients::Clients, ops::Readiness, shutdown::Tasks};
use crate::{
    api::{Repository, Sandbox, Task},
    cluster::{self, watch},
    controllers::{
        repository::RepositoryController,
        shell::{Kind, Reconciler, Shell},
    },
    telemetry::Metrics,
};
use futures::{Stream, StreamExt, TryStreamExt, channel::mpsc::UnboundedReceiver};
use kube::{
    Api, ResourceExt,
    api::ListParams,
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action},
        reflector::{ObjectRef, Store},
        watcher::{self, Event},
    },
};
use related::Related;
use std::{convert::Infallible, fmt::Debug, hash::Hash, sync::Arc, time::Duration};
use tokio::sync::watch as flag;
use tokio_util::sync::CancellationToken;

/// Objects of a kind that are reconciled at the same time.
const WORKERS: u16 = 16;
/// How often a missing CRD is looked for again.
const MISSING_KIND: Duration = Duration::from_secs(5);

/// Waits until the API server knows all three kinds: the operator may be installed before its CRDs.
pub(super) async fn wait_for_kinds(client: &kube::Client, namespace: Option<&str>) {
    tokio::join!(
        wait_for_kind::<Repository>(client, namespace),
        wait_for_kind::<Sandbox>(client, namespace),
        wait_for_kind::<Task>(client, namespace),
    );
}

async fn wait_for_kind<K: Kind>(client: &kube::Client, namespace: Option<&str>) {
    let api: Api<K> = watch::api(client.clone(), namespace);
    let name = format!("{}.{}", K::plural(&()), crate::api::GROUP);
    loop {
        match api.list_metadata(&ListParams::default().limit(1)).await.map_err(cluster::Error::from) {
            Ok(_) => return,
            Err(cluster::Error::NotFound(_)) => {
                tracing::warn!(crd = name, "this CRD is not installed: apply crds/ (or the output of `slipway crds`); waiting for it");
            }
            Err(error) => tracing::warn!(crd = name, %error, "the API server does not list this kind yet; trying again"),
        }
        tokio::time::sleep(MISSING_KIND).await;
    }
}

/// Starts stores and controllers as tasks of the process.
pub(super) fn start(tasks: &mut Tasks, clients: &Clients, namespace: Option<&str>, metrics: &Metrics, ready: &Readiness) {
    let (repositories, repository_events) = watch::reflect::<Repository>(&clients.kubernetes, namespace, &clients.events);
    let (sandboxes, sandbox_events) = watch::reflect::<Sandbox>(&clients.kubernetes, namespace, &clients.events);
    let (work, task_events) = watch::reflect::<Task>(&clients.kubernetes, namespace, &clients.events);
    let (synced, when_synced) = flag::channel(false);
    let (related, triggers) = Related::new(work.clone(), when_synced.clone());
    let runner = Runner { clients, metrics, synced: when_synced, stop: tasks.stop() };

    let repository = RepositoryController::new(
        clients.kubernetes.clone(),
        clients.secrets.clone(),
        clients.github.clone(),
        work.clone(),
    );
    let related_to_repository = related.clone();
    let repository_events = repository_events.inspect_ok(move |event| related_to_repository.of_repository(event));
    tasks.spawn("the Repository controller", runner.run(repository, repository_events, repositories.clone(), triggers.repositories));

    let related_to_sandbox = related.clone();
    let sandbox_events = sandbox_events.inspect_ok(move |event| related_to_sandbox.of_sandbox(event));
    tasks.spawn("the Sandbox watch", drain(sandbox_events, triggers.sandboxes, tasks.stop()));

    let task_events = task_events.inspect_ok(move |event| related.of_task(event));
    tasks.spawn("the Task watch", drain(task_events, triggers.tasks, tasks.stop()));

    let (ready, stop) = (ready.clone(), tasks.stop());
    tasks.spawn("the caches", async move {
        let all = async { tokio::try_join!(repositories.wait_until_ready(), sandboxes.wait_until_ready(), work.wait_until_ready()) };
        tokio::select! {
            all = all => {
                all?;
                tracing::info!(repositories = repositories.len(), sandboxes = sandboxes.len(), tasks = work.len(), "caches synced");
                synced.send_replace(true);
                ready.set();
                stop.cancelled().await;
            }
            () = stop.cancelled() => {}
        }
        Ok(())
    });
}

/// What every controller is run with.
struct Runner<'a> {
    clients: &'a Clients,
    metrics: &'a Metrics,
    /// True once all three stores are complete: before that, absence from a store means nothing.
    synced: flag::Receiver<bool>,
    stop: CancellationToken,
}

impl Runner<'_> {
    fn run<R: Reconciler>(
        &self,
        reconciler: R,
        events: impl Stream<Item = Result<Event<R::Kind>, watcher::Error>> + Send + 'static,
        store: Store<R::Kind>,
        related: UnboundedReceiver<ObjectRef<R::Kind>>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<R> {
        let shell = Shell::new(reconciler, self.clients.kubernetes.clone(), self.clients.events.clone(), self.metrics.clone());
        let synced = self.synced.clone();
        let passes = Controller::for_stream(events.applied_objects(), store)
            .with_config(controller::Config::default().concurrency(WORKERS))
            .reconcile_on(related)
            .graceful_shutdown_on(self.stop.clone().cancelled_owned())
            .run(
                move |object, shell: Arc<Shell<R>>| {
                    let mut synced = synced.clone();
                    async move {
                        if synced.wait_for(|synced| *synced).await.is_err() {
                            return Ok(Action::await_change());
                        }
                        shell.reconcile(object).await
                    }
                },
                // The shell turns every failure into an action.
                |_, _: &Infallible, _| Action::requeue(MISSING_KIND),
                Arc::new(shell),
            );
        finish(passes)
    }
}

/// Runs the passes to their end.
async fn finish<K>(
    passes: impl Stream<Item = Result<(ObjectRef<K>, Action), controller::Error<Infallible, watcher::Error>>> + Send,
) -> anyhow::Result<()>
where
    K: kube::Resource<DynamicType: Clone + Eq + Hash + Debug>,
{
    let mut passes = std::pin::pin!(passes);
    while let Some(pass) = passes.next().await {
        match pass {
            Ok(_) => {}
            // Deleted between its event and its pass.
            Err(controller::Error::ObjectNotFound(object)) => tracing::debug!(%object, "gone before its pass"),
            Err(error) => tracing::warn!(%error, "watch"),
        }
    }
    Ok(())
}
