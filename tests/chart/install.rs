//! helm install, a Task from apply to merge, upgrade, uninstall, with operator and receiver under the chart's own
//! `ServiceAccount` and with the chart's own variables. No kubelet runs here: the processes are started as it would.

use crate::{
    controlplane::{AuditEvent, ControlPlane, Options as PlaneOptions, User, process::Process},
    helm::{Helm, RELEASE, only},
    pod::{self, Identity},
    rights,
    world::{Options, PATIENCE, WEBHOOK_SECRET, World, repository, sandbox, task, within},
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use slipway::api::{SandboxState, State, Task};
use slipway_simulator::github::MergeMethod;
use std::path::PathBuf;

const CHART: &str = "charts/slipway";

/// A release, its cluster and its operator.
struct Installed {
    world: World,
    helm: Helm,
    namespace: String,
    values: Value,
    /// As rendered for this release.
    objects: Vec<Value>,
    dir: tempfile::TempDir,
}

/// A server of the test's own, because CRDs are everybody's; it lives as long as the process. It asks for the right to
/// block an owner's deletion, as some distributions do.
async fn server() -> Result<&'static ControlPlane> {
    let plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement";
    let options = PlaneOptions { apiserver_arguments: vec![plugin.to_owned()], ..PlaneOptions::default() };
    Ok(Box::leak(Box::new(ControlPlane::start(options).await?)))
}

impl Installed {
    /// `values` beside the addresses of the stand-ins; the release is where the Tasks are, or elsewhere.
    async fn new(beside_tasks: bool, mut values: Value) -> Result<Self> {
        let plane = server().await?;
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_slipway"));
        let options = Options { operator: false, namespace: "chart", ..Options::default() };
        let world = World::start(plane, &binary, options).await?;
        let namespace =
            if beside_tasks { world.namespace.clone() } else { plane.namespace("slipway-system").await? };
        values["github"] = json!({"apiURL": world.simulator.github_url(), "writeInterval": "50ms"});
        values["e2b"]["apiURL"] = json!(world.simulator.e2b_api_url());
        values["e2b"]["sandboxURL"] = json!(world.simulator.e2b_sandbox_url());
        values["webhook"]["publicURL"] = json!(format!("http://127.0.0.1:{}", world.port));
        let helm = Helm::alone()?.on(plane.kubeconfig(&User::Admin)?);
        let objects = helm.template(RELEASE, &namespace, &values).await?;
        let dir = tempfile::tempdir()?;
        let mut installed = Self { world, helm, namespace, values, objects, dir };
        let notes = installed.run("install", &[CHART]).await?;
        ensure!(
            notes.contains("STATUS: deployed") && notes.contains("kubectl explain swtask.spec"),
            "{notes}"
        );
        let url = format!("http://127.0.0.1:{}/api/webhooks/github\n", installed.world.port);
        ensure!(notes.contains(&url), "{notes}");
        let identity = installed.identity();
        let program = identity.program(&binary, installed.dir.path()).await?;
        installed.world.binary = program;
        installed.start().await?;
        Ok(installed)
    }

