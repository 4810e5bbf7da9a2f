//! The ordered set that counts, against the standard library's.
//! Neighbours: `order` tests who goes first by it.

use super::*;
use crate::domain::line::ranked::Ranked;
use std::collections::BTreeSet;

#[test]
fn it_has_what_an_ordered_set_has_and_knows_places() {
    for seed in 0..20 {
        let (mut dice, mut ranked, mut set) = (Dice(seed), Ranked::default(), BTreeSet::new());
        for step in 0..3_000 {
            let value = dice.roll(if seed < 10 { 400 } else { 100_000 });
            // It grows, then shrinks to nothing.
            if dice.roll(3_000) > step {
                ranked.insert(value);
                set.insert(value);
            } else {
                let value = set.first().copied().filter(|_| dice.one_in(2)).unwrap_or(value);
                ranked.remove(&value);
                set.remove(&value);
            }
            assert_eq!((ranked.len(), ranked.first()), (set.len(), set.first()));
            let probe = dice.roll(100_000);
            assert_eq!(ranked.below(&probe), set.range(..probe).count());
        }
        assert!(ranked.iter().eq(set.iter()));
    }
}
