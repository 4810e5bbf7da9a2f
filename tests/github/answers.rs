//! Answers that users of GitHub's API have met and that are easily read as somebody else's fault.
//! Each comes over HTTP, from the stand-in told to give it.

use crate::support::{World, author, fault};
use slipway::{
    domain::failure::Class,
    github::{
        Check, CheckState, CreatedPull, DeletedBranch, Error, FailedChecks, MergeMethod, Merged, NewCommit,
        NewPull, TreeContent, TreeEntry,
    },
};
use slipway_simulator::{
    Options,
    core::{Action, When},
    github::{self, Check as SetCheck, CheckAnnotation, CheckOutput, Settings},
};
use std::{collections::BTreeMap, time::Duration};

const TREES: &str = "POST /repos/{owner}/{repo}/git/trees";
const BLOBS: &str = "POST /repos/{owner}/{repo}/git/blobs";
const REFS: &str = "POST /repos/{owner}/{repo}/git/refs";
const PULLS: &str = "POST /repos/{owner}/{repo}/pulls";
const MERGE: &str = "PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge";
const MISSING: &str =
    r#"{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}"#;

/// An answer as it stands, whatever its body is.
fn raw(status: u16, body: &str) -> Action {
    Action::Status { status, headers: BTreeMap::new(), body: body.to_owned(), after_effect: false }
}

fn class(error: &Error) -> (Class, &'static str) {
    (error.class, error.reason)
}

fn custom(message: &str) -> String {
    format!(
        r#"{{"message":"Validation Failed","errors":[{{"resource":"PullRequest","code":"custom","message":"{message}"}}]}}"#
    )
}

fn file(path: &str) -> TreeEntry {
    TreeEntry {
        path: path.to_owned(),
        mode: "100644".to_owned(),
        content: TreeContent::Inline("on: push".to_owned()),
    }
}

impl World {
    /// A commit of ours on top of `main`.
    async fn commit(&self) -> String {
        let parent = self.tip().await;
        let tree = self.client.create_tree(&self.repository, Some(&parent), &[file("a.txt")]).await.unwrap();
        let date = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let new =
            NewCommit { message: "a".to_owned(), tree, parents: vec![parent], author: Some(author()), date };
        self.client.create_commit(&self.repository, &new).await.unwrap().sha
    }

    async fn open(&self, branch: &str) -> Result<CreatedPull, Error> {
        let pull = NewPull {
            title: branch.to_owned(),
            head: branch.to_owned(),
            base: "main".to_owned(),
            body: String::new(),
            draft: false,
        };
        self.client.create_pull(&self.repository, &pull).await
    }
}

