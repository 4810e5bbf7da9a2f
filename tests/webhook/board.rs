//! The rows of the board that deliveries reach, and that neither order nor repetition matters.

use crate::{
    delivery::{Reply, delivery},
    payload::{Payload, payload},
    world::{DEADLINE, SECRET, World, expect, in_review, row, world},
};
use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use kube::api::PostParams;
use reqwest::StatusCode;
use serde_json::json;
use slipway::{
    api::{BuildStatus, Column, PullRequestState, State, TaskStatus},
    cluster::status,
};
use std::time::Instant;

const REVIEW: [&str; 4] = ["review", "testing", "ready", "absent"];
const DRAFT: [&str; 4] = ["in-progress", "development", "building", "absent"];
const CLOSED: [&str; 4] = ["todo", "research", "pending", "absent"];

async fn deliver_and_see(world: &World<'_>, payload: Payload, expected: [&str; 4]) -> Result<()> {
    let reply = world.deliver(&payload, SECRET).await?;
    ensure!(reply.status == StatusCode::OK, "{}: {reply:?}", payload.action);
    expect(&reply.body, "/status", &json!("moved"))?;
    let row = world.row("task").await?;
    ensure!(row == expected, "after {} {payload:?}: {row:?}", payload.action);
    Ok(())
}

#[tokio::test]
async fn a_pull_requests_life_moves_its_task_through_every_row() -> Result<()> {
    let world = world("board").await?;
    world.octo_app().await?;
    let before = world
        .task("task", |status| {
            (status.state, status.column, status.build_status) =
                (State::InProgress, Column::Development, BuildStatus::Building);
            status.branch = Some("task/t-42/work".to_owned());
            status.repository_id = Some(crate::world::REPOSITORY_ID);
            status.commit_sha = Some(crate::payload::HEAD.to_owned());
            status.observed_generation = 1;
            slipway::domain::conditions::set(
                &mut status.conditions,
                1,
                jiff::Timestamp::UNIX_EPOCH,
                "Ready",
                false,
                "Committing",
                "as it was",
            );
        })
        .await?;
    // The controller has not yet learned the number: found by its own commit on its branch.
    deliver_and_see(&world, payload("opened", 42, 1), REVIEW).await?;
    deliver_and_see(&world, payload("converted_to_draft", 42, 2).draft(), DRAFT).await?;
    deliver_and_see(&world, payload("ready_for_review", 42, 3), REVIEW).await?;
    deliver_and_see(&world, payload("closed", 42, 4).closed(), CLOSED).await?;
    deliver_and_see(&world, payload("reopened", 42, 5).draft(), DRAFT).await?;
    deliver_and_see(&world, payload("closed", 42, 6).draft().closed(), CLOSED).await?;
    deliver_and_see(&world, payload("reopened", 42, 7), REVIEW).await?;
    let merged = payload("closed", 42, 8).merged("2026-01-02T00:07:30Z");
    deliver_and_see(&world, merged, ["done", "done", "ready", "2026-01-02T00:07:30Z"]).await?;

    let after = world.tasks().get("task").await?;
    let (old, new) = (before.status.context("before")?, after.status.as_ref().context("after")?);
    let json = serde_json::to_value(new)?;
    for (pointer, expected) in [
        ("/pullRequest/number", json!(42)),
        ("/pullRequest/state", json!("merged")),
        ("/pullRequest/draft", json!(false)),
        ("/pullRequest/unconfirmed", json!(true)),
        ("/pullRequest/nodeID", json!("PR_42")),
        ("/pullRequest/url", json!("https://github.test/octo/app/pull/42")),
        ("/pullRequest/branch", json!("task/t-42/work")),
        ("/pullRequest/headSHA", json!("ec26c3e57ca3a959ca5aad62de7213c562f8c821")),
        ("/pullRequest/mergeSHA", json!("e5bd3914e2e596debea16f433f57875b5b90bcd6")),
        ("/pullRequest/updatedAt", json!("2026-01-02T00:08:00Z")),
        ("/lastDelivery/id", json!("72d3162e-cc78-11e3-81ab-4c9367dc0958")),
        ("/lastDelivery/event", json!("pull_request.closed")),
    ] {
        expect(&json, pointer, &expected)?;
    }
    ensure!(new.conditions == old.conditions, "conditions are the controller's");
    ensure!((&new.branch, &new.commit_sha) == (&old.branch, &old.commit_sha), "and so is the rest");
    ensure!(new.observed_generation == old.observed_generation);
    let managers: Vec<_> =
        after.metadata.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref()).collect();
    ensure!(managers.contains(&"slipway-webhook"), "{managers:?}");
    world.end().await
}

