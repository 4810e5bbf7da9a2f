//! The merge queue: in by GraphQL with the head's SHA, followed, out again, merged by the queue itself.
//! `branch_rules` has the rules that send a pull request there.

use http::Method;
use serde_json::{Value, json};
use slipway_simulator::github::{BranchRule, Check, Delivery, Manners, QueueStep, RemovalReason, RuleKind};
use slipway_simulator::{Options, Simulator};

use crate::support::{DEADLINE, DEMO, Receiver, call, git, open_pull, simulator};

const ENQUEUE: &str = "mutation($input: EnqueuePullRequestInput!) { enqueuePullRequest(input: $input) {
    mergeQueueEntry { id position state estimatedTimeToMerge enqueuer { login } pullRequest { number headRefOid } } } }";
const DEQUEUE: &str = "mutation($input: DequeuePullRequestInput!) { dequeuePullRequest(input: $input) {
    mergeQueueEntry { state pullRequest { number isInMergeQueue } } } }";
const FOLLOW: &str = "query($id: ID!) { node(id: $id) { ... on PullRequest { state merged mergedBy { login } isInMergeQueue
    isMergeQueueEnabled mergeCommit { oid } mergeQueueEntry { position state headCommit { oid } baseCommit { oid } }
    mergeQueue { configuration { mergeMethod } entries(first: 10) { totalCount nodes { position } } } autoMergeRequest { enabledAt }
    timelineItems(itemTypes: [REMOVED_FROM_MERGE_QUEUE_EVENT], last: 1) { nodes { ... on RemovedFromMergeQueueEvent { reason } } } } } }";

/// `acme/demo`, whose default branch has a queue that squashes, and requires the check `build`.
fn queued() -> Simulator {
    let simulator = simulator(Options::default());
    let rule = |kind, parameters: &Value| BranchRule::new("~DEFAULT_BRANCH", kind, parameters);
    let checks = json!({ "required_status_checks": [{ "context": "build" }] });
    let queue = json!({ "merge_method": "SQUASH" });
    let rules = vec![rule(RuleKind::MergeQueue, &queue), rule(RuleKind::RequiredStatusChecks, &checks)];
    simulator.github.set_rules(DEMO, rules).expect("set");
    let build = Check { name: "build".into(), conclusion: Some("success".into()), ..Check::default() };
    let manners = Manners { checks: vec![build], ..Manners::default() };
    simulator.github.set_manners(DEMO, manners).expect("set");
    simulator
}

async fn graphql(simulator: &Simulator, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    let (status, answer) = call(simulator, Method::POST, "/graphql", body).await.expect("an answer");
    assert_eq!(status.as_u16(), 200, "GraphQL refuses with 200: {answer}");
    answer
}

fn id_of(simulator: &Simulator, number: u64) -> Value {
    simulator.github.pull(DEMO, number).expect("a pull request")["node_id"].clone()
}

async fn enqueue(simulator: &Simulator, number: u64, more: Value) -> Value {
    let mut input = json!({ "pullRequestId": id_of(simulator, number) });
    if let (Some(input), Some(more)) = (input.as_object_mut(), more.as_object()) {
        input.extend(more.clone());
    }
    graphql(simulator, ENQUEUE, json!({ "input": input })).await
}

async fn follow(simulator: &Simulator, number: u64) -> Value {
    graphql(simulator, FOLLOW, json!({ "id": id_of(simulator, number) })).await["data"]["node"].clone()
}

