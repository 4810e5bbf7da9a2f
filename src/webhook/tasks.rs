//! What the receiver keeps of each Task, and the ways to find it: by pull request, by branch, by a pull request of old.
//! Fed by `projection`, asked and written by `delivery`.

use super::{
    projection::{View, key_of},
    repositories::TrackedRepository,
};
use crate::{
    api::{Task, TaskSpec, TaskStatus},
    domain::pull_request::Stored,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

/// Namespace and name.
type Key = (String, String);

/// One Task: what a patch of its board needs, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TrackedTask {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: Option<String>,
    version: Option<String>,
    /// Name of its Repository, in the same namespace.
    repository: String,
    /// GitHub's id of the repository that its branch and pull request are in.
    repository_id: Option<i64>,
    branch: Option<String>,
    deleting: bool,
    pub(super) stored: Stored,
}

/// A pull request as a payload describes it, for finding whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// GitHub's id of the repository, if the payload tells it.
    pub(super) repository_id: Option<i64>,
    pub(super) number: i64,
    /// Head branch, if it is in the repository itself and not in a fork.
    pub(super) own_branch: Option<&'a str>,
}

impl TrackedTask {
    pub(super) fn of(task: &Task) -> Self {
        let (namespace, name) = key_of(task);
        let status = task.status.as_ref();
        let default = TaskStatus::default();
        Self {
            namespace,
            name,
            uid: task.uid(),
            version: task.resource_version(),
            repository: task.spec.repository_ref.name.clone(),
            repository_id: status.and_then(|status| status.repository_id),
            branch: status.and_then(|status| status.branch.clone()),
            deleting: task.meta().deletion_timestamp.is_some(),
            stored: Stored::of(status.unwrap_or(&default)),
        }
    }

    fn number(&self) -> Option<i64> {
        self.stored.pull_request.as_ref().map(|stored| stored.number)
    }

    /// Its branch, while it is known by that alone: once it has a number, only the number counts.
    fn awaiting(&self) -> Option<&str> {
        self.branch.as_deref().filter(|_| self.stored.pull_request.is_none())
    }

    /// Whether news of the pull request may move this Task.
    pub(super) fn is_moved_by(&self, repository: &TrackedRepository, wanted: &Wanted) -> bool {
        let belongs = self.namespace == repository.namespace && self.repository == repository.name;
        // Another repository under the same name numbers its pull requests anew.
        let elsewhere =
            self.repository_id.zip(wanted.repository_id).is_some_and(|(ours, theirs)| ours != theirs);
        let found = match self.number() {
            Some(number) => number == wanted.number,
            None => self.awaiting().is_some() && self.awaiting() == wanted.own_branch,
        };
        belongs && !elsewhere && !self.deleting && found && !self.stored.history.contains(&wanted.number)
    }

    /// The Task as far as a status write needs it.
    pub(super) fn object(&self) -> Task {
        let mut task = Task::new(&self.name, TaskSpec::default());
        task.metadata.namespace = Some(self.namespace.clone());
        task.metadata.resource_version.clone_from(&self.version);
        task
    }

    /// The part of its status that is kept.
    pub(super) fn status(&self) -> TaskStatus {
        let mut status =
            TaskStatus { pull_request: self.stored.pull_request.clone(), ..TaskStatus::default() };
        self.stored.board.apply(&mut status);
        status
    }

    /// The Task as the subject of an event.
    pub(super) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(Task::api_version(&()).into_owned()),
            kind: Some(Task::kind(&()).into_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            uid: self.uid.clone(),
            ..ObjectReference::default()
        }
    }
}

/// Where to look for a Task: the Repository's namespace and name, and a number or branch.
type Place<T> = (String, String, T);

/// Keys by place.
#[derive(Debug)]
struct Index<T>(HashMap<Place<T>, BTreeSet<Key>>);

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Index<T> {
    fn put(&mut self, task: &TrackedTask, value: T, key: &Key) {
        let place = (task.namespace.clone(), task.repository.clone(), value);
        self.0.entry(place).or_default().insert(key.clone());
    }

    fn remove(&mut self, task: &TrackedTask, value: T, key: &Key) {
        let place = (task.namespace.clone(), task.repository.clone(), value);
        if let Some(keys) = self.0.get_mut(&place) {
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(&place);
            }
        }
    }

    fn get(&self, repository: &TrackedRepository, value: T) -> impl Iterator<Item = &Key> {
        self.0.get(&(repository.namespace.clone(), repository.name.clone(), value)).into_iter().flatten()
    }
}

/// All Tasks.
#[derive(Default)]
pub(super) struct Tasks {
    tasks: HashMap<Key, Arc<TrackedTask>>,
    numbers: Index<i64>,
    branches: Index<String>,
    history: Index<i64>,
}

impl Tasks {
    /// The Tasks of `repository` that news of the pull request move.
    pub(super) fn moved_by(&self, repository: &TrackedRepository, wanted: &Wanted) -> Vec<Arc<TrackedTask>> {
        let by_number = self.numbers.get(repository, wanted.number);
        let by_branch =
            wanted.own_branch.into_iter().flat_map(|branch| self.branches.get(repository, branch.to_owned()));
        let found = by_number.chain(by_branch).filter_map(|key| self.tasks.get(key));
        found.filter(|task| task.is_moved_by(repository, wanted)).cloned().collect()
    }

