//! Keeps the receiver's extract of each Task, and finds it: by pull request, by branch, by an earlier pull request.
//! Fed by `projection`, asked and written by `delivery`.

use super::{
    extract::{Extract, is_newer, key_of},
    payload::Glimpse,
    repositories::TrackedRepository,
    signs::Signs,
    view::View,
};
use crate::{
    api::{BuildStatus, Column, Phase, PullRequest, State, Task, common::LocalRef},
    domain::{
        board::Board,
        pull_request::{ObservedPullRequest, Stored},
    },
};
use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::Resource;
use serde::Deserialize;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// Namespace and name, shared with the Task itself.
pub(super) type Key = (Arc<str>, Arc<str>);

/// What the API server's text of a Task is read into.
pub(super) type SeenTask = Extract<Task, Spec, Status>;

/// What is read of a Task's spec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    repository_ref: LocalRef,
}

/// What is read of a Task's status: what news of pull requests can change or must respect.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::struct_field_names, reason = "as the API spells it")]
pub(super) struct Status {
    state: State,
    column: Column,
    build_status: BuildStatus,
    completed_at: Option<Time>,
    phase: Option<Phase>,
    round: Option<i64>,
    #[serde(rename = "repositoryID")]
    repository_id: Option<i64>,
    branch: Option<String>,
    #[serde(rename = "commitSHA")]
    commit_sha: Option<String>,
    pull_request: Option<PullRequest>,
    pull_request_history: Vec<Past>,
}

/// A pull request of an earlier round.
#[derive(Debug, Clone, Deserialize)]
struct Past {
    number: i64,
}

impl From<Status> for Stored {
    fn from(status: Status) -> Self {
        Self {
            board: Board::new((status.state, status.column, status.build_status), status.completed_at),
            phase: status.phase,
            round: status.round.unwrap_or(1),
            repository_id: status.repository_id,
            branch: status.branch,
            commit_sha: status.commit_sha,
            pull_request: status.pull_request,
            history: status.pull_request_history.iter().map(|past| past.number).collect(),
        }
    }
}

/// One Task: what a patch of its board needs, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TrackedTask {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
    /// Name of its Repository, in the same namespace.
    repository: String,
    deleting: bool,
    pub(super) stored: Stored,
}

impl From<SeenTask> for TrackedTask {
    fn from(task: SeenTask) -> Self {
        let (namespace, name) = key_of(&task.metadata);
        Self {
            namespace: namespace.into(),
            name: name.into(),
            uid: task.metadata.uid,
            version: task.metadata.resource_version,
            repository: task.spec.repository_ref.name,
            deleting: task.metadata.deletion_timestamp.is_some(),
            stored: task.status.unwrap_or_default().into(),
        }
    }
}

impl TrackedTask {
    pub(super) fn key(&self) -> Key {
        (self.namespace.clone(), self.name.clone())
    }

    fn number(&self) -> Option<i64> {
        self.stored.pull_request.as_ref().map(|stored| stored.number)
    }

    /// Its branch, while it is known by that alone: once it has a number, only the number counts.
    fn awaiting(&self) -> Option<&str> {
        self.stored.branch.as_deref().filter(|_| self.stored.pull_request.is_none())
    }

    /// Returns whether news of the pull request may move this Task.
    pub(super) fn is_moved_by(&self, repository: &TrackedRepository, observed: &ObservedPullRequest) -> bool {
        let uid = self.uid.as_deref().unwrap_or_default();
        self.belongs_to(repository) && !self.deleting && self.stored.owns(uid, observed)
    }

    /// Returns whether the pull request was this Task's in an earlier round.
    fn had(&self, repository: &TrackedRepository, number: i64) -> bool {
        let past = self.stored.history.contains(&number) && self.number() != Some(number);
        self.belongs_to(repository) && past
    }

    fn belongs_to(&self, repository: &TrackedRepository) -> bool {
        *self.namespace == *repository.namespace && *self.repository == *repository.name
    }

    /// Every place where it is looked for.
    fn places(&self) -> impl Iterator<Item = u64> {
        let number = self.number().map(Way::Number);
        let branch = self.awaiting().map(Way::Branch);
        let history = self.stored.history.iter().copied().map(Way::History);
        let ways = number.into_iter().chain(branch).chain(history);
        ways.map(|way| place(&self.namespace, &self.repository, &way))
    }

