//! Uploads the objects that pointers of git LFS stand for, before anything refers to them.
//! GitHub says which it lacks; used by `commit` only.

use super::pass::{End, Pass};
use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        files::{File, LfsObject},
        git::Pointer,
    },
    github::LfsAnswer,
};
use std::collections::BTreeMap;

/// Objects of one batch.
const BATCH: usize = 100;

impl Pass<'_> {
    /// Every object that GitHub has not yet.
    pub(super) async fn upload_objects(&mut self) -> Result<(), End> {
        let files = self.changes.put.iter().filter_map(|put| put.file);
        let objects: BTreeMap<&str, (&File, &LfsObject)> = files
            .filter_map(|file| {
                file.object.as_ref().map(|object| (object.pointer.oid.as_str(), (file, object)))
            })
            .collect();
        let objects: Vec<_> = objects.into_values().collect();
        for batch in objects.chunks(BATCH) {
            let pointers: Vec<Pointer> = batch.iter().map(|(_, object)| object.pointer.clone()).collect();
            let seen = self.github.lfs_batch(self.request.repository, &pointers).await?;
            let seen: BTreeMap<&str, &LfsAnswer> = seen.iter().map(|one| (one.oid.as_str(), one)).collect();
            for (file, object) in batch {
                match seen.get(object.pointer.oid.as_str()) {
                    Some(seen) => self.upload_object(file, object, seen).await?,
                    None => return Err(unanswered(file).into()),
                }
            }
        }
        Ok(())
    }

    async fn upload_object(&mut self, file: &File, object: &LfsObject, seen: &LfsAnswer) -> Result<(), End> {
        if let Some(error) = &seen.error {
            return Err(refused(file, &error.message).into());
        }
        let Some(upload) = &seen.actions.upload else { return Ok(()) };
        let Some(content) = &object.content else { return Err(missing(file).into()) };
        self.in_time()?;
        let repository = self.request.repository;
        self.github.lfs_upload(repository, upload, content, object.pointer.size).await?;
        if let Some(verify) = &seen.actions.verify {
            self.github.lfs_verify(repository, verify, &object.pointer).await?;
        }
        self.progressed();
        Ok(())
    }
}

fn failure(class: Class, reason: &'static str, message: String) -> Failure {
    Failure { operation: "lfsBatch", class, reason, message }
}

fn missing(file: &File) -> Failure {
    let message = format!(
        "{:?} is a pointer of git LFS, and neither the sandbox nor GitHub has its content: put the content there, or leave the file \
         out by spec.source.exclude",
        file.path
    );
    failure(Class::Invalid, reason::LFS_OBJECT_MISSING, message)
}

fn refused(file: &File, words: &str) -> Failure {
    let words: String = words.chars().take(300).collect();
    let message = format!(
        "GitHub does not take the content of {:?} as an object of git LFS ({words}): leave the file out by spec.source.exclude",
        file.path
    );
    failure(Class::Invalid, reason::LFS_REFUSED, message)
}

fn unanswered(file: &File) -> Failure {
    let message = format!("GitHub said nothing of the content of {:?}: it is asked again", file.path);
    failure(Class::Transient, reason::UNEXPECTED_ANSWER, message)
}
