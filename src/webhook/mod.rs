//! The webhook receiver: GitHub's deliveries in, the board of the Tasks they are about moved by one patch each.
//! `routes` → `admission` → `keyring` (who signed) → `delivery` (whose Task) → `moves` (one patch); `projection` is what it knows.

mod admission;
mod answer;
mod body;
mod bucket;
mod connections;
mod delivery;
mod extract;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod health;
mod keyring;
mod moves;
mod payload;
mod projection;
mod receiver;
mod repositories;
mod routes;
mod sample;
mod secret_store;
mod server;
mod signs;
mod tasks;
mod threads;
mod turns;
mod view;
mod warnings;
mod weak_secrets;
mod wire;

pub use receiver::{MANAGER, Receiver, Settings};

use std::io;
use threads::Threads;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

impl Receiver {
    /// Watches and answers until `stop` is cancelled, then lets what is in flight finish (at most 10 s). Connections are served
    /// on `threads` threads, of which the caller's is one. An error or an end before that is the end of the process.
    pub async fn serve(
        self,
        listener: TcpListener,
        threads: usize,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let (inner, threads) = (&self.0, Threads::start(threads)?);
        let watches = inner.projection.follow(&inner.client, inner.namespace.as_deref(), &inner.events);
        tokio::select! {
            () = server::serve(listener, |place| routes::routes(self.clone(), place), threads, stop) => Ok(()),
            () = watches => Err(io::Error::other("a watch of the webhook receiver ended")),
        }
    }
}
