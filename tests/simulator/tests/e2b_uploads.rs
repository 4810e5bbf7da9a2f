//! Uploads to envd of the E2B stand-in beyond what was recorded: forms, and files that break off while they come.
//! What is read back is checked in `e2b_envd.rs`.

mod e2b_support;

use e2b_support::{Sandbox, World, answer, eventually, files};
use futures::{SinkExt as _, channel::mpsc};
use reqwest::Method;
use serde_json::{Value, json};
use slipway_simulator::Options;

async fn form(world: &World, sandbox: &Sandbox, query: &str, body: &'static str) -> (u16, Value) {
    let request = world.envd(sandbox, Method::POST, &format!("/files{query}"));
    let request = request.header("Content-Type", "multipart/form-data; boundary=x").body(body);
    answer(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn a_form_is_taken_apart() {
    let world = World::new(Options::default());
    let sandbox = world.create(json!({})).await;
    let two = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/home/user/b \\\"c\\\".txt\"\r\n\
         Content-Type: text/plain\r\n\r\nhi\r\n--not\r\n--x\r\n\
         Content-Disposition: form-data; name=other\r\n\r\nignored\r\n--x\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"d/e\"\r\n\r\n\r\n--x--\r\n";
    let (status, body) = form(&world, &sandbox, "", two).await;
    let paths: Vec<_> = body.as_array().expect("entries").iter().map(|entry| entry["path"].clone()).collect();
    assert_eq!((status, paths), (200, vec![json!("/home/user/b \"c\".txt"), json!("/home/user/d/e")]));
    assert_eq!(world.sh(&sandbox, "cat '/home/user/b \"c\".txt'; wc -c < d/e").await, "hi\r\n--not0\n");

    let (status, body) = form(&world, &sandbox, "?path=/home/user/one", two).await;
    assert_eq!(status, 400, "{body}");
    let words = body["message"].as_str().expect("a message");
    assert!(
        words.starts_with("you cannot upload multiple files to the same path '/home/user/one'"),
        "{words}"
    );

    for cut in ["--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nhi", "--x\r\nConte", ""]
    {
        let (status, body) = form(&world, &sandbox, "", cut).await;
        assert_eq!(status, 500, "{cut}: {body}");
    }
    let request = world.envd(&sandbox, Method::POST, "/files").header("Content-Type", "multipart/form-data");
    let (status, body) = answer(request.body(two).send().await.expect("an answer")).await;
    let words = "error parsing multipart form: no multipart boundary param in Content-Type";
    assert_eq!((status, body["message"].as_str()), (500, Some(words)));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_what_came() {
    let world = World::new(Options::default());
    let sandbox = world.create(json!({})).await;
    let (mut sender, receiver) = mpsc::channel::<Result<&'static str, std::io::Error>>(1);
    let request = world
        .envd(&sandbox, Method::POST, &files("/home/user/part"))
        .header("Content-Type", "application/octet-stream")
        .body(reqwest::Body::wrap_stream(receiver));
    let sent = tokio::spawn(request.send());
    sender.send(Ok("half of it")).await.expect("it is taken");
    let host = world.simulator.e2b.host_path(&sandbox.id, "/home/user/part").expect("a path");
    eventually("what came is there before the rest", async || {
        std::fs::read_to_string(&host).is_ok_and(|text| text == "half of it")
    })
    .await;
    sender.send(Err(std::io::Error::other("gone"))).await.expect("it is taken");
    assert!(sent.await.expect("no panic").is_err(), "nobody answers");
    assert_eq!(std::fs::read_to_string(&host).expect("a file"), "half of it");
}
