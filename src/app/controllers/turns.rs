//! Calls the objects whose turn to write at GitHub has come: none of them holds a pass while it waits.
//! Part of `app::controllers`; `github` keeps the lines, `related` reaches the objects.

use super::related::Related;
use crate::{domain::asker::Asker, github::GitHub};
use tokio_util::sync::CancellationToken;

/// Until `stop`.
pub(super) async fn call(github: GitHub, related: Related, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let called = tokio::select! {
            called = github.called() => called,
            () = stop.cancelled() => return Ok(()),
        };
        for asker in called.iter().filter_map(|id| Asker::parse(id)) {
            related.of_turn(&asker);
        }
    }
}
