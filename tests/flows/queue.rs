//! What a merge waits for, by name, and the merge queue of a base branch: in at our own commit, followed, out before another round, and
//! not in again by itself. The stand-in's rules and queue are GitHub's, and tests are what moves the queue.

use crate::{
    rounds::{in_review, rerun, warned},
    story::{known, refused},
    world,
    world::{
        Options, PATIENCE, World, repository, task,
        wait::{message_of, reason_of},
        within,
    },
    world_with,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::api::{MergeQueueState, State, Task};
use slipway_simulator::{
    core::{Action, Call, Rule, When},
    github::{BranchRule, Check, QueueStep, RemovalReason, RuleKind},
};
use std::collections::BTreeMap;

const APP: &str = "acme/app";
const RULES: &str = "GET /repos/{owner}/{repo}/rules/branches/{branch}";
const GRAPHQL: &str = "POST /graphql";

/// Another commit with each round.
const SCRIPT: &str = "date +%s%N > stamp";

fn rule(kind: RuleKind, parameters: &Value) -> BranchRule {
    BranchRule::new("main", kind, parameters)
}

fn queue() -> BranchRule {
    rule(RuleKind::MergeQueue, &json!({ "merge_method": "SQUASH" }))
}

fn check(name: &str, conclusion: &str) -> Check {
    Check { name: name.into(), conclusion: Some(conclusion.into()), ..Check::default() }
}

/// The repository with these rules, and a Task that is merged as soon as GitHub lets it.
async fn begin(world: &World, rules: Vec<BranchRule>) -> Result<()> {
    known(world, &repository("app").with("/spec/syncIntervalSeconds", json!(30))).await?;
    world.simulator.github.set_rules(APP, rules).map_err(refused)?;
    let merge = json!({"merge": {"policy": "WhenReady", "requireChecks": false}});
    world.apply(&task("work", "app", SCRIPT).with("/spec/pullRequest", merge)).await
}

fn head(world: &World) -> Result<String> {
    let pull = world.simulator.github.pull(APP, 1).map_err(refused)?;
    Ok(pull["head"]["sha"].as_str().context("a head")?.to_owned())
}

fn step(world: &World, step: QueueStep) -> Result<()> {
    world.simulator.github.queue_step(APP, 1, step).map_err(refused)
}

/// Waits for words in the message of `Ready`.
async fn says(world: &World, words: &'static str) -> Result<Task> {
    world.task("work", words, move |task| message_of(task, "Ready").contains(words)).await
}

async fn look_now(world: &World, value: &str) -> Result<()> {
    let annotation = format!("slipway.dev/reconcile={value}");
    world.kubectl(&["annotate", "--overwrite", "swtask", "work", &annotation]).await.map(drop)
}

/// The head that the Task has in the queue.
fn queued_head(task: &Task) -> Option<String> {
    let queue = task.status.as_ref()?.pull_request.as_ref()?.merge_queue.as_ref()?;
    (queue.state == MergeQueueState::Queued).then(|| queue.head_sha.clone())
}

/// Waits until the Task's present head is in the queue.
async fn in_queue(world: &World) -> Result<String> {
    let task = says(world, "is in the merge queue at place 1").await?;
    let head = head(world)?;
    ensure!(queued_head(&task).as_ref() == Some(&head), "{:?} and {head}", queued_head(&task));
    ensure!(reason_of(&task) == "InReview", "{}", reason_of(&task));
    Ok(head)
}

/// How often GitHub was told to merge at once.
fn merges(world: &World) -> usize {
    world.simulator.calls.count(|call: &Call| call.method == "PUT" && call.path.ends_with("/merge"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_merge_waits_for_is_named_until_all_of_it_is_there() -> Result<()> {
    let world = world("checks").await?;
    let required = json!({"required_status_checks": [{"context": "build"}, {"context": "lint"}]});
    let review = json!({"required_approving_review_count": 1});
    let start = std::time::Instant::now();
    let rules = vec![rule(RuleKind::RequiredStatusChecks, &required), rule(RuleKind::PullRequest, &review)];
    begin(&world, rules).await?;
    says(&world, "required checks that have not begun: build, lint; an approving review is needed").await?;
    // All Tasks of the Repository share what is read.
    for name in ["also", "too"] {
        let merge = json!({"merge": {"policy": "WhenReady", "requireChecks": false}});
        world.apply(&task(name, "app", SCRIPT).with("/spec/pullRequest", merge)).await?;
    }
    for name in ["also", "too"] {
        let told = |task: &Task| message_of(task, "Ready").contains("required checks that have not begun");
        world.task(name, "what it waits for", told).await?;
    }
    let (github, head) = (&world.simulator.github, head(&world)?);
    github.review("reviewer", APP, 1, "APPROVE", "Good.").map_err(refused)?;
    github.set_checks(APP, &head, vec![check("lint", "timed_out")]).map_err(refused)?;
    let task = says(&world, "required checks that have failed: lint").await?;
    let message = message_of(&task, "Ready");
    ensure!(message.contains("not begun: build") && !message.contains("review"), "{message}");
    // The same check once more, as somebody runs it again: the older end counts no longer.
    github.add_check(APP, &head, check("lint", "success")).map_err(refused)?;
    let running = Check { conclusion: None, ..check("build", "") };
    github.add_check(APP, &head, running).map_err(refused)?;
    look_now(&world, "1").await?;
    let task = says(&world, "required checks that still run: build").await?;
    ensure!(!message_of(&task, "Ready").contains("lint"), "{}", message_of(&task, "Ready"));
    github.add_check(APP, &head, check("build", "neutral")).map_err(refused)?;
    look_now(&world, "2").await?;
    world.task_in("work", State::Done).await?;
    // Rules are read once in an interval, however often the pull request is looked at.
    let (read, most) = (world.simulator.calls.of("github", RULES).len(), start.elapsed().as_secs() / 30 + 1);
    ensure!(u64::try_from(read)? <= most, "read {read} times, not {most}");
    ensure!(merges(&world) == 1, "merged {} times", merges(&world));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_takes_the_head_and_merges_it() -> Result<()> {
    let world = world("queued").await?;
    let build = json!({"required_status_checks": [{"context": "build"}]});
    begin(&world, vec![queue(), rule(RuleKind::RequiredStatusChecks, &build)]).await?;
    says(&world, "required checks that have not begun: build").await?;
    let head = head(&world)?;
    world.simulator.github.set_checks(APP, &head, vec![check("build", "success")]).map_err(refused)?;
    look_now(&world, "1").await?;
    ensure!(in_queue(&world).await? == head);
    step(&world, QueueStep::Build)?;
    look_now(&world, "2").await?;
    says(&world, "at place 1 (awaiting checks, about 5 min)").await?;
    step(&world, QueueStep::Merge)?;
    let done = world.task_in("work", State::Done).await?;
    let pull = done.status.and_then(|status| status.pull_request).context("a pull request")?;
    ensure!(pull.merge_sha.is_some() && pull.merge_queue.is_none(), "{pull:?}");
    ensure!(merges(&world) == 0, "merged past the queue");
    Ok(())
}

/// Rules are not shown: a refused merge tells of the queue, and the controller dies right after it has put the head in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_only_a_refused_merge_tells_of_survives_a_crash() -> Result<()> {
    let mut world = world_with(Options { namespace: "untold", ..Options::default() }).await?;
    let (headers, body) = (BTreeMap::new(), "[]".to_owned());
    let none = Action::Status { status: 200, headers, body, after_effect: false };
    world.simulator.faults.set(Rule::on("github", RULES).action(none));
    // The first asks how the head stands, once the refusal is noted.
    let hold = Action::Hold { after_effect: true };
    let rule = world.simulator.faults.set(Rule::on("github", GRAPHQL).when(When::Nth(2)).action(hold));
    begin(&world, vec![queue()]).await?;
    world.held(rule).await?;
    let entering =
        world.tasks().get("work").await?.status.and_then(|status| status.pull_request?.merge_queue);
    ensure!(entering.is_some_and(|queue| queue.state == MergeQueueState::Entering), "no intent");
    world.kill_in_held_call(rule).await?;
    world.start_controller()?;
    in_queue(&world).await?;
    ensure!(merges(&world) == 1, "asked {} times to merge at once", merges(&world));
    step(&world, QueueStep::Merge)?;
    world.task_in("work", State::Done).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_queue_throws_out_goes_in_again_only_with_another_round() -> Result<()> {
    let world = world("thrown").await?;
    begin(&world, vec![queue()]).await?;
    let first = in_queue(&world).await?;
    step(&world, QueueStep::Build)?;
    step(&world, QueueStep::Remove { reason: RemovalReason::CiFailure })?;
    let out = world.task_because("work", "Dequeued").await?;
    ensure!(message_of(&out, "Ready").contains("slipway.dev/rerun"), "{}", message_of(&out, "Ready"));
    warned(&world, "Dequeued", "work").await?;
    // Nor does a look bring it in again.
    let before = world.simulator.calls.of("github", GRAPHQL).len();
    look_now(&world, "1").await?;
    within(PATIENCE, "a look", || async {
        (world.simulator.calls.of("github", GRAPHQL).len() > before).then_some(())
    })
    .await?;
    ensure!(reason_of(&world.tasks().get("work").await?) == "Dequeued");
    rerun(&world, "work", "1").await?;
    in_review(&world, "work", 2).await?;
    ensure!(in_queue(&world).await? != first, "the same head");
    step(&world, QueueStep::Merge)?;
    world.task_in("work", State::Done).await?;
    let deliveries = world.simulator.github.deliveries.all();
    let entered = deliveries.iter().filter(|one| one.action.as_deref() == Some("enqueued")).count();
    ensure!(entered == 2, "put in {entered} times");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rerun_takes_it_out_of_the_queue_first() -> Result<()> {
    let world = world("requeued").await?;
    begin(&world, vec![queue()]).await?;
    let first = in_queue(&world).await?;
    rerun(&world, "work", "1").await?;
    in_review(&world, "work", 2).await?;
    let second = in_queue(&world).await?;
    ensure!(second != first, "the same head");
    // A locked branch was never pushed to.
    let refused = world.simulator.calls.matching(|call: &Call| {
        call.method == "PATCH" && call.path.contains("/git/refs/") && call.status() != Some(200)
    });
    ensure!(refused.is_empty(), "{refused:#?}");
    step(&world, QueueStep::Merge)?;
    let done = world.task_in("work", State::Done).await?;
    ensure!(done.status.context("status")?.round == Some(2));
    let events = world.kubectl(&["get", "events"]).await?;
    ensure!(!events.contains("Dequeued"), "{events}");
    Ok(())
}

/// Two Tasks change the base branch one after the other: whoever follows the advice and updates the branch still has it merged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn githubs_own_update_of_the_branch_is_what_is_merged_and_stood_on() -> Result<()> {
    let world = world("updated").await?;
    let build = json!({
        "required_status_checks": [{"context": "build"}], "strict_required_status_checks_policy": true,
    });
    begin(&world, vec![rule(RuleKind::RequiredStatusChecks, &build)]).await?;
    says(&world, "required checks that have not begun: build").await?;
    let (github, passed) = (&world.simulator.github, || vec![check("build", "success")]);
    github.set_checks(APP, &head(&world)?, passed()).map_err(refused)?;
    github.push(APP, "main", &[("theirs", Some("1"))], "Somebody's").map_err(refused)?;
    look_now(&world, "1").await?;
    says(&world, "update the branch from the base branch").await?;
    let updated = github.update_branch(APP, 1).map_err(refused)?;
    let adopted =
        |task: &Task, sha: &str| task.status.as_ref().is_some_and(|s| s.commit_sha.as_deref() == Some(sha));
    world.task("work", "the update", |task| adopted(task, &updated) && reason_of(task) == "InReview").await?;
    // Another round stands on it, and takes nothing of it back.
    rerun(&world, "work", "1").await?;
    let status = in_review(&world, "work", 2).await?;
    ensure!(status.parent_sha.as_ref() == Some(&updated), "{:?} on {updated}", status.parent_sha);
    github.push(APP, "main", &[("later", Some("2"))], "Somebody's").map_err(refused)?;
    github.set_checks(APP, &head(&world)?, passed()).map_err(refused)?;
    let updated = github.update_branch(APP, 1).map_err(refused)?;
    github.set_checks(APP, &updated, passed()).map_err(refused)?;
    world.task("work", "the update", |task| adopted(task, &updated)).await?;
    look_now(&world, "2").await?;
    world.task_in("work", State::Done).await?;
    ensure!(merges(&world) == 1, "merged {} times", merges(&world));
    let files = ["theirs", "later", "stamp"].map(|name| format!("main:{name}"));
    let dir = github.git_dir(APP).map_err(refused)?;
    for file in files {
        let found =
            std::process::Command::new("git").arg("-C").arg(&dir).args(["cat-file", "-e", &file]).status()?;
        ensure!(found.success(), "{file} is gone");
    }
    Ok(())
}

/// Somebody leads the pull request to another branch, presses the button there, and leads it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_from_another_branch_is_not_merged() -> Result<()> {
    let world = world("retargeted").await?;
    let build = json!({"required_status_checks": [{"context": "build"}]});
    begin(&world, vec![rule(RuleKind::RequiredStatusChecks, &build)]).await?;
    says(&world, "required checks that have not begun: build").await?;
    let github = &world.simulator.github;
    github.push(APP, "develop", &[("unreviewed", Some("1"))], "Somebody's").map_err(refused)?;
    let lead = |base: &str| {
        let pull = format!("/repos/{APP}/pulls/1");
        github.act("reviewer", &http::Method::PATCH, &pull, json!({ "base": base })).map_err(refused)
    };
    lead("develop")?;
    let updated = github.update_branch(APP, 1).map_err(refused)?;
    let moved = |task: &Task| reason_of(task) == "HeadMoved";
    world.task("work", "a head that is not its own", moved).await?;
    lead("main")?;
    github.set_checks(APP, &updated, vec![check("build", "success")]).map_err(refused)?;
    let start = world.simulator.calls.last_seq();
    look_now(&world, "1").await?;
    let looked = || async {
        world.simulator.calls.since(start).iter().any(|call| call.path.ends_with("/pulls/1")).then_some(())
    };
    within(PATIENCE, "a look", looked).await?;
    world.task("work", "the same", moved).await?;
    ensure!(merges(&world) == 0, "merged {} times", merges(&world));
    Ok(())
}

/// GitHub has no permission for check runs that a fine-grained token could have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_not_read_checks_merges_where_the_task_asks_for_none() -> Result<()> {
    let world = world("unread").await?;
    let words = "Resource not accessible by personal access token";
    let runs = Rule::on("github", "GET /repos/{owner}/{repo}/commits/{ref}/check-runs").status(403, words);
    let runs = world.simulator.faults.set(runs);
    let body = json!({"data": null, "errors": [{"type": "FORBIDDEN", "message": words}]}).to_string();
    let hidden = Action::Status { status: 200, headers: BTreeMap::new(), body, after_effect: false };
    world.simulator.faults.set(Rule::on("github", GRAPHQL).action(hidden));
    let build = json!({"required_status_checks": [{"context": "build"}]});
    begin(&world, vec![rule(RuleKind::RequiredStatusChecks, &build)]).await?;
    says(&world, "GitHub does not tell this token what of it is missing").await?;
    world
        .simulator
        .github
        .set_checks(APP, &head(&world)?, vec![check("build", "success")])
        .map_err(refused)?;
    look_now(&world, "1").await?;
    world.task_in("work", State::Done).await?;
    ensure!(world.simulator.faults.hits(runs) == Some(0), "check runs were asked for");
    Ok(())
}
