//! A world per test: a namespace of its own, stand-ins of its own, and the real binary between them.
//! Neighbours: `controlplane` runs the API server that all tests of this binary share.

use crate::controlplane::{self, ControlPlane, User};
use anyhow::{Context as _, Result, bail};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use slipway::api::{Repository, RepositoryStatus, Task};
use slipway_simulator::{Options, Simulator, core::Call, github::NewRepository};
use std::{
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take; all cores may be busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(90);
pub const TOKEN: &str = "slipway-bot-token";
pub const OWNER: &str = "slipway-bot";
/// The endpoints of the stand-in that a Repository uses.
pub const GET_REPOSITORY: &str = "GET /repos/{owner}/{repo}";
pub const GET_BY_ID: &str = "GET /repositories/{repository_id}";
pub const LIST_PULLS: &str = "GET /repos/{owner}/{repo}/pulls";

pub struct World {
    pub server: &'static ControlPlane,
    pub client: Client,
    pub namespace: String,
    pub sim: Simulator,
    pub operator: Operator,
}

impl World {
    pub async fn new(name: &str) -> Result<Self> {
        let server = controlplane::shared().await;
        let namespace = server.namespace(name).await?;
        let sim = Simulator::start(Options::default())?;
        let user = User::named(format!("operator-{namespace}"));
        grant(server, &user).await?;
        let operator = Operator::start(server, &user, &namespace, &sim)?;
        let client = server.client(&User::Admin).await?;
        Ok(Self { server, client, namespace, sim, operator })
    }

    /// SIGKILL, as a node that loses power, and a new start.
    pub fn crash(&mut self) -> Result<()> {
        let user = User::named(format!("operator-{}", self.namespace));
        self.operator = Operator::start(self.server, &user, &self.namespace, &self.sim)?;
        Ok(())
    }

    pub fn repositories(&self) -> Api<Repository> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn tasks(&self) -> Api<Task> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn secret(&self, name: &str, values: &[(&str, &str)]) -> Result<()> {
        let data = values.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect();
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            data: Some(data),
            ..Secret::default()
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let patch = Patch::Apply(secret);
        api.patch(name, &PatchParams::apply("test").force(), &patch).await?;
        Ok(())
    }

    /// The Secret `github` with a token that works.
    pub async fn token(&self) -> Result<()> {
        self.secret("github", &[("token", &format!("{TOKEN}\n"))]).await
    }

    /// A Repository with the Secret `github`; `spec` adds to or replaces the defaults.
    pub async fn repository(&self, name: &str, spec: Value) -> Result<Repository> {
        let mut all = json!({"owner": OWNER, "name": name, "credentialsSecretRef": {"name": "github"}});
        for (key, value) in spec.as_object().context("spec is an object")? {
            all[key] = value.clone();
        }
        let object = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name}, "spec": all});
        Ok(self.repositories().create(&PostParams::default(), &serde_json::from_value(object)?).await?)
    }

    /// A repository at the stand-in, with one commit.
    pub fn at_github(&self, name: &str) -> Result<i64> {
        let created = self.sim.github.create_repository(&NewRepository {
            owner: OWNER.into(),
            name: name.into(),
            ..NewRepository::default()
        })?;
        created["id"].as_i64().context("a repository has an id")
    }

    /// Waits until the Repository's status is as wanted.
    pub async fn repository_when(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&RepositoryStatus) -> bool,
    ) -> Result<RepositoryStatus> {
        let api = self.repositories();
        let fits = |object: Option<&Repository>| object.and_then(|o| o.status.as_ref()).is_some_and(&wanted);
        let found = tokio::time::timeout(DEADLINE, await_condition(api.clone(), name, fits)).await;
        if let Ok(found) = found {
            return found?.and_then(|object| object.status).context("fits only with a status");
        }
        let status = api.get_opt(name).await?.and_then(|object| object.status);
        bail!("{name} is not {what} after {} s: {status:#?}\n{}", DEADLINE.as_secs(), self.operator.log())
    }

    /// Waits until `Ready` has this reason.
    pub async fn repository_with(&self, name: &str, reason: &str) -> Result<RepositoryStatus> {
        self.repository_when(name, reason, |status| ready(status).is_some_and(|ready| ready.1 == reason))
            .await
    }

    pub async fn annotate(&self, name: &str, value: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {"slipway.dev/reconcile": value}}});
        self.repositories().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    pub async fn patch_spec(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.repositories().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits for a call after `seq` that has been answered.
    pub async fn call(&self, seq: u64, endpoint: &str) -> Result<Call> {
        let fits = |call: &Call| call.api == "github" && call.endpoint == endpoint && call.status().is_some();
        let found = self.sim.calls.wait_for_call(seq, DEADLINE, fits).await;
        found.with_context(|| format!("no call {endpoint}\n{}", self.operator.log()))
    }

    /// Writes the operator has made in the API server, but for events and the Lease.
    pub async fn writes(&self) -> Result<Vec<String>> {
        let user = User::named(format!("operator-{}", self.namespace));
        let all = self.server.audit_log().await?;
        let writes = all.iter().filter(|event| event.is_by(&user) && event.is_write());
        Ok(writes
            .filter(|event| !matches!(event.object_ref.resource.as_str(), "events" | "leases"))
            .map(|event| format!("{} {}", event.verb, event.request_uri))
            .collect())
    }
}