#[tokio::test]
async fn news_that_move_nothing_are_remembered_without_moving_the_board() -> Result<()> {
    let world = world("push").await?;
    world.octo_app().await?;
    let stuck = |status: &mut TaskStatus| {
        in_review(42)(status);
        (status.state, status.column, status.build_status) =
            (State::InProgress, Column::Development, BuildStatus::Failed);
    };
    world.task("task", stuck).await?;
    let pushed = payload("synchronize", 42, 1);
    deliver_and_see(&world, pushed.clone(), ["in-progress", "development", "failed", "absent"]).await?;
    let status = world.status("task").await?;
    let stored = status.pull_request.as_ref().context("a pull request")?;
    ensure!(stored.head_sha.is_some() && stored.unconfirmed);
    ensure!(status.last_delivery.as_ref().is_some_and(|last| last.event == "pull_request.synchronize"));
    // The same again changes nothing, not even lastDelivery.
    let version = world.tasks().get("task").await?.metadata.resource_version;
    let again = world.deliver(&pushed, SECRET).await?;
    ensure!(again.status == StatusCode::ACCEPTED, "{again:?}");
    expect(&again.body, "/reason", &json!("Nothing changes"))?;
    ensure!(world.tasks().get("task").await?.metadata.resource_version == version);
    world.end().await
}

/// What a queue does to a pull request no payload tells: GitHub is asked, and the board stays.
#[tokio::test]
async fn news_of_a_merge_queue_cause_a_look_and_move_nothing() -> Result<()> {
    let world = world("queued").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    for action in ["enqueued", "dequeued"] {
        // Nothing in it is new.
        let told = payload(action, 42, 0);
        deliver_and_see(&world, told.clone(), ["review", "testing", "ready", "absent"]).await?;
        let mut task = world.tasks().get("task").await?;
        let status = task.status.as_mut().context("a status")?;
        let event = status.last_delivery.as_ref().map(|last| last.event.clone());
        ensure!(event == Some(format!("pull_request.{action}")), "{event:?}");
        let stored = status.pull_request.as_mut().context("a pull request")?;
        ensure!(stored.unconfirmed && stored.state == PullRequestState::Open);
        let again = world.deliver(&told, SECRET).await?;
        expect(&again.body, "/reason", &json!("Nothing changes"))?;
        // The operator has asked GitHub.
        stored.unconfirmed = false;
        world.tasks().replace_status("task", &PostParams::default(), &task).await?;
        world.settle(&world.tasks().get("task").await?).await?;
    }
    world.end().await
}

#[tokio::test]
async fn late_doubled_and_reordered_deliveries_end_in_the_same_state() -> Result<()> {
    let world = world("orders").await?;
    world.octo_app().await?;
    let life = |number| {
        [
            payload("converted_to_draft", number, 1).draft(),
            payload("ready_for_review", number, 2),
            payload("closed", number, 3).closed(),
            payload("reopened", number, 4),
        ]
    };
    let merged = |number| payload("closed", number, 9).merged("2026-01-02T00:09:00Z");
    let orders = permutations();
    ensure!(orders.len() == 24);
    let tasks = (0_i64..).zip(&orders);
    try_join_all(tasks.map(|(index, order)| {
        let world = &world;
        async move {
            let (name, number) = (format!("task-{index}"), 100 + index);
            world.task(&name, in_review(number)).await?;
            for event in order.iter().chain(order.iter().rev()) {
                let reply = world.deliver(&life(number)[*event], SECRET).await?;
                ensure!(reply.status.is_success(), "{reply:?}");
            }
            let before = row(&world.status(&name).await?)?;
            ensure!(before == REVIEW, "{order:?}: {before:?}");
            ensure!(world.deliver(&merged(number), SECRET).await?.status == StatusCode::OK);
            for event in order {
                let reply = world.deliver(&life(number)[*event], SECRET).await?;
                ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
            }
            let after = row(&world.status(&name).await?)?;
            ensure!(after == ["done", "done", "ready", "2026-01-02T00:09:00Z"], "{order:?}: {after:?}");
            Ok(())
        }
    }))
    .await?;
    world.end().await
}

/// All orders of four.
fn permutations() -> Vec<[usize; 4]> {
    let all = (0..256_usize).map(|code| [code / 64, code / 16 % 4, code / 4 % 4, code % 4]);
    all.filter(|order| (0..4).all(|event| order.contains(&event))).collect()
}

