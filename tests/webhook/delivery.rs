//! Sending deliveries to a receiver, signed or not, as GitHub's hookshot does.
//! Neighbours: `payload` makes the bodies, `world` runs the receiver.

use crate::{payload::Payload, world::World};
use anyhow::Result;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::StatusCode;
use serde_json::Value;
use sha2::Sha256;
use std::net::SocketAddr;

/// A request to the delivery route. Everything GitHub sends is there unless it is taken away.
#[derive(Clone)]
pub struct Request {
    pub method: reqwest::Method,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Value,
}

pub fn signature(body: &[u8], secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes()))
}

/// A delivery of `event`, signed with `secret`.
pub fn delivery(event: &str, body: impl Into<Vec<u8>>, secret: &str) -> Request {
    let body = body.into();
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "GitHub-Hookshot/0000000"),
        ("X-GitHub-Event", event),
        ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("X-GitHub-Hook-ID", "292430182"),
        ("X-Hub-Signature-256", &signature(&body, secret)),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Request { method: reqwest::Method::POST, path: "/api/webhooks/github".to_owned(), headers, body }
}

impl Request {
    /// Without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// With a header instead of those of that name.
    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        self.without(name).and(name, value)
    }

    /// With one more header.
    pub fn and(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// As it goes over the wire.
    pub fn raw(&self) -> Vec<u8> {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (method, path, length) = (&self.method, &self.path, self.body.len());
        let raw = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\n{}Content-Length: {length}\r\n\r\n",
            headers.concat()
        );
        [raw.as_bytes(), &self.body].concat()
    }

    /// From the hook of a repository or organization.
    pub fn from(self, target: &str, id: i64) -> Self {
        let named = self.with("X-GitHub-Hook-Installation-Target-Type", target);
        named.with("X-GitHub-Hook-Installation-Target-ID", id.to_string())
    }
}

impl World<'_> {
    pub async fn send(&self, request: &Request) -> Result<Reply> {
        self.send_to(self.address, request).await
    }

    /// Sends to one of several replicas.
    pub async fn send_to(&self, address: SocketAddr, request: &Request) -> Result<Reply> {
        let url = format!("http://{address}{}", request.path);
        let mut sent = self.http.request(request.method.clone(), url).body(request.body.clone());
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        let reply = sent.send().await?;
        Ok(Reply { status: reply.status(), body: reply.json().await? })
    }

    /// Delivers a pull request's payload from the hook of its repository, signed with `secret`.
    pub async fn deliver(&self, payload: &Payload, secret: &str) -> Result<Reply> {
        let request = delivery("pull_request", payload.json().to_string(), secret);
        self.send(&request.from("repository", payload.repository.0)).await
    }
}
