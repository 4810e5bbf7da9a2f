//! Two replicas of the controller over one API server: who acts when the other dies, ends, is paused or cut off.
//! All of it at real speed, with the operator as processes; `world` is everything around them.

#[path = "../controlplane/mod.rs"]
mod controlplane;
mod isolation;
mod line;
mod proxy;
mod replica;
mod takeover;
#[path = "../world/mod.rs"]
mod world;

use anyhow::Result;
use controlplane::ControlPlane;
use std::path::Path;
use world::{Options, World};

/// A namespace without an operator: the tests start their replicas.
async fn world(plane: &'static ControlPlane, namespace: &'static str) -> Result<World> {
    let options = Options { namespace, operator: false, ..Options::default() };
    World::start(plane, Path::new(env!("CARGO_BIN_EXE_slipway")), options).await
}
