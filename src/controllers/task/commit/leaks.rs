//! No secret leaves: everything that the commit and its pull request would publish is searched before a byte of it is sent.
//! Reads what the parent has already where it has to; used by `commit` only.

use super::{content::lost, request::Request};
use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        files::File,
        git::{BlobHasher, Changes, Put},
        secrets::{Counts, Needles, SecretValue},
    },
    github::Client,
};
use std::{
    io::{self, Read as _},
    path::Path,
};

/// Part of a file that is held in memory at a time (bytes).
const BUFFER: usize = 64 << 10;
/// A message that names more places helps nobody.
const MAX_NAMED: usize = 5;
/// Characters of a path in a message.
const MAX_PATH: usize = 200;

/// Fails when a value of a Secret would get to GitHub that is not there yet.
pub(super) async fn check(
    github: &Client,
    request: &Request<'_>,
    changes: &Changes<'_>,
) -> Result<(), Failure> {
    let needles = request.needles;
    if needles.is_empty() {
        return Ok(());
    }
    let mut places = in_texts(request);
    for put in &changes.put {
        if places.len() >= MAX_NAMED {
            break;
        }
        places.extend(in_path(needles, put));
        places.extend(in_content(github, request, put).await?);
    }
    if places.is_empty() { Ok(()) } else { Err(found(&places)) }
}

fn in_texts(request: &Request<'_>) -> Vec<String> {
    let texts = [
        ("the commit message", request.message),
        ("the name of the commit's author", request.author.map_or("", |author| author.name.as_str())),
        ("the address of the commit's author", request.author.map_or("", |author| author.email.as_str())),
        ("the pull request's title", request.title),
        ("the pull request's text", request.body),
    ];
    let holds = |(what, text): (&str, &str)| Some(place(what, request.needles.found_in(text)?));
    texts.into_iter().filter_map(holds).collect()
}

/// Searches a path. One that the parent has is not new to GitHub.
fn in_path(needles: &Needles, put: &Put<'_>) -> Option<String> {
    if put.before.is_some() {
        return None;
    }
    Some(place(&format!("the path {}", shown(needles, put)), needles.found_in(&put.path)?))
}

async fn in_content(
    github: &Client,
    request: &Request<'_>,
    put: &Put<'_>,
) -> Result<Option<String>, Failure> {
    // Otherwise GitHub has this very content already.
    let Some(file) = put.file else { return Ok(None) };
    let needles = request.needles;
    // What the parent's object holds is not known here, so each value counts.
    let object = counts_in_object(needles, file).await?;
    if let Some(value) = needles.added(&object, &needles.count(b"")) {
        return Ok(Some(place(&format!("the file {}", shown(needles, put)), value)));
    }
    let here = counts(needles, file).await?;
    if here.is_zero() {
        return Ok(None);
    }
    let before = match &put.before {
        Some(blob) => needles.count(&github.get_blob(request.repository, blob).await?),
        None => needles.count(b""),
    };
    let added = needles.added(&here, &before);
    Ok(added.map(|value| place(&format!("the file {}", shown(needles, put)), value)))
}

/// Counts the values in a spooled file, whatever its kind: of a link it is the target. The disk may block, so this runs outside
/// the reconciles.
async fn counts(needles: &Needles, file: &File) -> Result<Counts, Failure> {
    let (needles, path, size) = (needles.clone(), file.content.clone(), file.size);
    match tokio::task::spawn_blocking(move || read(&needles, &path, size)).await {
        Ok(Ok((blob, counts))) if blob == file.blob => Ok(counts),
        // Another content would be searched than is sent.
        Ok(Ok(_)) => Err(lost("has changed")),
        Ok(Err(_)) | Err(_) => Err(lost("can't be read")),
    }
}

/// The same of the object of git LFS that a file stands for.
async fn counts_in_object(needles: &Needles, file: &File) -> Result<Counts, Failure> {
    let object = file.object.as_ref().and_then(|object| Some((object.content.clone()?, object.pointer.size)));
    let Some((path, size)) = object else { return Ok(needles.count(b"")) };
    let needles = needles.clone();
    match tokio::task::spawn_blocking(move || read(&needles, &path, size)).await {
        Ok(Ok((_, counts))) => Ok(counts),
        Ok(Err(_)) | Err(_) => Err(lost("can't be read")),
    }
}

fn read(needles: &Needles, path: &Path, size: u64) -> io::Result<(String, Counts)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut search) = (BlobHasher::new(size), needles.search());
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hash.finish().ok_or(io::ErrorKind::InvalidData)?, search.end())),
            read => {
                hash.update(&buffer[..read]);
                search.feed(&buffer[..read]);
            }
        }
    }
}

/// The path as people may read it: the sandbox chose it, so it may be or hold a secret itself.
fn shown(needles: &Needles, put: &Put<'_>) -> String {
    let masked: String = needles.mask(&put.path).chars().take(MAX_PATH).collect();
    format!("{masked:?}")
}

fn place(what: &str, value: &SecretValue) -> String {
    format!("{what} holds the value of {value}")
}

fn found(places: &[String]) -> Failure {
    Failure {
        operation: "searchForSecrets",
        class: Class::Invalid,
        reason: reason::SECRET_IN_FILES,
        message: format!(
            "nothing was sent to GitHub, because {}: take it out, or, if it is no secret, write it as value instead of \
             taking it from a Secret, and rerun",
            places.join("; ")
        ),
    }
}