#[tokio::test]
async fn a_workflow_file_and_a_token_without_the_right_to_workflows() {
    for (status, body) in [(404, MISSING), (403, r#"{"message":"Resource not accessible by integration"}"#)] {
        let world = World::new();
        let tip = world.tip().await;
        world.simulator.faults.set(fault(TREES).action(raw(status, body)));
        let make = async |path: &str| {
            world
                .client
                .create_tree(&world.repository, Some(&tip), &[file("a.txt"), file(path)])
                .await
                .unwrap_err()
        };
        let error = make(".github/workflows/ci.yml").await;
        assert_eq!(class(&error), (Class::Denied, "WorkflowPermissionMissing"), "{error}");
        assert!(error.message.contains("Workflows: write") && error.message.contains("ci.yml"), "{error}");
        let error = make("workflows/ci.yml").await;
        assert_eq!(class(&error), (Class::Denied, "PermissionMissing"), "{error}");
    }
}

#[tokio::test]
async fn a_pull_request_right_after_its_branch_is_not_told_as_merged_already() {
    let world = World::new();
    let commit = world.commit().await;
    world.client.create_ref(&world.repository, "task/a", &commit).await.unwrap();
    world.simulator.faults.set(
        fault(PULLS).when(When::Next(1)).action(raw(422, &custom("No commits between main and task/a"))),
    );
    let error = world.open("task/a").await.unwrap_err();
    assert_eq!(class(&error), (Class::Transient, "NotVisibleYet"), "{error}");
    assert!(matches!(world.open("task/a").await, Ok(CreatedPull::Created(_))));
    // Somebody else's branch is what it is said to be.
    world.push("theirs", &[("b", Some("1"))]);
    world.simulator.faults.set(
        fault(PULLS).when(When::Next(1)).action(raw(422, &custom("No commits between main and theirs"))),
    );
    let error = world.open("theirs").await.unwrap_err();
    assert_eq!(class(&error), (Class::Invalid, "NothingToMerge"), "{error}");
}

#[tokio::test]
async fn a_branch_right_after_its_commit_waits_for_it() {
    for (status, body) in [(422, r#"{"message":"Object does not exist"}"#), (404, MISSING)] {
        let world = World::new();
        let commit = world.commit().await;
        world.simulator.faults.set(fault(REFS).when(When::Next(1)).action(raw(status, body)));
        let error = world.client.create_ref(&world.repository, "task/a", &commit).await.unwrap_err();
        assert_eq!(class(&error), (Class::Transient, "NotVisibleYet"), "{error}");
        world.client.create_ref(&world.repository, "task/a", &commit).await.unwrap();
    }
}

#[tokio::test]
async fn a_limit_on_content_that_comes_as_a_422_holds_every_call_back() {
    for body in [
        custom("was submitted too quickly"),
        r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"abuse"}]}"#.to_owned(),
    ] {
        let world = World::new();
        let commit = world.commit().await;
        world.client.create_ref(&world.repository, "task/a", &commit).await.unwrap();
        world.simulator.faults.set(fault(PULLS).when(When::Next(1)).action(raw(422, &body)));
        let error = world.open("task/a").await.unwrap_err();
        assert!(matches!(error.class, Class::Throttled { .. }), "{error:?}");
        assert_eq!(error.reason, "RateLimited");
        let calls = world.count();
        let error = world.client.create_blob(&world.repository, "b", b"b").await.unwrap_err();
        assert_eq!((error.reason, world.count()), ("RateLimited", calls), "nothing is sent meanwhile");
    }
}

#[tokio::test]
async fn push_protection_names_the_file_and_a_signature_rule_its_cure() {
    let world = World::new();
    let body = r#"{"message":"Repository rule violations found\n\nSecret detected in content"}"#;
    world.simulator.faults.set(fault(BLOBS).action(raw(409, body)));
    let error = world.client.create_blob(&world.repository, "src/key.pem", b"x").await.unwrap_err();
    assert_eq!(class(&error), (Class::Invalid, "BranchProtected"));
    assert!(error.message.contains("src/key.pem") && !error.message.contains("spec.branch"), "{error}");
    let body = r#"{"message":"Repository rule violations found\n\nCommits must have verified signatures."}"#;
    world.simulator.faults.set(fault(REFS).action(raw(422, body)));
    let error = world.client.create_ref(&world.repository, "b", &world.tip().await).await.unwrap_err();
    assert!(error.message.contains("signed commits") && !error.message.contains("spec.branch"), "{error}");
}

