//! Strict stand-ins for GitHub and E2B on loopback, for tests and for the demo.
//! `core` is what both share, `github` and `e2b` are the two APIs, `control` is their remote control.

// GitHub's objects have many fields, and each costs `json!` a level.
#![recursion_limit = "512"]

pub mod control;
pub mod core;
pub mod e2b;
pub mod github;

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;

use crate::core::{CallLog, Clock, Core, Faults, Server};

/// How a simulator starts. The default listens on free loopback ports.
#[derive(Clone, Debug)]
pub struct Options {
    pub github: github::Options,
    pub e2b: e2b::Options,
    pub control_listen: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            github: github::Options::default(),
            e2b: e2b::Options::default(),
            control_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// A running simulator with threads of its own, so that it outlives the runtime of any single test.
/// Dropping it closes every connection and ends what runs in its sandboxes.
pub struct Simulator {
    pub github: github::GitHub,
    pub e2b: e2b::E2b,
    pub calls: CallLog,
    pub faults: Faults,
    pub clock: Clock,
    control_url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the simulator's own thread hands back once everything listens.
struct Started {
    core: Core,
    github: github::GitHub,
    e2b: e2b::E2b,
    control: Server,
}

impl Simulator {
    /// Starts both stand-ins and the control side; blocks until all of them listen.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        // A second installation in the same process is refused; the first then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (stop, stopped) = oneshot::channel();
        let (report, reported) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || run(options, stopped, &report))
            .context("starting the simulator's thread")?;
        let (core, github, e2b, control_url) =
            reported.recv().context("the simulator's thread ended before it was ready")??;
        let Core { clock, calls, faults } = core;
        Ok(Self { github, e2b, calls, faults, clock, control_url, stop: Some(stop), thread: Some(thread) })
    }

    pub fn github_url(&self) -> String {
        self.github.url()
    }

    pub fn e2b_api_url(&self) -> String {
        self.e2b.api_url()
    }

    pub fn e2b_sandbox_url(&self) -> String {
        self.e2b.sandbox_url()
    }

    pub fn control_url(&self) -> String {
        self.control_url.clone()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Dropping the sender is the signal.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Handles = (Core, github::GitHub, e2b::E2b, String);

fn run(options: Options, stopped: oneshot::Receiver<()>, report: &mpsc::Sender<anyhow::Result<Handles>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("simulator-worker")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = report.send(Err(error.into()));
            return;
        }
    };
    runtime.block_on(async {
        let started = match start(options).await {
            Ok(started) => started,
            Err(error) => {
                let _ = report.send(Err(error));
                return;
            }
        };
        let Started { core, github, e2b, control } = started;
        let _ = report.send(Ok((core, github, e2b.clone(), control.url())));
        // Ends when the `Simulator` is dropped, whether or not it said so.
        let _ = stopped.await;
        e2b.stop().await;
    });
    // Waits for the workers, so that a dropped simulator has no connection and no directory left.
    runtime.shutdown_timeout(Duration::from_secs(5));
}

async fn start(options: Options) -> anyhow::Result<Started> {
    let core = Core::default();
    let github =
        github::GitHub::start(&core, options.github).await.context("starting the GitHub stand-in")?;
    let e2b = e2b::E2b::start(&core, options.e2b).await.context("starting the E2B stand-in")?;
    let control = control::Control { core: core.clone(), github: github.clone(), e2b: e2b.clone() };
    let control = Server::start(&Core::default(), options.control_listen, Arc::new(control))
        .await
        .context("starting the control side")?;
    Ok(Started { core, github, e2b, control })
}
