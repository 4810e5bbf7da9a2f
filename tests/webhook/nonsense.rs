//! Signed by somebody we know, and still not what GitHub sends: an answer each, and no harm.

use crate::{
    connections::exchange,
    delivery::delivery,
    payload::payload,
    world::{REPOSITORY_ID, SECRET, in_review, world},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// The payload of a closed pull request that a Task has, with one thing odd.
fn odd(pointer: &str, value: Value) -> String {
    let mut body = payload("closed", 42, 1).closed().json();
    if let Some(place) = body.pointer_mut(pointer) {
        *place = value;
    }
    body.to_string()
}

/// Payloads and their answers.
const PAYLOADS: &[(u16, &str)] = &[
    (400, r#"{"action":42}"#),
    (400, r#"{"action":{}}"#),
    (202, r#"{"action":null}"#),
    (202, r#"{"action":""}"#),
    (202, r#"{"action":"Closed"}"#),
    (400, r#"{"action":"closed"}"#),
    (400, r#"["closed",42,{"number":42}]"#),
    (400, r#"{"action":"closed","pull_request":null}"#),
    (400, r#"{"action":"closed","pull_request":[]}"#),
    (400, r#"{"action":"closed","pull_request":[42,"n","u","b","closed"]}"#),
    (400, r#"{"action":"closed","pull_request":{}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":"42"}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":42.5}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":-42}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":0}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":99999999999999999999}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":1e400}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":42,"merged":"yes"}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":42,"updated_at":"yesterday"}}"#),
    (400, r#"{"action":"closed","pull_request":{"number":42,"number":42}}"#),
    (400, r#"{"action":"closed","action":"closed"}"#),
    // About a pull request that nobody has, so that nobody looks further than its first few fields.
    (202, r#"{"action":"closed","number":7,"pull_request":{"head":{"ref":"b"}},"repository":[]}"#),
    (202, r#"{"action":"closed","number":7,"pull_request":{"head":{"ref":"b"}}"#),
    (202, r#"{"action":"labeled","number":42,"pull_request":{"head":{"ref":"b"}},"#),
];

/// Bodies and their answers. 202: nothing of it moves a Task; 400: it can't be told what it says; 422: nor whose it is.
fn bodies() -> Vec<(u16, String)> {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_inside = payload("reopened", 42, 1).json().to_string();
    let deep_inside = deep_inside.replace("\"title\":\"Work\"", &format!("\"title\":{deep}"));
    let good = odd("", Value::Null);
    let whole = payload("closed", 42, 1).closed().json().to_string();
    let table = [
        (400, ""),
        (400, "null"),
        (400, "[]"),
        (400, "\"closed\""),
        (400, "42"),
        (400, "{"),
        (202, "{}"),
        (400, "{}}"),
        (400, "\u{0}"),
        (400, "\u{feff}{}"),
        (400, &*deep),
        // What is not read may be anything.
        (200, &*deep_inside),
        (400, &*good),
        (400, &whole[..whole.len() - 1]),
    ];
    let mut all: Vec<_> =
        table.iter().chain(PAYLOADS).map(|(status, body)| (*status, (*body).to_owned())).collect();
    for pointer in ["/pull_request/head", "/pull_request/base", "/pull_request/head/repo", "/repository"] {
        all.extend(
            [json!([]), json!("text"), json!(42), json!(true)].map(|value| (400, odd(pointer, value))),
        );
    }
    for (pointer, value) in [
        ("/pull_request/state", json!(1)),
        ("/pull_request/html_url", json!({})),
        ("/pull_request/updated_at", json!("2026-01-02")),
        ("/pull_request/updated_at", json!("2026-01-02T00:00:00")),
        ("/pull_request/merged_at", json!(1_767_312_000)),
        ("/repository/id", json!("1296269")),
        ("/repository/id", json!(1.5)),
        ("/repository/full_name", json!([])),
    ] {
        all.push((400, odd(pointer, value)));
    }
    for (pointer, value) in [
        // Another repository, one that no secret of ours is for, and two numbers of which nobody has the first.
        ("/repository/id", json!(-1)),
        ("/repository/id", json!(9_007_199_254_740_993_i64)),
        ("/repository", json!({"full_name": "octo/app\u{0}"})),
        ("/number", json!(7)),
    ] {
        all.push((202, odd(pointer, value)));
    }
    all
}

#[tokio::test]
async fn signed_nonsense_has_an_answer_each_and_harms_nothing() -> Result<()> {
    let world = world("nonsense").await?;
    world.octo_app().await?;
    let task = world.task("task", in_review(42)).await?;
    let (moving, still): (Vec<_>, Vec<_>) = bodies().into_iter().partition(|(status, _)| *status == 200);
    ensure!(still.len() >= 60, "{}", still.len());
    for (status, body) in still {
        let request = delivery("pull_request", body.as_str(), SECRET).from("repository", REPOSITORY_ID);
        let reply = world.send(&request).await?;
        ensure!(reply.status.as_u16() == status, "{status}, not {reply:?} to {body:.200}");
        ensure!(reply.body.to_string().len() < 300, "{reply:?}");
    }
    for bytes in [[b"{\"action\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat(), vec![0xff; 100]] {
        let request = delivery("pull_request", bytes, SECRET).from("repository", REPOSITORY_ID);
        ensure!(world.send(&request).await?.status.as_u16() == 400);
    }
    let stored = world.tasks().get("task").await?;
    ensure!(stored.metadata.resource_version == task.metadata.resource_version, "nothing moved");
    for (status, body) in moving {
        let request = delivery("pull_request", body, SECRET).from("repository", REPOSITORY_ID);
        ensure!(world.send(&request).await?.status.as_u16() == status);
    }
    world.end().await
}

/// What is in front of the receiver may have followed the other one of the two lengths.
#[tokio::test]
async fn a_length_that_is_told_twice_is_refused() -> Result<()> {
    let world = world("lengths").await?;
    world.octo_app().await?;
    let body = payload("labeled", 42, 1).json().to_string();
    let request = delivery("pull_request", body.clone(), SECRET).from("repository", REPOSITORY_ID);
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("POST {} HTTP/1.1\r\nHost: a\r\n{}", request.path, headers.concat());
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("Content-Length: {}\r\n", body.len());
    let (close, encoding) = ("Connection: close\r\n", "Transfer-Encoding: chunked\r\n");
    for (status, lengths) in [
        ("202 Accepted", encoding.to_owned()),
        ("400 Bad Request", format!("{length}{encoding}")),
        ("400 Bad Request", format!("{encoding}{length}")),
        ("400 Bad Request", format!("{}{encoding}", length.to_lowercase())),
        ("400 Bad Request", format!("Content-Length: 0\r\n{encoding}")),
    ] {
        let answer = exchange(world.address, &format!("{head}{lengths}{close}\r\n{chunked}")).await?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{lengths}: {answer}");
    }
    // Refused means the end of the connection: what follows is not taken for another request.
    let hidden =
        format!("{head}{length}{encoding}\r\n{chunked}GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = exchange(world.address, &hidden).await?;
    ensure!(answer.matches("HTTP/1.1 ").count() == 1 && answer.contains("exclude each other"), "{answer}");
    // Also as the second request of a connection.
    let first = "GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut stream = tokio::net::TcpStream::connect(world.address).await?;
    let mut answer = [0; 64];
    tokio::io::AsyncWriteExt::write_all(&mut stream, first.as_bytes()).await?;
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer).await?;
    tokio::io::AsyncWriteExt::write_all(&mut stream, hidden.as_bytes()).await?;
    let mut rest = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut rest).await?;
    ensure!(rest.contains("HTTP/1.1 400 "), "{rest}");
    world.end().await
}

/// People click on it, and a delivery may bring any text.
#[tokio::test]
async fn only_a_page_of_github_is_stored() -> Result<()> {
    let world = world("pages").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    for (minute, url) in [
        "javascript:alert(1)",
        "http://github.test/octo/app/pull/42",
        "https://github.test.evil.test/octo/app/pull/42",
        "https://evil.test/https://github.test/",
        "https://github.test@evil.test/",
        "//github.test/octo/app/pull/42",
        "https://GITHUB.test/octo/app/pull/42",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        let mut news = payload("synchronize", 42, u32::try_from(minute)?).json();
        news["pull_request"]["html_url"] = json!(url);
        let request = delivery("pull_request", news.to_string(), SECRET).from("repository", REPOSITORY_ID);
        ensure!(world.send(&request).await?.status.as_u16() == 200, "{url}");
        let stored = world.status("task").await?.pull_request.and_then(|stored| stored.url);
        ensure!(stored.is_none(), "{url}: {stored:?}");
    }
    ensure!(world.deliver(&payload("synchronize", 42, 30), SECRET).await?.status.as_u16() == 200);
    let stored = world.status("task").await?.pull_request.and_then(|stored| stored.url);
    ensure!(stored.as_deref() == Some("https://github.test/octo/app/pull/42"), "{stored:?}");
    world.end().await
}
