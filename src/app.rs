//! The composition root: reads the configuration, builds every client once, starts controllers or receiver, ends them.
//! Called by `main`; the only module that knows all others.

mod clients;
mod controllers;
mod ops;
mod shutdown;

use crate::{
    api::crds,
    config::{Arguments, Command, Controller, Webhook},
    telemetry::{Metrics, logs},
};
use anyhow::Context;
use ops::Readiness;
use shutdown::Tasks;

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
            logs::init(&settings.filter, settings.format)?;
            block_on(controller(config))
        }
        Command::Webhook(arguments) => {
            let config = arguments.validate(&environment)?;
            logs::init(&settings.filter, settings.format)?;
            block_on(webhook(config))
        }
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let result = runtime.block_on(command);
    // What did not end in time (a stalled connection, a call in flight) ends with the process.
    runtime.shutdown_background();
    result
}

/// `slipway controller`.
async fn controller(config: Controller) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let metrics = Metrics::new();
    let ready = Readiness::default();
    let ops = ops::bind(config.ops_listen).await?;
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
    let ops = ops::bind(config.ops_listen).await?;
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("health and metrics", ops::serve(ops, ready.clone(), metrics.clone(), stop.clone()));
    let _ = clients::kubernetes(&config.cluster, &metrics).await?;
    tasks.run().await
}
