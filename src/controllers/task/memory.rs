//! Keeps what only this process knows of Tasks; all of it can be found again, but for the values in `given`.
//! Part of the Task controller.

use super::given::Given;
use crate::{
    domain::{
        failure::Failure,
        task::{Checkout, PullRead, RulesView, Step},
    },
    e2b::Access,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Time for which a failed read of rules is told to all who want them: each would wait for its deadline, one after the other.
const FAILED: SignedDuration = SignedDuration::from_secs(2);
/// The longest interval between two looks is a day: what was last seen before this belongs to nobody any more.
const FORGET: SignedDuration = SignedDuration::from_hours(72);
/// Time for which a commit counts as too large without another look.
const LARGE: SignedDuration = SignedDuration::from_hours(6);
/// Ways to sandboxes that are kept; beyond it all are found again.
const MAX_ACCESS: usize = 10_000;

/// Heads that are no update of the Task's commit; beyond it all are looked at again.
const MAX_HEADS: usize = 10_000;

/// The uid of a Task, its commit, and the head of its pull request.
type HeadKey = (String, String, String);
/// A fingerprint of the key, and E2B's id of the sandbox.
type AccessKey = (String, String);
/// The uid of a Repository, and a branch of it.
type RulesKey = (String, String);
/// When rules were read; `None`: GitHub does not tell them.
pub(super) type KnownRules = (Timestamp, Option<RulesView>);

/// Everything that only this process knows.
#[derive(Debug, Default)]
pub struct Memory {
    /// Time since which a generation's process looks dead, by generation id.
    dead: HashMap<String, Timestamp>,
    /// Time at which a generation's process was first signalled, by generation id.
    signalled: HashMap<String, Timestamp>,
    /// Last read of a Task's pull request, by Task uid.
    pulls: HashMap<String, PullRead>,
    /// Heads of pull requests that were found to be no update of the Task's commit by GitHub.
    no_updates: HashSet<HeadKey>,
    /// Rules of base branches.
    rules: HashMap<RulesKey, KnownRules>,
    /// The last read of a base branch's rules that has failed, and when.
    rules_failed: HashMap<RulesKey, (Timestamp, Failure)>,
    /// Who reads the rules of a branch reads them for all.
    rules_turns: HashMap<RulesKey, Arc<tokio::sync::Mutex<()>>>,
    /// Way to reach the envd of a sandbox. Tokens live here only.
    access: HashMap<AccessKey, Access>,
    /// Commits, with the depth of their history, that are too large to be checked out, and when that was seen: a stalled Task is
    /// looked at every few minutes, and a gigabyte is not to be fetched for each look.
    too_large: HashMap<(String, i32), Timestamp>,
    /// The values of Secrets that commands were started with.
    pub(super) given: Given,
}

impl Memory {
    pub(super) fn dead_since(&self, generation: &str) -> Option<Timestamp> {
        self.dead.get(generation).copied()
    }

    pub(super) fn signalled_since(&self, generation: &str) -> Option<Timestamp> {
        self.signalled.get(generation).copied()
    }

    pub(super) fn pull_read(&self, uid: &str) -> Option<PullRead> {
        self.pulls.get(uid).cloned()
    }

    /// Tasks may go while their process looks dead: nobody takes their entries away but time.
    pub(super) fn looks_dead(&mut self, generation: &str, now: Timestamp) {
        self.dead.retain(|_, since| now.duration_since(*since) < FORGET);
        self.dead.entry(generation.to_owned()).or_insert(now);
    }

    pub(super) fn looks_alive(&mut self, generation: &str) {
        self.dead.remove(generation);
    }

    pub(super) fn signalled(&mut self, generation: &str, now: Timestamp) {
        self.signalled.retain(|_, since| now.duration_since(*since) < FORGET);
        self.signalled.entry(generation.to_owned()).or_insert(now);
    }

    pub(super) fn ended(&mut self, generation: &str) {
        self.dead.remove(generation);
        self.signalled.remove(generation);
    }

    pub(super) fn remember_pull(&mut self, uid: String, read: PullRead, now: Timestamp) {
        self.pulls.retain(|_, read| now.duration_since(read.at) < FORGET);
        self.pulls.insert(uid, read);
    }

    pub(super) fn is_no_update(&self, key: &HeadKey) -> bool {
        self.no_updates.contains(key)
    }

    pub(super) fn remember_no_update(&mut self, key: HeadKey) {
        if self.no_updates.len() >= MAX_HEADS {
            self.no_updates.clear();
        }
        self.no_updates.insert(key);
    }

    /// GitHub's own words on why it does not merge.
    pub(super) fn merge_refused(&mut self, uid: &str, step: &Step, words: &str) {
        if let Some(read) = self.pulls.get_mut(uid) {
            read.refuse(step, words);
        }
    }

    /// Held while the rules of a branch are read.
    pub(super) fn rules_turn(&mut self, key: &RulesKey) -> Arc<tokio::sync::Mutex<()>> {
        self.rules_turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        self.rules_turns.entry(key.clone()).or_default().clone()
    }

    /// The rules of a branch, where they were read less than `interval` ago.
    pub(super) fn rules(
        &self,
        key: &RulesKey,
        interval: SignedDuration,
        now: Timestamp,
    ) -> Option<KnownRules> {
        self.rules.get(key).filter(|(at, _)| now.duration_since(*at) < interval).cloned()
    }

    /// Why the rules of a branch could not be read, where that was just now, or after a pass that began at `now`.
    pub(super) fn rules_failure(&self, key: &RulesKey, now: Timestamp) -> Option<Failure> {
        let (at, failure) = self.rules_failed.get(key)?;
        (now.duration_since(*at) < FAILED).then(|| failure.clone())
    }

    pub(super) fn remember_rules_failure(&mut self, key: RulesKey, failure: Failure, at: Timestamp) {
        self.rules_failed.retain(|_, (failed, _)| at.duration_since(*failed) < FAILED);
        self.rules_failed.insert(key, (at, failure));
    }

    pub(super) fn remember_rules(&mut self, key: RulesKey, rules: Option<RulesView>, now: Timestamp) {
        self.rules.retain(|_, (at, _)| now.duration_since(*at) < FORGET);
        self.rules.insert(key, (now, rules));
    }

    pub(super) fn is_too_large(&self, checkout: &Checkout, now: Timestamp) -> bool {
        let known = self.too_large.get(&(checkout.commit.clone(), checkout.how.depth));
        known.is_some_and(|seen| now.duration_since(*seen) < LARGE)
    }

    pub(super) fn remember_too_large(&mut self, checkout: &Checkout, now: Timestamp) {
        self.too_large.retain(|_, seen| now.duration_since(*seen) < LARGE);
        self.too_large.insert((checkout.commit.clone(), checkout.how.depth), now);
    }

    pub(super) fn access(&self, key: &AccessKey) -> Option<Access> {
        self.access.get(key).cloned()
    }

    pub(super) fn remember_access(&mut self, key: AccessKey, access: Access) {
        if self.access.len() >= MAX_ACCESS {
            self.access.clear();
        }
        self.access.insert(key, access);
    }

    /// The next look asks E2B again how to get to the sandbox.
    pub(super) fn forget_access(&mut self, sandbox: &str) {
        self.access.retain(|(_, id), _| id != sandbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Class;

    #[test]
    fn a_failed_read_of_rules_is_told_to_those_who_waited_for_it_and_for_two_seconds() {
        let (mut memory, key) = (Memory::default(), ("uid".to_owned(), "main".to_owned()));
        let second = |second: i64| Timestamp::from_second(second).expect("in range");
        let failure = Failure {
            operation: "getBranchRules",
            class: Class::Transient,
            reason: "GitHubUnavailable",
            message: "no answer".into(),
        };
        assert_eq!(memory.rules_failure(&key, second(0)), None);
        memory.remember_rules_failure(key.clone(), failure.clone(), second(30));
        for (now, told) in [(0, true), (29, true), (31, true), (32, false), (90, false)] {
            assert_eq!(memory.rules_failure(&key, second(now)).is_some(), told, "{now}");
        }
        let other = ("uid".to_owned(), "release".to_owned());
        assert_eq!(memory.rules_failure(&other, second(30)), None);
        memory.remember_rules_failure(other, failure, second(90));
        assert_eq!(memory.rules_failure(&key, second(30)), None, "forgotten");
    }
}
