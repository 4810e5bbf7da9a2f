//! Rules of a branch and the merge queue, over the adapter: what a pull request needs, into the queue, out of it, and a locked head.
//! What follows from it the Task controller decides.

use crate::{
    app_support::{AppWorld, INSTALLATION, all_permissions, told},
    support::{World, author, fault},
};
use serde_json::{Value, json};
use slipway::{
    domain::failure::Class,
    github::{
        BranchRules, CheckState, CreatedPull, Dequeued, Enqueued, MergeMethod, MergeQueueRule, Merged,
        NewCommit, NewPull, OtherRule, Pull, PullState, QueueEntry, QueueEntryState, RequiredCheck,
        ReviewDecision,
    },
};
use slipway_simulator::{
    core::{Action, When},
    github::{BranchRule, Check, Manners, QueueStep, RuleKind},
};
use std::collections::BTreeMap;

const GRAPHQL: &str = "POST /graphql";
const RULES: &str = "GET /repos/{owner}/{repo}/rules/branches/{branch}";
/// The App of GitHub Actions.
const ACTIONS: u64 = 15368;

fn rule(kind: RuleKind, parameters: &Value) -> BranchRule {
    BranchRule::new("main", kind, parameters)
}

fn check(name: &str, conclusion: Option<&str>) -> Check {
    Check { name: name.into(), conclusion: conclusion.map(str::to_owned), ..Check::default() }
}

impl World {
    /// A default branch with a queue that squashes, and the check `build` required.
    fn queued() -> Self {
        let world = Self::new();
        let checks = json!({ "required_status_checks": [{ "context": "build" }] });
        world.rules(vec![
            rule(RuleKind::MergeQueue, &json!({ "merge_method": "SQUASH" })),
            rule(RuleKind::RequiredStatusChecks, &checks),
        ]);
        world
    }

    fn rules(&self, rules: Vec<BranchRule>) {
        self.simulator.github.set_rules(&self.full_name(), rules).unwrap();
    }

    fn checks(&self, sha: &str, checks: Vec<Check>) {
        self.simulator.github.set_checks(&self.full_name(), sha, checks).unwrap();
    }

    fn step(&self, number: u64, step: QueueStep) {
        self.simulator.github.queue_step(&self.full_name(), number, step).unwrap();
    }

    async fn opened(&self, branch: &str) -> Pull {
        self.push(branch, &[(branch, Some("x"))]);
        let new = NewPull {
            title: "A".into(),
            head: branch.into(),
            base: "main".into(),
            body: "why".into(),
            draft: false,
        };
        match self.client.create_pull(&self.repository, &new).await.unwrap() {
            CreatedPull::Created(pull) => *pull,
            CreatedPull::AlreadyExists => panic!("it is the first"),
        }
    }

    async fn enqueue(&self, pull: &Pull, sha: &str) -> Enqueued {
        self.client.enqueue(&self.repository, &pull.node_id, sha).await.unwrap()
    }

    async fn in_queue(&self, number: u64) -> bool {
        self.client.queue_state(&self.repository, number).await.unwrap().in_queue
    }
}

