//! Decides everything without touching the world: decisions, transitions, names, git object ids.
//! Pure: may use `api` only; time, randomness and ids come in as arguments.

pub mod asker;
pub mod board;
pub mod conditions;
pub mod credentials;
pub mod demand;
#[cfg(test)]
mod dice;
pub mod failure;
pub mod feedback;
pub mod files;
pub mod git;
pub mod input;
pub mod jitter;
pub mod line;
pub mod mask;
pub mod output;
pub mod patch;
pub mod plan;
pub mod pull_request;
pub mod redelivery;
pub mod repository;
pub mod retry;
pub mod sandbox;
pub mod secrets;
pub mod selection;
pub mod signature;
pub mod task;
pub mod turn;
