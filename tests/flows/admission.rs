//! What a user of kubectl sees before any operator runs: refusals that say what must be, columns, explanations, samples.
//! No operator is started here.

use crate::{
    world::{Manifest, Options, World, repository, sandbox, task},
    world_with,
};
use anyhow::{Context as _, Result, ensure};
use kube::api::PostParams;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
};
use tokio::io::AsyncWriteExt as _;

async fn quiet(namespace: &'static str) -> Result<World> {
    world_with(Options { namespace, operator: false, secrets: false, ..Options::default() }).await
}

/// What `kubectl apply -f -` answers: whether it took the manifest, and its words.
async fn apply(world: &World, manifest: &Value) -> Result<(bool, String)> {
    let mut command = world.plane.kubectl()?;
    command.args(["--namespace", &world.namespace, "apply", "-f", "-"]);
    let mut kubectl = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = kubectl.stdin.take().context("a pipe")?;
    input.write_all(manifest.to_string().as_bytes()).await?;
    drop(input);
    let output = kubectl.wait_with_output().await?;
    let words = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&words).into_owned()))
}

async fn refused(world: &World, manifest: Manifest, words: &str) -> Result<()> {
    let (taken, said) = apply(world, &manifest.0).await?;
    ensure!(!taken && said.contains(words), "expected {words:?}, kubectl said: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_manifest_is_refused_with_what_must_be() -> Result<()> {
    let world = quiet("refused").await?;
    let work = || task("t", "app", "true");
    let both = work().with("/spec/sandboxRef", json!({"name": "s"}));
    refused(&world, both, "exactly one of sandboxRef and sandboxTemplate must be set").await?;
    let neither = work().without("sandboxTemplate");
    refused(&world, neither, "exactly one of sandboxRef and sandboxTemplate must be set").await?;
    for branch in ["a..b", "topic.lock", "-x", "a//b", "HEAD", "@"] {
        let odd = work().with("/spec/branch", json!(branch));
        refused(&world, odd, "branch must be a valid git branch name").await?;
    }
    refused(&world, work().with("/spec/branch", json!("a b")), "spec.branch").await?;
    refused(&world, work().with("/spec/title", json!("x".repeat(201))), "spec.title").await?;
    refused(&world, work().with("/spec/title", json!("two\nlines")), "title must be one line").await?;
    refused(&world, work().with("/spec/baseBranchh", json!("main")), "unknown field").await?;
    let env = json!([{"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    let twice = work().with("/spec/generate/env", env);
    refused(&world, twice, "exactly one of value and valueFrom must be set").await?;
    let marked = sandbox("s").with("/spec/metadata", json!({"slipway/x": "1"}));
    refused(&world, marked, "metadata keys must not start with slipway/").await?;
    let same = repository("app").with("/spec/webhookSecretRef/name", json!("github"));
    refused(&world, same, "webhookSecretRef must name another Secret").await?;
    let create = repository("app").with("/spec/createPolicy", json!("Never")).with("/spec/create", json!({}));
    refused(&world, create, "create must only be set together with createPolicy IfMissing").await?;
    let elsewhere = repository("app").with("/spec/credentialsSecretRef/namespace", json!("other"));
    refused(&world, elsewhere, "unknown field").await?;

    let (taken, said) = apply(&world, &repository("app").0).await?;
    ensure!(taken, "{said}");
    refused(&world, repository("app").with("/spec/owner", json!("other")), "owner must not change").await?;
    let (taken, said) = apply(&world, &work().0).await?;
    ensure!(taken, "{said}");
    let moved = work().with("/spec/repositoryRef/name", json!("other"));
    refused(&world, moved, "repositoryRef must not change").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_lead_elsewhere_is_no_name() -> Result<()> {
    let world = quiet("names").await?;
    let work = || task("t", "app", "true");
    for name in ["../../victim/secrets/e2bkey", "e2b?x=y", "E2B", "-a", "a..b"] {
        let key = json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}});
        for odd in [
            work().with("/spec/repositoryRef/name", json!(name)),
            work().with("/spec/generate/env", json!([key])),
            work().with("/spec/sandboxTemplate/spec/credentialsSecretRef/name", json!(name)),
            sandbox("s").with("/spec/credentialsSecretRef/name", json!(name)),
            repository("app").with("/spec/webhookSecretRef/name", json!(name)),
        ] {
            refused(&world, odd, "name must be that of an object").await?;
        }
    }
    let (taken, said) = apply(&world, &sandbox("s").with("/spec/template", json!("team/name")).0).await?;
    ensure!(taken, "under a key of its own: {said}");
    for template in ["team/name", "name:tag", "slipway-snapshot"] {
        let keyless = json!({"template": template});
        for odd in [
            sandbox("keyless").with("/spec", keyless.clone()),
            work().with("/spec/sandboxTemplate/spec", keyless),
        ] {
            refused(&world, odd, "without credentialsSecretRef").await?;
        }
    }
    Ok(())
}

/// What git and GitHub take as a branch, git asked itself.
fn is_branch(name: &str) -> Result<bool> {
    let object = name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let known = ["HEAD", "@"].contains(&name) || name.starts_with("refs/") || object;
    let git = Command::new("git").args(["check-ref-format", "--branch", name]).output()?;
    Ok(git.status.success() && !known)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_is_taken_when_git_and_github_take_it() -> Result<()> {
    let world = quiet("branches").await?;
    let mut names =
        ["HEAD", "@", "a@b", "refs/heads/a", "a/b", "ä/ö", "a#b%c", "a.lockb"].map(str::to_owned).to_vec();
    names.extend(["0".repeat(40), "0".repeat(41), "a".repeat(244), "a".repeat(245)]);
    let odd = [".", "..", ".lock", "@{", "-", "~", "^", ":", "?", "*", "[", "\\", " ", "\u{7f}", "/", "\n"];
    for odd in odd {
        names.extend(
            ["", "x", "x/"].iter().flat_map(|head| ["", "y", "/y"].map(|tail| format!("{head}{odd}{tail}"))),
        );
    }
    let (mut taken, mut refused) = (0, 0);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for name in names {
        let manifest = task("t", "app", "true").with("/spec/branch", json!(name));
        let answer = world.tasks().create(&dry, &serde_json::from_value(manifest.0)?).await;
        let expected = is_branch(&name)? && name.len() <= 244;
        ensure!(answer.is_ok() == expected, "{name:?}: {answer:?}");
        if expected { taken += 1 } else { refused += 1 }
    }
    ensure!(taken > 10 && refused > 50, "both kinds were tried: {taken} and {refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_frozen_while_its_pull_request_is_open_and_once_it_is_done() -> Result<()> {
    let world = quiet("frozen").await?;
    world.apply(&task("t", "app", "true")).await?;
    let set = async |status: serde_json::Value| {
        let patch = json!({ "status": status }).to_string();
        world.kubectl(&["patch", "swtask", "t", "--subresource=status", "--type=merge", "-p", &patch]).await
    };
    let words = "must not change while the Task has an open pull request or is done";
    let branch = |name: &str| task("t", "app", "true").with("/spec/branch", json!(name));
    // A commit without a pull request: a changed spec ends the round or begins the next.
    set(json!({"branch": "b", "commitSHA": "0".repeat(40)})).await?;
    let (taken, said) = apply(&world, &branch("c").0).await?;
    ensure!(taken, "{said}");
    set(json!({"pullRequest": {"number": 1, "state": "open"}})).await?;
    refused(&world, branch("d"), words).await?;
    refused(&world, branch("c").with("/spec/baseBranch", json!("release")), words).await?;
    let template = json!({"spec": {"template": "other"}});
    refused(&world, branch("c").with("/spec/sandboxTemplate", template), words).await?;
    let (taken, said) = apply(&world, &branch("c").with("/spec/suspend", json!(true)).0).await?;
    ensure!(taken, "{said}");
    set(json!({"pullRequest": {"state": "closed"}})).await?;
    let (taken, said) = apply(&world, &branch("d").0).await?;
    ensure!(taken, "{said}");
    set(json!({"state": "done", "pullRequest": {"state": "merged"}})).await?;
    refused(&world, branch("e"), words).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_shows_and_explains_the_kinds() -> Result<()> {
    let world = quiet("kubectl").await?;
    world.apply(&task("t", "app", "true")).await?;
    world.apply(&sandbox("s")).await?;
    world.apply(&repository("app")).await?;
    let tasks = world.kubectl(&["get", "swtask", "-o", "wide"]).await?;
    for column in ["STATE", "COLUMN", "BUILD", "PR", "READY", "REASON", "AGE", "BRANCH", "SANDBOX", "URL"] {
        ensure!(tasks.contains(column), "{column} is missing: {tasks}");
    }
    ensure!(tasks.contains("todo") && tasks.contains("research") && tasks.contains("pending"), "{tasks}");
    let all = world.kubectl(&["get", "slipway"]).await?;
    for name in ["task.slipway.dev/t", "sandbox.slipway.dev/s", "repository.slipway.dev/app"] {
        ensure!(all.contains(name), "{name} is missing: {all}");
    }
    for kind in ["task", "sandbox", "repository"] {
        let text = world.kubectl(&["explain", "--recursive=false", &format!("{kind}.spec")]).await?;
        ensure!(!text.contains("<no description>") && !text.contains("<empty>"), "{text}");
    }
    let text = world.kubectl(&["explain", "task.spec.generate.command"]).await?;
    ensure!(text.contains("SLIPWAY_BRANCH"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_applies_strictly() -> Result<()> {
    let world = quiet("samples").await?;
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples");
    let mut seen = 0;
    for sample in std::fs::read_dir(samples)? {
        let path = sample?.path().display().to_string();
        world.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", &path]).await?;
        seen += 1;
    }
    ensure!(seen >= 4, "{seen} samples");
    Ok(())
}