#[tokio::test]
async fn rules_of_a_branch_are_read_together_and_cost_nothing_while_they_stay() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    assert_eq!(client.rules_of_branch(repository, "main").await.unwrap(), BranchRules::default());
    let build = json!({ "context": "build", "integration_id": ACTIONS });
    let checks = json!({ "required_status_checks": [build, { "context": "ci/x" }], "strict_required_status_checks_policy": true });
    world.rules(vec![
        rule(RuleKind::RequiredStatusChecks, &checks),
        rule(RuleKind::MergeQueue, &json!({ "merge_method": "REBASE" })),
        rule(
            RuleKind::PullRequest,
            &json!({
                "required_approving_review_count": 2, "required_review_thread_resolution": true,
            }),
        ),
        rule(RuleKind::RequiredSignatures, &Value::Null),
        rule(RuleKind::NonFastForward, &Value::Null),
    ]);
    let expected = BranchRules {
        required_checks: vec![
            RequiredCheck { context: "build".into(), integration_id: Some(ACTIONS) },
            RequiredCheck { context: "ci/x".into(), integration_id: None },
        ],
        strict: true,
        signatures: true,
        merge_queue: Some(MergeQueueRule { merge_method: Some(MergeMethod::Rebase) }),
        approvals: 2,
        others: [OtherRule::Conversations].into(),
    };
    for _ in 0..2 {
        assert_eq!(client.rules_of_branch(repository, "main").await.unwrap(), expected);
    }
    let statuses: Vec<_> =
        world.simulator.calls.of("github", RULES).iter().map(slipway_simulator::core::Call::status).collect();
    assert_eq!(statuses, [Some(200), Some(200), Some(304)]);
    assert_eq!(client.rules_of_branch(repository, "task/größe#1").await.unwrap(), BranchRules::default());
    let many: Vec<_> = (0..101)
        .map(|number| json!({ "required_status_checks": [{ "context": format!("c{number}") }] }))
        .map(|parameters| rule(RuleKind::RequiredStatusChecks, &parameters))
        .collect();
    world.rules(many);
    assert_eq!(client.rules_of_branch(repository, "main").await.unwrap().required_checks.len(), 101);
}

#[tokio::test]
async fn rules_that_the_plan_does_not_show_are_none() {
    let world = AppWorld::new();
    let manners = Manners { plan_without_rules: true, ..Manners::default() };
    world.simulator.github.set_manners(&world.repository.to_string(), manners).unwrap();
    let rules = world.client().rules_of_branch(&world.repository, "main").await.unwrap();
    assert_eq!(rules, BranchRules::default());
    let gone = slipway::github::RepositoryName::new("acme", "gone");
    let (class, reason, _) = told(world.client().rules_of_branch(&gone, "main").await);
    assert_eq!((class, reason), (Class::NotFound, "RepositoryNotFound"));
}

#[tokio::test]
async fn a_pull_request_goes_into_the_queue_at_its_head_and_is_merged_by_it() {
    let world = World::queued();
    let pull = world.opened("task/a").await;
    let (number, head) = (pull.number, pull.head.sha.clone());
    let waits = world.enqueue(&pull, &head).await;
    assert!(
        matches!(&waits, Enqueued::NotYet { message } if message.contains("\"build\" is expected")),
        "{waits:?}"
    );
    world.checks(&head, vec![check("build", Some("failure"))]);
    let waits = world.enqueue(&pull, &head).await;
    assert!(matches!(&waits, Enqueued::NotYet { message } if message.contains("failing")), "{waits:?}");
    world.checks(&head, vec![check("build", None)]);
    assert_eq!(world.enqueue(&pull, &"0".repeat(40)).await, Enqueued::HeadChanged);
    assert_eq!(
        world.enqueue(&pull, &head).await,
        Enqueued::InQueue,
        "a check that runs is no reason to wait"
    );
    assert_eq!(world.enqueue(&pull, &head).await, Enqueued::InQueue, "again, as after a lost answer");
    let merged =
        world.client.merge_pull(&world.repository, number, &head, MergeMethod::Squash).await.unwrap();
    assert_eq!(merged, Merged::InQueue);
    let state = world.client.queue_state(&world.repository, number).await.unwrap();
    let entry = QueueEntry { position: 1, state: QueueEntryState::Queued, estimated_seconds: Some(300) };
    assert_eq!((state.in_queue, state.entry), (true, Some(entry)));
    for (step, expected) in [
        (QueueStep::Build, QueueEntryState::AwaitingChecks),
        (QueueStep::Mergeable, QueueEntryState::Mergeable),
    ] {
        world.step(number, step);
        let state = world.client.queue_state(&world.repository, number).await.unwrap();
        assert_eq!(state.entry.map(|entry| entry.state), Some(expected));
    }
    world.step(number, QueueStep::Merge);
    let state = world.client.queue_state(&world.repository, number).await.unwrap();
    assert_eq!(
        (state.state, state.merged, state.in_queue, state.entry),
        (PullState::Closed, true, false, None)
    );
}

