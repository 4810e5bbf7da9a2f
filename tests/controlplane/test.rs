//! The harness holds what it promises: real servers, real garbage collection, nothing left behind.
//! Neighbours: `mod.rs`, which every other test binary relies on.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails its test")]

#[path = "mod.rs"]
mod controlplane;

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use controlplane::{Binaries, ControlPlane, Options, User};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

const HELD: &str = "SLIPWAY_TEST_HOLD_CONTROL_PLANE";

fn options() -> Options {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/widgets.yaml");
    Options { crds: vec![crds], ..Options::default() }
}

fn widget_resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("controlplane.test", "v1", "Widget"))
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    }
}

async fn eventually<F: Future<Output = Result<bool>>>(
    what: &str,
    mut holds: impl FnMut() -> F,
) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_mins(1) {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("not within 60 s: {what}")
}

#[tokio::test]
async fn an_owned_object_is_collected_after_its_owner_and_a_namespace_goes_away() -> Result<()> {
    let server = controlplane::shared_with(options()).await;
    let namespace = server.namespace("owners").await?;
    let client = server.client(&User::Admin).await?;
    let widgets: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &widget_resource());
    let mut owner = DynamicObject::new("owner", &widget_resource());
    owner.data = json!({"spec": {"size": 1}});
    let owner = widgets.create(&PostParams::default(), &owner).await?;
    let mut child = DynamicObject::new("child", &widget_resource());
    child.owner_references_mut().push(serde_json::from_value(json!({
        "apiVersion": "controlplane.test/v1", "kind": "Widget", "name": "owner", "uid": owner.uid(),
    }))?);
    widgets.create(&PostParams::default(), &child).await?;

    widgets.delete("owner", &DeleteParams::default()).await?;
    eventually("the owned Widget is gone", async || Ok(widgets.get_opt("child").await?.is_none())).await?;

    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    eventually("there is a default ServiceAccount", async || {
        Ok(accounts.get_opt("default").await?.is_some())
    })
    .await?;
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete(&namespace, &DeleteParams::default()).await?;
    eventually("the Namespace is gone", async || Ok(namespaces.get_opt(&namespace).await?.is_none())).await
}

#[tokio::test]
async fn a_plain_user_may_do_what_is_bound_to_it_and_the_audit_log_names_it() -> Result<()> {
    let server = controlplane::shared_with(options()).await;
    let namespace = server.namespace("users").await?;
    let user = User::named("gardener");
    let maps: Api<ConfigMap> = Api::namespaced(server.client(&user).await?, &namespace);
    let refused = maps.create(&PostParams::default(), &config_map("first")).await;
    ensure!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");

    let role = ["create", "rolebinding", "gardener", "--clusterrole=edit", "--user=gardener", "--namespace"];
    server.kubectl_output(&[&role[..], &[&namespace]].concat()).await?;
    eventually("the binding has taken effect", async || {
        Ok(maps.create(&PostParams::default(), &config_map("second")).await.is_ok())
    })
    .await?;
    // The role is put together of others while the server starts: reading may be allowed a little later.
    eventually("the whole role has taken effect", async || {
        Ok(maps.list(&ListParams::default()).await.is_ok())
    })
    .await?;

    let events = server.audit_log().await?;
    let ours = events.iter().filter(|event| event.is_by(&user) && event.object_ref.namespace == namespace);
    let ours: Vec<_> = ours.collect();
    let codes: Vec<u16> =
        ours.iter().filter(|event| event.is_write()).map(|e| e.response_status.code).collect();
    ensure!(codes.first() == Some(&403) && codes.last() == Some(&201), "writes answered {codes:?}");
    ensure!(codes.iter().filter(|code| **code == 201).count() == 1, "writes answered {codes:?}");
    let lists = ours.iter().filter(|event| event.is_complete() && event.verb == "list");
    let lists = lists.filter(|event| event.response_status.code == 200).count();
    ensure!(lists == 1, "{lists} lists were logged");
    Ok(())
}

#[tokio::test]
async fn kubectl_is_the_administrator_and_says_why_it_failed() -> Result<()> {
    let server = controlplane::shared_with(options()).await;
    let namespace = server.namespace("kubectl").await?;
    server.kubectl_output(&["create", "configmap", "greeting", "--namespace", &namespace]).await?;
    let path =
        ["get", "configmap", "greeting", "--output=jsonpath={.metadata.name}", "--namespace", &namespace];
    ensure!(server.kubectl_output(&path).await? == "greeting");
    let version = server.kubectl_output(&["version", "--output=json"]).await?;
    let version: serde_json::Value = serde_json::from_str(&version)?;
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        ensure!(version["serverVersion"]["gitVersion"] == controlplane::version()?, "{version}");
    }
    let error = server.kubectl_output(&["get", "gadgets"]).await.unwrap_err().to_string();
    ensure!(error.contains("kubectl get gadgets") && error.contains("gadgets"), "{error}");
    Ok(())
}

