//! Calls the objects whose turn to write at GitHub has come: none of them holds a pass while it waits.
//! Part of `app::controllers`; `github` keeps the lines, `related` reaches the objects.

use super::related::Related;
use crate::{api::Task, domain::asker::Asker, github::GitHub};
use kube::runtime::watcher::Event;
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

/// Takes those out of their lines who will not write: others would wait for them.
pub(super) fn leave(github: &GitHub, event: &Event<Task>) {
    match event {
        Event::Delete(task) => github.leave(&Asker::of(task).id()),
        Event::Apply(task) | Event::InitApply(task) if task.spec.suspend => {
            github.leave(&Asker::of(task).id());
        }
        _ => {}
    }
}
