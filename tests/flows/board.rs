//! The rows of the board, each as a user or a person at GitHub brings it about; deliveries are real and signed.
//! Neighbours: `story` brings a Task to review.

use crate::{
    story::{known_repository, refused, reviewed, to_review},
    world,
    world::{
        Manifest, Options, PATIENCE, World,
        gate::Gate,
        repository, sandbox, task,
        wait::{message_of, reason_of, settled},
        within,
    },
    world_with,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::api::{PullRequestState, State, Task};
use slipway_simulator::github::{Check, MergeMethod, NewRepository};

const APP: &str = "acme/app";

/// State, column, build status, whether `completedAt` is set, and the reason of `Ready`.
fn row(task: &Task) -> Result<(String, String, String, bool, String)> {
    let status = serde_json::to_value(&task.status)?;
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    let completed = status.get("completedAt").is_some();
    Ok((text("state"), text("column"), text("buildStatus"), completed, reason_of(task).to_owned()))
}

async fn expect(world: &World, name: &str, expected: (&str, &str, &str, bool, &str)) -> Result<Task> {
    let (state, column, build, completed, reason) = expected;
    let wanted = (state.to_owned(), column.to_owned(), build.to_owned(), completed, reason.to_owned());
    let holds = {
        let wanted = wanted.clone();
        move |task: &Task| row(task).is_ok_and(|row| row == wanted)
    };
    world.task(name, &format!("{wanted:?}"), holds).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_moves_the_board_by_signed_deliveries() -> Result<()> {
    let world = world("moves").await?;
    let github = &world.simulator.github;
    known_repository(&world).await?;
    let draft = task("ship", "app", "echo one > one").with("/spec/pullRequest", json!({"draft": true}));
    world.apply(&draft).await?;
    let drafted = expect(&world, "ship", ("in-progress", "development", "building", false, "Draft")).await?;
    let pull = drafted.status.and_then(|status| status.pull_request).context("a draft")?;
    let number = u64::try_from(pull.number)?;
    let branch = pull.branch.context("it has a branch")?;

    github.ready(APP, number).map_err(refused)?;
    expect(&world, "ship", ("review", "testing", "ready", false, "InReview")).await?;
    github.draft(APP, number).map_err(refused)?;
    expect(&world, "ship", ("in-progress", "development", "building", false, "Draft")).await?;
    github.ready(APP, number).map_err(refused)?;
    expect(&world, "ship", ("review", "testing", "ready", false, "InReview")).await?;

    github.close(APP, number).map_err(refused)?;
    let closed = expect(&world, "ship", ("todo", "research", "pending", false, "Closed")).await?;
    ensure!(
        closed.status.context("status")?.branch.is_none(),
        "the branch is given up with the pull request"
    );
    github.reopen(APP, number).map_err(refused)?;
    let reopened = expect(&world, "ship", ("review", "testing", "ready", false, "InReview")).await?;
    ensure!(reopened.status.context("status")?.branch == Some(branch), "reopening restores the branch");

    github.merge(APP, number, MergeMethod::Squash).map_err(refused)?;
    let done = expect(&world, "ship", ("done", "done", "ready", true, "Merged")).await?;
    let status = done.status.context("status")?;
    let merged = github.pull(APP, number).map_err(refused)?;
    let at = status.completed_at.context("completedAt")?.0.to_string();
    ensure!(merged["merged_at"].as_str() == Some(at.as_str()), "{at} is not {}", merged["merged_at"]);
    ensure!(status.last_delivery.is_some_and(|delivery| delivery.event == "pull_request.closed"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_and_nothing_to_do_have_rows_of_their_own() -> Result<()> {
    let world = world("rows").await?;
    known_repository(&world).await?;
    world.apply(&Manifest::secret("agent", "key", "s3cr3t-value")).await?;
    let secret = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "agent", "key": "key"}}}]);
    let fails = task("fails", "app", "echo working with $KEY; exit 3").with("/spec/generate/env", secret);
    world.apply(&fails).await?;
    world.apply(&task("same", "app", "printf '# app\\n' > README.md")).await?;
    world
        .apply(
            &task("nowhere", "app", "true")
                .with("/spec/source/path", json!("/home/user/none"))
                .with("/spec/generate/workingDir", json!("/home/user")),
        )
        .await?;

    let failed = expect(&world, "fails", ("todo", "research", "failed", false, "GenerationFailed")).await?;
    let message = message_of(&failed, "Generated");
    ensure!(message.contains("exit code 3") && message.contains("working with"), "{message}");
    ensure!(!serde_json::to_string(&failed)?.contains("s3cr3t-value"), "a secret value is in the object");
    ensure!(!world.controller_log().contains("s3cr3t-value"), "a secret value is in the log");
    expect(&world, "same", ("todo", "research", "ready", false, "NothingToCommit")).await?;
    expect(&world, "nowhere", ("in-progress", "development", "failed", false, "NoFiles")).await?;
    world.described("fails", "Warning  GenerationFailed").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pull_request_and_a_failed_command_are_followed_by_a_new_round() -> Result<()> {
    let world = world("rounds").await?;
    let first = to_review(&world, "again", "date +%N > stamp").await?;
    world.simulator.github.close(APP, first).map_err(refused)?;
    expect(&world, "again", ("todo", "research", "pending", false, "Closed")).await?;
    world.kubectl(&["annotate", "swtask", "again", "slipway.dev/rerun=2"]).await?;
    let second = world
        .task("again", "in review in its second round", |task| {
            settled(task)
                && task.status.as_ref().is_some_and(|s| s.round == Some(2) && s.state == State::Review)
        })
        .await?;
    let status = second.status.context("status")?;
    ensure!(status.branch.as_deref() == Some("task/again/add-again-2"), "{:?}", status.branch);
    let past = status.pull_request_history.first().context("the first pull request is history")?;
    ensure!(u64::try_from(past.number)? == first && past.state == PullRequestState::Closed);
    let old = world.simulator.github.branch(APP, "task/again/add-again");
    ensure!(old.is_none(), "the old branch stands at {old:?}");

    world.apply(&task("mended", "app", "exit 1")).await?;
    expect(&world, "mended", ("todo", "research", "failed", false, "GenerationFailed")).await?;
    let command = json!({"spec": {"generate": {"command": ["sh", "-ec", "echo fixed > fixed"]}}}).to_string();
    world.kubectl(&["patch", "swtask", "mended", "--type=merge", "-p", &command]).await?;
    reviewed(&world, "mended").await?;

    world
        .simulator
        .github
        .merge(APP, reviewed(&world, "again").await?, MergeMethod::Merge)
        .map_err(refused)?;
    expect(&world, "again", ("done", "done", "ready", true, "Merged")).await?;
    world.kubectl(&["annotate", "--overwrite", "swtask", "again", "slipway.dev/rerun=3"]).await?;
    world
        .task("again", "the rerun is taken note of", |task| {
            task.status.as_ref().is_some_and(|status| status.observed_rerun.as_deref() == Some("3"))
        })
        .await?;
    expect(&world, "again", ("done", "done", "ready", true, "Merged")).await?;
    within(PATIENCE, "the Warning that the rerun is refused", || async {
        let events =
            world.kubectl(&["get", "events", "--field-selector", "reason=RerunIgnored"]).await.ok()?;
        (events.contains("Warning") && events.contains("task/again")).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_building_and_too_large_stand_where_they_belong() -> Result<()> {
    let environment = vec![("SLIPWAY_MAX_FILE_BYTES".into(), "1KiB".into())];
    let world = world_with(Options { namespace: "early", environment, ..Options::default() }).await?;
    world.apply(&task("early", "app", &Gate::script(&world, "head -c 5000 /dev/zero > big"))).await?;
    expect(&world, "early", ("todo", "research", "pending", false, "RepositoryNotFound")).await?;
    world.apply(&repository("app")).await?;
    let gate = Gate::reached(&world).await?;
    expect(&world, "early", ("in-progress", "development", "building", false, "Generating")).await?;
    gate.open()?;
    let large = expect(&world, "early", ("in-progress", "development", "failed", false, "TooLarge")).await?;
    let message = message_of(&large, "Stalled");
    ensure!(message.contains("big") && message.contains("SLIPWAY_MAX_FILE_BYTES"), "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_ready_merges_by_itself_and_not_what_somebody_else_has_pushed() -> Result<()> {
    let world = world("merges").await?;
    known_repository(&world).await?;
    for (name, method) in [("by-merge", "merge"), ("by-squash", "squash")] {
        let merge = json!({"merge": {"policy": "WhenReady", "method": method, "requireChecks": false}});
        world
            .apply(&task(name, "app", &format!("echo {name} > {name}")).with("/spec/pullRequest", merge))
            .await?;
    }
    for name in ["by-merge", "by-squash"] {
        expect(&world, name, ("done", "done", "ready", true, "Merged")).await?;
    }
    checked(&world).await?;
    let number = to_moved(&world).await?;
    let pull = world.simulator.github.pull(APP, number).map_err(refused)?;
    ensure!(pull["state"] == "open", "{}", pull["state"]);
    Ok(())
}

/// A Task that is merged once its commit has a check and the check has succeeded, and not within a minute of the push.
async fn checked(world: &World) -> Result<()> {
    let policy = json!({"merge": {"policy": "WhenReady"}});
    world.apply(&task("checked", "app", "echo checked > checked").with("/spec/pullRequest", policy)).await?;
    let number = reviewed(world, "checked").await?;
    let pull = world.simulator.github.pull(APP, number).map_err(refused)?;
    let head = pull["head"]["sha"].as_str().unwrap_or_default();
    let check = |conclusion: Option<&str>| Check {
        name: "ci".into(),
        conclusion: conclusion.map(str::to_owned),
        ..Check::default()
    };
    world.simulator.github.set_checks(APP, head, vec![check(None)]).map_err(refused)?;
    let says = |words: &'static str| move |task: &Task| message_of(task, "Ready").contains(words);
    world.task("checked", "a check that still runs in its message", says("still running: ci")).await?;
    world.simulator.github.set_checks(APP, head, vec![check(Some("success"))]).map_err(refused)?;
    expect(world, "checked", ("done", "done", "ready", true, "Merged")).await?;
    Ok(())
}

/// A Task in review whose branch somebody has pushed to before merging by itself was switched on.
async fn to_moved(world: &World) -> Result<u64> {
    world.apply(&task("moved", "app", "echo moved > moved")).await?;
    let number = reviewed(world, "moved").await?;
    let pushed = world.simulator.github.push(APP, "task/moved/add-moved", &[("more", Some("more"))], "more");
    pushed.map_err(refused)?;
    let policy = json!({"spec": {"pullRequest": {"merge": {"policy": "WhenReady"}}}}).to_string();
    world.kubectl(&["patch", "swtask", "moved", "--type=merge", "-p", &policy]).await?;
    expect(world, "moved", ("review", "testing", "ready", false, "HeadMoved")).await?;
    Ok(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_with_its_cure_and_heals() -> Result<()> {
    let world = world("wrong").await?;
    // Not the operator's own creation: what is missing in one of those may only not be visible yet.
    let there = NewRepository { owner: "acme".into(), name: "app".into(), ..NewRepository::default() };
    world.simulator.github.create_repository(&there).map_err(refused)?;
    known_repository(&world).await?;
    world.apply(&task("no-base", "app", "echo a > a").with("/spec/baseBranch", json!("nope"))).await?;
    world.apply(&sandbox("odd").with("/spec/template", json!("no-such-template"))).await?;
    let shared = task("odd-box", "app", "echo b > b").without("sandboxTemplate");
    world.apply(&shared.with("/spec/sandboxRef", json!({"name": "odd"}))).await?;

    let task = world.task_because("no-base", "BaseBranchMissing").await?;
    ensure!(message_of(&task, "Stalled").contains("create it"), "{}", message_of(&task, "Stalled"));
    world.simulator.github.push(APP, "nope", &[("base", Some("base"))], "a base").map_err(refused)?;
    world.kubectl(&["annotate", "swtask", "no-base", "slipway.dev/reconcile=now"]).await?;
    reviewed(&world, "no-base").await?;

    let task = world.task("odd-box", "stalled by its sandbox", |task| {
        message_of(task, "Stalled").contains("TemplateNotFound")
    });
    task.await?;
    world
        .kubectl(&["patch", "swbox", "odd", "--type=merge", "-p", r#"{"spec":{"template":"base"}}"#])
        .await?;
    reviewed(&world, "odd-box").await?;

    world.simulator.github.revoke_token(world::GITHUB_TOKEN);
    world.kubectl(&["annotate", "swrepo", "app", "slipway.dev/reconcile=now"]).await?;
    world
        .repository("app", "refused by GitHub", |repository| {
            serde_json::to_value(&repository.status).is_ok_and(|status| {
                status["conditions"].as_array().is_some_and(|all| {
                    all.iter().any(|c| c["type"] == "Stalled" && c["reason"] == "BadCredentials")
                })
            })
        })
        .await?;
    Ok(())
}
