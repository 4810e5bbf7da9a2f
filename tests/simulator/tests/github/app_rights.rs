//! What the token of an installation may do: its repositories, its permissions, and what no installation may.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::Simulator;
use slipway_simulator::github::{Installation, Permissions, RepositorySelection};

use crate::app_support::{
    APP, INSTALLATION, Reply, as_app, installed, mint, permissions, say, send, token_of,
};
use crate::support::{DEMO, call, git, open_pull};

const FORBIDDEN: (u16, &str) = (403, "Resource not accessible by integration");
const NEEDS: &str = "x-accepted-github-permissions";

/// Everything there is to grant, so that a token may be cut down to any part of it.
fn grant_all(simulator: &Simulator) {
    let names = [
        "administration",
        "checks",
        "contents",
        "issues",
        "members",
        "pull_requests",
        "repository_hooks",
        "statuses",
        "workflows",
    ];
    let all: Permissions = names.iter().map(|name| ((*name).to_owned(), "write".to_owned())).collect();
    simulator.github.grant(INSTALLATION, all).expect("granted");
}

async fn token_with(simulator: &Simulator, granted: &[(&str, &str)]) -> String {
    token_of(simulator, json!({ "permissions": permissions(granted) })).await
}

async fn post(simulator: &Simulator, token: &str, path: &str, body: Value) -> Reply {
    send(simulator, Method::POST, path, Some(token), body).await
}

async fn get(simulator: &Simulator, token: &str, path: &str) -> Reply {
    send(simulator, Method::GET, path, Some(token), Value::Null).await
}

#[tokio::test]
async fn every_call_names_the_permission_that_it_lacks() {
    let simulator = installed();
    grant_all(&simulator);
    let number = open_pull(&simulator, "b");
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    let refs = "contents=write; contents=write,workflows=write";
    let (read, write) = ("issues=read; pull_requests=read", "issues=write; pull_requests=write");
    let pull = format!("/pulls/{number}");
    let cases = [
        (Method::POST, "/git/blobs".to_owned(), "contents=write"),
        (Method::POST, "/git/trees".into(), refs),
        (Method::POST, "/git/commits".into(), "contents=write"),
        (Method::POST, "/git/refs".into(), refs),
        (Method::PATCH, "/git/refs/heads/b".into(), refs),
        (Method::DELETE, "/git/refs/heads/b".into(), "contents=write"),
        (Method::GET, "/git/ref/heads/b".into(), "contents=read"),
        (Method::GET, "/branches/b".into(), "contents=read"),
        (Method::GET, "/compare/main...b".into(), "contents=read"),
        (Method::GET, "/pulls".into(), "pull_requests=read"),
        (Method::POST, "/pulls".into(), "pull_requests=write"),
        (Method::PATCH, pull.clone(), "pull_requests=write"),
        (Method::PUT, format!("{pull}/merge"), "contents=write"),
        (Method::GET, format!("{pull}/reviews"), "pull_requests=read"),
        (Method::GET, format!("/issues/{number}/comments"), read),
        (Method::POST, format!("/issues/{number}/comments"), write),
        (Method::POST, format!("/issues/{number}/labels"), write),
        (Method::GET, format!("/commits/{sha}/check-runs"), "checks=read"),
        (Method::GET, format!("/commits/{sha}/status"), "statuses=read"),
        (Method::GET, format!("/commits/{sha}/check-suites"), "checks=read"),
        (Method::GET, format!("/commits/{sha}/statuses"), "statuses=read"),
        (Method::GET, "/hooks".into(), "repository_hooks=read"),
        (Method::GET, "/hooks/1/deliveries".into(), "repository_hooks=read"),
        (Method::POST, "/hooks/1/deliveries/1/attempts".into(), "repository_hooks=write"),
        (Method::PATCH, "/hooks/1".into(), "repository_hooks=write"),
        (Method::POST, "/hooks/1/pings".into(), "repository_hooks=write"),
        (Method::POST, "/hooks".into(), "repository_hooks=write"),
        (Method::PATCH, String::new(), "administration=write"),
    ];
    let none = token_with(&simulator, &[("metadata", "read")]).await;
    for (method, path, needs) in cases {
        let body = if method == Method::GET { Value::Null } else { json!({}) };
        let path = format!("/repos/{DEMO}{path}");
        let reply = send(&simulator, method.clone(), &path, Some(&none), body.clone()).await;
        assert_eq!((say(&reply), reply.header(NEEDS)), (FORBIDDEN, needs), "{method} {path}");
        // With it the call comes further, to a success or to what is wrong with it.
        let (name, level) =
            needs.split(';').next().and_then(|one| one.split_once('=')).expect("name and level");
        let enough = token_with(&simulator, &[(name, level)]).await;
        if method != Method::DELETE {
            let reply = send(&simulator, method.clone(), &path, Some(&enough), body).await;
            assert_ne!(reply.status, StatusCode::FORBIDDEN, "{method} {path}: {:?}", reply.body);
            assert_eq!(reply.header(NEEDS), needs);
        }
    }
    // A weaker level is not enough, the other alternative is.
    let reader = token_with(&simulator, &[("contents", "read"), ("pull_requests", "write")]).await;
    let reply =
        post(&simulator, &reader, &format!("/repos/{DEMO}/git/blobs"), json!({ "content": "x" })).await;
    assert_eq!(say(&reply), FORBIDDEN);
    let comments = format!("/repos/{DEMO}/issues/{number}/comments");
    let reply = post(&simulator, &reader, &comments, json!({ "body": "Hello." })).await;
    assert_eq!((reply.status, &reply.body["user"]["login"]), (StatusCode::CREATED, &json!("slipway[bot]")));
    assert_eq!(reply.body["user"]["type"], "Bot");
}