#[tokio::test]
async fn a_pull_request_leaves_the_queue_and_what_github_says_of_that_is_not_believed() {
    let world = World::queued();
    let pull = world.opened("task/a").await;
    let head = pull.head.sha.clone();
    world.checks(&head, vec![check("build", Some("success"))]);
    let dequeue = async || world.client.dequeue(&world.repository, &pull.node_id).await.unwrap();
    assert_eq!(dequeue().await, Dequeued::Unclear, "it is not in the queue");
    world.enqueue(&pull, &head).await;
    assert_eq!(dequeue().await, Dequeued::Left);
    assert!(!world.in_queue(pull.number).await);
    let manners = Manners { dequeues_in_silence: true, ..Manners::default() };
    world.simulator.github.set_manners(&world.full_name(), manners).unwrap();
    world.enqueue(&pull, &head).await;
    assert_eq!(dequeue().await, Dequeued::Unclear);
    assert!(!world.in_queue(pull.number).await, "and out it is");
    world.enqueue(&pull, &head).await;
    world.step(pull.number, QueueStep::Build);
    world.step(pull.number, QueueStep::Lock);
    assert_eq!(dequeue().await, Dequeued::Unclear);
    assert!(world.in_queue(pull.number).await, "it is about to be merged");
}

#[tokio::test]
async fn the_head_of_a_queued_pull_request_is_locked_and_no_rule_is_blamed_for_it() {
    let world = World::queued();
    let pull = world.opened("task/a").await;
    let head = pull.head.sha.clone();
    world.checks(&head, vec![check("build", Some("success"))]);
    world.enqueue(&pull, &head).await;
    let tree = world.client.get_commit(&world.repository, &head).await.unwrap().unwrap().tree;
    let date = jiff::Timestamp::UNIX_EPOCH;
    let new =
        NewCommit { message: "m".into(), tree, parents: vec![head.clone()], author: Some(author()), date };
    let next = world.client.create_commit(&world.repository, &new).await.unwrap().sha;
    let (class, reason, message) = told(world.client.update_ref(&world.repository, "task/a", &next).await);
    assert_eq!((class, reason), (Class::Transient, "InMergeQueue"), "{message}");
    let (class, reason, _) = told(world.client.delete_branch_at(&world.repository, "task/a", &head).await);
    assert_eq!((class, reason), (Class::Transient, "InMergeQueue"));
}

#[tokio::test]
async fn checks_are_told_with_what_is_required_of_them_page_by_page() {
    let world = World::queued();
    world.rules(vec![
        rule(
            RuleKind::RequiredStatusChecks,
            &json!({ "required_status_checks": [{ "context": "build" }, { "context": "ci/x" }] }),
        ),
        rule(RuleKind::PullRequest, &json!({ "required_approving_review_count": 1 })),
    ]);
    let pull = world.opened("task/a").await;
    let state = world.client.queue_state(&world.repository, pull.number).await.unwrap();
    assert_eq!((state.id.as_str(), state.head_sha.as_str()), (pull.node_id.as_str(), pull.head.sha.as_str()));
    assert_eq!((state.state, state.merged, state.draft), (PullState::Open, false, false));
    assert_eq!((state.rollup, state.checks.len(), state.in_queue, state.entry), (None, 0, false, None));
    assert_eq!(state.review_decision, Some(ReviewDecision::ReviewRequired));
    let mut checks: Vec<_> = (0..120).map(|number| check(&format!("c{number}"), Some("success"))).collect();
    checks.push(check("build", Some("skipped")));
    checks.push(Check { commit_status: true, ..check("ci/x", None) });
    world.checks(&pull.head.sha, checks);
    let before = world.calls(GRAPHQL);
    let state = world.client.queue_state(&world.repository, pull.number).await.unwrap();
    assert_eq!(world.calls(GRAPHQL), before + 2);
    assert_eq!((state.checks.len(), state.rollup, state.unread), (122, Some(CheckState::Running), None));
    assert_eq!(state.merge_state, "blocked");
    let required: Vec<_> = state.checks.iter().filter(|check| check.required).collect();
    let told: Vec<_> = required.iter().map(|check| (check.name.as_str(), check.state, check.app)).collect();
    assert_eq!(told, [("build", CheckState::Passed, Some(ACTIONS)), ("ci/x", CheckState::Running, None)]);
}

