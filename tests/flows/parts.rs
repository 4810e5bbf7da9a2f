//! Labels and reviewers of a pull request, and its branch after the merge.

use crate::{
    story::{known_repository, refused, reviewed},
    world,
    world::{PATIENCE, task, within},
};
use anyhow::{Result, ensure};
use serde_json::json;
use slipway::api::State;
use slipway_simulator::github::MergeMethod;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_spec_asks_for_is_set_and_what_github_refuses_is_a_warning() -> Result<()> {
    let world = world("parts").await?;
    known_repository(&world).await?;
    let parts = json!({
        "labels": ["ai", "needs review"], "reviewers": ["reviewer", "nobody"], "teamReviewers": ["reviewers", "others"],
        "deleteBranch": true,
    });
    world.apply(&task("dressed", "app", "echo 1 > a").with("/spec/pullRequest", parts)).await?;
    reviewed(&world, "dressed").await?;
    let github = &world.simulator.github;
    let there = || async {
        let pull = github.pull("acme/app", 1).ok()?;
        let names = |list: &str, key: &str| {
            let entries = pull[list].as_array().into_iter().flatten();
            entries.filter_map(|entry| entry[key].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let labels = names("labels", "name") == ["ai", "needs review"];
        let people = names("requested_reviewers", "login") == ["reviewer"];
        (labels && people && names("requested_teams", "slug") == ["reviewers"]).then_some(())
    };
    within(PATIENCE, "labels and reviewers", there).await?;
    let warned = || async {
        let arguments = [
            "get",
            "events",
            "--field-selector=reason=PullRequestRefused",
            "-o=jsonpath={.items[*].message}",
        ];
        let events = world.kubectl(&arguments).await.ok()?;
        (events.contains("nobody: ") && events.contains("others: ") && !events.contains("reviewer: "))
            .then_some(())
    };
    within(PATIENCE, "a Warning", warned).await?;

    ensure!(github.branch("acme/app", "task/dressed/add-dressed").is_some());
    github.merge("acme/app", 1, MergeMethod::Squash).map_err(refused)?;
    world.task_in("dressed", State::Done).await?;
    let gone = || async { github.branch("acme/app", "task/dressed/add-dressed").is_none().then_some(()) };
    within(PATIENCE, "the branch goes", gone).await?;
    ensure!(github.branch("acme/app", "main").is_some());
    Ok(())
}
