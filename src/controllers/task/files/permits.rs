//! Permits to read files: slow sandboxes must not hold all workers, nor one namespace the rest of them.
//! Asked by the Task controller before `files::collect`; who gets no permit ends its pass and comes again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Transfers of one namespace at a time.
const OF_NAMESPACE: usize = 2;

/// The transfers under way, of all namespaces. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transfers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    most: usize,
    by_namespace: Mutex<HashMap<String, usize>>,
}

/// Leave for one transfer, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    transfers: Transfers,
    namespace: String,
}

impl Transfers {
    /// At most half of `workers` move files at a time.
    pub fn new(workers: usize) -> Self {
        Self { inner: Arc::new(Inner { most: (workers / 2).max(1), by_namespace: Mutex::default() }) }
    }

    /// `None`: not now.
    pub fn try_acquire(&self, namespace: &str) -> Option<Permit> {
        let mut under_way = self.under_way();
        let all: usize = under_way.values().sum();
        let own = under_way.get(namespace).copied().unwrap_or(0);
        if all >= self.inner.most || own >= OF_NAMESPACE {
            return None;
        }
        under_way.insert(namespace.to_owned(), own + 1);
        Some(Permit { transfers: self.clone(), namespace: namespace.to_owned() })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Numbers only: they are right even if a holder panicked between two changes.
        self.inner.by_namespace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut under_way = self.transfers.under_way();
        if let Some(own) = under_way.get_mut(&self.namespace) {
            *own -= 1;
            if *own == 0 {
                under_way.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The permits that as many passes of `namespace` get.
    fn acquired(transfers: &Transfers, namespace: &str, passes: usize) -> Vec<Permit> {
        (0..passes).filter_map(|_| transfers.try_acquire(namespace)).collect()
    }

    #[test]
    fn sixteen_slow_transfers_leave_room_for_another_namespace() {
        let transfers = Transfers::new(16);
        let slow = acquired(&transfers, "slow", 16);
        assert_eq!(slow.len(), 2, "fourteen workers are free for others");
        assert_eq!(acquired(&transfers, "other", 1).len(), 1);
        drop(slow);
        assert_eq!(acquired(&transfers, "slow", 16).len(), 2, "what has ended counts no more");
    }

    #[test]
    fn half_of_the_workers_move_files_at_most() {
        let transfers = Transfers::new(16);
        let mut all: Vec<_> = (0..16).flat_map(|n| acquired(&transfers, &n.to_string(), 16)).collect();
        assert_eq!(all.len(), 8);
        assert!(transfers.try_acquire("late").is_none());
        all.pop();
        assert!(transfers.try_acquire("late").is_some());
        assert!(Transfers::new(1).try_acquire("only").is_some());
    }

    #[test]
    fn nothing_stays_of_a_namespace_without_transfers() {
        let transfers = Transfers::new(16);
        drop(acquired(&transfers, "gone", 2));
        assert!(transfers.under_way().is_empty());
    }
}