    /// The numbers of its pull requests: of this round, and of earlier ones.
    fn numbers(&self) -> impl Iterator<Item = i64> {
        self.number().into_iter().chain(self.stored.history.iter().copied())
    }

    /// The Task as the subject of an event.
    pub(super) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(Task::api_version(&()).into_owned()),
            kind: Some(Task::kind(&()).into_owned()),
            namespace: Some(self.namespace.to_string()),
            name: Some(self.name.to_string()),
            uid: self.uid.clone(),
            ..ObjectReference::default()
        }
    }
}

/// The ways to a Task of a Repository.
#[derive(Hash)]
enum Way<'a> {
    Number(i64),
    Branch(&'a str),
    History(i64),
}

/// Returns where the Tasks of one way are kept: a hash, because the names themselves would double what is kept of a Task.
/// Others may share the place, so whatever is found there is looked at again.
fn place(namespace: &str, repository: &str, way: &Way) -> u64 {
    let mut hasher = DefaultHasher::new();
    (namespace, repository, way).hash(&mut hasher);
    hasher.finish()
}

/// All Tasks.
#[derive(Default)]
pub(super) struct Tasks {
    all: HashMap<Key, Arc<TrackedTask>>,
    places: HashMap<u64, Vec<Arc<TrackedTask>>>,
    signs: Signs,
}

impl Tasks {
    /// The Tasks of `repository` that news of the pull request move.
    pub(super) fn moved_by(
        &self,
        repository: &TrackedRepository,
        observed: &ObservedPullRequest,
    ) -> Vec<Arc<TrackedTask>> {
        let by_number = self.at(repository, &Way::Number(observed.number));
        let branch = observed.branch.as_deref();
        let by_branch = branch.map_or(&[][..], |branch| self.at(repository, &Way::Branch(branch)));
        // No Task is in both places: with a number, it is not found by its branch.
        let found = by_number.iter().chain(by_branch);
        found.filter(|task| task.is_moved_by(repository, observed)).cloned().collect()
    }

    /// The Tasks of `repository` that had this pull request in an earlier round.
    pub(super) fn once_of(&self, repository: &TrackedRepository, number: i64) -> Vec<Arc<TrackedTask>> {
        let found = self.at(repository, &Way::History(number)).iter();
        found.filter(|task| task.had(repository, number)).cloned().collect()
    }

    /// What is known of a Task.
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<TrackedTask>> {
        self.all.get(key)
    }

    /// Returns what the beginning of a payload tells, and whether it may concern any Task. No other payload needs a closer look.
    pub(super) fn glance<'a>(&self, body: &'a [u8]) -> Option<(Glimpse<'a>, bool)> {
        self.signs.glance(body)
    }

    /// Takes note of a state of a Task, unless a newer one is known: a watch lags behind the answers to our own writes.
    pub(super) fn note(&mut self, task: TrackedTask) {
        let key = task.key();
        let newer = |known: &Arc<TrackedTask>| {
            known.uid == task.uid && is_newer(known.version.as_deref(), task.version.as_deref())
        };
        if self.all.get(&key).is_some_and(newer) {
            return;
        }
        self.forget(&key);
        let task = Arc::new(task);
        for place in task.places() {
            self.places.entry(place).or_insert_with(|| Vec::with_capacity(1)).push(task.clone());
        }
        self.signs.add(task.numbers(), task.awaiting());
        self.all.insert(key, task);
    }

    fn at(&self, repository: &TrackedRepository, way: &Way) -> &[Arc<TrackedTask>] {
        let place = place(&repository.namespace, &repository.name, way);
        self.places.get(&place).map_or(&[], Vec::as_slice)
    }

    fn forget(&mut self, key: &Key) {
        let Some(task) = self.all.remove(key) else { return };
        for place in task.places() {
            if let Entry::Occupied(mut there) = self.places.entry(place) {
                there.get_mut().retain(|other| !Arc::ptr_eq(other, &task));
                if there.get().is_empty() {
                    there.remove();
                }
            }
        }
        self.signs.remove(task.numbers(), task.awaiting());
    }
}

