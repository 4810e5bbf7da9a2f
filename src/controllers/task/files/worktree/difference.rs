//! What git says of a work tree: the output of difference.sh, named sections of announced lengths, bounded before they are
//! read. Part of `worktree`; judged by `files::changed`.

use super::script::{FULL, TIMEOUT, command, cut, directories, directory, git_failed};
use crate::{
    api::{RERUN_ANNOTATION, Source, conditions::reason},
    controllers::task::files::{error::FilesError, listing::SANDBOX_USER},
    domain::git::is_id,
    e2b::{Command, Envd, Event, Process},
};
use std::collections::{BTreeMap, BTreeSet};

const DIFFERENCE: &str = concat!(include_str!("elsewhere.sh"), include_str!("difference.sh"));
const CLEAN: &str = r#"rm -rf -- "$1""#;
/// Stands at the commit that was checked out.
const BASE_REFERENCE: &str = "refs/slipway/base";
/// Exit code of difference.sh where that reference does not.
const NOT_OURS: i32 = 5;
/// Its exit code where git can't add the files.
const NOT_ADDED: i32 = 6;
/// Its exit code where more files are new than may travel.
const TOO_MANY: i32 = 7;
/// Words of git that come and go: of a file that went away or grew meanwhile, of a machine that has no memory left.
const PASSING: [&str; 4] = ["No such file", "short read", "emory", "Input/output error"];
/// Words of git where a filter has failed.
pub(in super::super) const FILTER_FAILED: &str = ": clean filter '";
/// Names of work that lies elsewhere; more help nobody.
const MAX_ELSEWHERE: usize = 5;
/// Commits that GitHub is asked about.
const MAX_TAKEN_IN: usize = 3;
/// Bytes of all sections: some 50,000 changed paths.
const MAX_BYTES: usize = 16 << 20;
/// Length to which complaints are kept (bytes).
const MAX_WORDS: usize = 4 << 10;

/// What git says of the work tree, still unchecked.
#[derive(Debug, Default)]
pub(in super::super) struct Sections {
    by_name: BTreeMap<String, Vec<u8>>,
}

/// Lets git work out what has changed since `commit`, in a directory of our own that `id` names; `max_files` may travel.
pub(in super::super) async fn difference(
    envd: &Envd,
    source: &Source,
    commit: &str,
    id: &str,
    max_files: usize,
) -> Result<Sections, FilesError> {
    let force = if source.include_ignored { "-f" } else { "" };
    let witness = if source.checkout.is_some() { BASE_REFERENCE } else { "" };
    let arguments = [
        source.path.clone(),
        directory(id),
        commit.to_owned(),
        force.to_owned(),
        source.exclude.join("\n"),
        witness.to_owned(),
        directories(id),
        // What of the new files is wanted git does not know otherwise.
        if source.include.is_empty() { max_files.to_string() } else { String::new() },
        FULL.join("\n"),
        PASSING.join("\n"),
    ];
    let process = envd.open(command("readDifference", DIFFERENCE, arguments)).await?;
    read(process, &source.path).await
}

/// Removes what [`difference`] has left; what can't be removed goes with the sandbox.
pub(in super::super) async fn clean(envd: &Envd, id: &str) {
    let mut command = Command::sh("removeDifference", CLEAN, [directory(id)]);
    command.timeout = Some(TIMEOUT);
    command.user = Some(SANDBOX_USER);
    if let Err(error) = envd.run(command, 1 << 10).await {
        tracing::debug!(%error, "git's objects of a difference stay in the sandbox");
    }
}

/// Reads the sections as they come.
async fn read(mut process: Process, path: &str) -> Result<Sections, FilesError> {
    let (mut said, mut words, mut ended) = (Vec::new(), Vec::new(), None);
    while let Some(event) = process.next().await? {
        match event {
            Event::Stdout(piece) => {
                if said.len() + piece.len() > MAX_BYTES {
                    return Err(FilesError::TooLarge(format!(
                        "too much has changed below {path}: more than {} MiB of names: leave out what is not to be committed \
                         by a .gitignore file or by spec.source.exclude",
                        MAX_BYTES >> 20
                    )));
                }
                said.extend_from_slice(&piece);
            }
            Event::Stderr(piece) => {
                let room = MAX_WORDS.saturating_sub(words.len()).min(piece.len());
                words.extend_from_slice(&piece[..room]);
            }
            Event::Ended { exit_code, .. } => ended = exit_code,
            Event::Started { .. } => {}
        }
    }
    match ended {
        Some(NOT_OURS) => Err(replaced(path)),
        Some(TOO_MANY) => Err(too_many(path)),
        Some(NOT_ADDED) => Err(not_added(&String::from_utf8_lossy(&words))),
        Some(0) => Sections::parse(&said).ok_or_else(|| git_failed("it printed no difference")),
        _ => Err(git_failed(&String::from_utf8_lossy(&words))),
    }
}