#[tokio::test]
async fn a_merge_is_refused_by_its_cause() {
    let world = World::new();
    let commit = world.commit().await;
    world.client.create_ref(&world.repository, "task/a", &commit).await.unwrap();
    let Ok(CreatedPull::Created(pull)) = world.open("task/a").await else { panic!("not opened") };
    let merge =
        async || world.client.merge_pull(&world.repository, pull.number, &commit, MergeMethod::Merge).await;
    for (said, expected, cure) in [
        (
            "Merge commits are not allowed on this repository.",
            (Class::Invalid, "MergeMethodNotAllowed"),
            "merge.method",
        ),
        ("Changes must be made through the merge queue", (Class::Invalid, "MergeQueueRequired"), "Manual"),
        (
            "Base branch was modified. Review and try the merge again.",
            (Class::Transient, "BaseBranchMoved"),
            "tried again",
        ),
    ] {
        world
            .simulator
            .faults
            .set(fault(MERGE).when(When::Next(1)).action(raw(405, &format!(r#"{{"message":"{said}"}}"#))));
        let error = merge().await.unwrap_err();
        assert_eq!(class(&error), expected, "{error}");
        assert!(error.message.contains(cure), "{error}");
    }
    let said = r#"{"message":"At least 1 approving review is required by reviewers with write access."}"#;
    world.simulator.faults.set(fault(MERGE).when(When::Next(1)).action(raw(405, said)));
    assert!(matches!(merge().await, Ok(Merged::NotMergeable { .. })));
    assert!(matches!(merge().await, Ok(Merged::Merged { .. })));
}

#[tokio::test]
async fn failed_checks_come_with_what_they_say_in_one_call() {
    let world = World::new();
    let tip = world.tip().await;
    assert_eq!(world.client.failed_checks(&world.repository, &tip).await.unwrap(), FailedChecks::default());
    let annotation = |line| CheckAnnotation { path: "a".into(), line, message: "m".into() };
    let run = |name: &str, conclusion: Option<&str>, lines: u64| SetCheck {
        name: name.to_owned(),
        conclusion: conclusion.map(str::to_owned),
        output: CheckOutput { annotations: (1..=lines).map(annotation).collect(), ..Default::default() },
        ..Default::default()
    };
    let status = SetCheck { commit_status: true, ..run("old-ci", Some("error"), 0) };
    let flaky = run("flaky", Some("failure"), 0);
    let again = run("flaky", Some("success"), 0);
    let (slow, good) = (run("slow", None, 0), run("ci", Some("success"), 0));
    let checks = vec![flaky, slow, good, run("lint", Some("failure"), 60), status, again];
    world.simulator.github.set_checks(&world.full_name(), &tip, checks).unwrap();
    let seq = world.simulator.calls.last_seq();
    let failed = world.client.failed_checks(&world.repository, &tip).await.unwrap();
    assert_eq!((failed.unread, world.simulator.calls.since(seq).len()), (None, 1));
    let told: Vec<_> = failed
        .checks
        .iter()
        .map(|check| (&*check.name, &*check.conclusion, check.annotations.len(), check.more))
        .collect();
    assert_eq!(told, [("lint", "failure", 20, 40), ("old-ci", "error", 0, 0)]);

    // Some of them may be hidden: GitHub says so beside the others.
    let partly = r#"{"data":{"repository":{"object":{"statusCheckRollup":{"contexts":{"nodes":[null]}}}}},
        "errors":[{"type":"FORBIDDEN","message":"Resource not accessible by personal access token"}]}"#;
    world.simulator.faults.set(fault("POST /graphql").action(raw(200, partly)));
    let failed = world.client.failed_checks(&world.repository, &tip).await.unwrap();
    let unread = failed.unread.unwrap();
    assert!(unread.starts_with("Resource not accessible by personal access token; "), "{unread}");
    assert!(unread.contains("classic token"), "{unread}");
    assert_eq!(failed.checks, []);
}

/// GraphQL refuses with status 200.
#[tokio::test]
async fn what_graphql_refuses_is_refused_as_rest_would() {
    let world = World::new();
    let tip = world.tip().await;
    for (body, class, reason) in [
        (
            r#"{"data":{"repository":null},"errors":[{"type":"NOT_FOUND","message":"m"}]}"#,
            Class::NotFound,
            "RepositoryNotFound",
        ),
        (
            r#"{"data":{"repository":null},"errors":[{"type":"FORBIDDEN","message":"m"}]}"#,
            Class::Denied,
            "PermissionMissing",
        ),
        (
            r#"{"errors":[{"message":"Something went wrong while executing your query."}]}"#,
            Class::Transient,
            "GitHubUnavailable",
        ),
        ("<html>", Class::Transient, "UnreadableAnswer"),
    ] {
        let rule = world.simulator.faults.set(fault("POST /graphql").action(raw(200, body)));
        let error = world.client.failed_checks(&world.repository, &tip).await.unwrap_err();
        assert_eq!((error.class, error.reason), (class, reason), "{body}: {}", error.message);
        world.simulator.faults.remove(rule);
    }
    let limited =
        r#"{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded for user ID 1."}]}"#;
    world.simulator.faults.set(fault("POST /graphql").action(raw(200, limited)));
    let error = world.client.failed_checks(&world.repository, &tip).await.unwrap_err();
    assert!(matches!(error.class, Class::Throttled { .. }), "{error:?}");
}

/// A GitHub Enterprise Server has REST below `/api/v3`, and GraphQL beside it.
#[tokio::test]
async fn an_enterprise_server_has_graphql_elsewhere() {
    let settings = Settings { enterprise: true, ..Settings::default() };
    let github = github::Options { settings, ..Default::default() };
    let world = World::with(Options { github, ..Options::default() }, Duration::ZERO);
    let tip = world.push("task/x", &[("a", Some("1"))]);
    assert_eq!(world.client.failed_checks(&world.repository, &tip).await.unwrap(), FailedChecks::default());
    let deleted = world.client.delete_branch_at(&world.repository, "task/x", &tip).await.unwrap();
    assert_eq!(deleted, DeletedBranch::Deleted);
}

/// Somebody pushes after the look and before the deletion.
#[tokio::test]
async fn a_branch_that_moves_at_the_last_moment_is_not_deleted() {
    let world = World::new();
    let ours = world.push("task/x", &[("a", Some("1"))]);
    let rule = fault("POST /graphql").when(When::Nth(2)).action(Action::Hold { after_effect: false });
    let rule = world.simulator.faults.set(rule);
    let (client, repository) = (world.client.clone(), world.repository.clone());
    let deletion = tokio::spawn(async move { client.delete_branch_at(&repository, "task/x", &ours).await });
    let held = || world.simulator.faults.list().iter().any(|active| active.id == rule && active.held > 0);
    let waited = async {
        while !held() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.expect("the deletion is on its way");
    let theirs = world.push("task/x", &[("a", Some("2"))]);
    world.simulator.faults.remove(rule);
    assert_eq!(deletion.await.unwrap(), Ok(DeletedBranch::Elsewhere));
    assert_eq!(world.client.get_branch_sha(&world.repository, "task/x").await.unwrap(), Some(theirs));
}

#[tokio::test]
async fn checks_are_read_of_runs_and_of_statuses() {
    let world = World::new();
    let tip = world.tip().await;
    assert_eq!(world.client.get_checks(&world.repository, &tip).await.unwrap(), []);
    let run = |name: &str, conclusion: Option<&str>| SetCheck {
        name: name.to_owned(),
        conclusion: conclusion.map(str::to_owned),
        ..Default::default()
    };
    let runs = vec![
        run("ci", Some("success")),
        run("docs", Some("skipped")),
        run("lint", Some("cancelled")),
        run("slow", None),
    ];
    world.simulator.github.set_checks(&world.full_name(), &tip, runs).unwrap();
    let checks = world.client.get_checks(&world.repository, &tip).await.unwrap();
    let expected = [
        ("ci", CheckState::Passed),
        ("docs", CheckState::Passed),
        ("lint", CheckState::Failed),
        ("slow", CheckState::Running),
    ];
    for (name, state) in expected {
        assert!(checks.contains(&Check { name: name.to_owned(), state }), "{name} in {checks:?}");
    }
    let status = "GET /repos/{owner}/{repo}/commits/{ref}/status";
    let body = r#"{"state":"failure","statuses":[{"context":"old-ci","state":"error"},{"context":"bot","state":"pending"}]}"#;
    world.simulator.faults.set(fault(status).action(raw(200, body)));
    let checks = world.client.get_checks(&world.repository, &tip).await.unwrap();
    for (name, state) in [("old-ci", CheckState::Failed), ("bot", CheckState::Running)] {
        assert!(checks.contains(&Check { name: name.to_owned(), state }), "{name} in {checks:?}");
    }
}
