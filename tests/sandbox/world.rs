//! What each test stands in: a namespace of the shared control plane, an E2B stand-in of its own, and the operator.

use crate::controlplane::{self, ControlPlane, Options, User};
use crate::operator::{INSTALLATION, Operator};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use slipway::api::{Sandbox, SandboxState, SandboxStatus, Task};
use slipway::controllers::sandbox::Swept;
use slipway_simulator::Simulator;
use slipway_simulator::core::{Action, Call, Rule, When};
use slipway_simulator::e2b::{API_KEY, SandboxInfo};
use std::path::Path;
use std::time::{Duration, Instant};

pub const CREATE: &str = "POST /v2/sandboxes";
pub const LIST: &str = "GET /v2/sandboxes";
pub const GET: &str = "GET /sandboxes/{sandboxID}";
pub const TIMEOUT: &str = "POST /sandboxes/{sandboxID}/timeout";
pub const KILL: &str = "DELETE /sandboxes/{sandboxID}";

/// The longest a test waits for anything that has no wait of its own; the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct World {
    pub sim: Simulator,
    pub namespace: String,
    /// Of operators that are started from now on.
    pub installation: &'static str,
    client: kube::Client,
    operator: Option<Operator>,
}

impl World {
    /// With an operator that has the stand-in's key.
    pub async fn new(prefix: &str) -> Self {
        let mut world = Self::without_operator(prefix).await;
        world.start_operator();
        world
    }

    pub async fn without_operator(prefix: &str) -> Self {
        let crds = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")];
        Self::on(controlplane::shared_with(Options { crds, ..Options::default() }).await, prefix).await
    }

    /// On a control plane that is the test's own, without an operator.
    pub async fn on(server: &ControlPlane, prefix: &str) -> Self {
        let sim = Simulator::start(slipway_simulator::Options::default()).unwrap();
        let namespace = server.namespace(prefix).await.unwrap();
        // The operator is somewhere else, with a namespace of its own for each test.
        let own = server.namespace("slipway-system").await.unwrap();
        let file = kube::config::Kubeconfig::read_from(server.kubeconfig(&User::Admin).unwrap()).unwrap();
        let mut config =
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
                .await
                .unwrap();
        config.default_namespace = own;
        let client = kube::Client::try_from(config).unwrap();
        Self { sim, namespace, installation: INSTALLATION, client, operator: None }
    }

    pub fn start_operator(&mut self) {
        self.start_operator_with(Some(API_KEY));
    }

    pub fn start_operator_with(&mut self, key: Option<&str>) {
        let client = self.client.clone();
        self.operator = Some(Operator::start(client, &self.namespace, &self.sim, key, self.installation));
    }

    /// Ends the operator on the spot.
    pub fn crash(&mut self) {
        self.operator = None;
    }

