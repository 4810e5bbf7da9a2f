//! The webhook that looks after itself: made, mended, given a new secret and a new address, taken away.
//! Beside `redelivery`, which is about what it has not brought.

use crate::{
    story::refused,
    world::{Manifest, Options, PATIENCE, World, repository, task, within},
    world_with,
};
use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use slipway::api::{Repository, State, WebhookStatus};
use slipway_simulator::{
    core::{Action, Rule},
    github::MergeMethod,
};
use std::collections::BTreeMap;

const APP: &str = "acme/app";
/// The shortest interval that a Repository may have, in seconds.
const INTERVAL: i64 = 30;

/// A Repository whose webhook the operator manages.
pub fn managed(name: &str, redeliver: bool) -> Manifest {
    repository(name)
        .with("/spec/name", json!("app"))
        .with("/spec/webhook", json!({"manage": "Repository", "redeliver": redeliver}))
        .with("/spec/syncIntervalSeconds", json!(INTERVAL))
}

/// A world whose receiver GitHub can be told of.
pub async fn hook_world(namespace: &'static str) -> Result<World> {
    world_with(Options { namespace, manages_webhooks: true, write_interval: "5ms", ..Options::default() })
        .await
}

/// Waits for status and reason of `WebhookReady`.
pub async fn webhook_ready(
    world: &World,
    name: &str,
    status: &'static str,
    reason: &'static str,
) -> Result<Repository> {
    let fits = move |repository: &Repository| {
        let conditions = repository.status.as_ref().map(|status| status.conditions.as_slice());
        conditions.unwrap_or_default().iter().any(|condition| {
            (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str())
                == ("WebhookReady", status, reason)
        })
    };
    world.repository(name, reason, fits).await
}

pub async fn delivering(world: &World, name: &str) -> Result<WebhookStatus> {
    let repository = webhook_ready(world, name, "True", "Delivering").await?;
    repository.status.and_then(|status| status.webhook).context("status.webhook")
}

/// The hooks of the repository, as a person with all rights sees them.
fn hooks(world: &World) -> Result<Vec<Value>> {
    let hooks = world.simulator.github.act("acme", &Method::GET, "/repos/acme/app/hooks", json!({}));
    hooks.map_err(refused)?.as_array().cloned().context("a list")
}

fn change_by_hand(world: &World, id: i64, change: Value) -> Result<()> {
    let path = format!("/repos/acme/app/hooks/{id}");
    world.simulator.github.act("acme", &Method::PATCH, &path, change).map_err(refused)?;
    Ok(())
}

/// Waits until GitHub's hooks are as `holds` says.
async fn hooks_are(world: &World, what: &str, holds: impl Fn(&[Value]) -> bool) -> Result<()> {
    let right = within(PATIENCE, what, || async { holds(&hooks(world).ok()?).then_some(()) }).await;
    right.with_context(|| format!("{:#?}\n{}", hooks(world), world.logs()))
}

