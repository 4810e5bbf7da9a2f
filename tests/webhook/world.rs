//! One test's world: a namespace, a user with exactly the receiver's rights, and a receiver on a port of its own.
//! Neighbours: `delivery` sends to it; the tests read the API server as the administrator.

use crate::controlplane::{self, ControlPlane, Options, User};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use slipway::{
    api::{PullRequest, PullRequestState, Repository, RepositoryStatus, Task, TaskStatus},
    cluster::{Events, Written, status},
    telemetry::Metrics,
    webhook::{MANAGER, Receiver, Settings},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long anything may take that is not itself about time.
pub const DEADLINE: Duration = Duration::from_mins(1);
const IDLE: Duration = Duration::from_secs(5);
/// A webhook secret of a usable length.
pub const SECRET: &str = "a secret of the hook, long enough";
/// GitHub's ids of the repository `octo/app` and its owner.
pub const REPOSITORY_ID: i64 = 1_296_269;
pub const OWNER_ID: i64 = 583_231;

/// How the receiver is started.
#[derive(Default)]
pub struct Setup {
    pub operator_wide: Option<&'static str>,
    pub all_namespaces: bool,
    /// Start it as a user without any right.
    pub without_rights: bool,
}

pub struct World<'a> {
    pub server: &'a ControlPlane,
    /// The administrator's.
    pub client: Client,
    /// Whom the receiver is to the API server.
    pub user: User,
    pub namespace: String,
    pub receiver: Receiver,
    pub address: SocketAddr,
    pub http: reqwest::Client,
    pub stop: CancellationToken,
    pub serving: JoinHandle<std::io::Result<()>>,
    metrics: Metrics,
}

/// A world on the shared API server.
pub async fn world(prefix: &str) -> Result<World<'static>> {
    World::start(controlplane::shared().await, prefix, Setup::default()).await
}

/// A control plane of the test's own: to freeze it, to kill it, or to be alone in it.
pub async fn own_server() -> Result<ControlPlane> {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let options = Options { crds: vec![crds], controller_manager: false, ..Options::default() };
    ControlPlane::start(options).await
}

impl<'a> World<'a> {
    pub async fn start(server: &'a ControlPlane, prefix: &str, setup: Setup) -> Result<World<'a>> {
        // Shown with a test that fails. Only the first world of the process can set it.
        let filter = tracing_subscriber::EnvFilter::new("slipway=debug,kube=warn");
        let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter(filter).try_init();
        let namespace = server.namespace(prefix).await?;
        let client = server.client(&User::Admin).await?;
        let user = User::named(format!("webhook-{namespace}"));
        let own = server.client(&user).await?;
        if !setup.without_rights {
            grant(&client, &user).await?;
            let tasks: Api<Task> = Api::all(own.clone());
            eventually("the receiver's rights", || async {
                tasks.list_metadata(&ListParams::default()).await.ok()
            })
            .await?;
        }
        let metrics = Metrics::new();
        let scope = (!setup.all_namespaces).then(|| namespace.clone());
        let Replica { receiver, address, stop, serving } =
            Replica::start(own, scope, setup.operator_wide, metrics.clone()).await?;
        // The receiver closes a connection that waits for 10 s: none may be taken again while it does.
        let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).pool_idle_timeout(IDLE).build()?;
        let world =
            World { server, client, user, namespace, receiver, address, http, stop, serving, metrics };
        if !setup.without_rights {
            eventually("the receiver's lists", || async { world.receiver.is_synced().then_some(()) }).await?;
        }
        Ok(world)
    }

    /// A further replica of the receiver, for the same objects and in the same rights; returns when it has its lists.
    pub async fn replica(&self) -> Result<Replica> {
        let own = self.server.client(&self.user).await?;
        let replica = Replica::start(own, Some(self.namespace.clone()), None, Metrics::new()).await?;
        eventually("its lists", || async { replica.receiver.is_synced().then_some(()) }).await?;
        Ok(replica)
    }

    /// Deliveries so far by outcome and event, as the metric counts them.
    pub fn counted(&self) -> BTreeMap<(String, String), u64> {
        let text = self.metrics.encode().unwrap_or_default();
        let lines =
            text.lines().filter_map(|line| line.strip_prefix("slipway_webhook_deliveries_total{outcome=\""));
        lines
            .filter_map(|line| {
                let (outcome, rest) = line.split_once("\",event=\"")?;
                let (event, count) = rest.split_once("\"} ")?;
                Some(((outcome.to_owned(), event.to_owned()), count.parse().ok()?))
            })
            .collect()
    }

