//! The commit step's search: what holds a value of a Secret is never sent, and what only seems to is.

use crate::support::{Spool, World, author};
use slipway::{
    controllers::task::commit::{Prepared, Request, SPOOLED_FILES_LOST, prepare},
    domain::{
        failure::{Class, Failure},
        files::Mode,
        git::commit_message,
        secrets::{Needles, SecretValue},
    },
    github::Author,
};
use std::time::Duration;
use tokio::time::Instant;

const VALUE: &str = "sk-live-0123456789abcdef";
const LINE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";

fn needles() -> Needles {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{LINE}\n-----END PRIVATE KEY-----\n");
    let value = |key: &str, value: &str| SecretValue {
        secret: "keys".to_owned(),
        key: key.to_owned(),
        value: value.into(),
    };
    Needles::new([value("k", VALUE), value("pem", &pem)])
}

/// The texts that go along with the files.
struct Texts<'a> {
    message: &'a str,
    title: &'a str,
    body: &'a str,
    author: Author,
}

impl Default for Texts<'_> {
    fn default() -> Self {
        Self { message: "Add it", title: "Add it", body: "Because.", author: author() }
    }
}

async fn run_with(world: &World, spool: &Spool, base: &str, texts: &Texts<'_>) -> Result<Prepared, Failure> {
    let request = Request {
        repository: &world.repository,
        parent: base,
        base_sha: "",
        base_branch: "main",
        last: None,
        base: None,
        snapshot: &spool.snapshot,
        message: &commit_message(texts.message, "", "uid-1"),
        title: texts.title,
        body: texts.body,
        needles: &needles(),
        author: Some(&texts.author),
        date: "2026-11-25T10:00:00Z".parse().unwrap(),
        ledger: Some(&spool.ledger()),
        deadline: Instant::now() + Duration::from_secs(90),
    };
    prepare(&world.client, request).await
}

async fn run(world: &World, spool: &Spool, base: &str) -> Result<Prepared, Failure> {
    run_with(world, spool, base, &Texts::default()).await
}

/// Nothing but reads has reached GitHub, and the message names `place` without any value.
async fn refused(spool: &Spool, texts: &Texts<'_>, place: &str) {
    let world = World::new();
    let (base, before) = (world.tip().await, world.count());
    let failure = run_with(&world, spool, &base, texts).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Invalid, "SecretInFiles"), "{}", failure.message);
    assert!(failure.message.contains(place), "{place}: {}", failure.message);
    assert!(!failure.message.contains(VALUE) && !failure.message.contains(LINE), "{}", failure.message);
    assert!(failure.message.contains("of Secret keys: take it out"), "{}", failure.message);
    assert_eq!(world.count() - before, 1, "the base's tree is read, and no more");
    let writes = world.simulator.calls.matching(|call| call.method != "GET");
    assert!(writes.is_empty(), "{writes:?}");
}

#[tokio::test]
async fn a_value_in_a_file_of_any_kind_is_never_sent() {
    let large_then_value = [vec![b'x'; (64 << 10) - 5], VALUE.into(), vec![b'y'; 300 << 10]].concat();
    let binary = [&[0, 255, 1][..], VALUE.as_bytes(), &[0]].concat();
    let (line, key) = (format!("KEY=\"{VALUE}\" # mine\n"), format!("  {LINE}\r\n"));
    let contents: [(&str, Mode, &[u8]); 6] = [
        (".env", Mode::Regular, line.as_bytes()),
        ("bin/run", Mode::Executable, line.as_bytes()),
        ("link", Mode::Symlink, VALUE.as_bytes()),
        ("tool", Mode::Executable, &binary),
        ("large.txt", Mode::Regular, &large_then_value),
        ("key.pem", Mode::Regular, key.as_bytes()),
    ];
    for (path, mode, content) in contents {
        // What comes first is not sent either.
        let spool = Spool::of(&[(".a.bin", Mode::Regular, &[0, 1, 2]), (path, mode, content)]);
        refused(&spool, &Texts::default(), &format!("the file {path:?} holds the value of key")).await;
    }
}

