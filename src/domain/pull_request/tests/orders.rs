//! Late, doubled and reordered news: whatever the order, the end is the same.
//! Part of the tests of `pull_request`.

use super::*;

/// All orders of `items`.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (index, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(index);
        for mut order in permutations(&rest) {
            order.insert(0, first.clone());
            all.push(order);
        }
    }
    all
}

/// Status after `order`, without the marks that only say how it came about.
fn outcome(mut status: TaskStatus, order: &[ObservedPullRequest]) -> TaskStatus {
    let mut was_done = false;
    for news in order {
        deliver(&mut status, news);
        assert!(!was_done || status.state == State::Done, "left done: {order:?}");
        was_done |= status.state == State::Done;
    }
    status.pull_request.as_mut().expect("known").unconfirmed = false;
    status
}

#[test]
fn every_order_of_a_life_ends_in_the_same_state() {
    use PullRequestState::{Closed, Merged, Open};
    let life = [(Open, true), (Open, false), (Open, false), (Closed, false), (Open, true), (Closed, true)];
    let merged =
        [(Open, true), (Open, false), (Closed, false), (Open, false), (Open, false), (Merged, false)];
    for story in [life, merged] {
        let events: Vec<_> =
            (10..).zip(story).map(|(time, (state, draft))| seen(state, draft, time)).collect();
        for known in [in_review(1), TaskStatus::default()] {
            let expected = outcome(known.clone(), &events);
            for order in permutations(&events) {
                assert_eq!(outcome(known.clone(), &order), expected, "{order:?}");
                let doubled: Vec<_> = order.iter().chain(order.iter().rev()).chain(&order).cloned().collect();
                assert_eq!(outcome(known.clone(), &doubled), expected, "{doubled:?}");
            }
        }
    }
}
