//! The chance that walks go by: the same seed walks the same way, and a failed walk says how to repeat it.

use std::{ops::Range, str::FromStr};

/// A linear congruential generator: the same seed walks the same way.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// Which walks are made, and how long each is.
pub struct Seeds {
    pub all: Range<u64>,
    pub steps: usize,
}

impl Seeds {
    /// `WALK_SEEDS` and `WALK_STEPS` ask for more than the usual; `WALK_SEED` for one walk alone.
    pub fn from_environment(seeds: u64, steps: usize) -> Self {
        let all = match set::<u64>("WALK_SEED") {
            Some(one) => one..one + 1,
            None => 0..set("WALK_SEEDS").unwrap_or(seeds),
        };
        Self { all, steps: set("WALK_STEPS").unwrap_or(steps) }
    }

    pub fn is_one(&self) -> bool {
        self.all.end == self.all.start + 1
    }
}

fn set<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Prints the line that repeats a failed walk.
pub struct OnFailure {
    pub seed: u64,
    pub steps: usize,
    /// Path of the test.
    pub test: &'static str,
}

impl Drop for OnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "again: WALK_SEED={} WALK_STEPS={} cargo test --lib {}",
                self.seed, self.steps, self.test
            );
        }
    }
}
