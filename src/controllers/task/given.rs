//! The values of Secrets that this process has given to commands: by Task, and by the sandbox they were brought to.
//! Part of the Task controller's memory; `secrets` fills and asks it.

use crate::domain::secrets::SecretValue;
use secrecy::ExposeSecret as _;
use std::collections::HashMap;

/// As many runs as status lists.
const MAX_RUNS: usize = 10;
/// As many distinct values as are remembered of one sandbox.
const MAX_VALUES: usize = 500;

/// The values that this process has given. They are here only: nowhere can they be read again.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// By Task uid: generation id and values of its runs.
    tasks: HashMap<String, Vec<(String, Vec<SecretValue>)>>,
    /// By E2B id: whatever any Task has brought there. In a shared sandbox one finds what another has left.
    sandboxes: HashMap<String, Vec<SecretValue>>,
}

impl Given {
    pub(super) fn remember(&mut self, uid: &str, generation: &str, sandbox: &str, values: Vec<SecretValue>) {
        let brought = self.sandboxes.entry(sandbox.to_owned()).or_default();
        for value in &values {
            let same = |known: &SecretValue| known.value.expose_secret() == value.value.expose_secret();
            if !brought.iter().any(same) {
                brought.push(value.clone());
            }
        }
        brought.drain(..brought.len().saturating_sub(MAX_VALUES));
        let runs = self.tasks.entry(uid.to_owned()).or_default();
        runs.retain(|(id, _)| id != generation);
        runs.push((generation.to_owned(), values));
        runs.drain(..runs.len().saturating_sub(MAX_RUNS));
    }

    /// Forgets the Tasks and the sandboxes that are gone.
    pub(super) fn keep(&mut self, task: impl Fn(&str) -> bool, sandbox: impl Fn(&str) -> bool) {
        self.tasks.retain(|uid, _| task(uid));
        self.sandboxes.retain(|id, _| sandbox(id));
    }

    pub(super) fn knows(&self, uid: &str, generation: &str) -> bool {
        self.tasks.get(uid).is_some_and(|runs| runs.iter().any(|(id, _)| id == generation))
    }

    /// Of all runs of the Task, and of all that ran in the sandbox: a file that an earlier one left there may hold what that
    /// one was given.
    pub(super) fn of(&self, uid: &str, sandbox: &str) -> Vec<SecretValue> {
        let runs = self.tasks.get(uid).into_iter().flatten().flat_map(|(_, values)| values);
        runs.chain(self.sandboxes.get(sandbox).into_iter().flatten()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secrets::Needles;

    fn value(text: &str) -> Vec<SecretValue> {
        vec![SecretValue { secret: "s".into(), key: "k".into(), value: text.into() }]
    }

    #[test]
    fn every_run_of_a_task_is_remembered_until_the_task_goes() {
        let mut given = Given::default();
        given.remember("a", "a-1-1", "x", value("first-value"));
        given.remember("a", "a-1-2", "y", value("second-value"));
        given.remember("b", "b-1-1", "z", value("other-value"));
        assert!(given.knows("a", "a-1-1") && given.knows("a", "a-1-2") && !given.knows("a", "b-1-1"));
        assert_eq!(given.of("a", "other").len(), 2);
        given.keep(|uid| uid == "b", |_| false);
        assert!(given.of("a", "x").is_empty() && given.knows("b", "b-1-1"));
    }

    #[test]
    fn what_one_task_brought_into_a_sandbox_is_looked_for_in_anothers_files_there() {
        let mut given = Given::default();
        given.remember("a", "a-1-1", "shared", value("value-of-a"));
        given.remember("b", "b-1-1", "shared", value("value-of-b"));
        let found = Needles::new(given.of("b", "shared"));
        assert!(found.found_in("KEY=value-of-a").is_some() && found.found_in("KEY=value-of-b").is_some());
        given.keep(|uid| uid == "b", |sandbox| sandbox == "shared");
        assert!(
            Needles::new(given.of("b", "shared")).found_in("KEY=value-of-a").is_some(),
            "the sandbox lives"
        );
        given.keep(|uid| uid == "b", |_| false);
        assert!(Needles::new(given.of("b", "shared")).found_in("KEY=value-of-a").is_none());
    }

    #[test]
    fn a_task_that_runs_for_ever_does_not_fill_the_memory() {
        let mut given = Given::default();
        for run in 0..MAX_VALUES + 40 {
            given.remember("a", &format!("a-{run}-1"), "shared", value(&format!("value-{run}")));
            given.remember("a", &format!("a-{run}-1"), "shared", value(&format!("value-{run}")));
        }
        assert_eq!((given.of("a", "other").len(), given.of("", "shared").len()), (MAX_RUNS, MAX_VALUES));
        let last = MAX_VALUES + 39;
        assert!(given.knows("a", &format!("a-{last}-1")) && !given.knows("a", "a-29-1"));
    }
}
