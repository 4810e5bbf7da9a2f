//! Sync: a lost delivery only delays, a settled Repository costs nothing between syncs and no write at all.
//! The Tasks here are suspended: their controller keeps away, news of their pull requests do not.

use crate::support::{DEADLINE, GET_BY_ID, LIST_PULLS, OWNER, World, ready};
use anyhow::{Context as _, Result};
use http::Method;
use kube::{
    api::{Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use slipway::api::{State, Task};
use slipway_simulator::{
    core::{Action, Rule, When},
    github::MergeMethod,
};

/// A Task in review with the pull request that it opened.
async fn in_review(world: &World, repository: &str, branch: &str) -> Result<Value> {
    let full_name = format!("{OWNER}/{repository}");
    world.sim.github.push(&full_name, branch, &[("file.txt", Some(branch))], "work")?;
    let body = json!({"title": branch, "head": branch, "base": "main"});
    let pull = world.sim.github.act(OWNER, &Method::POST, &format!("/repos/{full_name}/pulls"), body)?;
    let status = json!({
        "state": "review", "column": "testing", "buildStatus": "ready", "branch": branch, "round": 1,
        "commitSHA": pull["head"]["sha"],
        "pullRequest": {"number": pull["number"], "state": "open", "updatedAt": pull["updated_at"], "headSHA": pull["head"]["sha"]},
    });
    task(world, branch, repository, status).await?;
    Ok(pull)
}

/// A suspended Task of the Repository, with this status.
async fn task(world: &World, name: &str, repository: &str, status: Value) -> Result<()> {
    let task = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {"title": name, "repositoryRef": {"name": repository}, "sandboxRef": {"name": "none"},
                 "source": {"path": "/work"}, "suspend": true}
    });
    world.tasks().create(&PostParams::default(), &serde_json::from_value(task)?).await?;
    let patch = Patch::Merge(json!({ "status": status }));
    world.tasks().patch_status(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The Task is in this state, and its own controller has seen it (and, as it is suspended, has nothing more to say).
fn settled_in(task: &Task, state: State) -> bool {
    let Some(status) = &task.status else { return false };
    let suspended = status.conditions.iter().any(|c| c.type_ == "Ready" && c.reason == "Suspended");
    status.state == state && suspended && Some(status.observed_generation) == task.metadata.generation
}

async fn task_in(world: &World, name: &str, state: State) -> Result<Task> {
    let fits = |task: Option<&Task>| task.is_some_and(|task| settled_in(task, state));
    let found = tokio::time::timeout(DEADLINE, await_condition(world.tasks(), name, fits)).await;
    found.with_context(|| format!("{name} is not {state:?}\n{}", world.operator.log()))??.context("it exists")
}

#[tokio::test]
async fn a_lost_delivery_only_delays_and_a_settled_repository_costs_no_write() -> Result<()> {
    let world = World::new("sync").await?;
    world.token().await?;
    world.at_github("app")?;
    world.repository("app", json!({"syncIntervalSeconds": 30})).await?;
    world.repository_with("app", "Synced").await?;
    let merged = in_review(&world, "app", "to-merge").await?;
    let closed = in_review(&world, "app", "to-close").await?;
    in_review(&world, "app", "to-stay").await?;
    let number = |pull: &Value| pull["number"].as_u64().context("a number");
    let sha = world.sim.github.merge("slipway-bot/app", number(&merged)?, MergeMethod::Squash)?;
    world.sim.github.close("slipway-bot/app", number(&closed)?)?;

    let done = task_in(&world, "to-merge", State::Done).await?.status.context("a status")?;
    assert_eq!(done.pull_request.context("it has one")?.merge_sha, Some(sha));
    assert!(done.completed_at.is_some());
    task_in(&world, "to-close", State::Todo).await?;
    task_in(&world, "to-stay", State::Review).await?;

    // From here on nothing changes at GitHub: one call per interval, and no write.
    let (before, seq) = (world.writes().await?, world.sim.calls.last_seq());
    let next = world.call(seq, LIST_PULLS).await?;
    let after = world.call(next.seq, LIST_PULLS).await?;
    assert_eq!(after.status(), Some(304), "asked with the ETag");
    assert!(after.real_at.duration_since(next.real_at).as_secs() >= 25);
    assert_eq!(world.sim.calls.since(seq).len(), 2, "{:#?}", world.sim.calls.since(seq));
    assert_eq!(world.writes().await?, before, "a settled Repository was written\n{}", world.operator.log());
    Ok(())
}

/// GitHub says once what has changed. A pass that reads it may end before any Task is moved: somebody writes to the Repository.
#[tokio::test]
async fn what_a_list_says_is_not_lost_with_the_pass_that_read_it() -> Result<()> {
    let mut world = World::new("cut").await?;
    world.token().await?;
    world.at_github("app")?;
    world.repository("app", json!({"syncIntervalSeconds": 30})).await?;
    world.repository_with("app", "Synced").await?;
    let pull = in_review(&world, "app", "to-close").await?;
    // What a store says is doubted for a minute after a start.
    world.crash()?;
    let held = Rule::on("github", LIST_PULLS).action(Action::Hold { after_effect: false });
    let rule = world.sim.faults.set(held.when(When::Nth(1)));
    world.sim.github.close("slipway-bot/app", pull["number"].as_u64().context("a number")?)?;
    let deadline = std::time::Instant::now() + DEADLINE;
    while world.sim.faults.held(rule) != Some(1) {
        assert!(std::time::Instant::now() < deadline, "no sync\n{}", world.operator.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let note = Patch::Merge(json!({"metadata": {"annotations": {"note": "by hand"}}}));
    world.repositories().patch("app", &PatchParams::default(), &note).await?;
    let seq = world.sim.calls.last_seq();
    world.sim.faults.remove(rule);
    task_in(&world, "to-close", State::Todo).await?;
    assert!(world.call(seq, LIST_PULLS).await?.status().is_some());
    Ok(())
}

#[tokio::test]
async fn a_failed_sync_changes_no_condition_until_the_attempts_are_used_up() -> Result<()> {
    let world = World::new("quiet").await?;
    world.token().await?;
    world.at_github("lib")?;
    world.repository("lib", json!({"syncIntervalSeconds": 30})).await?;
    world.repository_with("lib", "Synced").await?;
    in_review(&world, "lib", "open").await?;
    let rule = Rule::on("github", LIST_PULLS).when(When::All).status(503, "no");
    world.sim.faults.set(rule);
    let third = |status: &slipway::api::RepositoryStatus| {
        status.retry.as_ref().is_some_and(|retry| retry.attempt == 3)
    };
    let status = world.repository_when("lib", "at its third attempt", third).await?;
    assert_eq!(ready(&status).map(|ready| (ready.0, ready.1)), Some((true, "Synced")));
    let status = world.repository_with("lib", "RetriesExhausted").await?;
    assert!(!ready(&status).unwrap().0);
    world.sim.faults.clear();
    world.annotate("lib", "again").await?;
    world.repository_with("lib", "Synced").await?;
    Ok(())
}

#[tokio::test]
async fn a_rename_between_syncs_is_followed() -> Result<()> {
    let world = World::new("moved").await?;
    world.token().await?;
    world.at_github("old")?;
    world.repository("old", json!({"syncIntervalSeconds": 30})).await?;
    world.repository_with("old", "Synced").await?;
    let pull = in_review(&world, "old", "travels").await?;
    world.sim.github.rename("slipway-bot/old", "new")?;
    world.sim.github.close("slipway-bot/new", pull["number"].as_u64().context("a number")?)?;
    task_in(&world, "travels", State::Todo).await?;
    let renamed =
        |status: &slipway::api::RepositoryStatus| status.full_name.as_deref() == Some("slipway-bot/new");
    world.repository_when("old", "renamed", renamed).await?;
    // Nothing is open: the interval's one call looks at the repository itself.
    let seq = world.sim.calls.last_seq();
    let patch = json!({"status": {"pullRequest": null, "commitSHA": null}});
    world.tasks().patch_status("travels", &PatchParams::default(), &Patch::Merge(patch)).await?;
    let look = world.call(seq, GET_BY_ID).await?;
    assert!(matches!(look.status(), Some(200 | 304)));
    Ok(())
}

/// The list of a sync holds everybody's pull requests, and several Tasks may have one branch.
#[tokio::test]
async fn a_sync_moves_only_the_task_whose_pull_request_it_is() -> Result<()> {
    let world = World::new("twins").await?;
    world.token().await?;
    let id = world.at_github("app")?;
    world.repository("app", json!({"syncIntervalSeconds": 30})).await?;
    world.repository_with("app", "Synced").await?;
    let pull = in_review(&world, "app", "work").await?;
    let twin = |commit: Value| {
        json!({
            "state": "in-progress", "column": "development", "buildStatus": "building", "phase": "BranchCreated",
            "branch": "work", "round": 1, "repositoryID": id, "commitSHA": commit,
        })
    };
    task(&world, "late", "app", twin(pull["head"]["sha"].clone())).await?;
    task(&world, "twin", "app", twin(json!("0".repeat(40)))).await?;
    task(&world, "running", "app", twin(Value::Null)).await?;
    world.sim.github.merge(
        "slipway-bot/app",
        pull["number"].as_u64().context("a number")?,
        MergeMethod::Squash,
    )?;
    task_in(&world, "work", State::Done).await?;
    // It has the very commit and has not yet learned the number.
    task_in(&world, "late", State::Done).await?;
    for name in ["twin", "running"] {
        let status = world.tasks().get(name).await?.status.context("a status")?;
        assert_eq!((status.state, status.pull_request), (State::InProgress, None), "{name}");
    }
    Ok(())
}

/// Lists that never reach back far enough end after ten pages; what they do not show is read by its number.
#[tokio::test]
async fn a_busy_repository_after_a_start_costs_ten_pages_and_a_read_for_each_task() -> Result<()> {
    let world = World::new("busy").await?;
    world.token().await?;
    world.at_github("busy")?;
    world.repository("busy", json!({"syncIntervalSeconds": 30})).await?;
    world.repository_with("busy", "Synced").await?;
    // Another's, changed just now, on every page.
    let other = in_review(&world, "busy", "lost").await?;
    let mut page = other.clone();
    (page["number"], page["head"]["ref"], page["body"]) = (json!(9_999), json!("another"), json!(null));
    page["updated_at"] = json!("2099-01-01T00:00:00Z");
    let link = r#"<https://github.test/pulls?page=2>; rel="next""#.to_owned();
    world.sim.faults.set(Rule::on("github", LIST_PULLS).when(When::All).action(Action::Status {
        status: 200,
        headers: [("link".to_owned(), link)].into(),
        body: json!([page]).to_string(),
        after_effect: false,
    }));
    let seq = world.sim.calls.last_seq();
    world.sim.github.close("slipway-bot/busy", other["number"].as_u64().context("a number")?)?;
    task_in(&world, "lost", State::Todo).await?;
    let lists = world.sim.calls.since(seq).iter().filter(|call| call.endpoint == LIST_PULLS).count();
    assert!(lists > 0 && lists % 10 == 0, "{lists} pages\n{:#?}", world.sim.calls.since(seq));
    Ok(())
}
