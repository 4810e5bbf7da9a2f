//! `make e2e`: the chart on a whole cluster, from `helm install` of the release before to `helm uninstall`, told as it happens.
//! `run.sh` brings the cluster (kind, or a node of `tests/node`); this is the same for both. Ends with 0 only if all of it was seen.

mod cluster;
#[path = "../controlplane/mod.rs"]
mod controlplane;
mod interruption;
#[path = "../node/mod.rs"]
mod node;
mod release;
mod stand_ins;
#[path = "../world/mod.rs"]
mod world;

use anyhow::{Result, ensure};
use cluster::Cluster;
use release::{Release, WEBHOOK_URL};
use stand_ins::StandIns;
use std::time::Instant;
use world::{WEBHOOK_SECRET, story::Story};

/// Where the Tasks are; the operator is elsewhere.
const NAMESPACE: &str = "demo";
const REPOSITORY: &str = "acme/greeting";

#[tokio::main]
async fn main() -> Result<()> {
    let started = Instant::now();
    let cluster = Cluster::start(started).await?;
    if let Err(error) = tell(&cluster).await {
        println!("{}", cluster.evidence().await);
        return Err(error);
    }
    println!(
        "\nThe release before was installed, used and upgraded to this one, which was used and uninstalled, in {:.0} s.",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

async fn tell(cluster: &Cluster) -> Result<()> {
    let stand_ins = StandIns::start(cluster).await?;
    let release = Release::install_base(cluster).await?;
    cluster.output(&format!("kubectl create namespace {NAMESPACE}")).await?;
    let story = Story::watch(&cluster.client, NAMESPACE, cluster.started);
    greet(cluster, &stand_ins, &story).await?;
    println!();
    interruption::upgrade(cluster, &stand_ins, &story, &release).await?;
    farewell(cluster, &stand_ins, &story).await?;
    converse(cluster, &stand_ins, &story).await?;
    println!("\n$ kubectl get swtask,swbox,swrepo");
    print!("{}", cluster.output(&format!("kubectl get swtask,swbox,swrepo --namespace {NAMESPACE}")).await?);
    files(&stand_ins).await?;
    release.say_memory().await?;
    cluster.say_memory();
    println!();
    release.test().await?;
    println!();
    interruption::delete_leader(cluster, &stand_ins, &story).await?;
    println!();
    end(cluster, &stand_ins, &release).await
}

/// Under the release before: a Task in a sandbox of its own; the merge is told by a webhook delivery through the Service.
async fn greet(cluster: &Cluster, stand_ins: &StandIns<'_>, story: &Story) -> Result<()> {
    for sample in ["secrets", "repository", "task"] {
        apply(cluster, sample).await?;
    }
    story.repository("greeting").await?;
    stand_ins.hook(REPOSITORY, WEBHOOK_URL, WEBHOOK_SECRET).await?;
    cluster.say(&format!("GitHub        webhook of {REPOSITORY} points at the Service: {WEBHOOK_URL}"));
    let number = story.review("greet").await?;
    merge(cluster, stand_ins, story, "greet", number).await
}

/// A Task whose sandbox is lost half-way.
async fn farewell(cluster: &Cluster, stand_ins: &StandIns<'_>, story: &Story) -> Result<()> {
    println!();
    apply(cluster, "sandbox").await?;
    let lost = story.generating("farewell").await?;
    cluster.say(&format!("E2B           loses sandbox {lost} with all its files"));
    stand_ins.lose(&lost).await?;
    story.replaced("farewell", &lost).await?;
    let number = story.review("farewell").await?;
    merge(cluster, stand_ins, story, "farewell", number).await
}

/// A Task works on what the others have made, and answers a reviewer.
async fn converse(cluster: &Cluster, stand_ins: &StandIns<'_>, story: &Story) -> Result<()> {
    println!();
    apply(cluster, "checkout").await?;
    let number = story.review("rename").await?;
    let words = "Good. Please say it in German too.";
    cluster.say(&format!("a person      asks for a change in review of #{number}: {words}"));
    stand_ins.ask_for_a_change(REPOSITORY, number, words).await?;
    let wish = "slipway.dev/rerun=please-answer-the-review";
    cluster.run(&format!("kubectl annotate swtask rename {wish} --namespace {NAMESPACE}")).await?;
    story.round("rename", 2).await?;
    let commits = stand_ins.commits(REPOSITORY, number).await?;
    ensure!(commits == 2, "pull request #{number} has {commits} commits");
    cluster.say(&format!("GitHub        pull request #{number} has a second commit"));
    merge(cluster, stand_ins, story, "rename", number).await
}

/// From review to done.
async fn merge(
    cluster: &Cluster,
    stand_ins: &StandIns<'_>,
    story: &Story,
    task: &str,
    number: u64,
) -> Result<()> {
    cluster.say(&format!("a person      merges pull request #{number} at GitHub"));
    stand_ins.merge(REPOSITORY, number).await?;
    story.done(task).await?;
    story.delivered(task, number).await
}

/// The merged branch holds what was generated.
async fn files(stand_ins: &StandIns<'_>) -> Result<()> {
    let files = stand_ins.files(REPOSITORY).await?;
    for (path, mode) in [
        ("bin/greet", "100755"),
        ("tests/greet_test.sh", "100755"),
        ("docs/index.md", "120000"),
        ("docs/boat.png", "100644"),
        ("bin/goodbye", "100755"),
        ("bin/auf-wiedersehen", "100755"),
    ] {
        let wanted = (path.to_owned(), mode.to_owned());
        ensure!(files.contains(&wanted), "{path} with mode {mode} is not among the merged files: {files:?}");
    }
    for path in ["bin/farewell", "docs/draft.md"] {
        ensure!(files.iter().all(|(there, _)| there != path), "{path} is still there: {files:?}");
    }
    let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    println!("\nfiles of {REPOSITORY}: {}", names.join(" "));
    Ok(())
}

/// The objects go first, with what they have at E2B; then the operator, which takes nothing of the users' with it.
async fn end(cluster: &Cluster, stand_ins: &StandIns<'_>, release: &Release<'_>) -> Result<()> {
    let delete = format!("kubectl delete swtask,swbox --all --namespace {NAMESPACE} --timeout 90s");
    cluster.run(&delete).await?;
    let state = stand_ins.state().await?;
    ensure!(state["e2b"]["live"] == 0, "sandboxes are left at E2B: {}", state["e2b"]);
    cluster.say("E2B           has no sandbox left");
    release.uninstall().await?;
    let left = cluster.output(&format!("kubectl get swrepo --output name --namespace {NAMESPACE}")).await?;
    ensure!(
        left.trim() == "repository.slipway.dev/greeting",
        "the users' objects are not what they were: {left:?}"
    );
    cluster.say("the users' objects are still there");
    Ok(())
}

async fn apply(cluster: &Cluster, sample: &str) -> Result<()> {
    cluster
        .run(&format!("kubectl apply --namespace {NAMESPACE} -f deploy/samples/{sample}.yaml"))
        .await
        .map(drop)
}
