//! Flows on a real API server: the operator and the receiver as processes, GitHub and E2B as strict stand-ins.
//! One server for all, one namespace, one pair of stand-ins and one operator per test.

mod admission;
mod board;
mod checkout;
#[path = "../controlplane/mod.rs"]
mod controlplane;
mod copies;
mod count;
mod deletion;
mod envd_lies;
mod feedback;
mod handbook;
mod hook;
mod identity;
mod kill;
mod lies;
mod limits;
mod manners;
mod network;
mod parts;
mod queue;
mod redelivery;
mod restart;
mod retries;
mod rounds;
mod sandbox;
mod story;
mod suspend;
mod template;
#[path = "../world/mod.rs"]
mod world;

use anyhow::Result;
use std::path::Path;
use world::{Options, World};

/// A world with the defaults.
async fn world(namespace: &'static str) -> Result<World> {
    world_with(Options { namespace, ..Options::default() }).await
}

async fn world_with(options: Options) -> Result<World> {
    World::start(controlplane::shared().await, Path::new(env!("CARGO_BIN_EXE_slipway")), options).await
}
