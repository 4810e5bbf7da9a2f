//! The API server is gone for a while: work in progress goes on once it is back, and nothing is done twice.
//! Each test has an API server of its own; `tests/leader` has the one that stands still without being gone.

#[path = "../controlplane/mod.rs"]
mod controlplane;
mod five;
mod start;
#[path = "../world/mod.rs"]
mod world;

use anyhow::Result;
use controlplane::{ControlPlane, Options};
use std::path::Path;
use world::World;

/// An API server that no other test misses, and a namespace on it.
async fn world(options: world::Options) -> Result<World> {
    let crds = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")];
    let plane: &'static ControlPlane =
        Box::leak(Box::new(ControlPlane::start(Options { crds, ..Options::default() }).await?));
    World::start(plane, Path::new(env!("CARGO_BIN_EXE_slipway")), options).await
}
