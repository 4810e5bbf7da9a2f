//! The composition root: reads the configuration, builds every client once, starts controllers or receiver, ends them.
//! Called by `main`; the only module that knows all others.

mod clients;
mod controllers;
mod listen;
mod ops;
mod ping;
mod shutdown;

use crate::{
    api::crds,
    cluster::Events,
    config::{Arguments, Command, Controller, Webhook},
    telemetry::{
        Metrics,
        logs::{self, Writing},
    },
    webhook as receiver,
};
use anyhow::Context;
use ops::Readiness;
use shutdown::Tasks;
use std::{num::NonZero, thread, time::Duration};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// Stack of the controllers' threads: passes are many calls deep, and a build without optimization keeps copies at each. What is
/// not touched takes no memory.
const STACK_BYTES: usize = 8 << 20;
/// Most threads that serve the receiver's connections.
const RECEIVER_THREADS: usize = 4;

/// Runs the command until it is done, fails, or is told to end.
///
/// # Errors
/// A wrong setting, a missing cluster, or a part that ended although nobody asked it to.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.logs.validate()?;
    let environment = |name: &str| std::env::var(name).ok();
    match &arguments.command {
        Command::Crds => {
            print!("{}", crds::yaml()?);
            Ok(())
        }
        Command::Controller(arguments) => {
            let config = arguments.validate(&environment)?;
            logs::init(&settings.filter, settings.format, Writing::Line)?;
            block_on(Builder::new_multi_thread().thread_stack_size(STACK_BYTES), controller(config))
        }
        Command::Webhook(arguments) => {
            let config = arguments.validate(&environment)?;
            logs::init(&settings.filter, settings.format, Writing::Flushed)?;
            // What one delivery wakes is done on one thread: waking others costs more than the work. The receiver serves further
            // connections on threads of the same kind.
            block_on(Builder::new_current_thread().on_thread_park(logs::flush), webhook(config))
        }
        Command::Ping(arguments) => {
            let config = arguments.validate(&environment)?;
            block_on(&mut Builder::new_current_thread(), async move { ping::ping(&config).await })
        }
    }
}

fn block_on(runtime: &mut Builder, command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = runtime.enable_all().build().context("starting the runtime")?;
    let result = runtime.block_on(command);
    // What did not end in time (a stalled connection, a call in flight) ends with the process.
    runtime.shutdown_background();
    logs::flush();
    result
}

/// `slipway controller`.
async fn controller(config: Controller) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let metrics = Metrics::new();
    let ready = Readiness::default();
    let ops = listen::listen("SLIPWAY_OPS_LISTEN", config.ops_listen)?;
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("health and metrics", ops::serve(ops, ready.clone(), metrics.clone(), stop.clone()));
    let starting = async {
        let kubernetes = clients::kubernetes(&config.cluster, &metrics).await?;
        let clients = clients::Clients::new(&config, kubernetes, &metrics, &stop).await?;
        controllers::wait_for_kinds(&clients.kubernetes, config.cluster.namespace.as_deref()).await;
        anyhow::Ok(clients)
    };
    let Some(clients) = tasks.until_stopped(starting).await? else { return Ok(()) };
    tracing::info!(
        installation = clients.installation,
        namespace = config.cluster.namespace,
        "controllers start"
    );
    controllers::start(&mut tasks, clients, &config, &metrics, ready)?;
    tasks.run().await
}

/// `slipway webhook`.
async fn webhook(config: Webhook) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let metrics = Metrics::new();
    let ready = Readiness::default();
    let ops = listen::listen("SLIPWAY_OPS_LISTEN", config.ops_listen)?;
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("health and metrics", ops::serve(ops, ready.clone(), metrics.clone(), stop.clone()));
    let kubernetes = clients::kubernetes(&config.cluster, &metrics).await?;
    let listener = listen::listen("SLIPWAY_WEBHOOK_LISTEN", config.listen)?;
    let settings = receiver::Settings {
        namespace: config.cluster.namespace.clone(),
        webhook_secret: config.secret,
        github_host: config.github_host,
        max_body_bytes: usize::try_from(config.max_body_bytes).unwrap_or(usize::MAX),
    };
    let events = Events::new(kubernetes.clone(), receiver::MANAGER, &clients::instance());
    let receiver = receiver::Receiver::new(kubernetes, settings, events, metrics);
    tracing::info!(listen = %listener.local_addr()?, namespace = config.cluster.namespace, "receiver starts");
    tasks.spawn("the readiness of the receiver", receiver_readiness(receiver.clone(), ready, stop.clone()));
    tasks
        .spawn("the receiver", async move { Ok(Box::pin(receiver.serve(listener, threads(), stop)).await?) });
    tasks.run().await
}

/// Threads of the receiver: what the container may use, and no more than a flood should take.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(RECEIVER_THREADS)
}

/// Ready once the receiver knows all Tasks and Repositories.
async fn receiver_readiness(
    receiver: receiver::Receiver,
    ready: Readiness,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut look = tokio::time::interval(Duration::from_millis(200));
    while !receiver.is_synced() && !stop.is_cancelled() {
        look.tick().await;
    }
    ready.set();
    stop.cancelled().await;
    Ok(())
}