    fn identity(&self) -> Identity<'_> {
        Identity { server: self.world.plane, namespace: &self.namespace, account: RELEASE }
    }

    async fn run(&self, verb: &str, more: &[&str]) -> Result<String> {
        let arguments = [&[verb, RELEASE], more, &["--namespace", &self.namespace]].concat();
        self.helm.run(&arguments, &self.values).await
    }

    /// A second replica: it waits for the Lease while the first one holds it.
    async fn stand_by(&self) -> Result<Process> {
        let mut environment = self.world.environment()?;
        environment.push(("POD_NAME".to_owned(), "slipway-1".to_owned()));
        let arguments = ["controller", "--ops-listen", "127.0.0.1:0"].map(str::to_owned).into();
        let process =
            Process::start_in("standby", &self.world.binary, arguments, environment, self.world.dir())?;
        within(PATIENCE, "the second replica's watch of the Lease", || async {
            let log = self.world.plane.audit_log().await.ok()?;
            let watches = |event: &AuditEvent| event.verb == "watch" && event.object_ref.resource == "leases";
            log.iter()
                .any(|event| watches(event) && event.user.username == self.identity().user())
                .then_some(())
        })
        .await
        .with_context(|| process.log_tail())?;
        Ok(process)
    }

    /// Operator and receiver, with the variables of their containers.
    async fn start(&mut self) -> Result<()> {
        let identity = self.identity();
        let spec = pod::spec(&self.objects)?;
        let mut environment = identity.surroundings();
        for container in ["controller", "webhook"] {
            environment.extend(identity.variables(spec, container).await?);
        }
        self.bound().await?;
        self.world.options.environment = environment;
        self.world.start_controller()?;
        self.world.start_receiver().await?;
        self.world.synced().await
    }

    /// Waits until the API server has taken note of the roles: a moment before it would refuse what they allow.
    async fn bound(&self) -> Result<()> {
        let user = format!("--as={}", self.identity().user());
        for (asked, namespace) in
            [(["list", "tasks.slipway.dev"], &self.world.namespace), (["create", "leases"], &self.namespace)]
        {
            let ask = [&["auth", "can-i"], &asked[..], &["--namespace", namespace, &user]].concat();
            let can = || async { self.world.plane.kubectl_output(&ask).await.ok() };
            within(PATIENCE, "the rights of the operator", can).await?;
        }
        Ok(())
    }

    /// `helm test`'s container, with the receiver's address in place of the Service's.
    async fn ping(&self) -> Result<String> {
        let spec = &only(&self.objects, "Pod")?["spec"];
        let arguments = &spec["containers"][0]["args"];
        let url = format!(
            "--url=http://{}:3000",
            only(&self.objects, "Service")?["metadata"]["name"].as_str().unwrap_or_default()
        );
        ensure!(*arguments == json!(["ping", url]), "{arguments}");
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_slipway"));
        command.args(["ping", "--url", &format!("http://127.0.0.1:{}", self.world.port)]).env_clear();
        command.envs(self.identity().variables(spec, "ping").await?);
        let output = command.kill_on_drop(true).output().await?;
        let printed = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(output.status.success(), "{printed}");
        Ok(printed)
    }

    /// Kinds and names of what carries the release's label.
    async fn labelled(&self) -> Result<String> {
        let kinds = "deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,pods,secrets";
        let label = format!("--selector=app.kubernetes.io/instance={RELEASE}");
        self.world.plane.kubectl_output(&["get", kinds, "--all-namespaces", "--output=name", &label]).await
    }

    async fn crds(&self) -> Result<Vec<CustomResourceDefinition>> {
        let crds: Api<CustomResourceDefinition> = Api::all(self.world.client.clone());
        Ok(crds.list(&ListParams::default()).await?.items)
    }

    /// Holds what the operator asked of the API server against what the chart allows it.
    async fn rights(&self) -> Result<()> {
        let user = self.identity().user();
        let log = self.world.plane.audit_log().await?;
        let ours: Vec<_> = log
            .iter()
            .filter(|event| event.user.username == user && (event.is_complete() || event.verb == "watch"))
            .collect();
        rights::check(&rights::given(&self.objects, RELEASE)?, &ours).with_context(|| self.world.logs())
    }
}

/// From apply to review.
async fn review(world: &World, name: &str) -> Result<u64> {
    let task = world.task_in(name, State::Review).await?;
    let pull = task.status.and_then(|status| status.pull_request).context("a pull request")?;
    Ok(u64::try_from(pull.number)?)
}

/// A Task with a sandbox of its own is merged; one in a shared sandbox loses it and is then deleted, as is the sandbox.
async fn story(world: &World) -> Result<()> {
    world.apply(&repository("app").with("/spec/webhook", json!({"manage": "Repository"}))).await?;
    let known = |repository: &slipway::api::Repository| {
        repository.status.as_ref().is_some_and(|status| status.webhook.is_some())
    };
    world.repository("app", "with its webhook", known).await?;
    world.apply(&task("merged", "app", "echo hello > hello")).await?;
    let number = review(world, "merged").await?;
    let merged = world.simulator.github.merge("acme/app", number, MergeMethod::Merge);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let done = world.task_in("merged", State::Done).await?;
    ensure!(done.status.is_some_and(|status| status.last_delivery.is_some()), "the delivery did not move it");

    world.apply(&sandbox("box")).await?;
    let shared =
        task("lost", "app", "echo ran > /var/tmp/ran; sleep 6; echo bye > bye").without("sandboxTemplate");
    world.apply(&shared.with("/spec/sandboxRef", json!({"name": "box"}))).await?;
    let runs = |task: &Task| task.status.as_ref().is_some_and(|status| !status.code_generations.is_empty());
    let running = world.task("lost", "the command runs", runs).await?;
    let id = running.status.and_then(|status| status.sandbox_id).context("a sandbox")?;
    let mark = world.simulator.e2b.host_path(&id, "/var/tmp/ran").context("the sandbox's files")?;
    within(PATIENCE, "the command's mark", || async { mark.exists().then_some(()) }).await?;
    ensure!(world.simulator.e2b.kill(&id).await);
    review(world, "lost").await?;
    let after = world.sandboxes().get("box").await?.status.context("status")?;
    ensure!(after.recreations == 1, "{after:?}");

    keep(world).await?;
    world.tasks().delete("lost", &Default::default()).await?;
    world.sandboxes().delete("box", &Default::default()).await?;
    // For 100 s the one that was replaced may turn out to be there still: the deletion waits for that look.
    within(2 * PATIENCE, "the end of every sandbox", || async {
        let objects = world.sandboxes().list(&ListParams::default()).await.ok()?.items;
        (objects.is_empty() && world.simulator.e2b.sandboxes().is_empty()).then_some(())
    })
    .await
    .with_context(|| world.logs())?;
    within(PATIENCE, "the end of the Task", || async {
        world.tasks().get_opt("lost").await.ok()?.is_none().then_some(())
    })
    .await
}

