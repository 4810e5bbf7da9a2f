//! The chart as its users meet it: what helm renders and refuses, whether a real API server takes it, and whether the
//! operator lives with the rights it gives, no more and no fewer. `helm` runs helm; `install` tells the whole story.

mod argocd;
#[path = "../controlplane/mod.rs"]
mod controlplane;
mod copies;
mod helm;
mod install;
mod lint;
mod objects;
mod ownership;
mod pod;
mod rights;
mod sets;
mod values;
#[path = "../world/mod.rs"]
mod world;
