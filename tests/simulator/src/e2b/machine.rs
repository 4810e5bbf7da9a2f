//! A sandbox together with its envd and the connections to it: what is paused, resumed and killed as one.
//! `store` keeps the record that belongs to it; `gateway` sends requests to it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::envd::Envd;
use super::envd::processes::Processes;
use super::sandbox::{Isolation, Sandbox};
use crate::core::Clock;

/// What a new machine is like.
pub struct Blueprint {
    pub directory: PathBuf,
    pub hidden_commands: Vec<String>,
    pub default_user: String,
    /// Its envd takes that user where a request names none.
    pub has_default_user: bool,
    pub environment: HashMap<String, String>,
    pub token: String,
}

/// The right to act on a machine before everybody else.
pub type Turn = OwnedMutexGuard<()>;

/// One machine. Pausing, resuming and killing happen one after the other.
pub struct Machine {
    envd: Envd,
    connections: Mutex<CancellationToken>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Machine {
    pub async fn start(isolation: &Isolation, clock: &Clock, blueprint: Blueprint) -> anyhow::Result<Self> {
        let Blueprint { directory, hidden_commands, default_user, .. } = &blueprint;
        let sandbox = Arc::new(Sandbox::start(isolation, directory, default_user, hidden_commands).await?);
        let envd = Envd {
            processes: Arc::new(Processes::new(Arc::clone(&sandbox), clock.clone())),
            sandbox,
            environment: Arc::new(blueprint.environment),
            default_user: blueprint.has_default_user.then_some(blueprint.default_user),
            token: blueprint.token,
            disconnect: CancellationToken::new(),
        };
        Ok(Self { envd, connections: Mutex::default(), turn: Arc::default() })
    }

    /// Its envd, for one request: streams end when the machine stops.
    pub fn envd(&self) -> Envd {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        Envd { disconnect: connections.clone(), ..self.envd.clone() }
    }

    /// The next turn, if nobody acts on the machine. Whoever changes a record takes it while the record is locked,
    /// so that a resume which sees the change comes after the pause that belongs to it.
    pub fn next_turn(&self) -> Option<Turn> {
        Arc::clone(&self.turn).try_lock_owned().ok()
    }

    /// Stops all processes and breaks all connections. Nobody else acts on the machine until the turn is dropped.
    pub async fn pause(&self, turn: Option<Turn>) -> anyhow::Result<Turn> {
        let turn = match turn {
            Some(turn) => turn,
            None => Arc::clone(&self.turn).lock_owned().await,
        };
        self.disconnect();
        self.envd.processes.freeze().await?;
        Ok(turn)
    }

    /// Lets all processes continue; without its memory it starts from its disk, and they are gone.
    pub async fn resume(&self, memory: bool) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        if memory { self.envd.processes.thaw().await } else { self.envd.processes.restart().await }
    }

    /// Ends all processes, breaks all connections and removes all files.
    pub async fn kill(&self) {
        let _turn = self.turn.lock().await;
        self.disconnect();
        self.envd.sandbox.destroy().await;
        self.envd.processes.release();
    }

    /// Where the host finds one of its files; see `Sandbox::host_path`.
    pub fn host_path(&self, path: &str) -> Option<PathBuf> {
        self.envd.sandbox.host_path(path)
    }

    /// Breaks all connections.
    pub fn disconnect(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *connections).cancel();
    }
}
