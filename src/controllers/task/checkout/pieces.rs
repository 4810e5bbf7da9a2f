//! The pack on its way from GitHub into the sandbox: piece by piece, each a file that git there reads as it grows.
//! Part of `checkout`; `github` sends the pack, envd takes the files.
//!
//! In pieces, since git writes a pack of its own from what it reads: what it has read is removed piece by piece, so that the
//! pack is never on the disk twice. No more than a few lines of it are in memory.

use super::failures::{interrupted, too_large};
use crate::{
    domain::failure::Failure,
    e2b::{Envd, WRITE_PACK},
    github::Pack,
};
use bytes::Bytes;
use std::{io, time::Duration};
use tokio::sync::mpsc;

/// Bytes of a piece.
const PIECE: u64 = 32 << 20;
/// Lines of a pack between GitHub and the sandbox; each is at most 64 KiB.
const LINES: usize = 16;
/// Longest time for which the sandbox may take nothing.
const IDLE: Duration = Duration::from_secs(30);

/// A pack that comes, and what is left of what it may take.
pub(super) struct Pieces {
    pack: Pack,
    next: Option<Bytes>,
    left: u64,
    max: u64,
}

impl Pieces {
    /// `max`: most that the pack may take.
    pub(super) fn new(pack: Pack, max: u64) -> Self {
        Self { pack, next: None, left: max, max }
    }

    /// Brings all of them beside `place`.
    pub(super) async fn bring(mut self, envd: &Envd, place: &str, boundary: &str) -> Result<(), Failure> {
        let left_out = self.pack.shallow().join(" ") + "\n";
        self.next = Some(left_out.into());
        for number in 1_u64.. {
            self.piece(envd, &format!("{place}.{number}"), boundary).await?;
            if self.next.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Streams the next piece into its file. What comes after it is known then: no piece is empty.
    async fn piece(&mut self, envd: &Envd, place: &str, boundary: &str) -> Result<(), Failure> {
        let (sender, receiver) = mpsc::channel(LINES);
        let content = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|line| (line, receiver))
        });
        let upload = envd.write_file(WRITE_PACK, place, boundary, content);
        tokio::pin!(upload);
        let pump = self.pump(sender);
        tokio::pin!(pump);
        // What breaks off first is why: each ends the other.
        tokio::select! {
            biased;
            pumped = &mut pump => { pumped?; upload.await?; }
            uploaded = &mut upload => {
                uploaded?;
                return Err(interrupted("the sandbox answered before it had the whole pack"));
            }
        }
        Ok(())
    }

    /// From GitHub to the sandbox, at the pace of the slower. An error here breaks the upload off.
    async fn pump(&mut self, sender: mpsc::Sender<io::Result<Bytes>>) -> Result<(), Failure> {
        let mut room = PIECE;
        let failure = loop {
            if let Some(line) = self.next.take() {
                room = room.saturating_sub(line.len() as u64);
                match tokio::time::timeout(IDLE, sender.send(Ok(line))).await {
                    Ok(Ok(())) => {}
                    // The upload has ended, and knows why.
                    Ok(Err(_)) => std::future::pending().await,
                    Err(_) => return Err(interrupted("the sandbox takes no more of the pack")),
                }
            }
            match self.pack.next().await {
                Ok(Some(line)) => match self.left.checked_sub(line.len() as u64) {
                    Some(left) => (self.left, self.next) = (left, Some(line)),
                    None => break too_large(self.max),
                },
                Ok(None) => return Ok(()),
                Err(error) => break error.into(),
            }
            if room == 0 {
                return Ok(());
            }
        };
        // Whoever takes it must not hold what has come for the whole.
        let broken = sender.send(Err(io::Error::other("the pack broke off")));
        let _ = tokio::time::timeout(IDLE, broken).await;
        Err(failure)
    }
}
