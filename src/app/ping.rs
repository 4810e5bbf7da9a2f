//! `slipway ping`: asks a receiver from outside whether it takes what is signed and refuses what is not.
//! Called by `app`; `helm test` runs it. `clients` gives the HTTP client.

use super::clients;
use crate::{config::Ping, domain::signature::Signature};
use anyhow::{Context, bail, ensure};
use http::{StatusCode, header};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const HEALTH: &str = "/api/webhooks/health";
const PING: &str = "/api/webhooks/github/ping";
const BODY: &str = "{}";
/// No secret gives this one.
const WRONG: &str = "sha256=0000000000000000000000000000000000000000000000000000000000000000";
/// Time limit for a receiver that has just been started to be reached and to know its Repositories.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(500);
/// Of an answer that is not as it should be, this much is shown.
const SHOWN: usize = 200;

/// Prints a line per check.
///
/// # Errors
/// The first check that fails, with what was sent and what was answered.
pub(super) async fn ping(config: &Ping) -> anyhow::Result<()> {
    let receiver = Receiver { http: clients::http_client(None)?, url: &config.url };
    let health = receiver.get(HEALTH).await?;
    health.must_be(StatusCode::OK, "is there a receiver?")?;
    println!("GET {HEALTH}: {}", health.body);
    if let Some(secret) = &config.secret {
        let signature = Signature::of(BODY.as_bytes(), secret.expose_secret().as_bytes()).to_string();
        let good = receiver.post(&signature).await?;
        good.must_be(
            StatusCode::OK,
            "the signature is right: GITHUB_WEBHOOK_SECRET is no secret that this receiver knows",
        )?;
        ensure!(good.body == r#"{"pong":true}"#, "{}, not {{\"pong\":true}}", good.shown());
        println!("POST {PING} with a good signature: {}", good.shown());
    } else {
        println!("GITHUB_WEBHOOK_SECRET is not set: a good signature is not checked");
    }
    let bad = receiver.post(WRONG).await?;
    bad.must_be(StatusCode::UNAUTHORIZED, "the signature is wrong")?;
    println!("POST {PING} with a bad signature: {}", bad.shown());
    Ok(())
}

struct Receiver<'a> {
    http: reqwest::Client,
    /// Without a trailing slash.
    url: &'a str,
}

struct Answer {
    request: String,
    status: StatusCode,
    body: String,
}

impl Receiver<'_> {
    async fn get(&self, route: &str) -> anyhow::Result<Answer> {
        self.patiently(|| self.http.get(format!("{}{route}", self.url)), &format!("GET {}{route}", self.url))
            .await
    }

    async fn post(&self, signature: &str) -> anyhow::Result<Answer> {
        let request = || {
            self.http
                .post(format!("{}{PING}", self.url))
                .header(header::CONTENT_TYPE, "application/json")
                .header("X-Hub-Signature-256", signature)
                .body(BODY)
        };
        self.patiently(request, &format!("POST {}{PING}", self.url)).await
    }

    /// Again while nobody answers, or not yet.
    async fn patiently(
        &self,
        request: impl Fn() -> reqwest::RequestBuilder,
        name: &str,
    ) -> anyhow::Result<Answer> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.once(request().timeout(left.max(RETRY)), name).await {
                Ok(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE || left.is_zero() => {
                    return Ok(answer);
                }
                Err(error) if left.is_zero() => {
                    return Err(error.context(format!("{name}: no answer within {} s", PATIENCE.as_secs())));
                }
                Ok(_) | Err(_) => sleep(RETRY.min(left)).await,
            }
        }
    }

    async fn once(&self, request: reqwest::RequestBuilder, name: &str) -> anyhow::Result<Answer> {
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.text().await.context("reading the answer")?;
        Ok(Answer { request: name.to_owned(), status, body })
    }
}

impl Answer {
    fn must_be(&self, status: StatusCode, why: &str) -> anyhow::Result<()> {
        if self.status != status {
            bail!("{}: {}, not {}: {why}", self.request, self.shown(), status.as_u16());
        }
        Ok(())
    }

    fn shown(&self) -> String {
        let cut = self.body.floor_char_boundary(SHOWN);
        format!("{} {}", self.status.as_u16(), &self.body[..cut])
    }
}
