//! The operator as it is released, today's and an earlier one, each built where it is missing.
//! Part of `support`.

use anyhow::{Context as _, Result, ensure};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// This operator in the release profile; `BINARY=path` measures another build, for a profile of one with symbols.
pub fn released() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("BINARY") {
        return Ok(binary.into());
    }
    build(Path::new(ROOT), &target())
}

/// The operator of an earlier commit in the release profile, from the history of this repository.
pub fn released_at(commit: &str) -> Result<PathBuf> {
    let sources = target().join("baseline").join(commit);
    if !sources.exists() {
        std::fs::create_dir_all(&sources)?;
        let mut archive = Command::new("git")
            .args(["-C", ROOT, "archive", commit])
            .stdout(Stdio::piped())
            .spawn()
            .context("git")?;
        let from = archive.stdout.take().context("its output")?;
        let unpacked = Command::new("tar").arg("-xC").arg(&sources).stdin(from).status().context("tar")?;
        if !(archive.wait()?.success() && unpacked.success()) {
            std::fs::remove_dir_all(&sources)?;
            anyhow::bail!(
                "commit {commit} can't be unpacked: fetch the whole history (git fetch --unshallow)"
            );
        }
    }
    build(&sources, &target().join("baseline").join("target"))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from)
}

fn build(sources: &Path, target: &Path) -> Result<PathBuf> {
    eprintln!("building {} in the release profile", sources.display());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--bin", "slipway", "--manifest-path"]);
    let built = cargo.arg(sources.join("Cargo.toml")).arg("--target-dir").arg(target).status()?;
    ensure!(built.success(), "{} does not build", sources.display());
    Ok(target.join("release/slipway"))
}
