//! The binary as a process: what it refuses to start with, what it waits for, how it crashes and how it ends.
//! Neighbours: `support` starts it.

use crate::{
    controlplane::{ControlPlane, Options, User},
    support::{GET_REPOSITORY, Operator, World},
};
use anyhow::Result;
use serde_json::json;
use slipway_simulator::{
    Simulator,
    core::{Action, Rule, When},
};
use std::{path::Path, process::Command};

/// Standard output and error of a command that has to end by itself, and whether it succeeded.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(bool, String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    let output = command.args(arguments).env_clear().envs(environment.iter().copied()).output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

#[test]
fn a_wrong_setting_stops_the_start_with_name_value_and_what_is_allowed() -> Result<()> {
    for (command, name, value, allowed) in [
        ("controller", "SLIPWAY_GITHUB_WRITE_INTERVAL", "often", "1s or 500ms"),
        ("controller", "GITHUB_API_URL", "github.com", "http or https URL"),
        ("controller", "E2B_API_URL", "e2b", "http or https URL"),
        ("webhook", "SLIPWAY_WEBHOOK_LISTEN", "3000", "IP address and port"),
        ("webhook", "SLIPWAY_LOG_FORMAT", "xml", "text or json"),
        ("controller", "RUST_LOG", "slipway=loud", "info,slipway=debug"),
    ] {
        let (success, _, error) = run(&[command], &[(name, value)])?;
        assert!(!success, "{name}={value} was accepted");
        for part in [value, allowed] {
            assert!(error.contains(part), "{name}={value}: {error}");
        }
    }
    Ok(())
}

#[test]
fn crds_are_printed_and_a_missing_cluster_is_named() -> Result<()> {
    let (success, crds, _) = run(&["crds"], &[])?;
    assert!(success && crds == std::fs::read_to_string("crds/slipway.dev.yaml")?);
    let listen = [("SLIPWAY_OPS_LISTEN", "127.0.0.1:0")];
    let (success, _, error) = run(&["controller"], &listen)?;
    assert!(!success && error.contains("KUBECONFIG is not set and this is no Pod"), "{error}");
    let missing = [listen[0], ("KUBECONFIG", "/nowhere")];
    let (success, _, error) = run(&["controller"], &missing)?;
    assert!(!success && error.contains("KUBECONFIG /nowhere"), "{error}");
    Ok(())
}

#[tokio::test]
async fn outside_a_cluster_the_installation_has_to_be_named() -> Result<()> {
    let server = crate::controlplane::shared().await;
    let kubeconfig = server.kubeconfig(&User::Admin)?;
    let environment = [("SLIPWAY_OPS_LISTEN", "127.0.0.1:0"), ("KUBECONFIG", kubeconfig.to_str().unwrap())];
    let (success, _, error) = run(&["controller"], &environment)?;
    assert!(!success && error.contains("SLIPWAY_INSTALLATION") && error.contains("1 to 63"), "{error}");
    Ok(())
}

#[tokio::test]
async fn missing_crds_are_waited_for() -> Result<()> {
    let server = ControlPlane::start(Options { controller_manager: false, ..Options::default() }).await?;
    let sim = Simulator::start(slipway_simulator::Options::default())?;
    let mut operator = Operator::start(&server, &User::Admin, "default", &sim)?;
    for kind in ["repositories", "sandboxes", "tasks"] {
        operator.says(&format!("crd=\"{kind}.slipway.dev\"")).await?;
    }
    let log = operator.log();
    assert!(log.contains("this CRD is not installed: apply crds/"), "{log}");
    server.apply_crds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")).await?;
    operator.says("caches synced").await?;
    let (_, code) = operator.terminate().await?;
    assert_eq!(code, Some(0), "{}", operator.log());
    Ok(())
}

#[tokio::test]
async fn a_crash_between_create_and_its_record_creates_nothing_twice() -> Result<()> {
    let mut world = World::new("crash").await?;
    world.token().await?;
    let create = "POST /user/repos";
    let held = Rule::on("github", create).when(When::Nth(1)).action(Action::Hold { after_effect: true });
    let held = world.sim.faults.set(held);
    let spec = json!({"createPolicy": "IfMissing"});
    world.repository("once", spec).await?;
    let created =
        world.sim.calls.wait_for_call(0, crate::support::DEADLINE, |call| call.endpoint == create).await;
    assert!(created.is_some(), "{}", world.operator.log());
    world.crash()?;
    world.sim.faults.remove(held);
    world.repository_with("once", "Synced").await?;
    assert_eq!(world.sim.calls.of("github", create).len(), 1, "looked up before it is created again");
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_the_process_cleanly() -> Result<()> {
    let mut world = World::new("stop").await?;
    world.token().await?;
    world.at_github("any")?;
    world.repository("any", json!({})).await?;
    world.repository_with("any", "Synced").await?;
    let (took, code) = world.operator.terminate().await?;
    assert_eq!(code, Some(0), "{}", world.operator.log());
    assert!(took.as_secs() < 15, "nothing was in flight: {took:?}");
    Ok(())
}

#[tokio::test]
async fn a_call_that_hangs_does_not_hold_up_the_end() -> Result<()> {
    let mut world = World::new("hang").await?;
    world.token().await?;
    world.at_github("slow")?;
    let hang = Rule::on("github", GET_REPOSITORY).action(Action::Hold { after_effect: false });
    world.sim.faults.set(hang);
    world.repository("slow", json!({})).await?;
    let asked = |call: &slipway_simulator::core::Call| call.endpoint == GET_REPOSITORY;
    assert!(world.sim.calls.wait_for_call(0, crate::support::DEADLINE, asked).await.is_some());
    let (took, code) = world.operator.terminate().await?;
    assert_eq!(code, Some(0), "{}", world.operator.log());
    assert!(took.as_secs() < 25, "{took:?}");
    Ok(())
}
