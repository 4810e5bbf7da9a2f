//! What no receiver can be faster than: hyper, the same HMAC, and nothing else, as a process of its own.
//! Measured by `main` against the receiver.

use super::support::world::{WEBHOOK_SECRET, within};
use anyhow::Result;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use std::{
    convert::Infallible,
    process::{Child, Command},
    time::Duration,
};

pub struct Bare(Child);

impl Bare {
    pub async fn start(port: u16) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?).env("BARE_PORT", port.to_string()).spawn()?;
        let bare = Self(child);
        within(Duration::from_secs(30), "the bare server", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await?;
        Ok(bare)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process itself.
pub async fn serve(port: u16) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(|request: Request<Incoming>| async {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let claimed = head.headers.get("x-hub-signature-256").map(|value| value.as_bytes().to_vec());
            let claimed =
                hex::decode(claimed.unwrap_or_default().get(7..).unwrap_or_default()).unwrap_or_default();
            let mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("HMAC takes any key");
            let status = if mac.chain_update(&body).verify_slice(&claimed).is_ok() { 202 } else { 401 };
            let answer = Response::builder().status(status).body(Full::new(Bytes::from_static(b"{}")));
            Ok::<_, Infallible>(answer.expect("a status and a body"))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}
