//! The webhook receiver on a real API server: signed deliveries over real connections, and what they do to Tasks.
//! `world` puts objects into the API server and runs the receiver; `payload` makes deliveries as GitHub does.

#[path = "../controlplane/mod.rs"]
mod controlplane;

mod board;
mod cluster;
mod connections;
mod delivery;
mod handbook;
mod log;
mod matching;
mod order;
mod ownership;
mod payload;
mod ping;
mod secrets;
mod tenancy;
mod trouble;
mod world;