#[tokio::test]
async fn what_is_not_shown_is_no_answer_and_what_is_left_out_is_said() {
    let world = World::queued();
    let (class, reason, _) = told(world.client.queue_state(&world.repository, 99).await);
    assert_eq!((class, reason), (Class::NotFound, "PullRequestNotFound"));
    let gone = slipway::github::RepositoryName::new("acme", "gone");
    let (class, reason, _) = told(world.client.queue_state(&gone, 1).await);
    assert_eq!((class, reason), (Class::NotFound, "RepositoryNotFound"));
    let (class, reason, message) = told(world.client.enqueue(&world.repository, "PR_none", "0").await);
    assert_eq!((class, reason), (Class::Denied, "PermissionMissing"), "{message}");
    let pull = world.opened("task/a").await;
    let forbidden = json!([{"type": "FORBIDDEN", "path": ["repository", "pullRequest", "statusCheckRollup"], "message": "Resource not accessible"}]);
    let shown = json!({"id": "PR_1", "state": "OPEN", "merged": false, "headRefOid": "h", "mergeStateStatus": "SOMETHING_NEW",
        "reviewDecision": "NEW", "isInMergeQueue": true, "mergeQueueEntry": {"position": 2, "state": "NEW", "estimatedTimeToMerge": null},
        "statusCheckRollup": null});
    let body = json!({"data": {"repository": {"pullRequest": shown}}, "errors": forbidden}).to_string();
    let action = Action::Status { status: 200, headers: BTreeMap::new(), body, after_effect: false };
    world.simulator.faults.set(fault(GRAPHQL).when(When::Next(1)).action(action));
    let state = world.client.queue_state(&world.repository, pull.number).await.unwrap();
    assert_eq!(state.unread.as_deref(), Some("Resource not accessible"));
    assert_eq!(
        (state.merge_state.as_str(), state.review_decision),
        ("something_new", Some(ReviewDecision::Unknown))
    );
    let entry = QueueEntry { position: 2, state: QueueEntryState::Unknown, estimated_seconds: None };
    assert_eq!((state.rollup, state.entry), (None, Some(entry)));
}

#[tokio::test]
async fn a_base_without_a_queue_is_told_and_an_app_reads_checks_with_a_token_of_their_own() {
    let world = World::new();
    let pull = world.opened("task/a").await;
    assert_eq!(world.enqueue(&pull, &pull.head.sha).await, Enqueued::NoQueue);
    let world = AppWorld::new();
    let mut granted = all_permissions();
    granted.remove("checks");
    world.simulator.github.grant(INSTALLATION, granted).unwrap();
    let (class, reason, message) = told(world.client().queue_state(&world.repository, 1).await);
    assert_eq!((class, reason), (Class::Denied, "PermissionMissing"));
    assert!(message.contains("Checks: read"), "{message}");
    // Its place it may see all the same.
    let (class, reason, _) = told(world.client().queue_place(&world.repository, 1).await);
    assert_eq!((class, reason), (Class::NotFound, "PullRequestNotFound"));
}

#[tokio::test]
async fn a_place_in_the_queue_is_told_without_checks() {
    let world = World::queued();
    let pull = world.opened("task/a").await;
    world.checks(&pull.head.sha, vec![check("build", Some("success"))]);
    assert_eq!(world.enqueue(&pull, &pull.head.sha).await, Enqueued::InQueue);
    let whole = world.client.queue_state(&world.repository, pull.number).await.unwrap();
    let place = world.client.queue_place(&world.repository, pull.number).await.unwrap();
    assert!(place.in_queue && place.entry.is_some() && place.entry == whole.entry, "{place:?}");
    assert!(place.checks.is_empty() && place.unread.is_some() && !whole.checks.is_empty());
}
