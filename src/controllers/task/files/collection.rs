//! What one collection needs: where the files are, what is wanted of them, where they go.
//! Made by the Task controller, used by `collect` and `changed`.

use super::{error::FilesError, intake::Intake, spool::Spool};
use crate::{
    api::Source,
    domain::{files::Caps, output::Output},
    e2b::Envd,
};

/// Where files come from, and where they go.
#[derive(Clone, Copy)]
pub struct Collection<'a> {
    pub envd: &'a Envd,
    pub source: &'a Source,
    pub caps: Caps,
    pub spool: &'a Spool,
    /// What was spooled under it before is replaced.
    pub id: &'a str,
    /// Texts that the command has left beside the files.
    pub output: &'a Output,
}

impl Collection<'_> {
    /// A place for files of so many bytes together.
    pub(super) fn intake(&self, bytes: u64) -> Result<Intake, FilesError> {
        let spool = self.spool;
        if bytes > spool.capacity() {
            return Err(FilesError::TooLarge(format!(
                "the selected files have {bytes} bytes, SLIPWAY_SPOOL_BYTES allows {}: narrow spec.source",
                spool.capacity()
            )));
        }
        let reservation = spool.reserve(bytes).ok_or(FilesError::WaitingForSpool { needed: bytes })?;
        Ok(Intake::new(spool.begin(self.id, reservation)?, self.caps).beside(self.output))
    }
}
