//! What goes wrong, and what a failure says.

use crate::support::{TOKEN, World, fault, http_client, spaced};
use secrecy::SecretString;
use slipway::{
    domain::failure::Class,
    github::{CreateRepository, Error, GitHub, RepositoryName, UpdatedRef},
    telemetry::{Api, Attempt, CallLayer, Metrics, ObjectLabel, Pass, http_service, in_pass},
};
use slipway_simulator::{
    core::{Action, When},
    github::{Token, TokenKind},
};
use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing_subscriber::fmt::MakeWriter;

const BLOBS: &str = "POST /repos/{owner}/{repo}/git/blobs";
const REF: &str = "GET /repos/{owner}/{repo}/git/ref/{ref}";

fn class(error: &Error) -> (Class, &'static str) {
    (error.class, error.reason)
}

fn answer(status: u16, after_effect: bool) -> Action {
    Action::Status { status, headers: BTreeMap::new(), body: "<html>".to_owned(), after_effect }
}

#[tokio::test]
async fn a_call_that_fails_is_sent_once_whatever_the_failure() {
    let world = World::new();
    let actions = [
        (Action::CutBefore, None),
        (Action::CutAfter, None),
        (Action::TruncateBody { after: 5 }, None),
        (answer(500, false), Some(500)),
        (answer(502, true), Some(502)),
        (answer(408, false), Some(408)),
        (answer(429, false), Some(429)),
    ];
    for (action, status) in actions {
        let before = world.calls(BLOBS);
        let rule = world.simulator.faults.set(fault(BLOBS).action(action.clone()));
        let error = world.client.create_blob(&world.repository, "file", b"x").await.unwrap_err();
        assert_eq!(class(&error), (Class::Transient, "GitHubUnavailable"), "{action:?}: {error}");
        assert_eq!(error.status, status, "{action:?}");
        assert_eq!(world.calls(BLOBS), before + 1, "{action:?} must not be sent twice by the adapter");
        world.simulator.faults.remove(rule);
    }
    assert!(world.client.create_blob(&world.repository, "file", b"x").await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_setting_to_check() {
    let layer = CallLayer::new(Api::Github, Metrics::new());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let github = GitHub::new(&url, &url, http_service(http_client(), &layer), spaced(Duration::ZERO));
    let client = github.client(&SecretString::from(TOKEN));
    let error = client.get_repository(&RepositoryName::new("a", "b")).await.unwrap_err();
    assert_eq!(class(&error), (Class::Transient, "GitHubUnreachable"));
    assert!(error.message.contains("GITHUB_API_URL"), "{error}");
}

#[tokio::test]
async fn a_process_that_does_not_lead_reads_but_sends_no_write() {
    let world = World::new();
    let layer = CallLayer::new(Api::Github, Metrics::new()).leading(Arc::new(|| None));
    let github = GitHub::new(
        &world.simulator.github_url(),
        &world.simulator.github_url(),
        http_service(http_client(), &layer),
        spaced(Duration::ZERO),
    );
    let client = github.client(&SecretString::from(TOKEN));
    let sha = client.get_branch_sha(&world.repository, "main").await.unwrap().unwrap();
    let error = client.create_ref(&world.repository, "b", &sha).await.unwrap_err();
    assert_eq!(class(&error), (Class::Transient, "NotLeading"));
    assert_eq!(world.calls("POST /repos/{owner}/{repo}/git/refs"), 0);
}

#[tokio::test]
async fn wrong_and_weak_tokens_are_told_apart() {
    let world = World::new();
    let github = &world.simulator.github;
    let token = |value: &str, write, kind| Token { write, kind, ..Token::personal(value, "slipway-bot") };
    github.add_token(token("reads", false, TokenKind::Personal));
    github.add_token(token("app-reads", false, TokenKind::Installation));
    let error = world.client_of("nonsense").get_repository(&world.repository).await.unwrap_err();
    assert_eq!(class(&error), (Class::Denied, "BadCredentials"));
    assert!(error.message.contains("credentialsSecretRef"), "{error}");
    for weak in ["reads", "app-reads"] {
        let error = world.client_of(weak).create_blob(&world.repository, "file", b"x").await.unwrap_err();
        assert_eq!(class(&error), (Class::Denied, "PermissionMissing"));
        assert!(error.message.contains("Contents: write"), "{error}");
    }
    let error = world.client_of("two\nlines").get_repository(&world.repository).await.unwrap_err();
    assert_eq!(class(&error), (Class::Invalid, "RequestRefused"));
    assert!(!format!("{error:?}").contains("two"), "no part of a token may be shown: {error:?}");
}

#[tokio::test]
async fn an_empty_an_archived_and_a_protected_repository_have_reasons_of_their_own() {
    let world = World::new();
    let empty = world.create("empty", true);
    let main = world.tip().await;
    for error in [
        world.client.get_branch_sha(&empty, "main").await.unwrap_err(),
        world.client.get_tree(&empty, &main, true).await.unwrap_err(),
        world.client.create_blob(&empty, "file", b"x").await.unwrap_err(),
    ] {
        assert_eq!(class(&error), (Class::Invalid, "RepositoryEmpty"));
        assert!(error.message.contains("autoInit"), "{error}");
    }
    world.push("rules", &[("a", Some("1"))]);
    let next = world.push("next", &[("a", Some("1")), ("b", Some("2"))]);
    world.simulator.github.protect(&world.full_name(), "rules", true).unwrap();
    let error = world.client.update_ref(&world.repository, "rules", &next).await.unwrap_err();
    assert_eq!(class(&error), (Class::Invalid, "BranchProtected"));
    world.simulator.github.archive(&world.full_name(), true).unwrap();
    let error = world.client.create_ref(&world.repository, "late", &main).await.unwrap_err();
    assert_eq!(class(&error), (Class::Invalid, "RepositoryArchived"));
}

#[tokio::test]
async fn what_we_created_a_moment_ago_is_never_absent() {
    let world = World::new();
    let name = RepositoryName::new("acme", "fresh");
    let create = CreateRepository { auto_init: true, ..CreateRepository::default() };
    world.client.create_repository(&name, &create).await.unwrap();
    world.simulator.faults.set(fault("GET /repos/{owner}/{repo}").status(404, "Not Found"));
    let error = world.client.get_repository(&name).await.unwrap_err();
    assert_eq!(class(&error), (Class::Transient, "NotVisibleYet"));
    assert_eq!(
        world.client.get_repository(&world.repository).await.unwrap(),
        None,
        "somebody else's may well be absent"
    );

    let sha = world.tip().await;
    world.client.create_ref(&world.repository, "ours", &sha).await.unwrap();
    world.simulator.faults.set(fault(REF).status(404, "Not Found"));
    let error = world.client.get_branch_sha(&world.repository, "ours").await.unwrap_err();
    assert_eq!(class(&error), (Class::Transient, "NotVisibleYet"));
    assert_eq!(world.client.get_branch_sha(&world.repository, "other").await.unwrap(), None);
    world.simulator.faults.clear();
    assert_eq!(world.client.update_ref(&world.repository, "ours", &sha).await.unwrap(), UpdatedRef::Updated);
}

/// Log lines as one text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_failure_and_the_success_after_it_are_logged_with_their_attempt_and_without_the_token() {
    // One subscriber for all threads: with one of its own, a call site that another test's thread meets first may stay off.
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let world = World::new();
    world.simulator.faults.set(fault(BLOBS).when(When::Next(1)).status(502, "busy"));
    // The number of attempts tells our lines from those of other tests.
    let attempt = |number| {
        let object = ObjectLabel { kind: "task", namespace: "n".into(), name: "t".into() };
        Pass::new(object, Attempt { operation: "createBlob".into(), number, of: 9 })
    };
    let upload = || world.client.create_blob(&world.repository, "file", b"x");
    in_pass(attempt(2), upload()).await.unwrap_err();
    slipway::telemetry::retries::retrying("createBlob", Duration::from_millis(4321));
    in_pass(attempt(3), upload()).await.unwrap();
    in_pass(attempt(3), world.client.get_branch_sha(&world.repository, "main")).await.unwrap();

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let parsed: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |message: &str| -> Vec<(String, serde_json::Value)> {
        let ours = |fields: &serde_json::Value| fields["of"] == 9 || fields["in_ms"] == 4321;
        let matching =
            parsed.iter().filter(|line| line["fields"]["message"] == message && ours(&line["fields"]));
        matching.map(|line| (line["level"].as_str().unwrap().to_owned(), line["fields"].clone())).collect()
    };
    let failed = of("github call failed");
    assert_eq!(failed.len(), 1, "{text}");
    let (level, fields) = &failed[0];
    assert_eq!(
        (level.as_str(), &fields["operation"], &fields["status"]),
        ("WARN", &"createBlob".into(), &502.into())
    );
    assert_eq!((&fields["attempt"], &fields["of"]), (&2.into(), &9.into()));
    assert!(fields["error"].as_str().is_some_and(|e| !e.is_empty()));
    let retrying = of("retrying");
    assert_eq!((retrying[0].0.as_str(), &retrying[0].1["in_ms"]), ("INFO", &4321.into()));
    let succeeded = of("github call succeeded after retry");
    assert_eq!(succeeded.len(), 1, "only the operation that failed before: {text}");
    assert_eq!((succeeded[0].0.as_str(), &succeeded[0].1["operation"]), ("INFO", &"createBlob".into()));
    assert!(!text.contains(TOKEN), "the token is in the log");
}
