//! Many Tasks in review that leave the operator nothing to do: copies of one that has really come there.
//! Part of `support`.

use super::world::{World, repository, task};
use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use slipway::api::{State, Task};

/// Requests at a time.
const TOGETHER: usize = 24;

/// Makes Tasks `settled-0` to `settled-<count - 1>` with pull requests from 1000 on. The controller must not run
/// afterwards before they are all there: a Task that it sees half-made begins its way.
pub async fn settled_tasks(world: &mut World, count: usize) -> Result<()> {
    world.apply(&repository("app")).await?;
    world.start_controller()?;
    world.apply(&task("model", "app", "echo model > model")).await?;
    let model = world.task_in("model", State::Review).await?;
    world.terminate_controller().await?;
    let status = serde_json::to_value(model.status.context("a Task in review has a status")?)?;
    let (api, spec) = (world.tasks(), serde_json::to_value(&model.spec)?);
    stream::iter(0..count)
        .map(|at| {
            let (api, spec, status) = (api.clone(), spec.clone(), numbered(status.clone(), at));
            async move {
                let name = format!("settled-{at}");
                let object = json!({
                    "apiVersion": "slipway.dev/v1alpha1", "kind": "Task", "metadata": {"name": name}, "spec": spec,
                });
                let object: Task = serde_json::from_value(object)?;
                api.create(&PostParams::default(), &object).await?;
                api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(TOGETHER)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// The model's status with a pull request and a branch of its own.
fn numbered(mut status: Value, at: usize) -> Value {
    let (branch, number) = (format!("task/settled-{at}/model"), 1000 + at);
    let model = format!("pull request {}", status["pullRequest"]["number"]);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let message = condition["message"].as_str().unwrap_or_default();
        condition["message"] = json!(message.replace(&model, &format!("pull request {number}")));
    }
    status["branch"] = json!(branch);
    status["pullRequest"]["number"] = json!(number);
    status["pullRequest"]["branch"] = json!(branch);
    status
}
