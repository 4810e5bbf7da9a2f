//! `filesystem.Filesystem`: `ListDir`, `Stat`, `MakeDir`, `Move` and `Remove`.
//! `entry` describes files, `sandbox::view` finds them.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Request, Response};
use nix::fcntl::OFlag;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::sandbox::users::User;
use super::super::sandbox::view::ResolveError;
use super::connect::{self, Code, Error};
use super::entry::describe;
use super::{Envd, paths};
use crate::core::Body;

/// All requests of the service; unknown fields are ignored, as envd does.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    path: String,
    depth: u32,
    source: String,
    destination: String,
}

/// Answers one procedure of the service; `None`: it has no such procedure.
pub fn handle(envd: &Envd, procedure: &str, request: &Request<Bytes>) -> Option<Response<Body>> {
    let act: fn(&Envd, &User, &Message) -> Result<Value, Error> = match procedure {
        "ListDir" => list,
        "Stat" => stat,
        "MakeDir" => make,
        "Move" => rename,
        "Remove" => remove,
        _ => return None,
    };
    connect::refuse_unary(request.headers()).or_else(|| {
        let user = envd.rpc_user(request.headers());
        let answer = user.and_then(|user| act(envd, &user, &connect::unary_message(request.body())?));
        Some(connect::unary(answer))
    })
}

fn stat(envd: &Envd, user: &User, message: &Message) -> Result<Value, Error> {
    let path = paths::expand(&message.path, user);
    entry(envd, &path)
}

fn entry(envd: &Envd, path: &Path) -> Result<Value, Error> {
    match describe(&envd.sandbox, path, path) {
        Ok(entry) => Ok(json!({ "entry": entry })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::new(Code::NotFound, format!("file not found: {}", lstat_failed(path, &error))))
        }
        Err(error) => Err(Error::new(
            Code::Internal,
            format!("error getting file info: {}", lstat_failed(path, &error)),
        )),
    }
}