fn too_many(path: &str) -> FilesError {
    FilesError::TooLarge(format!(
        "more files are new below {path} than SLIPWAY_MAX_FILES allows: leave out what is not to be committed by a .gitignore file \
         or by spec.source.exclude"
    ))
}

/// git does not take the files, and says of none which it is; or it may take them the next time.
fn not_added(words: &str) -> FilesError {
    let failed = git_failed(words);
    if !matches!(failed, FilesError::Interrupted(_)) {
        return failed;
    }
    if words.contains(FILTER_FAILED) {
        let message = format!(
            "filters that .gitattributes names fail in the sandbox, where root calls them ({}): mend them in the template, or leave \
             the files out by spec.source.exclude",
            cut(words)
        );
        return FilesError::Unfit { reason: reason::FILTERED_FILE, message };
    }
    let is_firm = words.contains("fatal: ") || words.contains("error: ");
    if !is_firm || PASSING.iter().any(|it| words.contains(it)) {
        return failed;
    }
    FilesError::Invalid(format!(
        "the sandbox's git can't add what has changed ({}): mend it, or leave it out by spec.source.exclude",
        cut(words)
    ))
}

/// The command has taken away what was checked out for it, so that nothing tells what it has changed.
fn replaced(path: &str) -> FilesError {
    FilesError::Unfit {
        reason: reason::WORK_TREE_DAMAGED,
        message: format!(
            "the git repository that was checked out in {path} is damaged, gone or another one: {BASE_REFERENCE} does not lead to \
             the commit that the command was given. The command must leave .git and that reference alone; empty {path}, then set \
             the annotation {RERUN_ANNOTATION} to a new value"
        ),
    }
}

impl Sections {
    fn parse(mut said: &[u8]) -> Option<Self> {
        let mut by_name = BTreeMap::new();
        while !said.is_empty() {
            let end = said.iter().take(64).position(|byte| *byte == b'\n')?;
            let (name, length) = std::str::from_utf8(&said[..end]).ok()?.split_once(' ')?;
            let length: usize = length.parse().ok()?;
            let content = said.get(end + 1..end.checked_add(1)?.checked_add(length)?)?;
            if by_name.insert(name.to_owned(), content.to_vec()).is_some() {
                return None;
            }
            said = &said[end + 1 + length..];
        }
        Some(Self { by_name })
    }

    fn bytes(&self, name: &str) -> &[u8] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    fn names(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.bytes(name).split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }

    /// The raw difference.
    pub(in super::super) fn changes(&self) -> &[u8] {
        self.bytes("changes")
    }

    /// Files that were written to after git had read them.
    pub(in super::super) fn changing(&self) -> impl Iterator<Item = &[u8]> {
        self.names("changing")
    }

    /// Repositories inside that have no commit, so that git can't take them for submodules.
    pub(in super::super) fn embedded(&self) -> impl Iterator<Item = &[u8]> {
        self.names("embedded")
    }

    /// Files in which a merge has left marks that nobody has taken out.
    pub(in super::super) fn conflicts(&self) -> impl Iterator<Item = &[u8]> {
        self.names("conflicts")
    }

    /// Files that git can't add, each with its words.
    pub(in super::super) fn refused(&self) -> Vec<(&[u8], String)> {
        let fields: Vec<&[u8]> = self.bytes("refused").split(|byte| *byte == 0).collect();
        let pairs = fields.chunks_exact(2);
        pairs.map(|pair| (pair[0], String::from_utf8_lossy(pair[1]).trim().to_owned())).collect()
    }

    /// Submodules whose checkout stands elsewhere.
    pub(in super::super) fn moved(&self) -> impl Iterator<Item = &[u8]> {
        self.names("moved")
    }

    /// Names of commits that are not part of the result.
    pub(in super::super) fn elsewhere(&self) -> Vec<String> {
        let names = String::from_utf8_lossy(self.bytes("elsewhere")).into_owned();
        names.lines().take(MAX_ELSEWHERE).map(str::to_owned).collect()
    }

    /// Commits from elsewhere that the work tree has taken in, newest first.
    pub(in super::super) fn taken_in(&self) -> Vec<String> {
        let ids = String::from_utf8_lossy(self.bytes("taken")).into_owned();
        ids.lines().filter(|id| is_id(id)).take(MAX_TAKEN_IN).map(str::to_owned).collect()
    }

    /// The paths that `.gitmodules` names.
    pub(in super::super) fn submodules(&self) -> BTreeSet<String> {
        let pairs = self.names("submodules").filter_map(|pair| std::str::from_utf8(pair).ok());
        pairs.filter_map(|pair| Some(pair.split_once('\n')?.1.trim_end_matches('/').to_owned())).collect()
    }

    /// The id of the whole tree.
    pub(in super::super) fn tree(&self) -> Option<String> {
        let id = std::str::from_utf8(self.bytes("tree")).ok()?.trim();
        is_id(id).then(|| id.to_owned())
    }

