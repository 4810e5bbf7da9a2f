//! Repositories with manners: replicas that lag, checks that come late, rules of merging, branches that go with their pull request.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::Options;
use slipway_simulator::github::{Check, Manners, Token};

use crate::support::{DEMO, TOKEN, call, client, open_pull, simulator};

#[tokio::test]
async fn what_was_just_made_is_shown_only_after_the_lag() {
    let simulator = simulator(Options::default());
    let manners = Manners { lag_seconds: 5, ..Manners::default() };
    simulator.github.set_manners(DEMO, manners).expect("set");
    let api = async |method: Method, path: String, body: Value| {
        call(&simulator, method, &format!("/repos/{DEMO}{path}"), body).await.expect("an answer")
    };
    let tip = simulator.github.branch(DEMO, "main").expect("main");
    let (_, base) = api(Method::GET, format!("/git/commits/{tip}"), json!({})).await;
    let entry = json!({"path": "a", "mode": "100644", "type": "blob", "content": "a"});
    let tree = json!({"base_tree": base["tree"]["sha"], "tree": [entry]});
    let (_, tree) = api(Method::POST, "/git/trees".into(), tree).await;
    let commit = json!({"message": "m", "tree": tree["sha"], "parents": [tip]});
    let (status, commit) = api(Method::POST, "/git/commits".into(), commit).await;
    assert_eq!(status, StatusCode::CREATED);
    let sha = commit["sha"].as_str().expect("a SHA").to_owned();
    let branch = json!({"ref": "refs/heads/b", "sha": sha});
    let (status, body) = api(Method::POST, "/git/refs".into(), branch.clone()).await;
    assert_eq!(
        (status, body["message"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("Object does not exist"))
    );
    assert_eq!(api(Method::GET, format!("/git/commits/{sha}"), json!({})).await.0, StatusCode::NOT_FOUND);
    let pull = json!({"title": "t", "head": "b", "base": "main"});
    let mut steps = Vec::new();
    for (method, path, body, shown) in
        [(Method::POST, "/git/refs", branch, "/git/ref/heads/b"), (Method::POST, "/pulls", pull, "/pulls/1")]
    {
        simulator.clock.advance(Duration::from_secs(6));
        steps.push(api(method, path.into(), body).await.0.as_u16());
        steps.push(api(Method::GET, shown.into(), json!({})).await.0.as_u16());
    }
    assert_eq!(steps, [201, 404, 201, 404]);
    assert_eq!(api(Method::GET, "/pulls?head=acme:b".into(), json!({})).await.1, json!([]));
    simulator.clock.advance(Duration::from_secs(6));
    assert_eq!(api(Method::GET, "/pulls/1".into(), json!({})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn checks_appear_some_time_after_the_push() {
    let simulator = simulator(Options::default());
    let checks = vec![Check { name: "build".into(), conclusion: Some("success".into()), ..Check::default() }];
    let manners = Manners { checks, checks_after_seconds: 30, ..Manners::default() };
    simulator.github.set_manners(DEMO, manners).expect("set");
    open_pull(&simulator, "b");
    let count = async || {
        let path = format!("/repos/{DEMO}/commits/b/check-runs");
        call(&simulator, Method::GET, &path, json!({})).await.expect("an answer").1["total_count"].clone()
    };
    assert_eq!(count().await, 0);
    simulator.clock.advance(Duration::from_secs(31));
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn rules_of_merging_are_refused_in_githubs_words_and_a_merged_branch_may_go() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    let merge = async |method: &str| {
        let path = format!("/repos/{DEMO}/pulls/{number}/merge");
        let (status, body) =
            call(&simulator, Method::PUT, &path, json!({"merge_method": method})).await.expect("an answer");
        (status.as_u16(), body["message"].as_str().unwrap_or_default().to_owned())
    };
    let squash_only = Manners { merge_methods: vec!["squash".into()], ..Manners::default() };
    simulator.github.set_manners(DEMO, squash_only.clone()).expect("set");
    let refused = merge("merge").await;
    assert_eq!(refused, (405, "Merge commits are not allowed on this repository.".to_owned()));
    let queue = Manners { merge_queue: true, ..Manners::default() };
    simulator.github.set_manners(DEMO, queue).expect("set");
    assert!(merge("merge").await.1.contains("through the merge queue"));
    let signed = Manners { signed_commits: true, ..Manners::default() };
    simulator.github.set_manners(DEMO, signed).expect("set");
    assert!(merge("merge").await.1.contains("must have verified signatures"));
    let goes = Manners { delete_merged_branches: true, ..squash_only };
    simulator.github.set_manners(DEMO, goes).expect("set");
    assert_eq!(merge("squash").await.0, 200);
    assert_eq!(simulator.github.branch(DEMO, "b"), None);
}

#[tokio::test]
async fn an_etag_is_its_tokens_own_and_updated_at_may_move_alone() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    simulator.github.add_token(Token::personal("another", "slipway-bot"));
    let url = format!("{}/repos/{DEMO}/pulls", simulator.github_url());
    let get = async |token: &str, etag: Option<&str>| {
        let request = client().get(&url).bearer_auth(token);
        let request = etag.into_iter().fold(request, |request, etag| request.header("if-none-match", etag));
        let answer = request.send().await.expect("an answer");
        let etag = answer.headers()["etag"].to_str().expect("text").to_owned();
        (answer.status().as_u16(), etag)
    };
    let (_, etag) = get(TOKEN, None).await;
    assert_eq!(get(TOKEN, Some(&etag)).await.0, 304);
    assert_eq!(get("another", Some(&etag)).await.0, 200);
    simulator.clock.advance(Duration::from_mins(1));
    simulator.github.touch(DEMO, number).expect("touched");
    assert_eq!(get(TOKEN, Some(&etag)).await.0, 200);
}

#[tokio::test]
async fn files_and_pull_requests_are_refused_in_githubs_words() {
    let simulator = simulator(Options::default());
    let manners = Manners {
        refuses_workflows: true,
        secrets: vec!["AKIA-CANARY".into()],
        pull_interval_seconds: 30,
        ..Manners::default()
    };
    simulator.github.set_manners(DEMO, manners).expect("set");
    let api = async |path: &str, body: Value| {
        let path = format!("/repos/{DEMO}{path}");
        let (status, body) = call(&simulator, Method::POST, &path, body).await.expect("an answer");
        (status.as_u16(), body.to_string())
    };
    let tree = |path: &str, content: &str| json!({"tree": [{"path": path, "mode": "100644", "type": "blob", "content": content}]});
    assert_eq!(api("/git/trees", tree("a", "harmless")).await.0, 201);
    assert_eq!(api("/git/trees", tree(".github/workflows/ci.yml", "on: push")).await.0, 404);
    for refused in [
        api("/git/trees", tree("a", "key=AKIA-CANARY")).await,
        api("/git/blobs", json!({"content": "key=AKIA-CANARY"})).await,
    ] {
        assert!(refused.0 == 409 && refused.1.contains("Secret detected"), "{refused:?}");
    }
    for branch in ["b", "c"] {
        simulator.github.push(DEMO, branch, &[(branch, Some("x"))], "m").expect("pushed");
    }
    let pull = |head: &str| json!({"title": "t", "head": head, "base": "main"});
    assert_eq!(api("/pulls", pull("b")).await.0, 201);
    let refused = api("/pulls", pull("c")).await;
    assert!(refused.0 == 422 && refused.1.contains("was submitted too quickly"), "{refused:?}");
    simulator.clock.advance(Duration::from_secs(31));
    assert_eq!(api("/pulls", pull("c")).await.0, 201);
}

#[tokio::test]
async fn lists_show_what_others_have_under_the_same_name() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    simulator.github.set_manners(DEMO, Manners { foreign_pulls: true, ..Manners::default() }).expect("set");
    let list = async |query: &str| {
        let path = format!("/repos/{DEMO}/pulls{query}");
        let (_, body) = call(&simulator, Method::GET, &path, json!({})).await.expect("an answer");
        body.as_array().cloned().unwrap_or_default()
    };
    let all = list("?state=all").await;
    assert_eq!(all.len(), 3);
    assert_eq!((&all[0]["state"], &all[0]["head"]["ref"]), (&json!("closed"), &json!("b")));
    assert_ne!(all[0]["head"]["repo"]["id"], all[0]["base"]["repo"]["id"]);
    assert!(all[1]["head"]["repo"].is_null());
    assert_eq!(all[2]["number"], number);
    assert_eq!(list("?head=acme:b").await.len(), 1);
}
