//! The three controllers over three shared stores: each stream is driven by its own kind's controller, and tells the
//! others whom an event concerns. Used by `app`.

mod gate;
mod related;
mod sweep;
mod turns;

use super::{clients::Clients, ops::Readiness, shutdown::Tasks};
use crate::{
    api::{Repository, Sandbox, Task},
    cluster::{self, watch},
    config,
    controllers::{
        brought::Brought,
        repository::RepositoryController,
        sandbox::SandboxController,
        shell::{Doubt, Reconciler, Shell},
        task::{
            Stores, TaskController,
            files::{Spool, Transfers},
        },
    },
    domain::files::Caps,
    telemetry::Metrics,
};
use anyhow::Context;
use futures::{Stream, StreamExt, TryStreamExt, channel::mpsc::UnboundedReceiver};
use gate::{Gate, Keeper};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource,
    api::ListParams,
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use related::Related;
use serde::de::DeserializeOwned;
use std::{
    convert::Infallible,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};
use sweep::Sweeper;
use tokio::sync::watch as flag;
use tokio_util::sync::CancellationToken;

/// Objects of a kind that are reconciled at the same time.
const WORKERS: u16 = 16;
/// Interval at which a missing CRD is looked for again.
const MISSING_KIND: Duration = Duration::from_secs(5);

/// Waits until the API server knows all three kinds: the operator may be installed before its CRDs.
pub(super) async fn wait_for_kinds(client: &kube::Client, namespace: Option<&str>) {
    tokio::join!(
        wait_for_kind::<Repository>(client, namespace),
        wait_for_kind::<Sandbox>(client, namespace),
        wait_for_kind::<Task>(client, namespace),
    );
}