/// Status, reason and message of `Ready`.
pub fn ready(status: &RepositoryStatus) -> Option<(bool, &str, &str)> {
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    Some((ready.status == "True", &ready.reason, &ready.message))
}

pub fn has(status: &RepositoryStatus, type_: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// The rights the controllers need, and no others.
async fn grant(server: &ControlPlane, user: &User) -> Result<()> {
    let name = user.name();
    let lease = name.replace("operator", "slipway-controller");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [
            {"apiGroups": ["slipway.dev"], "resources": ["tasks", "sandboxes", "repositories"], "verbs": ["get", "list", "watch", "patch"]},
            {"apiGroups": ["slipway.dev"], "resources": ["tasks/status", "sandboxes/status", "repositories/status"], "verbs": ["patch"]},
            {"apiGroups": ["slipway.dev"], "resources": ["sandboxes"], "verbs": ["create", "delete"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [lease], "verbs": ["get", "list", "watch", "update"]},
        ]
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]
    });
    let client = server.client(&User::Admin).await?;
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(client.clone());
    roles.create(&PostParams::default(), &serde_json::from_value(role)?).await?;
    let bindings: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> = Api::all(client);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    Ok(())
}

/// `slipway controller` as a process of its own. Dropping it kills it.
pub struct Operator {
    child: Child,
    dir: tempfile::TempDir,
}

impl Operator {
    pub fn start(server: &ControlPlane, user: &User, namespace: &str, sim: &Simulator) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
        command
            .arg("controller")
            .env_clear()
            .env("KUBECONFIG", server.kubeconfig(user)?)
            .env("SLIPWAY_NAMESPACE", namespace)
            .env("POD_NAME", "slipway-0")
            .env("SLIPWAY_INSTALLATION", namespace)
            .env("SLIPWAY_OPS_LISTEN", "127.0.0.1:0")
            .env("SLIPWAY_SPOOL_DIR", dir.path().join("spool"))
            .env("GITHUB_API_URL", sim.github_url())
            .env("E2B_API_URL", sim.e2b_api_url())
            .env("E2B_SANDBOX_URL", sim.e2b_sandbox_url())
            .env("RUST_LOG", "info,slipway=debug")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        // SAFETY: prctl is async-signal-safe; the child ends with this process, whatever ends it.
        #[allow(unsafe_code, reason = "the only way to tie the child's life to this process")]
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        Ok(Self { child: command.spawn().context("slipway")?, dir })
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("pids are positive"))
    }

    /// Waits until the log holds `text`.
    pub async fn says(&self, text: &str) -> Result<()> {
        let started = Instant::now();
        while !self.log().contains(text) {
            if started.elapsed() > DEADLINE {
                bail!("never said {text:?}\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// SIGTERM; how long it took to end, and the exit code.
    pub async fn terminate(&mut self) -> Result<(Duration, Option<i32>)> {
        kill(self.pid(), Signal::SIGTERM)?;
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            if let Some(status) = self.child.try_wait()? {
                return Ok((started.elapsed(), status.code().or(status.signal().map(|signal| -signal))));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("still running {} s after SIGTERM\n{}", DEADLINE.as_secs(), self.log())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