#[tokio::test]
async fn a_private_repository_beyond_the_token_is_not_there_and_a_public_one_is_for_reading() {
    let simulator = installed();
    let both = ["demo".to_owned(), "other".to_owned()];
    simulator
        .github
        .select_repositories(INSTALLATION, RepositorySelection::Selected, &both)
        .expect("selected");
    let token = token_of(&simulator, json!({ "repositories": ["demo"] })).await;
    assert_eq!(get(&simulator, &token, &format!("/repos/{DEMO}")).await.status, StatusCode::OK);
    let blob = json!({ "content": "x" });
    assert_eq!(say(&get(&simulator, &token, "/repos/acme/other").await), (404, "Not Found"));
    assert_eq!(
        say(&post(&simulator, &token, "/repos/acme/other/git/blobs", blob.clone()).await),
        (404, "Not Found")
    );
    let public = json!({ "private": false });
    simulator.github.act("reviewer", &Method::PATCH, "/repos/acme/other", public).expect("public");
    assert_eq!(get(&simulator, &token, "/repos/acme/other/branches/main").await.status, StatusCode::OK);
    assert_eq!(get(&simulator, &token, "/repos/acme/other/pulls").await.status, StatusCode::OK);
    assert_eq!(say(&post(&simulator, &token, "/repos/acme/other/git/blobs", blob).await), FORBIDDEN);
    let listed = get(&simulator, &token, "/installation/repositories").await;
    assert_eq!(
        (&listed.body["total_count"], &listed.body["repositories"][0]["name"]),
        (&json!(1), &json!("demo"))
    );
}

