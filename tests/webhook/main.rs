//! The webhook receiver on a real API server: signed deliveries over real connections, and what they do to Tasks.
//! `world` puts objects into the API server and runs the receiver; `payload` makes deliveries as GitHub does.

#[path = "../controlplane/mod.rs"]
mod controlplane;

mod board;
mod bursts;
mod cluster;
mod connections;
mod delivery;
mod floods;
mod handbook;
mod log;
mod matching;
mod nonsense;
mod order;
mod ownership;
mod payload;
mod ping;
mod secrets;
mod slow;
mod tenancy;
mod trouble;
mod world;
