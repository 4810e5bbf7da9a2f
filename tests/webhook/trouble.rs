//! The API server frozen, restarted or refusing; and what deliveries cost it.

use crate::{
    controlplane,
    delivery::delivery,
    payload::payload,
    world::{REPOSITORY_ID, SECRET, Setup, World, eventually, in_review, own_server, pull_request, world},
};
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret, events::v1::Event,
};
use kube::{Api, api::PostParams, runtime::reflector::ObjectRef};
use serde_json::json;
use slipway::{
    api::Task,
    cluster::{Events, watch},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[tokio::test]
async fn a_frozen_api_server_gives_503_within_8_seconds_and_heals() -> Result<()> {
    let server = own_server().await?;
    let world = World::start(&server, "frozen", Setup::default()).await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let closed = payload("closed", 42, 1).closed();
    // The Secret is in the cache from now on.
    ensure!(world.deliver(&payload("labeled", 42, 1), SECRET).await?.status.as_u16() == 202);
    server.pause()?;
    let started = Instant::now();
    let reply = world.deliver(&closed, SECRET).await?;
    let took = started.elapsed();
    ensure!(reply.status.as_u16() == 503, "{reply:?}");
    // Its own deadline is 8 s, GitHub's 10.
    ensure!((Duration::from_secs(7)..Duration::from_secs(10)).contains(&took), "{took:?}");
    // What needs no call is answered as ever.
    let started = Instant::now();
    ensure!(world.deliver(&payload("closed", 41, 1).closed(), SECRET).await?.status.as_u16() == 202);
    let health = world.http.get(format!("http://{}/api/webhooks/health", world.address)).send().await?;
    ensure!(health.json::<serde_json::Value>().await? == json!({"status": "ok", "webhookSecret": true}));
    ensure!(started.elapsed() < Duration::from_secs(7), "it waited for the API server");
    server.resume()?;
    server.wait_until_ready().await?;
    // The frozen patch may have landed after all; the same delivery again is safe either way.
    eventually("the delivery sent again", || async {
        let reply = world.deliver(&closed, SECRET).await.ok()?;
        reply.status.is_success().then_some(())
    })
    .await?;
    ensure!(world.row("task").await?[0] == "todo");
    server.restart_apiserver().await?;
    eventually("deliveries after a restart", || async {
        let reply = world.deliver(&payload("reopened", 42, 2), SECRET).await.ok()?;
        reply.status.is_success().then_some(())
    })
    .await?;
    ensure!(world.row("task").await?[0] == "review");
    // And the watches have found back.
    let another = world.task("another", in_review(43)).await?;
    ensure!(another.metadata.resource_version.is_some());
    world.end().await
}

/// Events are told after the answer, however slow the API server is to take them.
#[tokio::test]
async fn a_delivery_does_not_wait_for_its_events() -> Result<()> {
    let server = own_server().await?;
    let world = World::start(&server, "events", Setup::default()).await?;
    world.octo_app().await?;
    for name in ["a", "b", "c", "d"] {
        let status = |status: &mut slipway::api::TaskStatus| {
            in_review(42)(status);
            status.pull_request_history = vec![pull_request(41)];
        };
        world.task(name, status).await?;
    }
    ensure!(world.deliver(&payload("labeled", 42, 1), SECRET).await?.status.as_u16() == 202);
    // Takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "slow"},
        "webhooks": [{
            "name": "slow.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 10,
            "clientConfig": {"url": format!("https://{}/", silent.local_addr()?)},
            "rules": [{"apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"]}],
        }],
    });
    let hooks: Api<ValidatingWebhookConfiguration> = Api::all(world.client.clone());
    hooks.create(&PostParams::default(), &serde_json::from_value(hook)?).await?;
    let probe = json!({
        "metadata": {"generateName": "probe-"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Probe", "reason": "Probe",
        "type": "Normal", "reportingController": "test", "reportingInstance": "test",
        "regarding": {"kind": "Task", "namespace": world.namespace, "name": "a"},
    });
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    eventually("the API server to be slow with events", || async {
        let probe = serde_json::from_value(probe.clone()).ok()?;
        let params = PostParams::default();
        let made = events.create(&params, &probe);
        tokio::time::timeout(Duration::from_secs(2), made).await.is_err().then_some(())
    })
    .await?;
    let started = Instant::now();
    let reply = world.deliver(&payload("closed", 41, 1).closed(), SECRET).await?;
    let took = started.elapsed();
    ensure!(reply.status.as_u16() == 202 && took < Duration::from_secs(2), "{reply:?} after {took:?}");
    world.end().await
}