async fn patch(world: &World, spec: Value) -> Result<()> {
    let patch = json!({ "spec": spec }).to_string();
    world.kubectl(&["patch", "swrepo", "app", "--type=merge", "-p", &patch]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_is_made_mended_given_a_new_secret_and_taken_away() -> Result<()> {
    let world = hook_world("hook").await?;
    world.apply(&managed("app", true)).await?;
    let told = delivering(&world, "app").await?;
    let all = hooks(&world)?;
    ensure!(all.len() == 1 && all[0]["id"] == told.id && all[0]["config"]["url"] == told.url, "{all:#?}");
    ensure!(told.url.contains("/api/webhooks/github?repository="), "{}", told.url);

    // Somebody switches it off, and sends it something else.
    change_by_hand(&world, told.id, json!({"active": false, "events": ["push"]}))?;
    hooks_are(&world, "the hook as it was", |hooks| {
        hooks.len() == 1 && hooks[0]["active"] == true && hooks[0]["events"] == json!(["pull_request"])
    })
    .await?;
    let odd = json!({"content_type": "form", "insecure_ssl": "1"});
    let config = format!("/repos/acme/app/hooks/{}/config", told.id);
    world.simulator.github.act("acme", &Method::PATCH, &config, odd).map_err(refused)?;
    hooks_are(&world, "JSON over a checked connection", |hooks| {
        let config = &hooks[0]["config"];
        config["content_type"] == "json" && config["insecure_ssl"] == "0"
    })
    .await?;
    within(PATIENCE, "the Event", || async {
        world.kubectl(&["describe", "swrepo", "app"]).await.ok()?.contains("WebhookRepaired").then_some(())
    })
    .await?;

    // Its secret is rotated: what is delivered is signed with the new one, and arrives.
    let data = json!({"stringData": {"zz-new": "another-webhook-secret-of-40-characters!"}}).to_string();
    world.kubectl(&["patch", "secret", "webhook", "--type=merge", "-p", &data]).await?;
    let rotated = |repository: &Repository| {
        let webhook = repository.status.as_ref().and_then(|status| status.webhook.as_ref());
        webhook.is_some_and(|webhook| webhook.secret_version.starts_with("zz-new/"))
    };
    world.repository("app", "with the new secret", rotated).await?;
    let data = json!({"data": {"secret": null}}).to_string();
    world.kubectl(&["patch", "secret", "webhook", "--type=merge", "-p", &data]).await?;
    world.apply(&task("one", "app", "echo 1 > one")).await?;
    let pull = world.task_in("one", State::Review).await?.status.and_then(|status| status.pull_request);
    let number = u64::try_from(pull.context("a pull request")?.number)?;
    world.simulator.github.merge(APP, number, MergeMethod::Merge).map_err(refused)?;
    world.task_in("one", State::Done).await?;

    // It is deleted by hand, and with the Repository.
    let path = format!("/repos/acme/app/hooks/{}", told.id);
    world.simulator.github.act("acme", &Method::DELETE, &path, json!({})).map_err(refused)?;
    hooks_are(&world, "another hook", |hooks| hooks.len() == 1 && hooks[0]["id"] != told.id).await?;
    world.kubectl(&["delete", "swrepo", "app", "--timeout=150s"]).await?;
    ensure!(hooks(&world)?.is_empty(), "{:#?}", hooks(&world)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_follows_the_public_address_and_is_given_back() -> Result<()> {
    let mut world = hook_world("address").await?;
    world.apply(&managed("app", true)).await?;
    let told = delivering(&world, "app").await?;

    let moved = format!("http://127.0.0.2:{}", world.port);
    world.options.environment.push(("SLIPWAY_WEBHOOK_URL".into(), moved.clone()));
    world.kill_controller();
    world.start_controller()?;
    hooks_are(&world, "the hook at the new address", |hooks| {
        let url = hooks.first().and_then(|hook| hook["config"]["url"].as_str()).unwrap_or_default();
        hooks.len() == 1 && hooks[0]["id"] == told.id && url.starts_with(&moved)
    })
    .await?;

    // Set back, it is deleted, and nothing stays of it.
    patch(&world, json!({"webhook": {"manage": "Never"}})).await?;
    hooks_are(&world, "no hook", <[Value]>::is_empty).await?;
    let plain = |repository: &Repository| {
        let status = repository.status.clone().unwrap_or_default();
        status.webhook.is_none()
            && repository.metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
            && status.conditions.iter().all(|condition| condition.type_ != "WebhookReady")
    };
    world.repository("app", "without a webhook", plain).await?;

    // Made anew, it holds up nobody when the right to delete it is gone.
    patch(&world, json!({"webhook": {"manage": "Repository"}})).await?;
    // Nobody listens at the new address, and GitHub has said hello.
    webhook_ready(&world, "app", "False", "DeliveriesFailing").await?;
    let body = json!({"message": "Resource not accessible by personal access token"}).to_string();
    let denied = Action::Status { status: 403, headers: BTreeMap::new(), body, after_effect: false };
    world
        .simulator
        .faults
        .set(Rule::on("github", "DELETE /repos/{owner}/{repo}/hooks/{hook_id}").action(denied));
    world.kubectl(&["delete", "swrepo", "app", "--timeout=150s"]).await?;
    ensure!(hooks(&world)?.len() == 1, "nobody had the right to delete it");
    within(PATIENCE, "the Warning", || async {
        world.kubectl(&["get", "events"]).await.ok()?.contains("LeftBehind").then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_is_gone_at_github_holds_up_no_deletion() -> Result<()> {
    let world = hook_world("hookgone").await?;
    world.apply(&managed("app", true)).await?;
    delivering(&world, "app").await?;
    let gone = world.simulator.github.act("acme", &Method::DELETE, "/repos/acme/app", json!({}));
    gone.map_err(refused)?;
    // For a minute GitHub may not show what was just made.
    world.kubectl(&["delete", "swrepo", "app", "--timeout=150s"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hook_needs_is_named_and_ready_stays() -> Result<()> {
    let world = hook_world("hookneeds").await?;
    world.apply(&managed("app", true).with("/spec/webhookSecretRef/name", json!("later"))).await?;
    let told = webhook_ready(&world, "app", "False", "WebhookSecretMissing").await?;
    let conditions = told.status.map(|status| status.conditions).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ensure!(ready.is_some_and(|ready| ready.status == "True"), "{conditions:#?}");
    world.apply(&Manifest::secret("later", "a", "too-short")).await?;
    world.apply(&managed("other", true)).await?;
    delivering(&world, "other").await?;
    let data = json!({"stringData": {"b": "a-webhook-secret-of-enough-bytes"}}).to_string();
    world.kubectl(&["patch", "secret", "later", "--type=merge", "-p", &data]).await?;
    delivering(&world, "app").await?;
    // Two objects have a hook each, and what one is told counts for it alone.
    ensure!(hooks(&world)?.len() == 2, "{:#?}", hooks(&world)?);
    let shared = managed("shared", true).without("webhookSecretRef");
    let error = world.apply(&shared).await.err().context("it is refused")?;
    ensure!(format!("{error:#}").contains("webhook.manage: Repository needs webhookSecretRef"), "{error:#}");
    Ok(())
}