fn list(envd: &Envd, user: &User, message: &Message) -> Result<Value, Error> {
    let requested = paths::expand(&message.path, user);
    let resolved = envd.sandbox.view.resolve(&requested).map_err(|error| match error {
        ResolveError::TooManyLinks => {
            let message = format!("cyclic symlink or chain >255 links at \"{}\"", requested.display());
            Error::new(Code::FailedPrecondition, message)
        }
        ResolveError::Lstat(path, error) if error.kind() == io::ErrorKind::NotFound => {
            Error::new(Code::NotFound, format!("path not found: {}", lstat_failed(&path, &error)))
        }
        ResolveError::Lstat(path, error) => {
            Error::new(Code::Internal, format!("error resolving symlink: {}", lstat_failed(&path, &error)))
        }
    })?;
    let metadata = envd.sandbox.view.stat(&resolved);
    let metadata =
        metadata.map_err(|error| Error::new(Code::Internal, format!("error getting file info: {error}")))?;
    if !metadata.is_dir() {
        let message = format!("path is not a directory: {}", resolved.display());
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let mut entries = Vec::new();
    let depth = message.depth.max(1);
    walk(envd, &resolved, &requested, depth, &mut entries).map_err(|error| {
        Error::new(Code::Internal, format!("error reading directory {}: {error}", resolved.display()))
    })?;
    Ok(if entries.is_empty() { json!({}) } else { json!({ "entries": entries }) })
}

/// Lists `at`, in the order of Go's `WalkDir`, under the path that was asked for.
fn walk(envd: &Envd, at: &Path, shown: &Path, depth: u32, entries: &mut Vec<Value>) -> io::Result<()> {
    for name in envd.sandbox.view.names(at)? {
        let (at, shown) = (at.join(&name), shown.join(&name));
        let entry = match describe(&envd.sandbox, &at, &shown) {
            // Removed since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        // A link is shown with its target's type, but is not descended.
        let directory = entry["type"] == "FILE_TYPE_DIRECTORY" && entry.get("symlinkTarget").is_none();
        entries.push(entry);
        if directory && depth > 1 {
            walk(envd, &at, &shown, depth - 1, entries)?;
        }
    }
    Ok(())
}

fn make(envd: &Envd, user: &User, message: &Message) -> Result<Value, Error> {
    let path = paths::expand(&message.path, user);
    match envd.sandbox.view.stat(&path) {
        Ok(metadata) if metadata.is_dir() => {
            let message = format!("directory already exists: {}", path.display());
            return Err(Error::new(Code::AlreadyExists, message));
        }
        Ok(_) => {
            let message = format!("path already exists but it is not a directory: {}", path.display());
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let message = format!("error getting file info: {}", failed("stat", &path, &error));
            return Err(Error::new(Code::Internal, message));
        }
    }
    ensure_directories(envd, &path, user).map_err(|message| Error::new(Code::Internal, message))?;
    entry(envd, &path)
}

fn rename(envd: &Envd, user: &User, message: &Message) -> Result<Value, Error> {
    let source = paths::expand(&message.source, user);
    let destination = paths::expand(&message.destination, user);
    let parent = destination.parent().unwrap_or(Path::new("/"));
    ensure_directories(envd, parent, user).map_err(|message| Error::new(Code::Internal, message))?;
    let view = &envd.sandbox.view;
    let renamed = view.by_name(&source, |from| view.by_name(&destination, |to| std::fs::rename(from, to)));
    renamed.map_err(|error| {
        let cause = format!("rename {} {}: {}", source.display(), destination.display(), reason(&error));
        match error.kind() {
            io::ErrorKind::NotFound => Error::new(Code::NotFound, format!("source file not found: {cause}")),
            _ => Error::new(Code::Internal, format!("error renaming: {cause}")),
        }
    })?;
    entry(envd, &destination)
}

fn remove(envd: &Envd, user: &User, message: &Message) -> Result<Value, Error> {
    let path = paths::expand(&message.path, user);
    let removed = envd.sandbox.view.by_name(&path, |name| match std::fs::symlink_metadata(name) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(name),
        Ok(_) => std::fs::remove_file(name),
        Err(error) => Err(error),
    });
    match removed {
        // Like Go's `RemoveAll`: what is not there is removed.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::new(
            Code::Internal,
            format!("error removing file or directory: {}", failed("unlinkat", &path, &error)),
        )),
        _ => Ok(json!({})),
    }
}

/// Makes `path` and what is missing above it, all of it `user`'s. The error is in envd's words.
pub(super) fn ensure_directories(envd: &Envd, path: &Path, user: &User) -> Result<(), String> {
    let view = &envd.sandbox.view;
    let mut missing: Vec<PathBuf> = Vec::new();
    for ancestor in path.ancestors() {
        match view.stat(ancestor) {
            Ok(metadata) if metadata.is_dir() => break,
            Ok(_) => return Err(format!("path is a file: {}", ancestor.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(ancestor.to_owned()),
            Err(error) => {
                return Err(format!("failed to stat directory: {}", failed("stat", ancestor, &error)));
            }
        }
    }
    for directory in missing.iter().rev() {
        let made = view.by_name(directory, |name| std::fs::create_dir(name));
        let made = made.and_then(|()| view.open(directory, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0));
        made.and_then(|made| view.give(&made, user.uid, user.gid))
            .map_err(|error| format!("failed to create directory: {}", failed("mkdir", directory, &error)))?;
    }
    Ok(())
}

fn lstat_failed(path: &Path, error: &io::Error) -> String {
    failed("lstat", path, error)
}

/// An error in the form of Go's `PathError`.
pub(super) fn failed(operation: &str, path: &Path, error: &io::Error) -> String {
    format!("{operation} {}: {}", path.display(), reason(error))
}

/// Go's text of a system error: strerror's, in lower case.
fn reason(error: &io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), |code| nix::Error::from_raw(code).desc().to_lowercase())
}
