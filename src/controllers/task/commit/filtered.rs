//! Files of a plain directory that the repository keeps through a filter: their content there is not what git would make of
//! it, so they are refused by name. What git LFS keeps and has not changed is known by its pointer.
//! Reads the base's `.gitattributes`; used by `planned`, and by the Task controller before files travel.

use super::content::lost;
use crate::{
    api::conditions::reason,
    controllers::task::files::sha256_file,
    domain::{
        failure::{Class, Failure},
        files::{File, named},
        git::{ATTRIBUTES_FILE, Attributes, BaseTree, Pointer, Wanted, attribute_directories},
    },
    github::{Client, RepositoryName},
};
use std::collections::BTreeSet;

/// Reads what the base says of `paths`. Costs a call for each `.gitattributes` file on their way.
pub async fn attributes<'a>(
    github: &Client,
    repository: &RepositoryName,
    base: &BaseTree,
    paths: impl Iterator<Item = &'a str>,
) -> Result<Attributes, Failure> {
    // Sorted, so that the root's comes first.
    let directories: BTreeSet<&str> = paths.flat_map(attribute_directories).collect();
    let mut attributes = Attributes::default();
    for directory in directories {
        let path = match directory {
            "" => ATTRIBUTES_FILE.to_owned(),
            _ => format!("{directory}/{ATTRIBUTES_FILE}"),
        };
        if let Some((mode, id)) = base.entry(&path)
            && mode.starts_with("100")
        {
            attributes.add(directory, &github.get_blob(repository, id).await?);
        }
    }
    Ok(attributes)
}

/// Leaves out what is unchanged behind its filter, and refuses the rest that has one.
pub(super) async fn refuse<'a>(
    github: &Client,
    repository: &RepositoryName,
    base: &BaseTree,
    wanted: Vec<Wanted<'a>>,
) -> Result<Vec<Wanted<'a>>, Failure> {
    let files = wanted.iter().filter(|one| one.file.is_some());
    let attributes = attributes(github, repository, base, files.map(|one| one.path.as_str())).await?;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for one in wanted {
        match (one.file, attributes.filter(&one.path)) {
            (Some(file), Some("lfs")) if is_unchanged(file, base.entry(&one.path)).await? => {}
            (Some(_), Some(_)) => refused.push(one.path),
            _ => taken.push(one),
        }
    }
    if refused.is_empty() { Ok(taken) } else { Err(filtered(&refused)) }
}

/// Returns whether the base has just the pointer of this file.
async fn is_unchanged(file: &File, base: Option<(&str, &str)>) -> Result<bool, Failure> {
    match base {
        Some((mode, id)) if mode == file.mode.as_str() => {
            Ok(Pointer { oid: sha256(file).await?, size: file.size }.id() == id)
        }
        _ => Ok(false),
    }
}

/// SHA-256 of a spooled file, hex.
async fn sha256(file: &File) -> Result<String, Failure> {
    let path = file.content.clone();
    match tokio::task::spawn_blocking(move || sha256_file(&path)).await {
        Ok(Ok(hash)) => Ok(hash),
        Ok(Err(_)) | Err(_) => Err(lost("can't be read")),
    }
}

fn filtered(paths: &[String]) -> Failure {
    Failure {
        operation: "collectFiles",
        class: Class::Invalid,
        reason: reason::FILTERED_FILE,
        message: format!(
            "{} changed, and .gitattributes in the repository names a filter for it (git LFS, for example), which a plain \
             directory can't apply: work in a git clone, or leave the file out by spec.source.exclude",
            named(paths.iter(), "has", "have each")
        ),
    }
}
