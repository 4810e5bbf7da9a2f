//! `slipway-simulator`: both stand-ins as one process, for the demo and for tests in other languages.
//! Prints one JSON line with its URLs once everything listens; ends on SIGTERM or SIGINT.

use std::net::SocketAddr;

use clap::Parser;
use slipway_simulator::{Options, Simulator};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "Stand-ins for GitHub and E2B")]
struct Arguments {
    /// Where the GitHub API listens; port 0: a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    github_listen: SocketAddr,
    /// Where the E2B API listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    e2b_listen: SocketAddr,
    /// Where the sandboxes are reached.
    #[arg(long, default_value = "127.0.0.1:0")]
    e2b_sandbox_listen: SocketAddr,
    /// Where the control side listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    control_listen: SocketAddr,
    /// Have GitHub's API where GitHub Enterprise Server has it: below `/api/v3` and at `/api/graphql`.
    #[arg(long)]
    enterprise: bool,
    /// End when the process that started this one ends.
    #[arg(long)]
    die_with_parent: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.die_with_parent {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let mut options = Options { control_listen: arguments.control_listen, ..Options::default() };
    options.github.listen = arguments.github_listen;
    options.github.settings.enterprise = arguments.enterprise;
    options.e2b.listen = arguments.e2b_listen;
    options.e2b.sandbox_listen = arguments.e2b_sandbox_listen;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the ready line: whoever reads it may send a signal at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let simulator = Simulator::start(options)?;
        let ready = serde_json::json!({
            "github": simulator.github_url(),
            "githubHost": simulator.github.host_url(),
            "e2bApi": simulator.e2b_api_url(),
            "e2bSandbox": simulator.e2b_sandbox_url(),
            "control": simulator.control_url(),
        });
        println!("{ready}");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Blocks this thread only; the simulator runs on its own.
        drop(simulator);
        anyhow::Ok(())
    })
}