/// The CRDs of a later release, which knows a third merge policy.
fn wider_crds(directory: &Path) -> Result<PathBuf> {
    let crds = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/slipway.dev.yaml"))?;
    let wider = crds.lines().map(|line| match line.strip_suffix("WhenReady") {
        Some(item) => format!(
            "{line}
{item}WhenTheMoonIsFull
"
        ),
        None => format!(
            "{line}
"
        ),
    });
    let wider: String = wider.collect();
    ensure!(wider != crds, "the CRD lists merge policies");
    let file = directory.join("wider.yaml");
    std::fs::write(&file, wider)?;
    Ok(file)
}

/// An object that this release can't read is left alone; all others go on.
#[tokio::test]
async fn an_object_of_another_release_stops_nobody() -> Result<()> {
    let server = own_server().await?;
    let file = wider_crds(server.dir())?;
    server.apply_crds(&file).await?;
    let world = World::start(&server, "release", Setup::default()).await?;
    let events = Events::new(world.client.clone(), "slipway-test", "test");
    let (store, stream) = watch::reflect::<Task>(&world.client, Some(&world.namespace), &events);
    let watching = tokio::spawn(stream.for_each(|_| std::future::ready(())));
    store.wait_until_ready().await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let odd = json!({"spec": {"pullRequest": {"merge": {"policy": "WhenTheMoonIsFull"}}}}).to_string();
    world.task("odd", in_review(43)).await?;
    let namespace = world.namespace.clone();
    server
        .kubectl_output(&["patch", "task", "odd", "--namespace", &namespace, "--type=merge", "--patch", &odd])
        .await?;
    eventually("an event about it", || async {
        let events = server
            .kubectl_output(&[
                "get",
                "events",
                "--namespace",
                &namespace,
                "--output=jsonpath={.items[*].reason}",
            ])
            .await
            .ok()?;
        events.contains("Undecodable").then_some(())
    })
    .await?;
    let known = |name: &str| store.get(&ObjectRef::new(name).within(&namespace));
    eventually("the store to forget it", || async { known("odd").is_none().then_some(()) }).await?;
    let task = known("task").context("the others stay")?;
    ensure!(task.metadata.managed_fields.as_ref().is_none_or(Vec::is_empty), "managedFields are not kept");
    watching.abort();
    // The receiver reads only what it needs, so it moves the odd one like the other.
    ensure!(world.deliver(&payload("closed", 43, 1).closed(), SECRET).await?.status.as_u16() == 200);
    ensure!(world.deliver(&payload("closed", 42, 1).closed(), SECRET).await?.status.as_u16() == 200);
    // Nor does one that is there from the start.
    let later = World::start(&server, "release", Setup { all_namespaces: true, ..Setup::default() }).await?;
    ensure!(later.receiver.task_version(&namespace, "task").is_some());
    ensure!(later.receiver.task_version(&namespace, "odd").is_some());
    later.end().await?;
    world.end().await
}

/// While the watch is interrupted, nobody can tell whether a pull request is ours.
#[tokio::test]
async fn while_something_may_have_been_missed_a_miss_is_not_final() -> Result<()> {
    let server = own_server().await?;
    let world = World::start(&server, "missed", Setup::default()).await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let (ours, foreign) = (payload("closed", 42, 1).closed(), payload("closed", 41, 1).closed());
    ensure!(world.deliver(&foreign, SECRET).await?.status.as_u16() == 202);
    server.kill_apiserver();
    let reply = eventually("the end of certainty", || async {
        let reply = world.deliver(&foreign, SECRET).await.ok()?;
        (reply.status.as_u16() != 202).then_some(reply)
    })
    .await?;
    ensure!(reply.status.as_u16() == 503 && reply.body.to_string().contains("lost sight"), "{reply:?}");
    // What no Task could be moved by in any case needs no certainty.
    ensure!(world.deliver(&payload("labeled", 41, 1), SECRET).await?.status.as_u16() == 202);
    server.restart_apiserver().await?;
    // Nothing has changed meanwhile, so no event says that the watch is back: that it is answered does.
    eventually("certainty again", || async {
        (world.deliver(&foreign, SECRET).await.ok()?.status.as_u16() == 202).then_some(())
    })
    .await?;
    ensure!(world.deliver(&ours, SECRET).await?.status.as_u16() == 200);
    world.end().await
}

