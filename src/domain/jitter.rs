//! The same number for the same object each time: spreads over time what many objects would otherwise do at once.
//! Used by `retry` and `repository`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A number from 0 up to, not including, `bound` (at least 1), spread evenly over objects (`uid`) and `salt`.
pub fn below(bound: u32, uid: &str, salt: i32) -> u32 {
    let mut hasher = DefaultHasher::new();
    (uid, salt).hash(&mut hasher);
    // The remainder is smaller than `bound`.
    u32::try_from(hasher.finish() % u64::from(bound.max(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn objects_and_salts_are_spread_over_all_of_it_and_each_keeps_its_own() {
        let of = |n: i32| below(10, &format!("uid-{n}"), 0);
        assert_eq!((0..200).map(of).collect::<BTreeSet<_>>(), (0..10).collect());
        assert_eq!((0..200).map(|salt| below(10, "uid", salt)).collect::<BTreeSet<_>>(), (0..10).collect());
        assert_eq!(of(7), of(7));
        assert_eq!(below(0, "uid", 0), 0);
    }
}