fn refusal(answer: &Value) -> (&str, &str) {
    let error = &answer["errors"][0];
    (error["type"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_pull_request_is_enqueued_with_its_head_and_merged_by_the_queues_own_method() {
    let simulator = queued();
    let number = open_pull(&simulator, "b");
    let head = simulator.github.branch(DEMO, "b").expect("b");
    let answer = enqueue(&simulator, number, json!({ "expectedHeadOid": head })).await;
    let entry = &answer["data"]["enqueuePullRequest"]["mergeQueueEntry"];
    assert_eq!((&entry["position"], &entry["state"]), (&json!(1), &json!("QUEUED")), "{answer}");
    assert_eq!(entry["pullRequest"], json!({ "number": number, "headRefOid": head }));
    let path = format!("/repos/{DEMO}/pulls/{number}/merge");
    let (status, body) = call(&simulator, Method::PUT, &path, json!({})).await.expect("an answer");
    assert_eq!((status.as_u16(), &body["message"]), (405, &json!("Pull Request is in the merge queue.")));
    let step = |step: QueueStep| simulator.github.queue_step(DEMO, number, step).expect("a step");
    step(QueueStep::Build);
    let seen = follow(&simulator, number).await;
    assert_eq!(seen["mergeQueueEntry"]["state"], "AWAITING_CHECKS");
    let group = seen["mergeQueueEntry"]["headCommit"]["oid"].as_str().expect("a group").to_owned();
    let base = simulator.github.branch(DEMO, "main").expect("main");
    assert_eq!(seen["mergeQueueEntry"]["baseCommit"]["oid"], base);
    let branch = format!("gh-readonly-queue/main/pr-{number}-{base}");
    assert_eq!(simulator.github.branch(DEMO, &branch).as_ref(), Some(&group));
    step(QueueStep::Mergeable);
    assert_eq!(follow(&simulator, number).await["mergeQueueEntry"]["state"], "MERGEABLE");
    step(QueueStep::Merge);
    let seen = follow(&simulator, number).await;
    assert_eq!(
        (&seen["state"], &seen["merged"], &seen["isInMergeQueue"]),
        (&json!("MERGED"), &json!(true), &json!(false))
    );
    assert_eq!(seen["mergeCommit"]["oid"], group, "what was checked is what was merged");
    assert_eq!(seen["mergedBy"]["login"], "github-merge-queue");
    assert_eq!(seen["timelineItems"]["nodes"][0]["reason"], "merged");
    assert_eq!(simulator.github.branch(DEMO, "main").as_ref(), Some(&group));
    assert_eq!(simulator.github.branch(DEMO, &branch), None);
    let directory = simulator.github.git_dir(DEMO).expect("a directory");
    let parents = git(&directory, &["rev-list", "--parents", "-n1", "main"]);
    assert_eq!(parents.trim(), format!("{group} {base}"), "squashed");
}

#[tokio::test]
async fn what_is_not_ready_is_refused_in_githubs_words() {
    let simulator = queued();
    let number = open_pull(&simulator, "b");
    let head = simulator.github.branch(DEMO, "b").expect("b");
    let unprocessable = |answer: &Value, message: &str| {
        assert_eq!(refusal(answer), ("UNPROCESSABLE", message), "{answer}");
        assert_eq!(answer["data"], json!({ "enqueuePullRequest": null }));
    };
    let stale = enqueue(&simulator, number, json!({ "expectedHeadOid": "0".repeat(40) })).await;
    let message =
        format!("Failed to add PR #{number}: expected head oid does not match the current head oid");
    unprocessable(&stale, &message);
    let set = |conclusion: Option<&str>| {
        let build =
            Check { name: "build".into(), conclusion: conclusion.map(str::to_owned), ..Check::default() };
        simulator.github.set_checks(DEMO, &head, vec![build]).expect("set");
    };
    simulator.github.set_checks(DEMO, &head, Vec::new()).expect("set");
    let expected = "Pull request Required status check \"build\" is expected.";
    unprocessable(&enqueue(&simulator, number, json!({})).await, expected);
    set(Some("failure"));
    let failing = "Pull request Required status check \"build\" is failing.";
    unprocessable(&enqueue(&simulator, number, json!({})).await, failing);
    simulator.github.draft(DEMO, number).expect("a draft");
    unprocessable(&enqueue(&simulator, number, json!({})).await, "Pull request is in draft state");
    simulator.github.ready(DEMO, number).expect("ready");
    // A check that runs is no reason to wait outside.
    set(None);
    assert_eq!(enqueue(&simulator, number, json!({})).await.get("errors"), None);
    unprocessable(&enqueue(&simulator, number, json!({})).await, "Pull request is already in the queue");
    let other = open_pull(&simulator, "conflict");
    simulator.github.push(DEMO, "conflict", &[("README.md", Some("theirs"))], "Theirs").expect("pushed");
    simulator.github.push(DEMO, "main", &[("README.md", Some("ours"))], "Ours").expect("pushed");
    unprocessable(&enqueue(&simulator, other, json!({})).await, "Pull request is not mergeable");
    simulator.github.close(DEMO, other).expect("closed");
    unprocessable(&enqueue(&simulator, other, json!({})).await, "Pull request is not open");
    let nobody = graphql(&simulator, ENQUEUE, json!({ "input": { "pullRequestId": "PR_none" } })).await;
    assert_eq!(
        refusal(&nobody),
        ("NOT_FOUND", "Could not resolve to a node with the global id of 'PR_none'")
    );
    // The two inputs call the id by different names.
    let odd = graphql(&simulator, DEQUEUE, json!({ "input": { "pullRequestId": "x" } })).await;
    let message = "InputObject 'DequeuePullRequestInput' doesn't accept argument 'pullRequestId'";
    assert_eq!((odd.get("data"), &odd["errors"][0]["message"]), (None, &json!(message)));
}

#[tokio::test]
async fn a_document_that_does_not_fit_is_not_run_at_all() {
    let simulator = queued();
    let number = open_pull(&simulator, "b");
    let repository = |inner: &str| format!("{{ repository(owner: \"acme\", name: \"demo\") {{ {inner} }} }}");
    for (document, message) in [
        (
            repository("pullRequest(number: $n) { id }"),
            "Variable $n is used by anonymous query but not declared",
        ),
        (
            format!("query($n: Int!) {}", repository("id")),
            "Variable $n is declared by anonymous query but not used",
        ),
        (
            format!("query($n: Int!) {}", repository("pullRequest(number: $n) { id }")),
            "Variable $n of type Int! was provided invalid value",
        ),
        (
            repository("pullRequest(number: 1) { position }"),
            "Field 'position' doesn't exist on type 'PullRequest'",
        ),
        (
            repository("pullRequest(number: 1) { mergeQueue }"),
            "Field must have selections (field 'mergeQueue' returns an object but has no selections. Did you mean \
             'mergeQueue { ... }'?)",
        ),
        (
            repository("pullRequest(number: 1) { state { name } }"),
            "Selections can't be made on scalars (field 'state')",
        ),
    ] {
        let answer = graphql(&simulator, &document, json!({})).await;
        assert_eq!(
            (answer.get("data"), &answer["errors"][0]["message"]),
            (None, &json!(message)),
            "{document}"
        );
    }
    let gone = graphql(&simulator, &repository("pullRequest(number: 99) { id }"), json!({})).await;
    let told = ("NOT_FOUND", "Could not resolve to a PullRequest with the number of 99.");
    assert_eq!((refusal(&gone), &gone["data"]["repository"]["pullRequest"]), (told, &Value::Null));
    let whole = format!(
        "pullRequest(number: {number}) {{ statusCheckRollup {{ contexts {{ nodes {{ __typename }} }} }} }}"
    );
    let answer = graphql(&simulator, &repository(&whole), json!({})).await;
    assert_eq!(refusal(&answer).0, "MISSING_PAGINATION_BOUNDARIES", "{answer}");
    let count = whole.replace("nodes { __typename }", "totalCount");
    assert_eq!(
        graphql(&simulator, &repository(&count), json!({})).await.get("errors"),
        None,
        "counting is free"
    );
}

#[tokio::test]
async fn a_queued_branch_is_locked_until_it_is_dequeued() {
    let simulator = queued();
    let number = open_pull(&simulator, "b");
    let head = simulator.github.branch(DEMO, "b").expect("b");
    enqueue(&simulator, number, json!({})).await;
    let path = format!("/repos/{DEMO}/git/refs/heads/b");
    let main = simulator.github.branch(DEMO, "main").expect("main");
    for (method, body) in
        [(Method::PATCH, json!({ "sha": main, "force": true })), (Method::DELETE, json!({}))]
    {
        let (status, body) = call(&simulator, method, &path, body).await.expect("an answer");
        assert_eq!(status.as_u16(), 422);
        let message = body["message"].as_str().expect("a message");
        assert!(message.contains("Branches that\nare queued for merging cannot be updated."), "{message}");
        assert_eq!(body["documentation_url"], "https://docs.github.com/articles/about-protected-branches");
    }
    let refused = simulator.github.push(DEMO, "b", &[("more", Some("x"))], "More").expect_err("refused");
    assert_eq!((refused.status, simulator.github.branch(DEMO, "b")), (422, Some(head)));
    let dequeue =
        async || graphql(&simulator, DEQUEUE, json!({ "input": { "id": id_of(&simulator, number) } })).await;
    let answer = dequeue().await;
    let entry = &answer["data"]["dequeuePullRequest"]["mergeQueueEntry"];
    assert_eq!(entry["pullRequest"]["isInMergeQueue"], false, "{answer}");
    assert_eq!(follow(&simulator, number).await["timelineItems"]["nodes"][0]["reason"], "manual");
    let failed = format!("Failed to remove PR #{number} \"Add b.txt\"");
    assert_eq!(refusal(&dequeue().await), ("UNPROCESSABLE", failed.as_str()));
    // GitHub may say so and have done it.
    let silent = Manners { dequeues_in_silence: true, ..Manners::default() };
    simulator.github.set_manners(DEMO, silent).expect("set");
    let head = simulator.github.push(DEMO, "b", &[("more", Some("x"))], "More").expect("pushed");
    let build = Check { name: "build".into(), conclusion: Some("success".into()), ..Check::default() };
    simulator.github.set_checks(DEMO, &head, vec![build]).expect("set");
    assert_eq!(enqueue(&simulator, number, json!({})).await.get("errors"), None);
    // What is about to be merged stays.
    simulator.github.queue_step(DEMO, number, QueueStep::Lock).expect("locked");
    assert_eq!(refusal(&dequeue().await).0, "UNPROCESSABLE");
    assert_eq!(follow(&simulator, number).await["isInMergeQueue"], true);
    simulator.github.queue_step(DEMO, number, QueueStep::Mergeable).expect("unlocked");
    assert_eq!(refusal(&dequeue().await), ("UNPROCESSABLE", failed.as_str()));
    assert_eq!(follow(&simulator, number).await["isInMergeQueue"], false);
}

#[tokio::test]
async fn those_behind_are_built_again_when_one_leaves_and_one_may_jump() {
    let simulator = queued();
    let numbers: Vec<u64> = ["a", "b", "c"].iter().map(|branch| open_pull(&simulator, branch)).collect();
    for number in &numbers[..2] {
        enqueue(&simulator, *number, json!({})).await;
        simulator.github.queue_step(DEMO, *number, QueueStep::Build).expect("built");
    }
    let group = async |number: u64| follow(&simulator, number).await["mergeQueueEntry"].clone();
    let (first, second) = (group(numbers[0]).await, group(numbers[1]).await);
    assert_eq!(second["baseCommit"], first["headCommit"], "one stands on the other");
    let answer = enqueue(&simulator, numbers[2], json!({ "jump": true })).await;
    assert_eq!(answer["data"]["enqueuePullRequest"]["mergeQueueEntry"]["position"], 1);
    assert_eq!(group(numbers[1]).await["headCommit"], Value::Null, "no longer what will be merged");
    let step = |number, step| simulator.github.queue_step(DEMO, number, step);
    assert_eq!(step(numbers[0], QueueStep::Merge).expect_err("not its turn").status, 422);
    step(numbers[2], QueueStep::Merge).expect("merged");
    step(numbers[0], QueueStep::Build).expect("built");
    step(numbers[1], QueueStep::Build).expect("built");
    step(numbers[0], QueueStep::Unmergeable).expect("unmergeable");
    assert_eq!(group(numbers[0]).await["state"], "UNMERGEABLE");
    step(numbers[0], QueueStep::Remove { reason: RemovalReason::CiFailure }).expect("removed");
    let seen = follow(&simulator, numbers[0]).await;
    assert_eq!((&seen["state"], &seen["mergeQueueEntry"]), (&json!("OPEN"), &Value::Null));
    assert_eq!(seen["timelineItems"]["nodes"][0]["reason"], "failed_checks");
    let left = group(numbers[1]).await;
    assert_eq!((&left["position"], &left["state"]), (&json!(1), &json!("QUEUED")));
    // What does not fit on what was merged meanwhile is thrown out when it is built.
    simulator.github.push(DEMO, "main", &[("b.txt", Some("theirs\n"))], "Theirs").expect("pushed");
    step(numbers[1], QueueStep::Build).expect("tried");
    let seen = follow(&simulator, numbers[1]).await;
    assert_eq!(seen["timelineItems"]["nodes"][0]["reason"], "merge_conflict");
    assert_eq!(seen["mergeQueue"]["entries"]["totalCount"], 0);
}

#[tokio::test]
async fn the_hooks_are_told_who_enters_and_who_leaves_and_why() {
    let simulator = queued();
    let receiver = Receiver::start().await;
    let events = ["pull_request", "merge_group"];
    simulator.github.add_hook(DEMO, &receiver.url(), "a secret of sixteen bytes", &events).expect("a hook");
    let number = open_pull(&simulator, "b");
    enqueue(&simulator, number, json!({})).await;
    simulator.github.close(DEMO, number).expect("closed");
    simulator.github.reopen(DEMO, number).expect("reopened");
    enqueue(&simulator, number, json!({})).await;
    for step in [QueueStep::Build, QueueStep::Merge] {
        simulator.github.queue_step(DEMO, number, step).expect("a step");
    }
    let row = |one: &Delivery| {
        let payload = one.payload();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (word(&payload["action"]), word(&payload["reason"]), word(&payload["sender"]["login"]))
    };
    let told = simulator
        .github
        .deliveries
        .wait_for(DEADLINE, |all| (all.len() >= 11).then(|| all[1..].iter().map(row).collect::<Vec<_>>()));
    let told = told.await.expect("all of them");
    let bot = "github-merge-queue[bot]";
    let expected = [
        ("opened", "", "reviewer"),
        ("enqueued", "", "slipway-bot"),
        ("dequeued", "MANUAL", "reviewer"),
        ("closed", "", "reviewer"),
        ("reopened", "", "reviewer"),
        ("enqueued", "", "slipway-bot"),
        ("checks_requested", "", bot),
        ("destroyed", "merged", bot),
        ("dequeued", "MERGE", bot),
        ("closed", "", bot),
    ];
    let expected = expected.map(|(action, reason, by)| (action.into(), reason.into(), by.into()));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_control_side_sets_rules_adds_checks_and_moves_the_queue() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    let post = async |path: String, body: Value| {
        let url = format!("{}/github/repos/{DEMO}/{path}", simulator.control_url());
        let answer = crate::support::client().post(url).json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    };
    let rules = json!({ "rules": [{ "branch": "main", "type": "merge_queue" }] });
    assert_eq!(post("rules".into(), rules).await.0, 200);
    let check = json!({ "sha": sha, "check": { "name": "build", "conclusion": "neutral" } });
    assert_eq!(post("checks/add".into(), check).await.0, 200);
    assert_eq!(post(format!("pulls/{number}/queue"), json!({ "step": "build" })).await.0, 404, "not in it");
    enqueue(&simulator, number, json!({})).await;
    for step in [json!({ "step": "build" }), json!({ "step": "remove", "reason": "CI_TIMEOUT" })] {
        assert_eq!(post(format!("pulls/{number}/queue"), step).await.0, 200);
    }
    assert_eq!(follow(&simulator, number).await["timelineItems"]["nodes"][0]["reason"], "ci_timeout");
    assert_eq!(post(format!("pulls/{number}/queue"), json!({ "step": "jump" })).await.0, 400);
}