#[tokio::test]
async fn a_confirmed_merge_is_never_left() -> Result<()> {
    let world = world("final").await?;
    world.octo_app().await?;
    let task = world.task("task", in_review(42)).await?;
    let merged = payload("closed", 42, 5).merged("2026-01-02T00:05:00Z");
    ensure!(world.deliver(&merged, SECRET).await?.status == StatusCode::OK);
    let task = world.tasks().get(&task.metadata.name.context("a name")?).await?;
    world
        .write(&task, |status| {
            if let Some(stored) = &mut status.pull_request {
                stored.unconfirmed = false;
            }
        })
        .await?;
    for later in [
        payload("reopened", 42, 50),
        payload("converted_to_draft", 42, 51).draft(),
        payload("closed", 42, 52).closed(),
    ] {
        let reply = world.deliver(&later, SECRET).await?;
        ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
    }
    ensure!(world.row("task").await? == ["done", "done", "ready", "2026-01-02T00:05:00Z"]);
    world.end().await
}

#[tokio::test]
async fn without_times_the_time_of_receipt_counts() -> Result<()> {
    let world = world("typed").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let mut body = payload("closed", 42, 1).merged("2026-01-02T00:05:00Z").json();
    for field in ["merged_at", "updated_at", "closed_at"] {
        body["pull_request"].as_object_mut().context("an object")?.remove(field);
    }
    let before = jiff::Timestamp::now().as_second();
    let reply = world.send(&delivery("pull_request", body.to_string(), SECRET)).await?;
    ensure!(reply.status == StatusCode::OK, "{reply:?}");
    let status = world.status("task").await?;
    let completed = status.completed_at.context("completedAt")?.0;
    ensure!((before..=jiff::Timestamp::now().as_second()).contains(&completed.as_second()), "{completed}");
    let stored = status.pull_request.context("a pull request")?;
    ensure!(stored.updated_at == Some(crate::world::time("2026-01-01T00:00:00Z")), "{stored:?}");
    world.end().await
}

/// The controller writes as fast as it can while deliveries arrive: neither loses anything.
#[tokio::test]
async fn a_second_writer_and_the_receiver_lose_nothing() -> Result<()> {
    const WRITES: usize = 60;
    let world = world("writers").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let controller = async {
        let tasks = world.tasks();
        let mut conflicts = 0;
        for write in 1..=WRITES {
            loop {
                let seen = tasks.get("task").await?;
                let mut new = seen.status.clone().unwrap_or_default();
                new.sandbox_id = Some(format!("sandbox-{write}"));
                new.code_generations.push(serde_json::from_value(json!({
                    "id": format!("{write}"), "sandboxID": "s", "incarnation": write, "startedAt": "2026-01-01T00:00:00Z",
                }))?);
                slipway::api::bounds::keep_newest(&mut new.code_generations);
                match status::write(&tasks, &seen, seen.status.as_ref(), &new, "slipway-controller").await? {
                    status::Written::Conflict => conflicts += 1,
                    _ => break,
                }
            }
        }
        anyhow::Ok(conflicts)
    };
    let github = async {
        let mut failed = 0;
        for minute in 1..=30 {
            let news = match minute % 2 {
                0 => payload("reopened", 42, minute),
                _ => payload("closed", 42, minute).closed(),
            };
            failed += deliver_until_accepted(&world, &news).await?;
        }
        anyhow::Ok(failed)
    };
    let (conflicts, failed) = tokio::try_join!(controller, github)?;
    println!("{conflicts} conflicts of the controller, {failed} deliveries answered 503");
    let status = world.status("task").await?;
    ensure!(row(&status)? == REVIEW, "{:?}", row(&status)?);
    ensure!(status.sandbox_id == Some(format!("sandbox-{WRITES}")));
    let incarnations: Vec<_> = status.code_generations.iter().map(|entry| entry.incarnation).collect();
    ensure!(incarnations == (51..=60).collect::<Vec<i64>>(), "{incarnations:?}");
    let stored = status.pull_request.context("a pull request")?;
    ensure!(stored.updated_at == Some(crate::world::time("2026-01-02T00:30:00Z")));
    world.end().await
}

/// As a person redelivers what failed; how often it failed.
async fn deliver_until_accepted(world: &World<'_>, news: &Payload) -> Result<usize> {
    let started = Instant::now();
    let mut failed = 0;
    loop {
        let reply: Reply = world.deliver(news, SECRET).await?;
        if reply.status == StatusCode::OK {
            return Ok(failed);
        }
        ensure!(reply.status == StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
        ensure!(started.elapsed() < DEADLINE);
        failed += 1;
    }
}
