//! Runs what waits for the disk on a thread of its own.
//! Used by `collect`, `transfer` and `archive`.

use super::error::FilesError;

/// Runs blocking work outside the passes. Dropped half-way, it still runs to its end.
pub(super) async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(FilesError::Interrupted("the operator is stopping".to_owned())),
    }
}