/// A Sandbox that is deleted and leaves its sandbox, which is put on record.
async fn keep(world: &World) -> Result<()> {
    world.apply(&sandbox("kept").with("/spec/deletionPolicy", json!("Retain"))).await?;
    let runs = |sandbox: &slipway::api::Sandbox| {
        sandbox.status.as_ref().is_some_and(|status| status.state == Some(SandboxState::Running))
    };
    let id = world.sandbox("kept", "it runs", runs).await?.status.and_then(|status| status.sandbox_id);
    world.sandboxes().delete("kept", &Default::default()).await?;
    within(PATIENCE, "the end of the object", || async {
        world.sandboxes().get_opt("kept").await.ok()?.is_none().then_some(())
    })
    .await
    .with_context(|| world.logs())?;
    ensure!(world.simulator.e2b.kill(&id.context("an id")?).await, "it stays");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_wide_with_the_defaults() -> Result<()> {
    let mut installed = Installed::new(false, json!({})).await?;
    let standby = installed.stand_by().await?;
    story(&installed.world).await?;
    let printed = installed.ping().await?;
    ensure!(printed.contains("a good signature is not checked") && printed.contains("401"), "{printed}");
    installed.rights().await?;
    drop(standby);
    upgrade(&mut installed).await?;
    uninstall(&mut installed).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_one_namespace_with_operator_wide_credentials() -> Result<()> {
    let values = json!({
        "scope": "Namespace",
        "e2b": {"apiKeySecretRef": {"name": "e2b"}},
        "webhook": {"secretRef": {"name": "webhook"}},
    });
    let installed = Installed::new(true, values).await?;
    let _standby = installed.stand_by().await?;
    story(&installed.world).await?;
    let printed = installed.ping().await?;
    ensure!(printed.contains(r#"200 {"pong":true}"#) && printed.contains("401"), "{printed}");
    ensure!(!printed.contains(WEBHOOK_SECRET), "{printed}");
    installed.rights().await
}

/// Another log filter: other Pods. What was done is not done again.
async fn upgrade(installed: &mut Installed) -> Result<()> {
    let before = installed.world.tasks().get("merged").await?;
    installed.values["log"] = json!({"filter": "info,slipway=debug"});
    installed.objects = installed.helm.template(RELEASE, &installed.namespace, &installed.values).await?;
    installed.run("upgrade", &[CHART]).await?;
    installed.world.terminate_controller().await?;
    installed.world.receiver = None;
    let seq = installed.world.simulator.calls.last_seq();
    installed.start().await?;
    installed.world.reconciled("task").await?;
    installed.world.reconciled("repository").await?;
    let writes: Vec<_> =
        installed.world.simulator.calls.since(seq).into_iter().filter(|call| call.method != "GET").collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    let after = installed.world.tasks().get("merged").await?;
    ensure!(after.metadata.resource_version == before.metadata.resource_version, "{after:#?}");
    Ok(())
}

/// The release goes, CRDs and objects stay, and the next release takes them over.
async fn uninstall(installed: &mut Installed) -> Result<()> {
    ensure!(installed.labelled().await?.contains("clusterrole"));
    installed.world.terminate_controller().await?;
    installed.world.receiver = None;
    installed.run("uninstall", &[]).await?;
    let left = installed.labelled().await?;
    ensure!(left.trim().is_empty(), "left by helm uninstall: {left}");
    ensure!(installed.crds().await?.len() == 3);
    let done = installed.world.task_in("merged", State::Done).await?;
    ensure!(installed.world.repositories().get("app").await?.spec.name == "app");
    installed.run("install", &[CHART]).await?;
    installed.identity().sign_in(installed.dir.path()).await?;
    installed.start().await?;
    installed.world.reconciled("task").await?;
    let after = installed.world.tasks().get("merged").await?;
    ensure!(after.metadata.uid == done.metadata.uid);
    Ok(())
}
