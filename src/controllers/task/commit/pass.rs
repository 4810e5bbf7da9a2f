//! One pass over what is to be uploaded: how far it came, and why it ended.
//! `blobs` and `trees` do its work; `commit` begins and ends it.

use super::{
    ledger::Ledger,
    request::{Prepared, Request},
};
use crate::{
    api::conditions::reason,
    domain::{failure::Failure, git::Changes},
    github::Client,
};
use tokio::time::Instant;

/// One pass: what is to be done, and what GitHub has accepted so far.
pub(super) struct Pass<'a> {
    pub(super) github: &'a Client,
    pub(super) request: &'a Request<'a>,
    pub(super) changes: &'a Changes<'a>,
    pub(super) ledger: Ledger,
    progressed: bool,
}

/// Reason why a pass ended before the tree was whole.
pub(super) enum End {
    Deadline,
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<crate::github::Error> for End {
    fn from(error: crate::github::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> Pass<'a> {
    pub(super) async fn begin(
        github: &'a Client,
        request: &'a Request<'a>,
        changes: &'a Changes<'a>,
    ) -> Self {
        let ledger = Ledger::open(request.ledger, request.repository).await;
        Self { github, request, changes, ledger, progressed: false }
    }

    /// GitHub has these contents now.
    pub(super) async fn accepted(&mut self, blobs: &[&str]) {
        let new: Vec<&str> = blobs.iter().copied().filter(|blob| !self.ledger.has(blob)).collect();
        self.progressed |= !new.is_empty();
        self.ledger.add(&new).await;
    }

    /// Something has arrived at GitHub in this pass.
    pub(super) fn progressed(&mut self) {
        self.progressed = true;
    }

    pub(super) fn in_time(&self) -> Result<(), End> {
        if Instant::now() < self.request.deadline { Ok(()) } else { Err(End::Deadline) }
    }

    pub(super) async fn end(self, end: End) -> Result<Prepared, Failure> {
        let new = self.changes.put.iter().filter_map(|put| put.file);
        let of = new.clone().count();
        let uploaded = new.filter(|file| self.ledger.has(&file.blob)).count();
        match end {
            End::Deadline => Ok(Prepared::Progress { uploaded, of, failure: None }),
            End::Failed(failure) if failure.reason == reason::OBJECT_MISSING => {
                self.ledger.forget().await;
                Err(failure)
            }
            End::Failed(failure) if self.progressed && failure.class.is_retryable() => {
                Ok(Prepared::Progress { uploaded, of, failure: Some(failure) })
            }
            End::Failed(failure) => Err(failure),
        }
    }
}
