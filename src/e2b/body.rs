//! Bodies as they arrive: bounded in time between two pieces, checked against the announced length.
//! Below `e2b::connect` and every read of a file.

use super::Result;
use bytes::Bytes;

/// A file on its way out of the sandbox.
pub struct Download {
    length: Option<u64>,
}

impl Download {
    /// The announced length in bytes.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next piece; `None` after the last. A body that ends early is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        todo!()
    }
}
