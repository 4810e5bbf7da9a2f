//! A command's stdout on its way to a thread that may block: at the pace of the slower, bounded before it is read.
//! Used by `archive` and `worktree`.

use super::error::FilesError;
use crate::e2b::{Event, Process};
use bytes::{Buf as _, Bytes};
use std::io::{self, Read};
use tokio::sync::mpsc;

/// Pieces on their way from the stream to the disk; envd's are 32 KiB.
const PIECES: usize = 16;

/// End of the stream of one command.
pub(super) enum Pumped {
    Ended {
        exit_code: Option<i32>,
        /// All that was said on stderr.
        words: String,
    },
    /// The unpacking side has stopped: it knows why.
    Unwanted,
}

/// The two ends of the way; at most `longest` bytes come out.
pub(super) fn pieces(longest: u64) -> (mpsc::Sender<Bytes>, Pieces) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (sender, Pieces { receiver, current: Bytes::new(), left: longest })
}

/// From the stream to the unpacking thread, at the pace of the slower.
pub(super) async fn pump(
    mut process: Process,
    sender: mpsc::Sender<Bytes>,
    most_words: usize,
) -> Result<Pumped, FilesError> {
    let mut words = Vec::new();
    let mut ended = None;
    while let Some(event) = process.next().await? {
        match event {
            Event::Stdout(piece) => {
                if sender.send(piece).await.is_err() {
                    return Ok(Pumped::Unwanted);
                }
            }
            Event::Stderr(piece) => {
                let room = most_words.saturating_sub(words.len()).min(piece.len());
                words.extend_from_slice(&piece[..room]);
            }
            Event::Ended { exit_code, .. } => ended = exit_code,
            Event::Started { .. } => {}
        }
    }
    Ok(Pumped::Ended { exit_code: ended, words: String::from_utf8_lossy(&words).into_owned() })
}

/// What a command writes as a reader, for a thread that may block.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
    left: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(piece) = self.receiver.blocking_recv() else { return Ok(0) };
            self.left = self
                .left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| io::Error::other("it is longer than its files"))?;
            self.current = piece;
        }
        let read = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_bounded() {
        let (sender, mut pieces) = pieces(6);
        sender.try_send(Bytes::from_static(b"12345")).unwrap();
        sender.try_send(Bytes::from_static(b"67")).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(pieces.read(&mut buffer).unwrap(), 4);
        assert_eq!(pieces.read(&mut buffer).unwrap(), 1);
        assert!(pieces.read(&mut buffer).is_err(), "the sixth byte was the last");
    }
}
