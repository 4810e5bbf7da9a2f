//! The content of a spooled file, believed only while it has the hash it was spooled under.
//! Used by `blobs`, `trees` and `leaks`.

use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        files::File,
        git::blob_id,
    },
};

/// The spooled copy of a file is not what it was. Its path is not named: it may hold what must not be shown.
pub(super) fn lost(what: &str) -> Failure {
    Failure {
        operation: "readSpool",
        class: Class::NotFound,
        reason: reason::SPOOLED_FILES_LOST,
        message: format!("a spooled file {what}; the files are read from the sandbox again"),
    }
}

/// A spooled file's content, if it is still what was hashed when it was spooled.
pub(super) async fn content(file: &File) -> Result<Vec<u8>, Failure> {
    let path = file.content.clone();
    // Reading and hashing a large file takes long enough to hold up the other reconciles of the thread.
    let read = tokio::task::spawn_blocking(move || {
        let content = std::fs::read(path)?;
        Ok::<_, std::io::Error>((blob_id(&content), content))
    });
    match read.await {
        Ok(Ok((blob, content))) if blob == file.blob => Ok(content),
        Ok(Ok(_)) => Err(lost("has changed")),
        Ok(Err(_)) | Err(_) => Err(lost("can't be read")),
    }
}
