//! `make e2e`
#[path = "../controlplane/mod.rs"]
mod controlplane;
#[path = "../node/mod.rs"]
mod node;

use anyhow::Result;

#[tokio::main]
async fn main() -> Result<()> {
    let started = std::time::Instant::now();
    let node = node::Node::start(std::path::Path::new("/tmp/e2e-images/pause.tar")).await?;
    node.load(std::path::Path::new("/tmp/e2e-images/slipway.tar")).await?;
    node.load(std::path::Path::new("/tmp/e2e-images/slipway-simulator.tar")).await?;
    println!("node ready {:?}", started.elapsed());
    let node_dir = node.plane.kubeconfig(&controlplane::User::Admin)?;
    println!("{}", node_dir.display());
    tokio::process::Command::new("bash")
        .env("KUBECONFIG", node_dir)
        .arg("-c")
        .arg(std::env::var("RUN").unwrap_or_default())
        .status()
        .await?;
    Ok(())
}
