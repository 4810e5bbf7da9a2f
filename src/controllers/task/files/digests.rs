//! Contents by their SHA-256, worked out in the sandbox: what is known not to have changed does not travel.
//! Used by `collect`.

use super::{
    error::FilesError,
    listing::{Found, SANDBOX_USER, words},
    transfer::in_pieces,
};
use crate::e2b::{Command, Envd};
use std::time::Duration;

const DIGESTS: &str = include_str!("digests.sh");
/// Time limit of one batch.
const TIMEOUT: Duration = Duration::from_mins(10);
/// Content of one batch, unless a single file is larger (bytes).
const BATCH_BYTES: u64 = 4 << 30;
/// Room for the digests of one batch (bytes): names fill 64 KiB, at 4 bytes or more each.
const MAX_OUTPUT: usize = 2 << 20;

/// The SHA-256 of each file, hex; none where the sandbox could not tell it.
pub(super) async fn read(
    envd: &Envd,
    base: &str,
    files: &[Found],
) -> Result<Vec<Option<String>>, FilesError> {
    let mut digests = Vec::new();
    for batch in in_pieces(files, BATCH_BYTES, |file| (file.path.len(), file.size)) {
        let names = batch.iter().map(|file| format!("./{}", String::from_utf8_lossy(&file.path)));
        let mut command = Command::sh("readDigests", DIGESTS, std::iter::once(base.to_owned()).chain(names));
        command.timeout = Some(TIMEOUT);
        command.user = Some(SANDBOX_USER);
        let output = envd.run(command, MAX_OUTPUT).await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        if output.exit_code != Some(0) || lines.len() != batch.len() {
            return Err(FilesError::Interrupted(format!("reading digests failed: {}", words(&output))));
        }
        digests.extend(lines.into_iter().map(|line| (line.len() == 64).then(|| line.to_owned())));
    }
    Ok(digests)
}
