//! The Kubernetes adapter itself, where the receiver does not use all of it: finalizers, conflicts, Secrets, events.

use crate::{
    controlplane::{self, User},
    world::{SECRET, in_review, patched, world},
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{core::v1::ObjectReference, events::v1::Event};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use slipway::{
    api::{TASK_FINALIZER, Task},
    cluster::{Error, Events, Secrets, Written, events::EventType, finalizer, status},
    domain::failure::Class,
};

#[tokio::test]
async fn finalizers_come_and_go_once_and_never_over_somebody_elses_write() -> Result<()> {
    let world = world("finalizer").await?;
    world.octo_app().await?;
    let stale = world.task("task", in_review(42)).await?;
    let tasks = world.tasks();
    let held = patched(finalizer::add(&tasks, &stale, TASK_FINALIZER, "test").await?)?;
    ensure!(held.finalizers() == [TASK_FINALIZER]);
    ensure!(finalizer::add(&tasks, &held, TASK_FINALIZER, "test").await? == Written::Unchanged);
    ensure!(finalizer::add(&tasks, &stale, "example.com/other", "test").await? == Written::Conflict, "stale");
    let two = patched(finalizer::add(&tasks, &held, "example.com/other", "test").await?)?;
    ensure!(two.finalizers() == [TASK_FINALIZER, "example.com/other"]);
    tasks.delete("task", &DeleteParams::default()).await?;
    let deleting = tasks.get("task").await?;
    ensure!(finalizer::remove(&tasks, &two, TASK_FINALIZER, "test").await? == Written::Conflict, "stale");
    let one = patched(finalizer::remove(&tasks, &deleting, TASK_FINALIZER, "test").await?)?;
    ensure!(one.finalizers() == ["example.com/other"], "others' finalizers stay");
    ensure!(finalizer::remove(&tasks, &one, TASK_FINALIZER, "test").await? == Written::Unchanged);
    finalizer::remove(&tasks, &one, "example.com/other", "test").await?;
    ensure!(tasks.get_opt("task").await?.is_none());
    ensure!(
        finalizer::remove(&tasks, &one, "example.com/other", "test").await? == Written::Unchanged,
        "gone is gone"
    );
    world.end().await
}

#[tokio::test]
async fn a_status_is_written_only_over_what_was_read() -> Result<()> {
    let world = world("status").await?;
    let task = world.task("task", in_review(42)).await?;
    let tasks = world.tasks();
    let old = task.status.clone();
    ensure!(
        status::write(&tasks, &task, old.as_ref(), old.as_ref().context("a status")?, "test").await?
            == Written::Unchanged
    );
    let mut new = old.clone().context("a status")?;
    new.branch = None;
    new.round = Some(2);
    let written = patched(status::write(&tasks, &task, old.as_ref(), &new, "test").await?)?;
    ensure!(written.status.as_ref() == Some(&new), "{:?}", written.status);
    ensure!(status::write(&tasks, &task, old.as_ref(), &new, "test").await? == Written::Conflict, "stale");
    // A namesake that was created later is not the object that was read.
    tasks.delete("task", &DeleteParams::default()).await?;
    match status::write(&tasks, &written, Some(&new), &old.clone().context("a status")?, "test").await {
        Err(error) => ensure!(error.class() == Class::NotFound && error.reason() == "NotFound", "{error}"),
        other => anyhow::bail!("{other:?}"),
    }
    world.task("task", |_| {}).await?;
    ensure!(
        status::write(&tasks, &written, Some(&new), &old.context("a status")?, "test").await?
            == Written::Conflict
    );
    world.end().await
}

#[tokio::test]
async fn errors_say_what_is_missing_and_never_echo_the_object() -> Result<()> {
    let world = world("errors").await?;
    let task = world.task("task", in_review(42)).await?;
    let stranger = controlplane::shared().await.client(&User::named("stranger")).await?;
    let tasks: Api<Task> = Api::namespaced(stranger.clone(), &world.namespace);
    let mut new = task.status.clone().context("a status")?;
    new.round = Some(2);
    let Err(denied) = status::write(&tasks, &task, task.status.as_ref(), &new, "test").await else {
        anyhow::bail!("a stranger may not write");
    };
    ensure!(denied.class() == Class::Denied, "{denied}");
    ensure!(
        denied.to_string().contains(r#"cannot patch resource "tasks/status" in API group "slipway.dev""#),
        "{denied}"
    );
    let Err(denied) = Secrets::new(stranger).get(&world.namespace, "hook").await else {
        anyhow::bail!("a stranger may not read");
    };
    ensure!(matches!(denied, Error::Denied(_)), "{denied}");
    new.branch = Some(format!("canary-{}", "b".repeat(300)));
    let Err(invalid) = status::write(&world.tasks(), &task, task.status.as_ref(), &new, "test").await else {
        anyhow::bail!("too long");
    };
    ensure!(invalid.class() == Class::Invalid && invalid.to_string().contains("status.branch"), "{invalid}");
    ensure!(invalid.to_string().len() < 600, "{invalid}");
    world.end().await
}

#[tokio::test]
async fn secrets_are_kept_for_seconds_absence_even_less() -> Result<()> {
    let world = world("cache").await?;
    let secrets = Secrets::new(world.client.clone());
    ensure!(secrets.get(&world.namespace, "hook").await?.is_none());
    world.secret("hook", &[("current", "one\n")]).await?;
    let found = crate::world::eventually("the new Secret", || async {
        secrets.get(&world.namespace, "hook").await.ok()?
    })
    .await?;
    ensure!(found.text("current").is_some_and(|value| secrecy::ExposeSecret::expose_secret(&value) == "one"));
    world.secret("hook", &[("current", SECRET)]).await?;
    let cached = secrets.get(&world.namespace, "hook").await?.context("cached")?;
    ensure!(
        cached.text("current").is_some_and(|value| secrecy::ExposeSecret::expose_secret(&value) == "one")
    );
    let fresh = secrets.fresh(&world.namespace, "hook").await?.context("there")?;
    ensure!(
        fresh.text("current").is_some_and(|value| secrecy::ExposeSecret::expose_secret(&value) == SECRET)
    );
    let after = secrets.get(&world.namespace, "hook").await?.context("cached")?;
    ensure!(
        after.text("current").is_some_and(|value| secrecy::ExposeSecret::expose_secret(&value) == SECRET)
    );
    world.end().await
}

#[tokio::test]
async fn equal_events_are_counted_other_notes_are_other_events() -> Result<()> {
    let world = world("events").await?;
    let task = world.task("task", in_review(42)).await?;
    let object = ObjectReference {
        api_version: Some("slipway.dev/v1alpha1".to_owned()),
        kind: Some("Task".to_owned()),
        namespace: Some(world.namespace.clone()),
        name: Some(task.name_any()),
        uid: task.uid(),
        ..ObjectReference::default()
    };
    let events = Events::new(world.client.clone(), "slipway-test", &"long".repeat(100));
    for note in ["first", "first", "second", "first", &"€".repeat(2_000)] {
        events.publish(&object, EventType::Warning, "Reason", "Action", note).await;
    }
    let longest =
        ObjectReference { name: Some(format!("{}.{}", "a".repeat(126), "b".repeat(126))), ..object.clone() };
    events.publish(&longest, EventType::Normal, "Reason", "Action", "a long name").await;
    let api: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let stored = api.list(&ListParams::default()).await?.items;
    let count = |note: &str| {
        let found = stored.iter().find(|event| event.note.as_deref() == Some(note));
        found.map(|event| event.series.as_ref().map_or(1, |series| series.count))
    };
    ensure!(
        count("first") == Some(3) && count("second") == Some(1) && count("a long name") == Some(1),
        "{stored:?}"
    );
    ensure!(count(&"€".repeat(341)) == Some(1), "cut to 1,024 bytes");
    ensure!(stored.len() == 4);
    // Nobody's pass fails because of an event that can't be published.
    let stranger = controlplane::shared().await.client(&User::named("stranger")).await?;
    Events::new(stranger, "slipway-test", "test")
        .publish(&object, EventType::Normal, "Reason", "Action", "refused")
        .await;
    ensure!(api.list(&ListParams::default()).await?.items.len() == 4);
    world.end().await
}
