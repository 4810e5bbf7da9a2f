//! The leader's Pod is deleted while a Task's command runs: another replica leads, and the story goes on where it was.

use crate::{
    NAMESPACE, REPOSITORY,
    cluster::Cluster,
    release,
    stand_ins::StandIns,
    world::{self, PATIENCE, story::Story, wait::within},
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::Value;
use slipway::api::Task;
use std::time::Instant;

const TASK: &str = "handover";

/// Long enough for the other replica to take the Lease before the command ends.
const SCRIPT: &str = "date > started; sleep 10; date > ended";

pub async fn hand_over(cluster: &Cluster, stand_ins: &StandIns<'_>, story: &Story) -> Result<()> {
    let before = stand_ins.state().await?;
    world::task(TASK, "greeting", SCRIPT).create(cluster.client.clone(), NAMESPACE).await?;
    let sandbox = story.generating(TASK).await?;

    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), release::NAMESPACE);
    let holder = || async { leases.get("slipway-controller").await.ok()?.spec?.holder_identity };
    let leader = holder().await.context("nobody holds the Lease slipway-controller")?;
    cluster.say(&format!("Lease         slipway-controller: {leader} leads"));
    let deleted = Instant::now();
    cluster
        .run(&format!("kubectl delete pod {leader} --namespace {} --wait=false", release::NAMESPACE))
        .await?;
    let next = within(PATIENCE, "another leader", || async {
        holder().await.filter(|holder| !holder.is_empty() && *holder != leader)
    })
    .await?;
    cluster.say(&format!(
        "Lease         slipway-controller: {next} leads after {:.1} s",
        deleted.elapsed().as_secs_f32()
    ));

    let number = story.review(TASK).await?;
    let tasks: Api<Task> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let runs = tasks.get(TASK).await?.status.context("a Task in review has a status")?.code_generations;
    ensure!(runs.len() == 1 && runs[0].sandbox_id == sandbox, "the command did not just go on: {runs:?}");
    let after = stand_ins.state().await?;
    for counter in ["/e2b/counters/creates", "/github/counts/pullsCreated"] {
        let count = |state: &Value| state.pointer(counter).and_then(Value::as_u64);
        ensure!(
            count(&after) == count(&before).map(|count| count + 1),
            "{counter}: {:?} before, {:?} after",
            count(&before),
            count(&after)
        );
    }
    cluster.say("one sandbox, one run of the command, one pull request");
    stand_ins.merge(REPOSITORY, number).await?;
    story.done(TASK).await
}