    pub fn tasks(&self) -> Api<Task> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Repository `repo` for `octo/app`, synced, with a Secret of its own.
    pub async fn octo_app(&self) -> Result<()> {
        self.secret("hook", &[("current", SECRET)]).await?;
        self.repository(&self.namespace, "repo", "octo/app", Some(REPOSITORY_ID), Some("hook")).await
    }

    pub async fn secret(&self, name: &str, values: &[(&str, &str)]) -> Result<()> {
        self.secret_in(&self.namespace, name, values).await
    }

    /// Creates or replaces a Secret.
    pub async fn secret_in(&self, namespace: &str, name: &str, values: &[(&str, &str)]) -> Result<()> {
        let values: BTreeMap<_, _> =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut secret = Secret { string_data: Some(values), ..Secret::default() };
        secret.metadata.name = Some(name.to_owned());
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let _ = secrets.delete(name, &DeleteParams::default()).await;
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// Creates a Repository and writes the status that its controller would; returns when the receiver has seen it.
    pub async fn repository(
        &self,
        namespace: &str,
        name: &str,
        full_name: &str,
        id: Option<i64>,
        secret: Option<&str>,
    ) -> Result<()> {
        let (owner, short) = full_name.split_once('/').context("owner/name")?;
        let mut repository = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name},
            "spec": {"owner": owner, "name": short, "credentialsSecretRef": {"name": "github"}},
        });
        if let Some(secret) = secret {
            repository["spec"]["webhookSecretRef"] = json!({ "name": secret });
        }
        let repositories: Api<Repository> = Api::namespaced(self.client.clone(), namespace);
        let mut stored =
            repositories.create(&PostParams::default(), &serde_json::from_value(repository)?).await?;
        if let Some(id) = id {
            let mut synced: RepositoryStatus = stored.status.clone().unwrap_or_default();
            synced.repository_id = Some(id);
            synced.owner_id = Some(OWNER_ID);
            synced.full_name = Some(full_name.to_owned());
            let written =
                status::write(&repositories, &stored, stored.status.as_ref(), &synced, "test").await?;
            stored = patched(written)?;
        }
        let version = stored.resource_version();
        eventually("the receiver's view of the Repository", || async {
            (self.receiver.repository_version(namespace, name) == version).then_some(())
        })
        .await
    }

    pub async fn task(&self, name: &str, change: impl FnOnce(&mut TaskStatus)) -> Result<Task> {
        self.task_in(&self.namespace, name, "repo", change).await
    }

    /// Creates a Task and writes a status as its controller would; returns when the receiver has seen it.
    pub async fn task_in(
        &self,
        namespace: &str,
        name: &str,
        repository: &str,
        change: impl FnOnce(&mut TaskStatus),
    ) -> Result<Task> {
        let task = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Task", "metadata": {"name": name},
            "spec": {"title": "Work", "repositoryRef": {"name": repository}, "sandboxRef": {"name": "box"}, "source": {"path": "/work"}},
        });
        let tasks: Api<Task> = Api::namespaced(self.client.clone(), namespace);
        let created = tasks.create(&PostParams::default(), &serde_json::from_value(task)?).await?;
        self.write(&created, change).await
    }

    /// Writes the status of a Task as its controller would.
    pub async fn write(&self, task: &Task, change: impl FnOnce(&mut TaskStatus)) -> Result<Task> {
        let namespace = task.namespace().context("namespaced")?;
        let tasks: Api<Task> = Api::namespaced(self.client.clone(), &namespace);
        let mut new = task.status.clone().unwrap_or_default();
        change(&mut new);
        let written = status::write(&tasks, task, task.status.as_ref(), &new, "slipway-controller").await?;
        let written = match written {
            Written::Unchanged => task.clone(),
            written => patched(written)?,
        };
        self.settle(&written).await?;
        Ok(written)
    }

    /// Waits until the receiver knows this version of a Task.
    pub async fn settle(&self, task: &Task) -> Result<()> {
        let (namespace, version) = (task.namespace().context("namespaced")?, task.resource_version());
        eventually("the receiver's view of the Task", || async {
            (self.receiver.task_version(&namespace, &task.name_any()) == version).then_some(())
        })
        .await
    }

    /// The status of a Task as the API server has it.
    pub async fn status(&self, name: &str) -> Result<TaskStatus> {
        self.tasks().get(name).await?.status.context("a status")
    }

    /// State, column, build status and whether `completedAt` is set, as a board shows them.
    pub async fn row(&self, name: &str) -> Result<[String; 4]> {
        row(&self.status(name).await?)
    }

    /// Ends the receiver; fails if it did not end by itself within the deadline.
    pub async fn end(self) -> Result<()> {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.serving).await???;
        Ok(())
    }
}