impl View for Tasks {
    type Kind = Task;
    type Spec = Spec;
    type Status = Status;

    fn put(&mut self, task: SeenTask) {
        self.note(task.into());
    }

    fn remove(&mut self, task: &ObjectMeta) {
        let (namespace, name) = key_of(task);
        self.forget(&(namespace.into(), name.into()));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::webhook::repositories::SecretSource;
    use serde_json::{Value, json};

    fn seen(name: &str, status: &Value) -> SeenTask {
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
        view.put(serde_json::from_value(repository).expect("a Repository"));
        TrackedRepository::clone(&view.by_secret(&SecretSource::OperatorWide)[0])
    }

    /// A Task of the Repository `r` that nothing is known of.
    pub(in crate::webhook) fn task(name: &str) -> TrackedTask {
        seen(name, &json!({})).into()
    }

    fn names(found: &[Arc<TrackedTask>]) -> Vec<&str> {
        found.iter().map(|task| &*task.name).collect()
    }

    fn news(number: i64, branch: Option<&str>) -> ObservedPullRequest {
        ObservedPullRequest {
            branch: branch.map(str::to_owned),
            head_repository_id: Some(7),
            base_repository_id: Some(7),
            head_sha: Some("c0ffee".to_owned()),
            ..ObservedPullRequest::new(number, crate::api::PullRequestState::Open)
        }
    }

    fn committed(branch: &str) -> Value {
        json!({"branch": branch, "repositoryID": 7, "commitSHA": "c0ffee"})
    }

    #[test]
    fn a_task_is_found_by_number_else_by_its_own_commit_on_its_branch() {
        let mut tasks = Tasks::default();
        tasks.put(seen("numbered", &json!({"branch": "b", "pullRequest": {"number": 1, "state": "open"}})));
        tasks.put(seen("planned", &json!({"branch": "b", "repositoryID": 7})));
        tasks.put(seen("committed", &committed("b")));
        let repository = repository();
        assert_eq!(names(&tasks.moved_by(&repository, &news(1, None))), ["numbered"]);
        tasks.put(seen("other", &json!({"branch": "c", "pullRequest": {"number": 3, "state": "open"}})));
        assert_eq!(names(&tasks.moved_by(&repository, &news(3, Some("c")))), ["other"], "found once");
        assert_eq!(names(&tasks.moved_by(&repository, &news(2, Some("b")))), ["committed"]);
        assert!(tasks.moved_by(&repository, &news(2, None)).is_empty());
        let mut elsewhere = repository.clone();
        elsewhere.namespace = "m".into();
        assert!(tasks.moved_by(&elsewhere, &news(1, Some("b"))).is_empty());
    }

    #[test]
    fn a_change_leaves_no_old_way_to_a_task() {
        let mut tasks = Tasks::default();
        let open = json!({"number": 1, "state": "open"});
        tasks.put(seen("t", &json!({"branch": "b", "pullRequest": open})));
        tasks.put(seen(
            "t",
            &json!({
                "branch": "b-2", "repositoryID": 7, "commitSHA": "c0ffee", "pullRequestHistory": [open],
            }),
        ));
        let repository = repository();
        assert!(tasks.moved_by(&repository, &news(1, Some("b"))).is_empty());
        assert_eq!(names(&tasks.once_of(&repository, 1)), ["t"]);
        assert_eq!(names(&tasks.moved_by(&repository, &news(2, Some("b-2")))), ["t"]);
        tasks.remove(&seen("t", &json!({})).metadata);
        assert!(tasks.all.is_empty() && tasks.places.is_empty() && tasks.signs.is_empty());
    }

    #[test]
    fn another_repository_under_the_same_name_moves_nothing() {
        let mut tasks = Tasks::default();
        let status = json!({"repositoryID": 7, "pullRequest": {"number": 1, "state": "open"}});
        tasks.put(seen("t", &status));
        let repository = repository();
        let other = ObservedPullRequest { base_repository_id: Some(8), ..news(1, None) };
        assert!(tasks.moved_by(&repository, &other).is_empty());
        assert_eq!(names(&tasks.moved_by(&repository, &news(1, None))), ["t"]);
    }
}