async fn wait_for_kind<K>(client: &kube::Client, namespace: Option<&str>)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let api: Api<K> = watch::api(client.clone(), namespace);
    let name = format!("{}.{}", K::plural(&()), crate::api::GROUP);
    let mut waits = cluster::Waits::default();
    loop {
        let wait = match api
            .list_metadata(&ListParams::default().limit(1))
            .await
            .map_err(cluster::Error::from)
        {
            Ok(_) => return,
            Err(cluster::Error::NotFound(_)) => {
                tracing::warn!(
                    crd = name,
                    "this CRD is not installed: apply crds/ (or the output of `slipway crds`); waiting for it"
                );
                MISSING_KIND
            }
            Err(error) => {
                tracing::warn!(crd = name, %error, "the API server does not list this kind yet; trying again");
                waits.after_failure()
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Starts stores and controllers as tasks of the process.
pub(super) fn start(
    tasks: &mut Tasks,
    clients: Clients,
    config: &config::Controller,
    metrics: &Metrics,
    ready: Readiness,
) -> anyhow::Result<()> {
    let namespace = config.cluster.namespace.as_deref();
    let (repositories, repository_events) =
        watch::reflect::<Repository>(&clients.kubernetes, namespace, &clients.events);
    let (sandboxes, sandbox_events) =
        watch::reflect::<Sandbox>(&clients.kubernetes, namespace, &clients.events);
    let (work, task_events) = watch::reflect::<Task>(&clients.kubernetes, namespace, &clients.events);
    let (repository_events, repositories_listed) = watch::listed(repository_events);
    let (sandbox_events, sandboxes_listed) = watch::listed(sandbox_events);
    let (task_events, tasks_listed) = watch::listed(task_events);
    let listed = [repositories_listed, sandboxes_listed, tasks_listed];
    let stores = Stores { tasks: work, sandboxes, repositories };
    let spool = Spool::new(config.spool_dir.clone(), config.spool_bytes).context("SLIPWAY_SPOOL_DIR")?;

    let (synced, when_synced) = flag::channel(false);
    let (open, gate) = Gate::new();
    let (related, triggers) = Related::new(stores.tasks.clone(), when_synced.clone());
    let (doubt, brought) = (Doubt::default(), Brought::default());
    let runner = Runner { clients: &clients, metrics, gate, doubt: doubt.clone(), stop: tasks.stop() };
    let tell = related.clone();
    let repository_events = repository_events.inspect_ok(move |event| tell.of_repository(event));
    let repository = repository_controller(&clients, &stores, metrics, config.webhook_url.clone());
    tasks.spawn(
        "the Repository controller",
        runner.run(repository, repository_events, stores.repositories.clone(), triggers.repositories),
    );

    let tell = related.clone();
    let sandbox_events = sandbox_events.inspect_ok(move |event| tell.of_sandbox(event));
    let sandbox = sandbox_controller(&clients, &stores, brought.clone());
    let sweep = sandbox.sweep(stores.sandboxes.clone(), namespace);
    tasks.spawn(
        "the Sandbox controller",
        runner.run(sandbox, sandbox_events, stores.sandboxes.clone(), triggers.sandboxes),
    );

    let called = turns::call(clients.github.clone(), related.clone(), tasks.stop());
    tasks.spawn("the turns at GitHub", called);
    let github = clients.github.clone();
    let task_events = task_events.inspect_ok(move |event| {
        turns::leave(&github, event);
        related.of_task(event);
    });
    let task = task_controller(&clients, &stores, spool.clone(), config.caps, brought);
    tasks.spawn("the Task controller", runner.run(task, task_events, stores.tasks.clone(), triggers.tasks));

    let Clients { leadership, election, events, lease, .. } = clients;
    let sweeper = Sweeper { sweep, leadership: leadership.clone(), events, lease, metrics: metrics.clone() };
    tasks.spawn("the sweep", sweeper.run(tasks.stop()));
    tasks.spawn("the leader election", election.run(when_synced, tasks.stop()));
    let keeper = Keeper { stores, spool, leadership, synced, open, doubt, ready };
    tasks.spawn("the caches", keeper.run(listed, tasks.stop()));
    Ok(())
}

fn repository_controller(
    clients: &Clients,
    stores: &Stores,
    metrics: &Metrics,
    receiver: Option<String>,
) -> RepositoryController {
    let (kubernetes, secrets) = (clients.kubernetes.clone(), clients.secrets.clone());
    let (tasks, metrics) = (stores.tasks.clone(), metrics.clone());
    RepositoryController::new(kubernetes, secrets, clients.github.clone(), tasks, metrics, receiver)
}

fn sandbox_controller(clients: &Clients, stores: &Stores, brought: Brought) -> SandboxController {
    SandboxController::new(
        clients.kubernetes.clone(),
        clients.secrets.clone(),
        clients.e2b.clone(),
        clients.e2b_api_key.clone(),
        clients.installation.clone(),
        stores.tasks.clone(),
        brought,
    )
}

fn task_controller(
    clients: &Clients,
    stores: &Stores,
    spool: Spool,
    caps: Caps,
    brought: Brought,
) -> TaskController {
    TaskController {
        client: clients.kubernetes.clone(),
        secrets: clients.secrets.clone(),
        github: clients.github.clone(),
        e2b: clients.e2b.clone(),
        operator_key: clients.e2b_api_key.clone(),
        stores: stores.clone(),
        spool,
        caps,
        transfers: Transfers::new(WORKERS.into()),
        brought,
        memory: Mutex::default(),
    }
}

/// Parts that every controller is run with.
struct Runner<'a> {
    clients: &'a Clients,
    metrics: &'a Metrics,
    gate: Gate,
    doubt: Doubt,
    stop: CancellationToken,
}

impl Runner<'_> {
    fn run<R: Reconciler, S: Stream<Item = watch::Watched<R::Kind>> + Send + 'static>(
        &self,
        reconciler: R,
        events: S,
        store: Store<R::Kind>,
        related: UnboundedReceiver<ObjectRef<R::Kind>>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<R, S> {
        let shell = Shell::new(
            reconciler,
            self.clients.kubernetes.clone(),
            self.clients.events.clone(),
            self.metrics.clone(),
        )
        .doubted_by(self.doubt.clone());
        let events = unbroken(events, self.doubt.clone());
        let (gate, known) = (self.gate.clone(), store.clone());
        let passes = Controller::for_stream(events.applied_objects(), store)
            .with_config(controller::Config::default().concurrency(WORKERS))
            .reconcile_on(related)
            .graceful_shutdown_on(self.stop.clone().cancelled_owned())
            .run(
                move |object, shell| gate.clone().pass(shell, known.clone(), object),
                // The shell turns every failure into an action.
                |_, _: &Infallible, _| Action::requeue(MISSING_KIND),
                Arc::new(shell),
            );
        finish(passes)
    }
}

/// The events of a watch without its failures, which are logged and, like a list that begins anew, a reason for doubt. kube
/// would hold back all triggers of a controller after each failure, at last for half a minute, although the watch goes
/// on by itself.
fn unbroken<K: Resource<DynamicType = ()> + Send>(
    events: impl Stream<Item = watch::Watched<K>> + Send,
    doubt: Doubt,
) -> impl Stream<Item = watch::Watched<K>> + Send {
    events.filter_map(move |event| {
        if matches!(event, Err(_) | Ok(watcher::Event::Init)) {
            doubt.raise();
        }
        let event = event.inspect_err(|error| {
            tracing::warn!(kind = %K::kind(&()), %error, "watch interrupted, resuming");
        });
        std::future::ready(event.ok().map(Ok))
    })
}

/// Runs the passes to their end.
async fn finish<K>(
    passes: impl Stream<Item = Result<(ObjectRef<K>, Action), controller::Error<Infallible, watcher::Error>>>
    + Send,
) -> anyhow::Result<()>
where
    K: Resource<DynamicType: Clone + Eq + Hash + Debug>,
{
    let mut passes = std::pin::pin!(passes);
    while let Some(pass) = passes.next().await {
        match pass {
            Ok(_) => {}
            // Deleted between its event and its pass.
            Err(controller::Error::ObjectNotFound(object)) => {
                tracing::debug!(%object, "gone before its pass");
            }
            Err(error) => tracing::warn!(%error, "watch"),
        }
    }
    Ok(())
}
