//! Changed files that git LFS keeps: the pointer that goes into the tree, and the object that it stands for.
//! Part of `worktree`, after `blobs`: what git has is a pointer or, in a sandbox without git-lfs, the content itself.

use crate::{
    controllers::task::files::{blob::sha256_file, blocking::unblocked, error::FilesError, intake::Intake},
    domain::{
        files::{LfsObject, Mode},
        git::{MAX_POINTER, Pointer, blob_id},
    },
    e2b::Envd,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
};
use tokio::io::AsyncWriteExt as _;

/// What is known of the changed files that git LFS keeps.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Kept {
    /// Their paths.
    pub paths: BTreeSet<String>,
    /// Those of them whose mode is the parent's.
    pub same_mode: BTreeSet<String>,
    /// Ids of contents that the parent has: GitHub has their objects.
    pub known: HashSet<String>,
}

/// Makes pointers of contents, leaves out what is unchanged then, and fetches the objects that GitHub may lack.
pub(in super::super) async fn read(
    envd: &Envd,
    path: &str,
    kept: Kept,
    intake: Intake,
) -> Result<Intake, FilesError> {
    if kept.paths.is_empty() {
        return Ok(intake);
    }
    let known = kept.known.clone();
    let mut intake = unblocked(move || point(intake, &kept)).await?;
    for index in 0..intake.files().len() {
        let file = &intake.files()[index];
        let wanted =
            file.object.as_ref().filter(|object| object.content.is_none() && !known.contains(&file.blob));
        let Some(object) = wanted else { continue };
        let (pointer, name) = (object.pointer.clone(), file.path.clone());
        for place in [stored(path, &pointer), format!("{}/{name}", path.trim_end_matches('/'))] {
            if fetch(envd, &place, &name, &pointer, index, &mut intake).await? {
                break;
            }
        }
    }
    Ok(intake)
}

/// Where git-lfs keeps an object. Source: git-lfs/docs/spec.md, "Intro".
fn stored(path: &str, pointer: &Pointer) -> String {
    let (path, oid) = (path.trim_end_matches('/'), &pointer.oid);
    format!("{path}/.git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4])
}

fn point(mut intake: Intake, kept: &Kept) -> Result<Intake, FilesError> {
    for index in 0..intake.files().len() {
        let file = intake.files()[index].clone();
        if !kept.paths.contains(&file.path) || file.mode == Mode::Symlink || file.size == 0 {
            continue;
        }
        let content = intake.place_of(&file.content);
        let on_disk = |error: io::Error| Intake::disk_error(&content, &error);
        if file.size <= MAX_POINTER
            && let Some(pointer) = Pointer::parse(&fs::read(&content).map_err(on_disk)?)
        {
            intake.files_mut()[index].object = Some(LfsObject { pointer, content: None });
            continue;
        }
        let pointer = Pointer { oid: sha256_file(&content).map_err(on_disk)?, size: file.size };
        let text = pointer.text();
        let place = intake.admit(&file.path, text.len() as u64)?;
        fs::write(&place.path, &text).map_err(|error| Intake::disk_error(&place.path, &error))?;
        let entry = &mut intake.files_mut()[index];
        entry.object =
            Some(LfsObject { pointer, content: Some(std::mem::replace(&mut entry.content, place.name)) });
        (entry.size, entry.blob) = (text.len() as u64, blob_id(text.as_bytes()));
    }
    intake.files_mut().retain(|file| {
        let same = file.replaces.as_ref() == Some(&file.blob) && kept.same_mode.contains(&file.path);
        !(same && file.object.is_some())
    });
    Ok(intake)
}

/// Reads the file at `place` as the object of the file at `index`; whether it is that.
async fn fetch(
    envd: &Envd,
    place: &str,
    name: &str,
    pointer: &Pointer,
    index: usize,
    intake: &mut Intake,
) -> Result<bool, FilesError> {
    let Some(mut body) = envd.read_file(place).await? else { return Ok(false) };
    if body.length().is_some_and(|length| length != pointer.size) {
        return Ok(false);
    }
    let spooled = intake.admit(name, pointer.size)?;
    let on_disk = |error: &io::Error| Intake::disk_error(&spooled.path, error);
    let mut file = tokio::fs::File::create_new(&spooled.path).await.map_err(|e| on_disk(&e))?;
    let (mut hash, mut read) = (Sha256::new(), 0_u64);
    while let Some(piece) = body.next().await? {
        read += piece.len() as u64;
        if read > pointer.size {
            return Ok(false);
        }
        hash.update(&piece);
        file.write_all(&piece).await.map_err(|e| on_disk(&e))?;
    }
    file.flush().await.map_err(|e| on_disk(&e))?;
    if read != pointer.size || hex::encode(hash.finalize()) != pointer.oid {
        return Ok(false);
    }
    if let Some(object) = &mut intake.files_mut()[index].object {
        object.content = Some(spooled.name);
    }
    Ok(true)
}
