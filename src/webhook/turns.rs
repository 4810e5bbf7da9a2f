//! Who waits for a turn at which Task: deliveries about one are written one after the other, what waits meanwhile together.
//! Used by `moves`, which writes; the queue knows nothing of that.

use super::{
    repositories::TrackedRepository,
    tasks::{Key, TrackedTask},
};
use crate::{api::Delivery, cluster::Error, domain::pull_request::ObservedPullRequest};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::oneshot, time::Instant};

/// What one delivery says of one pull request.
pub(super) struct News {
    pub(super) observed: ObservedPullRequest,
    /// GitHub has to be asked, whatever is observed.
    pub(super) asks: bool,
    pub(super) delivery: Delivery,
    pub(super) received_at: Timestamp,
    /// Until when somebody waits for the answer.
    pub(super) until: Instant,
}

/// News that wait for their turn at a Task.
pub(super) struct Waiting {
    pub(super) news: Arc<News>,
    pub(super) repository: Arc<TrackedRepository>,
    /// The Task they were found to be about, and not another one of that name.
    pub(super) uid: Option<String>,
    told: oneshot::Sender<Result<bool, Error>>,
}

/// The Tasks that are being written, and what waits for each.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Key, Vec<Waiting>>>);

impl Turns {
    /// Queues news for a Task: where the answer will be, and the turn if nobody is at work on it.
    pub(super) fn enter(
        self: &Arc<Self>,
        task: &TrackedTask,
        repository: &Arc<TrackedRepository>,
        news: &Arc<News>,
    ) -> (oneshot::Receiver<Result<bool, Error>>, Option<Turn>) {
        let (told, answer) = oneshot::channel();
        let (news, repository, uid) = (news.clone(), repository.clone(), task.uid.clone());
        let key = task.key();
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !queues.contains_key(&key);
        queues.entry(key.clone()).or_default().push(Waiting { news, repository, uid, told });
        (answer, first.then(|| Turn { turns: self.clone(), key, over: false }))
    }
}

/// The turn at one Task. Gone with the work, however that ends: nobody must wait for a worker that is no more.
pub(super) struct Turn {
    turns: Arc<Turns>,
    pub(super) key: Key,
    over: bool,
}

impl Turn {
    /// Adds what waits; false, and the turn is over, when nothing is left to do.
    pub(super) fn take(&mut self, batch: &mut Vec<Waiting>) -> bool {
        let mut queues = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = queues.get_mut(&self.key).map(std::mem::take).unwrap_or_default();
        batch.extend(waiting);
        // Whoever waited for it has been told that it failed.
        batch.retain(|waiting| waiting.news.until > Instant::now());
        self.over = batch.is_empty();
        if self.over {
            queues.remove(&self.key);
        }
        !self.over
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // After its turn somebody else may have one.
        if !self.over {
            self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

/// Answers everybody in the batch.
pub(super) fn tell(batch: &mut Vec<Waiting>, mut answer: impl FnMut(&Waiting) -> Result<bool, Error>) {
    for waiting in batch.drain(..) {
        let answer = answer(&waiting);
        // Who has gone away is told nothing.
        let _ = waiting.told.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::PullRequestState,
        webhook::{repositories::tests::repository, tasks::tests::task},
    };
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use std::time::Duration;

    fn news(seconds: u64) -> Arc<News> {
        let received_at = Timestamp::UNIX_EPOCH;
        let delivery = Delivery { id: "d".into(), event: "e".into(), received_at: Time(received_at) };
        let observed = ObservedPullRequest::new(1, PullRequestState::Open);
        Arc::new(News {
            observed,
            asks: false,
            delivery,
            received_at,
            until: Instant::now() + Duration::from_secs(seconds),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn one_works_and_all_others_wait_to_be_taken_along() {
        let (turns, mut batch) = (Arc::new(Turns::default()), Vec::new());
        let (task, repository) = (task("t"), Arc::new(repository("r")));
        let (first, turn) = turns.enter(&task, &repository, &news(8));
        let mut turn = turn.expect("nobody else is at work");
        let (second, none) = turns.enter(&task, &repository, &news(8));
        assert!(none.is_none() && turn.take(&mut batch) && batch.len() == 2);
        let (late, none) = turns.enter(&task, &repository, &news(1));
        assert!(none.is_none());
        tell(&mut batch, |_| Ok(true));
        assert!(matches!((first.await, second.await), (Ok(Ok(true)), Ok(Ok(true)))));
        // Nobody waits for this one any more.
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!turn.take(&mut batch) && late.await.is_err());
        // The turn is over, and the next one is not touched by its end.
        let (_next, next) = turns.enter(&task, &repository, &news(8));
        drop(turn);
        assert!(next.expect("the next one").take(&mut batch));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_is_no_more_leaves_nobody_waiting() {
        let turns = Arc::new(Turns::default());
        let (task, repository) = (task("t"), Arc::new(repository("r")));
        let (answer, turn) = turns.enter(&task, &repository, &news(8));
        drop(turn);
        assert!(answer.await.is_err());
        assert!(turns.enter(&task, &repository, &news(8)).1.is_some());
    }
}
