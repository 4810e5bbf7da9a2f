//! Rounds on what is there already: while a command runs, on an open pull request, and beside a Task of the same branch.
//! Neighbours: `board` has the rounds that follow a closed pull request or a failure.

use crate::{
    story::{known_repository, refused, reviewed, to_review},
    world,
    world::{
        PATIENCE, World,
        gate::Gate,
        task,
        wait::{message_of, reason_of, settled},
        within,
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::api::{PullRequestState, State, TaskStatus};
use slipway_simulator::github::MergeMethod;

const APP: &str = "acme/app";

pub async fn rerun(world: &World, name: &str, value: &str) -> Result<()> {
    let annotation = format!("slipway.dev/rerun={value}");
    world.kubectl(&["annotate", "--overwrite", "swtask", name, &annotation]).await?;
    Ok(())
}

/// In review in this round.
pub async fn in_review(world: &World, name: &str, round: i64) -> Result<TaskStatus> {
    let task = world
        .task(name, &format!("in review in round {round}"), |task| {
            settled(task)
                && task.status.as_ref().is_some_and(|s| s.round == Some(round) && s.state == State::Review)
        })
        .await?;
    task.status.context("status")
}

pub async fn warned(world: &World, reason: &str, about: &str) -> Result<()> {
    let selector = format!("reason={reason}");
    within(PATIENCE, "a Warning", || async {
        let events = world.kubectl(&["get", "events", "--field-selector", &selector]).await.ok()?;
        (events.contains("Warning") && events.contains(about)).then_some(())
    })
    .await
    .with_context(|| format!("{reason} about {about}"))
}

/// Calls to GitHub about the repository: for what the command is told, packs, and the rest.
pub struct Spent {
    pub told: Vec<String>,
    pub git: usize,
    pub rest: Vec<String>,
}

/// What was spent since `start`, without looks at the open pull request: how often it is looked at is a matter of time.
pub fn spent(world: &World, start: u64) -> Spent {
    let calls = world.simulator.calls.since(start);
    let github = || calls.iter().filter(|call| call.api == "github");
    let about =
        |path: &str| path == "/graphql" || path == "/repos/acme/app" || path.starts_with("/repos/acme/app/");
    let (told, rest) = github()
        .filter(|call| about(&call.path) && !(call.method == "GET" && call.path.ends_with("/pulls/1")))
        .map(|call| format!("{} {}", call.method, call.path))
        .partition(|call| {
            ["/reviews", "/comments", "/graphql", "/collaborators"].iter().any(|end| call.ends_with(end))
        });
    Spent { told, git: github().filter(|call| call.endpoint == "git").count(), rest }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rerun_in_review_puts_a_commit_on_the_same_pull_request() -> Result<()> {
    let world = world("again").await?;
    let number = to_review(&world, "more", "date +%s%N > stamp").await?;
    let first = in_review(&world, "more", 1).await?.commit_sha.context("a commit")?;
    // A reviewer has pushed meanwhile: the round stands on that.
    let pushed = world
        .simulator
        .github
        .push(APP, "task/more/add-more", &[("review.txt", Some("please"))], "A reviewer's commit")
        .map_err(refused)?;
    rerun(&world, "more", "1").await?;
    let status = in_review(&world, "more", 2).await?;
    ensure!(status.parent_sha.as_ref() == Some(&pushed), "{:?} on {first}", status.parent_sha);
    let pull = status.pull_request.context("a pull request")?;
    ensure!(u64::try_from(pull.number)? == number && pull.state == PullRequestState::Open);
    ensure!(pull.head_sha == status.commit_sha && status.commit_sha.as_ref() != Some(&first));
    let pulls = world.simulator.github.pulls(APP).map_err(refused)?;
    ensure!(pulls.len() == 1, "{pulls:?}");
    world.simulator.github.merge(APP, number, MergeMethod::Merge).map_err(refused)?;
    world.task_in("more", State::Done).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_while_the_command_runs_ends_it_and_begins_another_round() -> Result<()> {
    let world = world("midway").await?;
    known_repository(&world).await?;
    let manifest = task("midway", "app", &Gate::script(&world, "echo \"$SLIPWAY_TASK_DESCRIPTION\" > told"));
    world.apply(&manifest).await?;
    let gate = Gate::reached(&world).await?;
    let other = manifest.with("/spec/description", json!("Something else."));
    other.patch(world.client.clone(), &world.namespace).await?;
    world
        .task("midway", "the second round", |task| {
            task.status.as_ref().is_some_and(|status| status.round == Some(2))
        })
        .await?;
    gate.open()?;
    let status = in_review(&world, "midway", 2).await?;
    ensure!(gate.file("told")? == "Something else.\n", "the command was told what is published");
    let runs: Vec<_> = status.code_generations.iter().map(|run| run.exit_code).collect();
    ensure!(runs == [None, Some(0)], "{runs:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_closed_in_mid_round_ends_the_round() -> Result<()> {
    let world = world("abandon").await?;
    let script = "if [ -e ../once ]; then sleep 600; fi; touch ../once; echo once > once";
    let number = to_review(&world, "gone", script).await?;
    rerun(&world, "gone", "1").await?;
    world
        .task("gone", "the second command", |task| {
            task.status.as_ref().is_some_and(|status| status.code_generations.len() == 2)
        })
        .await?;
    world.simulator.github.close(APP, number).map_err(refused)?;
    warned(&world, "RoundAbandoned", "task/gone").await?;
    let closed = world.task_because("gone", "Closed").await?;
    let status = closed.status.context("status")?;
    ensure!(status.state == State::Todo && status.code_generations[1].finished_at.is_some());
    ensure!(status.sandbox_request.is_none(), "nothing is needed any more");
    Ok(())
}

/// Two Tasks want one branch. The first is in review, is merged, while the second still works: it is moved by nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_twins_pull_request_moves_nobody_but_the_twin() -> Result<()> {
    let world = world("twins").await?;
    known_repository(&world).await?;
    let branch =
        |name: &str, script: &str| task(name, "app", script).with("/spec/branch", json!("feature/one"));
    world.apply(&branch("slow", &Gate::script(&world, "echo slow > slow"))).await?;
    let gate = Gate::reached(&world).await?;
    world.apply(&branch("quick", "echo quick > quick")).await?;
    let number = reviewed(&world, "quick").await?;
    world.simulator.github.merge(APP, number, MergeMethod::Merge).map_err(refused)?;
    world.task_in("quick", State::Done).await?;
    let slow = world.tasks().get("slow").await?;
    ensure!(reason_of(&slow) == "Generating", "{}: {}", reason_of(&slow), message_of(&slow, "Ready"));
    ensure!(slow.status.as_ref().is_some_and(|status| status.pull_request.is_none()), "{:?}", slow.status);
    gate.open()?;
    let own = reviewed(&world, "slow").await?;
    ensure!(own != number);
    let status = in_review(&world, "slow", 1).await?;
    let suffix: String = slow.metadata.uid.unwrap_or_default().chars().take(8).collect();
    let branch = status.branch.context("a branch")?;
    ensure!(branch == "feature/one" || branch == format!("feature/one-{suffix}"), "{branch}");
    Ok(())
}

/// A Task made again under its name: the pull request of the one before is not its own, whatever comes late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_made_again_is_not_moved_by_the_pull_request_of_the_one_before() -> Result<()> {
    let world = world("remade").await?;
    let number = to_review(&world, "remade", "echo first > first").await?;
    world.kubectl(&["delete", "swtask", "remade", "--wait=true"]).await?;
    world.apply(&task("remade", "app", &Gate::script(&world, "echo second > second"))).await?;
    let gate = Gate::reached(&world).await?;
    world.simulator.github.merge(APP, number, MergeMethod::Merge).map_err(refused)?;
    gate.open()?;
    let own = reviewed(&world, "remade").await?;
    ensure!(own != number, "its own pull request");
    Ok(())
}
