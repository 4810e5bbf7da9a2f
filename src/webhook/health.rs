//! The health route: the receiver answers, and whether anybody could sign a delivery for it.
//! Neighbours: `keyring` reads the secrets; the answer is kept for seconds, because anybody may ask.

use super::{
    receiver::Inner,
    repositories::{Repositories, SecretSource},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Time for which an answer is kept.
const TTL: Duration = Duration::from_secs(2);
/// Time limit for looking: a probe waits for the answer.
const DEADLINE: Duration = Duration::from_millis(500);

impl Inner {
    /// The body of the answer. The status is always 200: a receiver without secrets is up.
    pub(super) async fn health(&self) -> Value {
        let mut last = self.health.0.lock().await;
        let usable = match *last {
            Some((found, usable)) if found.elapsed() < TTL => usable,
            known => {
                // A slow API server changes nothing about the secrets.
                let usable = tokio::time::timeout(DEADLINE, self.has_secret()).await.ok().flatten();
                let usable = usable.unwrap_or(known.is_some_and(|(_, usable)| usable));
                *last = Some((Instant::now(), usable));
                usable
            }
        };
        json!({ "status": "ok", "webhookSecret": usable })
    }

    /// Returns whether there is a usable secret; `None` when that can't be told now.
    async fn has_secret(&self) -> Option<bool> {
        let mut sources = self.projection.repositories.ask(Repositories::secrets).unwrap_or_default();
        // Operator-wide first: it needs no call.
        sources.push(SecretSource::OperatorWide);
        sources.sort_by(|a, b| b.cmp(a));
        let mut unknown = false;
        for source in sources {
            match self.keyring.is_usable(&source).await {
                Ok(true) => return Some(true),
                Ok(false) => {}
                Err(_) => unknown = true,
            }
        }
        (!unknown).then_some(false)
    }
}