/// Started on a thread that ends at once: the servers must live as long as the process, not as the thread.
#[tokio::test]
async fn a_server_can_be_paused_and_restarted_and_keeps_its_data() -> Result<()> {
    let server = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(ControlPlane::start(Options { controller_manager: false, ..Options::default() }))
    });
    let server = tokio::task::spawn_blocking(|| server.join().unwrap()).await??;
    let client = server.client(&User::Admin).await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    maps.create(&PostParams::default(), &config_map("kept")).await?;

    server.pause()?;
    let answer = tokio::time::timeout(Duration::from_secs(2), maps.get("kept")).await;
    ensure!(answer.is_err(), "a paused server answered: {answer:?}");
    server.resume()?;
    tokio::time::timeout(Duration::from_secs(30), maps.get("kept")).await??;

    let before = server.pids();
    server.restart_apiserver().await?;
    let after = server.pids();
    ensure!(
        before[0] == after[0] && before[1] != after[1],
        "etcd stays, kube-apiserver is new: {before:?} {after:?}"
    );
    eventually("the old client reconnects", async || Ok(maps.get("kept").await.is_ok())).await?;

    let directory = server.dir().to_owned();
    server.pause()?;
    drop(server);
    ensure!(!directory.exists(), "{} was left behind", directory.display());
    ensure!(after.iter().all(|pid| is_gone(*pid)), "a server outlived its control plane");
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_the_end_of_its_log() {
    let arguments = vec!["--no-such-flag".to_owned()];
    let result = ControlPlane::start(Options { apiserver_arguments: arguments, ..Options::default() }).await;
    let error = result.err().unwrap().to_string();
    assert!(error.contains("kube-apiserver ended by itself"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}

/// The test runs itself as a child that holds a control plane, kills that child, and looks what is left.
#[tokio::test]
async fn a_killed_parent_leaves_no_process_and_no_directory() -> Result<()> {
    if std::env::var_os(HELD).is_some() {
        let server = ControlPlane::start(options()).await?;
        let line = json!({"pids": server.pids(), "directory": server.dir()});
        println!("\n{HELD}{line}");
        std::future::pending::<()>().await;
    }
    let name = "a_killed_parent_leaves_no_process_and_no_directory";
    let mut child = Command::new(std::env::current_exe()?)
        .args([name, "--exact", "--nocapture"])
        .env(HELD, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("no output")?);
    let found = tokio::task::spawn_blocking(move || {
        output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix(HELD).map(str::to_owned))
    })
    .await?;
    let found: serde_json::Value = serde_json::from_str(&found.context("the child started nothing")?)?;
    let directory: PathBuf = serde_json::from_value(found["directory"].clone())?;
    ensure!(directory.exists(), "{} is not there", directory.display());
    child.kill()?;
    child.wait()?;
    let pids: Vec<u32> = serde_json::from_value(found["pids"].clone())?;
    ensure!(pids.len() == 3, "{pids:?}");
    eventually("the servers are gone", async || Ok(pids.iter().all(|pid| is_gone(*pid)))).await?;

    // Whoever starts next removes what nobody was left to remove: this one, or another test meanwhile.
    let next = ControlPlane::start(Options { controller_manager: false, ..Options::default() }).await?;
    ensure!(!directory.exists(), "{} was left behind", directory.display());
    drop(next);
    Ok(())
}

#[test]
fn a_missing_binary_is_named_with_the_command_that_builds_it() -> Result<()> {
    let empty = tempfile::tempdir()?;
    let error = Binaries::find_in(None, empty.path()).unwrap_err().to_string();
    assert!(error.contains("etcd is not in") && error.contains("`make controlplane`"), "{error}");

    let assets = tempfile::tempdir()?;
    for tool in ["etcd", "kube-apiserver"] {
        let path = assets.path().join(tool);
        std::fs::write(&path, "")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    let error = Binaries::find_in(Some(assets.path()), empty.path()).unwrap_err().to_string();
    assert!(error.contains("kube-controller-manager is not in"), "{error}");
    std::fs::write(empty.path().join("kube-controller-manager"), "")?;
    let error = Binaries::find_in(Some(assets.path()), empty.path()).unwrap_err().to_string();
    assert!(
        error.contains("kube-controller-manager is not in"),
        "a file that can't be run is no binary: {error}"
    );
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(empty.path().join("kube-controller-manager"), executable)?;
    let error = Binaries::find_in(Some(assets.path()), empty.path()).unwrap_err().to_string();
    assert!(error.contains("holds no kubectl"), "{error}");
    Ok(())
}

/// A zombie that nobody reaps in this container still has its /proc entry.
fn is_gone(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => true,
        Ok(stat) => stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
    }
}