#[tokio::test]
async fn a_value_in_a_path_is_never_sent_and_the_path_is_masked() {
    let path = format!("out/{VALUE}.log");
    let spool = Spool::texts(&[("a", "1"), (&path, "2")]);
    refused(&spool, &Texts::default(), "the path \"out/***.log\" holds the value of key k").await;
    // The file that holds one has a name that is one, encoded.
    let path = "out/sk%2Dlive%2D0123456789abcdef";
    refused(&Spool::texts(&[(path, VALUE)]), &Texts::default(), "the file \"out/***\" holds").await;
}

#[tokio::test]
async fn a_value_in_a_text_of_the_commit_or_its_pull_request_is_never_sent() {
    let text = format!("uses {VALUE}");
    let plain = Texts::default;
    let mail = Author { email: format!("{VALUE}@example.com"), ..author() };
    let name = Author { name: VALUE.to_owned(), ..author() };
    for (texts, place) in [
        (Texts { message: &text, ..plain() }, "the commit message"),
        (Texts { title: &text, ..plain() }, "the pull request's title"),
        (Texts { body: LINE, ..plain() }, "the pull request's text"),
        (Texts { author: mail, ..plain() }, "the address of the commit's author"),
        (Texts { author: name, ..plain() }, "the name of the commit's author"),
    ] {
        refused(&Spool::texts(&[("a", "1")]), &texts, &format!("{place} holds the value of key")).await;
    }
}

#[tokio::test]
async fn what_the_parents_file_has_as_often_is_no_news() {
    let world = World::new();
    let old = format!("a: {VALUE}\nb: {VALUE}\n");
    let path = format!("{VALUE}/here");
    let base = world.push("main", &[("f", Some(&old)), ("moved", Some(&old)), (&path, Some("1"))]);
    let blobs = || world.calls("GET /repos/{owner}/{repo}/git/blobs/{file_sha}");

    // The same number in a changed file, less, a copy of what is there, and a path that is there.
    let same = format!("{old}c\n");
    let spool = Spool::texts(&[("copy", &old), ("f", &same), (&path, "2")]);
    assert!(matches!(run(&world, &spool, &base).await, Ok(Prepared::Commit { .. })));
    assert_eq!(blobs(), 1, "the parent's file is read only where the value is found");
    let less = Spool::texts(&[("f", &format!("a: {VALUE}\n"))]);
    assert!(matches!(run(&world, &less, &base).await, Ok(Prepared::Commit { .. })));

    let writes = world.simulator.calls.count(|call| call.method != "GET");
    let more = Spool::texts(&[("f", &format!("{old}c: {VALUE}\n"))]);
    assert_eq!(run(&world, &more, &base).await.unwrap_err().reason, "SecretInFiles");
    let other = Spool::texts(&[("g", &format!("{old}c\n"))]);
    assert_eq!(run(&world, &other, &base).await.unwrap_err().reason, "SecretInFiles");
    assert_eq!(world.simulator.calls.count(|call| call.method != "GET"), writes);
}

#[tokio::test]
async fn every_place_is_named_up_to_five() {
    let world = World::new();
    let names: Vec<String> = (0..9).map(|n| format!("f{n}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), VALUE)).collect();
    let failure = run(&world, &Spool::texts(&files), &world.tip().await).await.unwrap_err();
    assert_eq!(failure.message.matches("holds the value").count(), 5, "{}", failure.message);
}

#[tokio::test]
async fn what_was_searched_is_what_is_sent() {
    let world = World::new();
    let spool = Spool::texts(&[("a", "harmless")]);
    std::fs::write(&spool.snapshot.files[0].content, "another!").unwrap();
    let failure = run(&world, &spool, &world.tip().await).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::NotFound, SPOOLED_FILES_LOST));
}

#[tokio::test]
async fn files_without_a_value_cost_no_call_more() {
    let world = World::new();
    let base = world.push("main", &[("a", Some("1"))]);
    let before = world.count();
    assert!(matches!(
        run(&world, &Spool::texts(&[("a", "2"), (".env", "KEY=$API_KEY")]), &base).await,
        Ok(Prepared::Commit { .. })
    ));
    assert_eq!(world.count() - before, 3, "tree, tree, commit");
}
