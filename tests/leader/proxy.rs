//! A TCP proxy that can be frozen: connections stay open and no byte passes, as behind a dead switch.
//! Between a replica and the API server.

use anyhow::Result;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Runs until it is dropped with its runtime.
pub struct Proxy {
    frozen: Arc<watch::Sender<bool>>,
    pub address: SocketAddr,
}

impl Proxy {
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let frozen = Arc::new(watch::Sender::new(false));
        let state = frozen.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward(near, upstream, state.subscribe()));
            }
        });
        Ok(Self { frozen, address })
    }

    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

async fn forward(near: TcpStream, upstream: SocketAddr, frozen: watch::Receiver<bool>) {
    let mut thawed = frozen.clone();
    if thawed.wait_for(|frozen| !frozen).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(upstream).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::join!(pass(near_in, far_out, frozen.clone()), pass(far_in, near_out, frozen));
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // What was read while frozen is delivered late, not lost: TCP keeps it.
        if frozen.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
