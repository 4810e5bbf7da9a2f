//! One of the orders in which waiters stand, with how many writes of each class are in it.
//! Used by `queue`, which has three of them.

use super::{ranked::Ranked, time::Moment, write::Write};

/// By class where it counts, then by time, then by arrival.
pub(super) type Key = (Option<Write>, Moment, u64);

/// Writes, and how many of them tell people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) writes: usize,
    pub(super) notices: usize,
}

impl Load {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { writes: self.writes + other.writes, notices: self.notices + other.notices }
    }

    /// What `waiters` with this write bring before one behind them goes.
    fn of(write: Write, waiters: usize) -> Self {
        Self { writes: waiters * (1 + write.following()), notices: waiters * write.notices() }
    }
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    order: Ranked<Key>,
    classes: [usize; Write::ALL.len()],
}

impl Lane {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The number of the first waiter.
    pub(super) fn first(&self) -> Option<u64> {
        self.order.first().map(|(_, _, number)| *number)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.order.iter().map(|(_, _, number)| *number)
    }

    pub(super) fn insert(&mut self, key: Key, write: Write) {
        self.order.insert(key);
        self.classes[write.index()] += 1;
    }

    pub(super) fn remove(&mut self, key: &Key, write: Write) {
        self.order.remove(key);
        self.classes[write.index()] -= 1;
    }

    pub(super) fn before(&self, key: &Key) -> usize {
        self.order.below(key)
    }

    /// What the first so many waiters bring in the order of classes.
    pub(super) fn load_by_class(&self, waiters: usize) -> Load {
        let (mut left, mut load) = (waiters, Load::default());
        for write in Write::ALL {
            let here = self.classes[write.index()].min(left);
            load = load.plus(Load::of(write, here));
            left -= here;
        }
        load
    }

    /// What so many of the waiters bring in an order that does not follow the classes: their share of all.
    pub(super) fn load_of_any(&self, waiters: usize) -> Load {
        let (all, of) = (self.load_by_class(self.len()), self.len().max(1));
        Load { writes: all.writes * waiters / of, notices: all.notices * waiters / of }
    }
}