    /// One look of the operator's sweep, as if it were this time.
    pub async fn sweep(&mut self, now: jiff::Timestamp) -> Swept {
        self.operator.as_mut().expect("an operator").sweep.look(now).await
    }

    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    pub fn sandboxes(&self) -> Api<Sandbox> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn apply(&self, spec: Value) {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": "box"}, "spec": spec,
        });
        let object: Sandbox = serde_json::from_value(object).unwrap();
        self.sandboxes().create(&PostParams::default(), &object).await.unwrap();
    }

    pub async fn patch(&self, patch: Value) -> kube::Result<Sandbox> {
        self.sandboxes().patch("box", &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// Asks the operator to look at once.
    pub async fn poke(&self) {
        let value = uuid::Uuid::new_v4().to_string();
        self.patch(json!({"metadata": {"annotations": {"slipway.dev/reconcile": value}}})).await.unwrap();
    }

    pub async fn delete(&self) {
        self.sandboxes().delete("box", &DeleteParams::default()).await.unwrap();
    }

    pub async fn put_key(&self, key: &str) {
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": "key"}, "stringData": {"apiKey": key}}))
                .unwrap();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        secrets.patch("key", &PatchParams::apply("test"), &Patch::Apply(with_type(&secret))).await.unwrap();
    }

    pub async fn delete_key(&self) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        secrets.delete("key", &DeleteParams::default()).await.unwrap();
    }

    /// A Task of this name asks for the Sandbox.
    pub async fn ask(&self, task: &str) {
        self.ask_at(task, 0).await;
    }

    /// The same, so many seconds after a fixed time.
    pub async fn ask_at(&self, task: &str, second: i64) {
        self.put_task(task).await;
        let since = (jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second)).to_string();
        let request = json!({"id": format!("{task}-{second}"), "sandboxName": "box", "since": since});
        self.patch_request(task, request).await;
    }

    /// A Task of this name asks for the Sandbox and says that it gives no answer.
    pub async fn report_unreachable(&self, task: &str) {
        self.ask(task).await;
        self.patch_request(task, json!({"unreachableSince": jiff::Timestamp::UNIX_EPOCH})).await;
    }

    async fn put_task(&self, name: &str) {
        let tasks = self.tasks();
        if tasks.get_opt(name).await.unwrap().is_none() {
            let task = json!({
                "apiVersion": "slipway.dev/v1alpha1", "kind": "Task", "metadata": {"name": name},
                "spec": {
                    "title": "A task", "repositoryRef": {"name": "repo"}, "sandboxRef": {"name": "box"},
                    "source": {"path": "/home/user"},
                },
            });
            let task: Task = serde_json::from_value(task).unwrap();
            tasks.create(&PostParams::default(), &task).await.unwrap();
        }
    }

    pub async fn task_uid(&self, name: &str) -> String {
        self.tasks().get(name).await.unwrap().metadata.uid.unwrap()
    }

    /// The Task takes its request away.
    pub async fn let_go(&self, task: &str) {
        self.patch_request(task, Value::Null).await;
    }

    /// A command of the Task has ended in this sandbox, by its record.
    pub async fn finish_command(&self, task: &str, command: &str, sandbox: &str) {
        let now = jiff::Timestamp::now();
        let run = json!({
            "id": command, "sandboxID": sandbox, "incarnation": 1, "startedAt": now, "finishedAt": now, "exitCode": 0,
        });
        self.patch_task(task, json!({"codeGenerations": [run]})).await;
    }

    async fn patch_request(&self, task: &str, request: Value) {
        self.patch_task(task, json!({"sandboxRequest": request})).await;
    }

    async fn patch_task(&self, task: &str, status: Value) {
        let status = json!({ "status": status });
        self.tasks().patch_status(task, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    fn tasks(&self) -> Api<Task> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn delete_task(&self, task: &str) {
        self.tasks().delete(task, &DeleteParams::default()).await.unwrap();
    }

    pub async fn status(&self) -> SandboxStatus {
        self.sandboxes().get("box").await.unwrap().status.unwrap_or_default()
    }

    /// Waits until the status fits.
    pub async fn until(&self, what: &str, fits: impl Fn(&SandboxStatus) -> bool) -> SandboxStatus {
        self.until_within(PATIENCE, what, fits).await
    }

    pub async fn until_within(
        &self,
        patience: Duration,
        what: &str,
        fits: impl Fn(&SandboxStatus) -> bool,
    ) -> SandboxStatus {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.status().await;
            if fits(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "not in time: {what}; {status:#?}\n{:#?}", self.calls());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a sandbox is up and the object is ready.
    pub async fn until_running(&self) -> SandboxStatus {
        self.until("running and ready", |s| {
            s.state == Some(SandboxState::Running) && ready(s) == "True/Running"
        })
        .await
    }

    pub async fn until_deleted(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while let Some(sandbox) = self.sandboxes().get_opt("box").await.unwrap() {
            assert!(Instant::now() < deadline, "not deleted: {sandbox:#?}\n{:#?}", self.calls());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for an event of that reason; its note.
    pub async fn until_event(&self, reason: &str) -> String {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = events.list(&ListParams::default()).await.unwrap().items;
            if let Some(event) = all.iter().find(|event| event.reason.as_deref() == Some(reason)) {
                return event.note.clone().unwrap_or_default();
            }
            assert!(Instant::now() < deadline, "no event {reason}: {all:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How often the object was written to since it was created.
    pub async fn writes(&self) -> usize {
        let server = controlplane::shared().await;
        let log = server.audit_log().await.unwrap();
        let ours = log.iter().filter(|event| {
            event.is_complete()
                && event.verb == "patch"
                && event.object_ref.resource == "sandboxes"
                && event.object_ref.namespace == self.namespace
        });
        ours.count()
    }

    /// What exists at E2B.
    pub fn live(&self) -> Vec<SandboxInfo> {
        self.sim.e2b.sandboxes()
    }

    pub fn count(&self, endpoint: &str) -> usize {
        self.sim.calls.of("e2b", endpoint).len()
    }

    /// Sets a fault on the calls of one endpoint; its id.
    pub fn fault(&self, endpoint: &str, when: When, action: Action) -> u64 {
        self.sim.faults.set(Rule::on("e2b", endpoint).when(when).action(action))
    }

    /// Waits for the nth call of the endpoint.
    pub async fn until_called(&self, endpoint: &str, ordinal: u64) -> Call {
        let arrived = |calls: &[Call]| {
            calls.iter().find(|call| call.endpoint == endpoint && call.ordinal == ordinal).cloned()
        };
        self.sim.calls.wait_for(PATIENCE, arrived).await.expect("the call arrives in time")
    }

    fn calls(&self) -> Vec<String> {
        let line = |call: Call| {
            format!("{} {} {:?} {:?}", call.real_at, call.endpoint, call.outcome, call.idempotency_key)
        };
        self.sim.calls.all().into_iter().map(line).collect()
    }
}

/// Status and reason of `Ready`, like `False/Retrying`.
pub fn ready(status: &SandboxStatus) -> String {
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.map(|ready| format!("{}/{}", ready.status, ready.reason)).unwrap_or_default()
}

pub fn message(status: &SandboxStatus) -> &str {
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.map_or("", |ready| &ready.message)
}

/// Server-side apply wants kind and version in the body.
fn with_type(secret: &Secret) -> Value {
    let mut value = serde_json::to_value(secret).unwrap();
    value["apiVersion"] = json!("v1");
    value["kind"] = json!("Secret");
    value
}