    /// Number of files and links in the commit.
    pub(in super::super) fn parent_files(&self) -> usize {
        std::str::from_utf8(self.bytes("count")).ok().and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    /// The sizes of contents (bytes), by id.
    pub(in super::super) fn sizes(&self) -> BTreeMap<String, u64> {
        let lines = std::str::from_utf8(self.bytes("sizes")).unwrap_or_default().lines();
        let sizes = lines.filter_map(|line| {
            let mut fields = line.split(' ');
            let (id, kind, size) = (fields.next()?, fields.next()?, fields.next()?);
            (kind == "blob" && is_id(id)).then_some(())?;
            Some((id.to_owned(), size.parse().ok()?))
        });
        sizes.collect()
    }

    /// Changed files that `.gitattributes` files name a filter for, with its name.
    pub(in super::super) fn filters(&self) -> BTreeMap<&[u8], &str> {
        let fields: Vec<&[u8]> = self.bytes("filters").split(|byte| *byte == 0).collect();
        let triples = fields.chunks_exact(3).filter_map(|triple| {
            let value = std::str::from_utf8(triple[2]).ok()?;
            (!matches!(value, "unspecified" | "unset" | "set")).then_some((triple[0], value))
        });
        triples.collect()
    }

    /// Where `.lfsconfig` says that objects of git LFS belong or come from: names of settings with their values.
    pub(in super::super) fn lfs_servers(&self) -> impl Iterator<Item = (&str, &str)> {
        let settings = self.names("lfs").filter_map(|setting| std::str::from_utf8(setting).ok());
        settings.filter_map(|setting| setting.split_once('\n'))
    }

    /// Returns whether the sandbox's git has a program for the filter.
    pub(in super::super) fn has_driver(&self, filter: &str) -> bool {
        let names = [format!("filter.{filter}.clean"), format!("filter.{filter}.process")];
        self.names("drivers").any(|name| names.iter().any(|wanted| wanted.as_bytes() == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "61780798228d17af2d34fce4cfbdf35556832472";

    #[test]
    fn sections_are_read_by_their_length() {
        let id = format!("{A}\n");
        let sizes = format!("{A} blob 12\n{A}x blob 3\n3e757656cf36eca53338e520d134963a44f793f8 missing\n");
        let filters = b"a.bin\0filter\0lfs\0b\0filter\0unspecified\0c\0filter\0unset\0";
        let said = [
            format!("tree 41\n{id}count 3\n 4\nsizes {}\n{sizes}", sizes.len()).as_bytes(),
            format!("filters {}\n", filters.len()).as_bytes(),
            filters,
            b"drivers 17\nfilter.lfs.clean\0submodules 21\nsubmodule.x.path\nlib\0moved 4\nlib\0refused 7\nx\0fat\n\0changes 0\n",
        ]
        .concat();
        let sections = Sections::parse(&said).expect("sections");
        assert_eq!((sections.tree().as_deref(), sections.parent_files()), (Some(A), 4));
        assert_eq!(sections.sizes(), BTreeMap::from([(A.to_owned(), 12)]));
        assert_eq!(sections.filters(), BTreeMap::from([(b"a.bin".as_slice(), "lfs")]));
        assert!(sections.has_driver("lfs") && !sections.has_driver("crypt"));
        assert_eq!(sections.submodules(), BTreeSet::from(["lib".to_owned()]));
        assert_eq!(sections.moved().collect::<Vec<_>>(), [b"lib"]);
        assert_eq!(sections.refused(), [(b"x".as_slice(), "fat".to_owned())]);
        assert!(sections.changes().is_empty() && sections.changing().next().is_none());
    }

    #[test]
    fn what_git_does_not_take_is_told_from_what_may_pass() {
        for (words, reason) in [
            ("fatal: adding files failed", reason::INVALID_FILES),
            ("fatal: unable to stat 'a': No such file or directory", reason::TRANSFER_INTERRUPTED),
            ("error: cannot run x: No such file\nfatal: a: clean filter 'x' failed", reason::FILTERED_FILE),
            ("fatal: Out of memory, malloc failed", reason::TRANSFER_INTERRUPTED),
            ("", reason::TRANSFER_INTERRUPTED),
            ("error: file write error: No space left on device", reason::SANDBOX_DISK_FULL),
        ] {
            assert_eq!(not_added(words).reason(), reason, "{words}");
        }
    }

    #[test]
    fn odd_output_is_refused() {
        for odd in [
            "x",
            "tree",
            "tree x\n",
            "tree 5\nabc",
            "tree 1\naa 0\n\0",
            "tree 0\ntree 0\n",
            "tree 18446744073709551615\nx",
        ] {
            assert!(Sections::parse(odd.as_bytes()).is_none(), "{odd:?}");
        }
    }
}
