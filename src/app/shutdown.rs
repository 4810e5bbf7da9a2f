//! Ends the process: one token that everything listens to, and the tasks that must not end before it.
//! Used by `app` for both commands.

use crate::telemetry::logs;
use anyhow::Context;
use std::time::Duration;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// From the signal to the end of the process at the latest; Kubernetes kills after 30 s unless told otherwise.
const GRACE: Duration = Duration::from_secs(20);

/// A token that SIGTERM or SIGINT cancels. A second signal ends the process at once.
pub(super) fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping: no new external write is sent");
        stop.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("second signal: ending at once");
        logs::flush();
        std::process::exit(130);
    });
    Ok(token)
}

/// The top-level tasks of the process: when one ends before it should, the process ends.
pub(super) struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
}

impl Tasks {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { set: JoinSet::new(), stop }
    }

    /// The token that everything listens to.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Returns what `starting` gives; `None` when the process was told to end first. Fails if a task ends meanwhile.
    pub(super) async fn until_stopped<T>(
        &mut self,
        starting: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Option<T>> {
        tokio::select! {
            // In this order: what ends because of the token has not failed.
            biased;
            () = self.stop.cancelled() => Ok(None),
            started = starting => started.map(Some),
            Some(ended) = self.set.join_next() => Err(early(ended)),
        }
    }

    /// Until the token is cancelled and every task has ended, or the grace is over.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let early = tokio::select! {
            // In this order: what ends because of the token has not failed.
            biased;
            () = self.stop.cancelled() => None,
            Some(ended) = self.set.join_next() => Some(early(ended)),
        };
        self.stop.cancel();
        let rest = async {
            while let Some(ended) = self.set.join_next().await {
                if let Ok((name, Err(error))) = ended {
                    tracing::warn!(task = name, error = format!("{error:#}"), "failed while stopping");
                }
            }
        };
        if timeout(GRACE, rest).await.is_err() {
            tracing::warn!(
                seconds = GRACE.as_secs(),
                "work in flight did not end in time and is cut off; it is taken up again after a start"
            );
        }
        early.map_or(Ok(()), Err)
    }
}

/// A task that ended although nobody asked it to.
fn early(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow::anyhow!("{name} ended"),
        Ok((name, Err(error))) => error.context(format!("{name} failed")),
        Err(error) => anyhow::anyhow!("a task panicked: {error}"),
    }
}