#[tokio::test]
async fn before_the_first_list_deliveries_are_refused_for_later() -> Result<()> {
    let setup = Setup { without_rights: true, operator_wide: Some(SECRET), ..Setup::default() };
    let world = World::start(controlplane::shared().await, "unsynced", setup).await?;
    let reply = world.deliver(&payload("closed", 42, 1).closed(), SECRET).await?;
    ensure!(reply.status.as_u16() == 503, "{reply:?}");
    ensure!(!world.receiver.is_synced());
    world.end().await
}

/// A delivery about a pull request that is not ours costs the API server nothing, any other one patch.
#[tokio::test]
async fn deliveries_cost_what_the_contract_says() -> Result<()> {
    let world = world("cost").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    ensure!(
        world.send(&delivery("ping", "{}", SECRET).from("repository", REPOSITORY_ID)).await?.status.as_u16()
            == 200
    );
    let calls = || async {
        let log = world.server.audit_log().await?;
        let own = log
            .iter()
            .filter(|event| event.is_by(&world.user) && event.is_complete() && event.verb != "watch")
            // Read again when it is 30 s old, however few deliveries there are.
            .filter(|event| event.object_ref.resource != "secrets");
        anyhow::Ok(
            own.map(|event| {
                format!("{} {}/{}", event.verb, event.object_ref.resource, event.object_ref.subresource)
            })
            .collect::<Vec<_>>(),
        )
    };
    let before = calls().await?;
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    for number in 1_000..1_200 {
        let began = Instant::now();
        let reply = world.deliver(&payload("closed", number, 1).closed(), SECRET).await?;
        ensure!(reply.status.as_u16() == 202, "{reply:?}");
        slowest = slowest.max(began.elapsed());
    }
    println!("200 foreign deliveries in {:?}, slowest {slowest:?}", started.elapsed());
    let foreign = calls().await?;
    ensure!(foreign == before, "{:?}", &foreign[before.len()..]);
    for minute in 1..=5 {
        let news = if minute % 2 == 1 {
            payload("closed", 42, minute).closed()
        } else {
            payload("reopened", 42, minute)
        };
        let began = Instant::now();
        let reply = world.deliver(&news, SECRET).await?;
        ensure!(reply.status.as_u16() == 200, "{reply:?}");
        println!("moved in {:?}", began.elapsed());
        let moved = world.tasks().get("task").await?;
        world.settle(&moved).await?;
    }
    let after = calls().await?;
    let new = &after[before.len()..];
    ensure!(new == ["patch tasks/status"; 5], "{new:?}");
    let managed = world.tasks().get("task").await?.metadata.managed_fields.context("managedFields")?;
    ensure!(managed.iter().any(|entry| entry.manager.as_deref() == Some("slipway-webhook")));
    world.end().await
}

/// A Secret that the receiver may not read is the trouble of its Repository alone, and is not asked for again and again.
#[tokio::test]
async fn a_secret_that_may_not_be_read_stops_only_its_repository() -> Result<()> {
    let server = own_server().await?;
    let world =
        World::start(&server, "denied", Setup { operator_wide: Some(SECRET), ..Setup::default() }).await?;
    world.secret("hook", &[("current", "a secret that may not be read")]).await?;
    world.repository(&world.namespace, "denied", "octo/denied", Some(7), Some("hook")).await?;
    world.repository(&world.namespace, "repo", "octo/app", Some(REPOSITORY_ID), None).await?;
    world.task("task", in_review(42)).await?;
    let narrower = r#"[{"op": "remove", "path": "/rules/2"}]"#;
    server
        .kubectl_output(&["patch", "clusterrole", "slipway-webhook", "--type=json", "--patch", narrower])
        .await?;
    let own = server.client(&world.user).await?;
    let secrets: Api<Secret> = Api::namespaced(own, &world.namespace);
    eventually("the right to be gone", || async { secrets.get("hook").await.is_err().then_some(()) }).await?;
    let before = server.audit_log().await?.len();
    let started = Instant::now();
    for _ in 0..50 {
        let signed = delivery("ping", "{}", "a secret that may not be read").from("repository", 7);
        ensure!(world.send(&signed).await?.status.as_u16() == 401);
    }
    let asked = server.audit_log().await?[before..]
        .iter()
        .filter(|event| {
            event.is_by(&world.user) && event.is_complete() && event.object_ref.resource == "secrets"
        })
        .count();
    ensure!(asked <= 1 + usize::try_from(started.elapsed().as_secs() / 10)?, "asked {asked} times");
    ensure!(world.deliver(&payload("closed", 42, 1).closed(), SECRET).await?.status.as_u16() == 200);
    world.end().await
}
