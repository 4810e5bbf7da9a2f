//! `slipway ping`, as `helm test` runs it, against a receiver and against what is none.

use crate::world::{SECRET, Setup, World, world};
use anyhow::{Result, ensure};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpListener, process::Command};

/// Whether it succeeded, and all it printed.
async fn ping(url: &str, secret: Option<&str>) -> Result<(bool, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    command.args(["ping", "--url", url]).env_clear().kill_on_drop(true);
    if let Some(secret) = secret {
        command.env("GITHUB_WEBHOOK_SECRET", secret);
    }
    let output = command.output().await?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(printed)?))
}

#[tokio::test]
async fn a_repositorys_secret_and_a_bad_one() -> Result<()> {
    let world = world("ping").await?;
    world.octo_app().await?;
    let url = format!("http://{}/", world.address);
    let (ok, printed) = ping(&url, Some(SECRET)).await?;
    let lines: Vec<&str> = printed.lines().collect();
    ensure!(
        ok && lines
            == [
                r#"GET /api/webhooks/health: {"status":"ok","webhookSecret":true}"#,
                r#"POST /api/webhooks/github/ping with a good signature: 200 {"pong":true}"#,
                r#"POST /api/webhooks/github/ping with a bad signature: 401 {"error":"Invalid signature"}"#,
            ],
        "{printed}"
    );
    let (ok, printed) = ping(&url, Some("another secret of the hook, long enough")).await?;
    ensure!(
        !ok && printed.contains("401") && printed.contains("GITHUB_WEBHOOK_SECRET is no secret"),
        "{printed}"
    );
    ensure!(!printed.contains("another secret"), "a secret is printed: {printed}");
    world.end().await
}

#[tokio::test]
async fn without_a_secret_it_says_what_it_did_not_check() -> Result<()> {
    let setup = Setup { operator_wide: Some(SECRET), ..Setup::default() };
    let world = World::start(crate::controlplane::shared().await, "silent-ping", setup).await?;
    let (ok, printed) = ping(&format!("http://{}", world.address), None).await?;
    ensure!(
        ok && printed.contains("a good signature is not checked") && printed.contains("401"),
        "{printed}"
    );
    world.end().await
}

/// A server that takes everything, as a proxy in front of nothing would.
#[tokio::test]
async fn what_takes_everything_is_no_receiver() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"pong\":true}";
            let _ = stream.write_all(answer).await;
        }
    });
    let (ok, printed) = ping(&url, Some(SECRET)).await?;
    serving.abort();
    ensure!(!ok && printed.contains("200 {\"pong\":true}, not 401: the signature is wrong"), "{printed}");
    let (ok, printed) = ping("ftp://example.com", None).await?;
    ensure!(!ok && printed.contains("ftp://example.com"), "{printed}");
    Ok(())
}