/// One running receiver.
pub struct Replica {
    pub receiver: Receiver,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub serving: JoinHandle<std::io::Result<()>>,
}

impl Replica {
    async fn start(
        client: Client,
        namespace: Option<String>,
        operator_wide: Option<&'static str>,
        metrics: Metrics,
    ) -> Result<Self> {
        let settings = Settings {
            namespace,
            webhook_secret: operator_wide.map(SecretString::from),
            github_host: "github.test".to_owned(),
            max_body_bytes: 1024 * 1024,
        };
        let events = Events::new(client.clone(), MANAGER, "test");
        let receiver = Receiver::new(client, settings, events, metrics);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(receiver.clone().serve(listener, 2, stop.clone()));
        Ok(Self { receiver, address, stop, serving })
    }
}

/// State, column, build status and `completedAt` of a status.
pub fn row(status: &TaskStatus) -> Result<[String; 4]> {
    let status = serde_json::to_value(status)?;
    let of = |field: &str| status[field].as_str().unwrap_or("absent").to_owned();
    Ok([of("state"), of("column"), of("buildStatus"), of("completedAt")])
}

/// Exactly what the receiver may do.
async fn grant(client: &Client, user: &User) -> Result<()> {
    let role: ClusterRole = serde_json::from_value(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "slipway-webhook"},
        "rules": [
            {"apiGroups": ["slipway.dev"], "resources": ["tasks", "repositories"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["slipway.dev"], "resources": ["tasks/status"], "verbs": ["patch"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        ],
    }))?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": user.name()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "slipway-webhook"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name()}],
    }))?;
    let apply = PatchParams::apply("test").force();
    Api::<ClusterRole>::all(client.clone()).patch("slipway-webhook", &apply, &Patch::Apply(&role)).await?;
    Api::<ClusterRoleBinding>::all(client.clone())
        .patch(user.name(), &apply, &Patch::Apply(&binding))
        .await?;
    Ok(())
}

/// The object as it was written.
pub fn patched<K>(written: Written<K>) -> Result<K> {
    match written {
        Written::Patched(object) => Ok(object),
        Written::Unchanged | Written::Conflict => bail!("nothing was written"),
    }
}

/// Asks until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        ensure!(started.elapsed() < DEADLINE, "waited {} s for {what}", DEADLINE.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Puts a Task in review: pull request `number`, open since a while ago and confirmed.
pub fn in_review(number: i64) -> impl FnOnce(&mut TaskStatus) {
    use slipway::api::{BuildStatus, Column, State};
    move |status| {
        (status.state, status.column, status.build_status) =
            (State::Review, Column::Testing, BuildStatus::Ready);
        status.branch = Some(format!("task/t-{number}/work"));
        status.repository_id = Some(REPOSITORY_ID);
        status.pull_request = Some(pull_request(number));
    }
}

/// An open pull request that was last changed on 1 January 2026.
pub fn pull_request(number: i64) -> PullRequest {
    PullRequest {
        due: Vec::new(),
        merge_queue: None,
        number,
        branch: Some(format!("task/t-{number}/work")),
        node_id: None,
        url: None,
        state: PullRequestState::Open,
        draft: false,
        head_sha: None,
        merge_sha: None,
        updated_at: Some(time("2026-01-01T00:00:00Z")),
        unconfirmed: false,
    }
}

pub fn time(text: &str) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    let time: Result<jiff::Timestamp, _> = text.parse();
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time.expect("a literal time"))
}

/// Fails unless `value` has `expected` under a JSON pointer.
pub fn expect(value: &Value, pointer: &str, expected: &Value) -> Result<()> {
    match value.pointer(pointer) {
        Some(found) if found == expected => Ok(()),
        found => bail!("{pointer} is {found:?}, not {expected}, in {value}"),
    }
}
