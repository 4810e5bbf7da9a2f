//! What interrupts the operator while a Task's command runs: the release is upgraded, the leader's Pod is deleted. The story
//! goes on where it was.

use crate::{
    NAMESPACE,
    cluster::Cluster,
    release::{self, Release},
    stand_ins::StandIns,
    world::{self, PATIENCE, story::Story, wait::within},
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::Value;
use slipway::api::Task;
use std::time::Instant;

/// Longer than it takes until another replica leads.
const SCRIPT: &str = "date > started; sleep 10; date > ended";
/// What a Task makes one of, whatever happens.
const COUNTERS: [&str; 2] = ["/e2b/counters/creates", "/github/counts/pullsCreated"];

/// A Task whose command runs.
struct Running<'c> {
    cluster: &'c Cluster,
    stand_ins: &'c StandIns<'c>,
    story: &'c Story,
    name: &'static str,
    sandbox: String,
    before: Value,
}

impl<'c> Running<'c> {
    async fn start(
        cluster: &'c Cluster,
        stand_ins: &'c StandIns<'c>,
        story: &'c Story,
        name: &'static str,
    ) -> Result<Self> {
        let before = stand_ins.state().await?;
        // A file of its own: the next Task must have something to commit.
        let task = world::task(name, "greeting", &SCRIPT.replace("> ", &format!("> {name}-")));
        task.create(cluster.client.clone(), NAMESPACE).await?;
        let sandbox = story.generating(name).await?;
        Ok(Self { cluster, stand_ins, story, name, sandbox, before })
    }

    /// It was not started again, and nothing was made twice.
    async fn finish(self) -> Result<()> {
        let number = self.story.review(self.name).await?;
        let tasks: Api<Task> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let status = tasks.get(self.name).await?.status.context("a Task in review has a status")?;
        let runs = status.code_generations;
        ensure!(
            runs.len() == 1 && runs[0].sandbox_id == self.sandbox,
            "the command did not just go on: {runs:?}"
        );
        let after = self.stand_ins.state().await?;
        for counter in COUNTERS {
            let count = |state: &Value| state.pointer(counter).and_then(Value::as_u64);
            let (before, after) = (count(&self.before), count(&after));
            ensure!(
                before.map(|before| before + 1) == after,
                "{counter}: {before:?} before, {after:?} after"
            );
        }
        self.cluster.say(&format!("Task          {}: one sandbox, one run, one pull request", self.name));
        crate::merge(self.cluster, self.stand_ins, self.story, self.name, number).await
    }
}

/// The leader's Pod is deleted: another replica leads.
pub async fn delete_leader(cluster: &Cluster, stand_ins: &StandIns<'_>, story: &Story) -> Result<()> {
    let running = Running::start(cluster, stand_ins, story, "handover").await?;
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), release::NAMESPACE);
    let holder = || async { leases.get("slipway-controller").await.ok()?.spec?.holder_identity };
    let leader = holder().await.context("nobody holds the Lease slipway-controller")?;
    cluster.say(&format!("Lease         slipway-controller: {leader} leads"));
    let deleted = Instant::now();
    cluster
        .run(&format!("kubectl delete pod {leader} --namespace {} --wait=false", release::NAMESPACE))
        .await?;
    let other = || async { holder().await.filter(|holder| !holder.is_empty() && *holder != leader) };
    let next = within(PATIENCE, "another leader", other).await?;
    let seconds = deleted.elapsed().as_secs_f32();
    cluster.say(&format!("Lease         slipway-controller: {next} leads, {seconds:.1} s later"));
    running.finish().await
}

/// Every Pod and every CRD is replaced by those of the next release, while one Task's command runs and another waits for
/// review.
pub async fn upgrade(
    cluster: &Cluster,
    stand_ins: &StandIns<'_>,
    story: &Story,
    release: &Release<'_>,
) -> Result<()> {
    let reviewed = world::task("reviewed", "greeting", "echo please look > reviewed");
    reviewed.create(cluster.client.clone(), NAMESPACE).await?;
    let number = story.review("reviewed").await?;
    let running = Running::start(cluster, stand_ins, story, "upgrade").await?;
    release.upgrade().await?;
    running.finish().await?;
    crate::merge(cluster, stand_ins, story, "reviewed", number).await
}
