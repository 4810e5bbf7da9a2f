//! Commits that GitHub signs for an App, and branches that take no others; the paths of GitHub Enterprise Server.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::{Options, Simulator};

use crate::app_support::{Reply, installed, installed_with, say, send, token_of};
use crate::support::{DEMO, TOKEN, call, client, git, open_pull};

async fn post(simulator: &Simulator, token: &str, path: &str, body: Value) -> Reply {
    send(simulator, Method::POST, &format!("/repos/{DEMO}{path}"), Some(token), body).await
}

/// A commit that adds a file to main, with what the caller says of author and committer.
async fn commit(simulator: &Simulator, token: &str, more: Value) -> Value {
    let main = simulator.github.branch(DEMO, "main").expect("main");
    let file = json!({ "path": "a", "mode": "100755", "type": "blob", "content": more.to_string() });
    let tree = post(simulator, token, "/git/trees", json!({ "base_tree": main, "tree": [file] })).await;
    let mut body = json!({ "message": "Add a", "tree": tree.body["sha"], "parents": [main] });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let reply = post(simulator, token, "/git/commits", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
    reply.body
}

#[tokio::test]
async fn github_signs_what_an_app_makes_without_an_author() {
    let simulator = installed();
    let token = token_of(&simulator, Value::Null).await;
    let made = commit(&simulator, &token, json!({})).await;
    let (_, bot) = call(&simulator, Method::GET, "/users/slipway[bot]", json!({})).await.expect("read");
    assert_eq!(made["author"]["name"], "slipway[bot]");
    assert_eq!(made["author"]["email"], format!("{}+slipway[bot]@users.noreply.github.com", bot["id"]));
    assert_eq!(
        (&made["committer"]["name"], &made["committer"]["email"]),
        (&json!("GitHub"), &json!("noreply@github.com"))
    );
    let seen = &made["verification"];
    assert_eq!((&seen["verified"], &seen["reason"]), (&json!(true), &json!("valid")));
    assert!(seen["signature"].as_str().expect("text").starts_with("-----BEGIN PGP SIGNATURE-----\n"));
    assert!(
        seen["payload"]
            .as_str()
            .expect("text")
            .starts_with(&format!("tree {}\n", made["tree"]["sha"].as_str().expect("a SHA")))
    );
    assert!(seen["verified_at"].is_string());

    let sha = made["sha"].as_str().expect("a SHA");
    let create = json!({ "ref": "refs/heads/signed", "sha": sha });
    assert_eq!(post(&simulator, &token, "/git/refs", create).await.status, StatusCode::CREATED);
    let (_, as_object) =
        call(&simulator, Method::GET, &format!("/repos/{DEMO}/git/commits/{sha}"), json!({}))
            .await
            .expect("read");
    assert_eq!(&as_object["verification"], seen);
    let (_, as_tip) = call(&simulator, Method::GET, &format!("/repos/{DEMO}/branches/signed"), json!({}))
        .await
        .expect("read");
    assert_eq!(&as_tip["commit"]["commit"]["verification"], seen);
    let directory = simulator.github.git_dir(DEMO).expect("there");
    git(&directory, &["fsck", "--strict"]);
    assert!(
        git(&directory, &["cat-file", "commit", sha]).contains("\ngpgsig -----BEGIN PGP SIGNATURE-----\n")
    );
}

#[tokio::test]
async fn nothing_else_is_verified() {
    let simulator = installed();
    let token = token_of(&simulator, Value::Null).await;
    let who = json!({ "name": "A", "email": "a@example.com" });
    for (token, more) in [
        (token.as_str(), json!({ "author": who })),
        (&token, json!({ "committer": who })),
        (&token, json!({ "signature": "-----BEGIN PGP SIGNATURE-----" })),
        (TOKEN, json!({})),
    ] {
        let made = commit(&simulator, token, more).await;
        let unsigned = json!({
            "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null,
        });
        assert_eq!(made["verification"], unsigned);
        assert_ne!(made["committer"]["email"], "noreply@github.com");
    }
}

const UNSIGNED: &str = "Repository rule violations found\n\nCommits must have verified signatures.\n\n";

#[tokio::test]
async fn a_branch_may_take_only_what_is_verified() {
    let simulator = installed();
    let token = token_of(&simulator, Value::Null).await;
    let unsigned = commit(&simulator, TOKEN, json!({})).await["sha"].clone();
    let signed = commit(&simulator, &token, json!({})).await["sha"].clone();
    for branch in ["main", "new"] {
        simulator.github.require_signatures(DEMO, branch, true).expect("set");
    }
    let create = |sha: &Value| json!({ "ref": "refs/heads/new", "sha": sha });
    assert_eq!(say(&post(&simulator, &token, "/git/refs", create(&unsigned)).await), (422, UNSIGNED));
    assert_eq!(simulator.github.branch(DEMO, "new"), None);
    assert_eq!(post(&simulator, &token, "/git/refs", create(&signed)).await.status, StatusCode::CREATED);
    let path = format!("/repos/{DEMO}/git/refs/heads/main");
    let to =
        async |sha: &Value| send(&simulator, Method::PATCH, &path, Some(&token), json!({ "sha": sha })).await;
    assert_eq!(say(&to(&unsigned).await), (422, UNSIGNED));
    assert_eq!(to(&signed).await.status, StatusCode::OK);
    // A verified commit does not bring in one that is not.
    let tree = json!({ "tree": [{ "path": "b", "mode": "100644", "type": "blob", "content": "b" }] });
    let tree = post(&simulator, &token, "/git/trees", tree).await.body["sha"].clone();
    let above = json!({ "message": "Above", "tree": tree, "parents": [unsigned, signed] });
    let above = post(&simulator, &token, "/git/commits", above).await.body["sha"].clone();
    assert_eq!(say(&to(&above).await), (422, UNSIGNED));
    let url = format!("{}/github/repos/{DEMO}/require-signatures", simulator.control_url());
    let off = client().post(url).json(&json!({ "branch": "main", "require": false })).send().await;
    assert_eq!(off.expect("an answer").status(), StatusCode::OK);
    assert_eq!(to(&above).await.status, StatusCode::OK);
}

#[tokio::test]
async fn merging_into_such_a_branch_needs_verified_commits_or_a_squash() {
    let simulator = installed();
    let token = token_of(&simulator, Value::Null).await;
    simulator.github.require_signatures(DEMO, "main", true).expect("set");
    let number = open_pull(&simulator, "unsigned");
    let merge = async |number: u64, method: &str| {
        let path = format!("/repos/{DEMO}/pulls/{number}/merge");
        send(&simulator, Method::PUT, &path, Some(&token), json!({ "merge_method": method })).await
    };
    for method in ["merge", "rebase"] {
        assert_eq!(say(&merge(number, method).await), (405, UNSIGNED), "{method}");
    }
    let pull = simulator.github.pull(DEMO, number).expect("there");
    assert_eq!((&pull["state"], &pull["merged"]), (&json!("open"), &json!(false)));
    assert_eq!(merge(number, "squash").await.status, StatusCode::OK);
    let tip = call(&simulator, Method::GET, &format!("/repos/{DEMO}/branches/main"), json!({}))
        .await
        .expect("read")
        .1;
    assert_eq!(tip["commit"]["commit"]["verification"]["verified"], true);

    let sha = commit(&simulator, &token, json!({})).await["sha"].clone();
    let create = json!({ "ref": "refs/heads/signed", "sha": sha });
    assert_eq!(post(&simulator, &token, "/git/refs", create).await.status, StatusCode::CREATED);
    let pull = json!({ "title": "t", "head": "signed", "base": "main" });
    let number = post(&simulator, &token, "/pulls", pull).await.body["number"].as_u64().expect("a number");
    assert_eq!(say(&merge(number, "rebase").await), (405, UNSIGNED));
    assert_eq!(merge(number, "merge").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_enterprise_server_has_its_api_below_the_host() {
    let mut options = Options::default();
    options.github.settings.enterprise = true;
    let simulator = installed_with(options);
    let host = simulator.github.host_url();
    assert_eq!(simulator.github_url(), format!("{host}/api/v3"));
    let token = token_of(&simulator, Value::Null).await;
    let reply = send(&simulator, Method::GET, &format!("/repos/{DEMO}"), Some(&token), Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(!reply.header("x-github-enterprise-version").is_empty());
    assert_eq!(reply.body["url"], format!("{host}/api/v3/repos/{DEMO}"));
    assert_eq!(reply.body["clone_url"], format!("{host}/{DEMO}.git"));
    let at = async |method: Method, path: &str| {
        let request = client().request(method, format!("{host}{path}")).bearer_auth(&token);
        request
            .json(&json!({ "query": "query{viewer{login}}" }))
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16()
    };
    assert_eq!(at(Method::POST, "/api/graphql").await, 200);
    for (method, path) in [
        (Method::GET, format!("/repos/{DEMO}")),
        (Method::GET, "/user".into()),
        (Method::POST, "/graphql".into()),
        (Method::POST, "/api/v3/graphql".into()),
        (Method::GET, format!("/api/v3/{DEMO}.git/info/refs?service=git-upload-pack")),
        (Method::GET, format!("/api/v4/repos/{DEMO}")),
    ] {
        assert_eq!(at(method, &path).await, 404, "{path}");
    }
    assert_eq!(simulator.calls.of("github", "GET /repos/{owner}/{repo}").len(), 1);
    let directory = tempfile::tempdir().expect("a directory");
    let url = host.replace("http://", &format!("http://x-access-token:{token}@"));
    git(directory.path(), &["clone", "--quiet", &format!("{url}/{DEMO}.git"), "demo"]);
    git(&directory.path().join("demo"), &["fsck", "--strict"]);
    // Pages lead on below the same path.
    simulator.github.push(DEMO, "main", &[("b", Some("b"))], "Add b").expect("pushed");
    let path = format!("/repos/{DEMO}/commits?per_page=1");
    let commits = send(&simulator, Method::GET, &path, Some(&token), Value::Null).await;
    assert!(commits.header("link").starts_with(&format!("<{host}/api/v3/repos/{DEMO}/commits?")));
}