    /// The Tasks of `repository` that had this pull request in an earlier round.
    pub(super) fn once_of(&self, repository: &TrackedRepository, wanted: &Wanted) -> Vec<Arc<TrackedTask>> {
        let found = self.history.get(repository, wanted.number).filter_map(|key| self.tasks.get(key));
        found.filter(|task| task.number() != Some(wanted.number)).cloned().collect()
    }

    /// The version that is known of a Task.
    pub(super) fn version(&self, namespace: &str, name: &str) -> Option<String> {
        self.tasks.get(&(namespace.to_owned(), name.to_owned()))?.version.clone()
    }

    fn forget(&mut self, key: &Key) {
        let Some(task) = self.tasks.remove(key) else { return };
        if let Some(number) = task.number() {
            self.numbers.remove(&task, number, key);
        }
        if let Some(branch) = task.awaiting() {
            self.branches.remove(&task, branch.to_owned(), key);
        }
        for number in &task.stored.history {
            self.history.remove(&task, *number, key);
        }
    }
}

impl View for Tasks {
    type Kind = Task;

    fn put(&mut self, task: &Task) {
        let key = key_of(task);
        self.forget(&key);
        let task = TrackedTask::of(task);
        if let Some(number) = task.number() {
            self.numbers.put(&task, number, &key);
        }
        if let Some(branch) = task.awaiting() {
            self.branches.put(&task, branch.to_owned(), &key);
        }
        for number in &task.stored.history {
            self.history.put(&task, *number, &key);
        }
        self.tasks.insert(key, Arc::new(task));
    }

    fn remove(&mut self, task: &Task) {
        self.forget(&key_of(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn task(name: &str, status: &Value) -> Task {
        let task = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Task",
            "metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": "1"},
            "spec": {"title": "t", "repositoryRef": {"name": "r"}, "sandboxRef": {"name": "s"}, "source": {"path": "/w"}},
            "status": status,
        });
        serde_json::from_value(task).expect("a Task")
    }

    fn repository() -> TrackedRepository {
        let mut view = crate::webhook::repositories::Repositories::default();
        let repository = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Repository",
            "metadata": {"namespace": "n", "name": "r"},
            "spec": {"owner": "o", "name": "r", "credentialsSecretRef": {"name": "c"}},
            "status": {"repositoryID": 7},
        });
        view.put(&serde_json::from_value(repository).expect("a Repository"));
        TrackedRepository::clone(&view.all()[0])
    }

    fn names(found: &[Arc<TrackedTask>]) -> Vec<&str> {
        found.iter().map(|task| task.name.as_str()).collect()
    }

    fn wanted(number: i64, own_branch: Option<&str>) -> Wanted<'_> {
        Wanted { repository_id: Some(7), number, own_branch }
    }

    #[test]
    fn a_task_is_found_by_number_else_by_branch() {
        let mut tasks = Tasks::default();
        tasks.put(&task("numbered", &json!({"branch": "b", "pullRequest": {"number": 1, "state": "open"}})));
        tasks.put(&task("planned", &json!({"branch": "b"})));
        let repository = repository();
        assert_eq!(names(&tasks.moved_by(&repository, &wanted(1, None))), ["numbered"]);
        tasks.put(&task("other", &json!({"branch": "c", "pullRequest": {"number": 3, "state": "open"}})));
        assert_eq!(names(&tasks.moved_by(&repository, &wanted(3, Some("c")))), ["other"], "found once");
        assert_eq!(names(&tasks.moved_by(&repository, &wanted(2, Some("b")))), ["planned"]);
        assert!(tasks.moved_by(&repository, &wanted(2, None)).is_empty());
        let mut elsewhere = repository.clone();
        elsewhere.namespace = "m".to_owned();
        assert!(tasks.moved_by(&elsewhere, &wanted(1, Some("b"))).is_empty());
    }

    #[test]
    fn a_change_leaves_no_old_way_to_a_task() {
        let mut tasks = Tasks::default();
        let open = json!({"number": 1, "state": "open"});
        tasks.put(&task("t", &json!({"branch": "b", "pullRequest": open})));
        tasks.put(&task("t", &json!({"branch": "b-2", "pullRequestHistory": [open]})));
        let repository = repository();
        assert!(tasks.moved_by(&repository, &wanted(1, Some("b"))).is_empty());
        assert_eq!(names(&tasks.once_of(&repository, &wanted(1, None))), ["t"]);
        assert_eq!(names(&tasks.moved_by(&repository, &wanted(2, Some("b-2")))), ["t"]);
        tasks.remove(&task("t", &json!({})));
        let indexes =
            [tasks.numbers.0.len(), tasks.history.0.len(), tasks.branches.0.len(), tasks.tasks.len()];
        assert_eq!(indexes, [0; 4]);
    }

    #[test]
    fn another_repository_under_the_same_name_moves_nothing() {
        let mut tasks = Tasks::default();
        let status = json!({"repositoryID": 7, "pullRequest": {"number": 1, "state": "open"}});
        tasks.put(&task("t", &status));
        let repository = repository();
        let other = Wanted { repository_id: Some(8), ..wanted(1, None) };
        assert!(tasks.moved_by(&repository, &other).is_empty());
        assert_eq!(names(&tasks.moved_by(&repository, &wanted(1, None))), ["t"]);
    }
}