#[tokio::test]
async fn an_installation_is_no_user_and_creates_repositories_for_its_organization_only() {
    let simulator = installed();
    grant_all(&simulator);
    let token = token_of(&simulator, Value::Null).await;
    assert_eq!(say(&get(&simulator, &token, "/user").await), FORBIDDEN);
    assert_eq!(get(&simulator, &token, "/users/acme").await.body["type"], "Organization");
    assert_eq!(say(&post(&simulator, &token, "/user/repos", json!({ "name": "x" })).await), FORBIDDEN);
    let new = json!({ "name": "made", "private": true, "auto_init": true });
    for weak in [
        token_of(&simulator, json!({ "repositories": ["demo"] })).await,
        token_with(&simulator, &[("administration", "read")]).await,
    ] {
        let reply = post(&simulator, &weak, "/orgs/acme/repos", new.clone()).await;
        assert_eq!((say(&reply), reply.header(NEEDS)), (FORBIDDEN, "administration=write"));
    }
    let made = post(&simulator, &token, "/orgs/acme/repos", new).await;
    assert_eq!((made.status, &made.body["full_name"]), (StatusCode::CREATED, &json!("acme/made")));
    // What an App has made it also reaches, though it was never selected.
    assert_eq!(get(&simulator, &token, "/repos/acme/made").await.status, StatusCode::OK);
    let some = mint(&simulator, json!({ "repositories": ["made"] })).await;
    assert_eq!(some.status, StatusCode::CREATED, "{:?}", some.body);

    let own = Installation { id: 8, app_id: APP, account: "slipway-bot".into(), ..Installation::default() };
    simulator.github.install(&own).expect("installed");
    simulator.github.grant(8, permissions(&[("administration", "write")])).expect("granted");
    let reply = as_app(&simulator, Method::POST, "/app/installations/8/access_tokens", Value::Null).await;
    let token = reply.body["token"].as_str().expect("a token").to_owned();
    for path in ["/user/repos", "/orgs/acme/repos"] {
        assert_eq!(say(&post(&simulator, &token, path, json!({ "name": "y" })).await), FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn graphql_refuses_a_draft_to_a_token_without_pull_requests() {
    let simulator = installed();
    let number = open_pull(&simulator, "b");
    let id = simulator.github.pull(DEMO, number).expect("open")["node_id"].clone();
    let query =
        "mutation($id:ID!){convertPullRequestToDraft(input:{pullRequestId:$id}){pullRequest{isDraft}}}";
    let body = json!({ "query": query, "variables": { "id": id } });
    let weak = token_with(&simulator, &[("contents", "write")]).await;
    let reply = post(&simulator, &weak, "/graphql", body.clone()).await;
    let error = &reply.body["errors"][0];
    assert_eq!((&error["type"], &error["message"]), (&json!("FORBIDDEN"), &json!(FORBIDDEN.1)));
    let good = token_with(&simulator, &[("pull_requests", "write")]).await;
    let reply = post(&simulator, &good, "/graphql", body).await;
    assert_eq!(reply.body["data"]["convertPullRequestToDraft"]["pullRequest"]["isDraft"], true);
}

#[tokio::test]
async fn git_over_http_takes_the_token_as_a_password() {
    let simulator = installed();
    let directory = tempfile::tempdir().expect("a directory");
    let clone = |token: &str| {
        let url = simulator.github_url().replace("http://", &format!("http://x-access-token:{token}@"));
        let output = std::process::Command::new("git")
            .args(["clone", "--quiet", &format!("{url}/{DEMO}.git"), token])
            .current_dir(directory.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output();
        output.expect("git runs").status.success()
    };
    simulator
        .github
        .set_app_manners(slipway_simulator::github::AppManners { token_length: 40, ..Default::default() });
    let good = token_with(&simulator, &[("contents", "read")]).await;
    assert!(clone(&good));
    git(&directory.path().join(&good), &["fsck", "--strict"]);
    assert!(!clone(&token_with(&simulator, &[("pull_requests", "write")]).await));
    assert!(!clone("ghs_nonsense"));
    let before = token_of(&simulator, Value::Null).await;
    simulator.github.suspend_installation(INSTALLATION, true).expect("suspended");
    assert!(!clone(&before));
}

#[tokio::test]
async fn workflow_files_need_a_permission_of_their_own() {
    let simulator = installed();
    grant_all(&simulator);
    let weak = token_with(&simulator, &[("contents", "write"), ("pull_requests", "write")]).await;
    let strong = token_with(&simulator, &[("contents", "write"), ("workflows", "write")]).await;
    let main = simulator.github.branch(DEMO, "main").expect("main");
    let file = json!({ "path": ".github/workflows/ci.yml", "mode": "100644", "type": "blob", "content": "on: push\n" });
    let tree = json!({ "base_tree": main, "tree": [file] });
    let trees = format!("/repos/{DEMO}/git/trees");
    let reply = post(&simulator, &weak, &trees, tree.clone()).await;
    let needs = "contents=write; contents=write,workflows=write";
    assert_eq!((say(&reply), reply.header(NEEDS)), (FORBIDDEN, needs));
    // The tree may be there all the same: made by another, and only put on a branch by this one.
    let tree = post(&simulator, &strong, &trees, tree).await.body["sha"].clone();
    let commit = json!({ "message": "Add ci", "tree": tree, "parents": [main] });
    let commit = post(&simulator, &weak, &format!("/repos/{DEMO}/git/commits"), commit).await;
    assert_eq!(commit.status, StatusCode::CREATED);
    let new = json!({ "ref": "refs/heads/ci", "sha": commit.body["sha"] });
    let refs = format!("/repos/{DEMO}/git/refs");
    let reply = post(&simulator, &weak, &refs, new.clone()).await;
    assert_eq!((say(&reply), reply.header(NEEDS)), (FORBIDDEN, needs));
    let moved = json!({ "sha": commit.body["sha"] });
    let path = format!("{refs}/heads/main");
    assert_eq!(say(&send(&simulator, Method::PATCH, &path, Some(&weak), moved).await), FORBIDDEN);
    assert_eq!(post(&simulator, &strong, &refs, new).await.status, StatusCode::CREATED);

    let pull = json!({ "title": "ci", "head": "ci", "base": "main" });
    let pull = post(&simulator, &weak, &format!("/repos/{DEMO}/pulls"), pull).await;
    let path = format!("/repos/{DEMO}/pulls/{}/merge", pull.body["number"]);
    let reply = send(&simulator, Method::PUT, &path, Some(&weak), json!({})).await;
    let message = "refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yml` without `workflows` permission";
    assert_eq!(say(&reply), (403, message));
    let reply = send(&simulator, Method::PUT, &path, Some(&strong), json!({})).await;
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    // What the base has is no change, nor is it asked of other tokens.
    let (_, body) = call(&simulator, Method::GET, &format!("/repos/{DEMO}/git/ref/heads/main"), json!({}))
        .await
        .expect("read");
    let new = json!({ "ref": "refs/heads/after", "sha": body["object"]["sha"] });
    assert_eq!(post(&simulator, &weak, &refs, new).await.status, StatusCode::CREATED);
}
