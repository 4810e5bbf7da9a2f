//! Selects which files of the sandbox travel: include, exclude and `.gitignore` patterns, purely over names.
//! Fed by `controllers::task::files` with what was listed; no I/O here.

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A pattern of the spec that is not a gitignore pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} has a pattern that can't be read, {pattern:?}: {problem}")]
pub struct PatternError {
    pub field: &'static str,
    pub pattern: String,
    pub problem: String,
}

/// The patterns of one transfer. Paths are bytes, relative to `source.path`, without `./` before them.
///
/// A file travels when it is included, not excluded and not ignored. Exclude and `.gitignore` work as in git
/// (<https://git-scm.com/docs/gitignore>): the deepest file with an opinion wins, and nothing below a directory that
/// is out can come back in.
#[derive(Debug)]
pub struct Selection {
    include: Option<Gitignore>,
    exclude: Gitignore,
    /// By the directory they lie in; `""` is the root.
    ignore_files: HashMap<Vec<u8>, Gitignore>,
    /// Directories, with true for those that are left out; filled as it is asked for.
    directories: HashMap<Vec<u8>, bool>,
}

impl Selection {
    /// From `source.include` (empty: everything) and `source.exclude`.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, PatternError> {
        let included = (!include.is_empty()).then(|| patterns("spec.source.include", include)).transpose()?;
        Ok(Self {
            include: included,
            exclude: patterns("spec.source.exclude", exclude)?,
            ignore_files: HashMap::new(),
            directories: HashMap::new(),
        })
    }

    /// Adds the `.gitignore` of `directory`. All of the directories above it must have been added before, so go
    /// by depth. Lines that are no patterns are passed over, as git does.
    pub fn add_ignore_file(&mut self, directory: &[u8], content: &[u8]) {
        let mut builder = GitignoreBuilder::new("");
        let text = String::from_utf8_lossy(content);
        for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
            // A broken pattern matches nothing.
            let _ = builder.add_line(None, line);
        }
        if let Ok(matcher) = builder.build() {
            self.ignore_files.insert(directory.to_vec(), matcher);
        }
    }

    /// Returns whether everything below `directory` stays behind; its own `.gitignore` does not matter then.
    pub fn leaves_out(&mut self, directory: &[u8]) -> bool {
        if directory.is_empty() {
            return false;
        }
        if let Some(known) = self.directories.get(directory) {
            return *known;
        }
        let out = self.leaves_out(parent(directory)) || self.is_out(directory, true);
        self.directories.insert(directory.to_vec(), out);
        out
    }

    /// Returns whether the file or link at `path` travels.
    pub fn takes(&mut self, path: &[u8]) -> bool {
        self.may_take(path) && !self.leaves_out(parent(path)) && !self.is_out(path, false)
    }

    /// Returns whether the file or link at `path` travels as far as `source.include` and `source.exclude` go. May be asked
    /// before the `.gitignore` files are known.
    pub fn may_take(&self, path: &[u8]) -> bool {
        !path.is_empty() && !is_git_internal(path) && self.chooses(path)
    }

    /// Returns whether `source.include` and `source.exclude` choose `path`, whatever its name is.
    pub fn chooses(&self, path: &[u8]) -> bool {
        if let Some(include) = &self.include
            && !include.matched_path_or_any_parents(as_path(path), false).is_ignore()
        {
            return false;
        }
        let mut directory = parent(path);
        while !directory.is_empty() {
            if self.exclude.matched(as_path(directory), true).is_ignore() {
                return false;
            }
            directory = parent(directory);
        }
        !self.exclude.matched(as_path(path), false).is_ignore()
    }

    /// Returns whether a pattern names `path` itself.
    fn is_out(&self, path: &[u8], is_dir: bool) -> bool {
        if self.exclude.matched(as_path(path), is_dir).is_ignore() {
            return true;
        }
        let mut directory = parent(path);
        loop {
            if let Some(matcher) = self.ignore_files.get(directory) {
                let below = if directory.is_empty() { path } else { &path[directory.len() + 1..] };
                match matcher.matched(as_path(below), is_dir) {
                    Match::None => {}
                    found => return found.is_ignore(),
                }
            }
            if directory.is_empty() {
                return false;
            }
            directory = parent(directory);
        }
    }
}

/// Returns whether a part of `path` is a name that git keeps for itself, in any spelling that some file system takes for it.
pub fn is_git_internal(path: &[u8]) -> bool {
    path.split(|b| *b == b'/')
        .any(|part| part.eq_ignore_ascii_case(b".git") || part.eq_ignore_ascii_case(b"git~1"))
}

/// The directory that `path` lies in; `""` for what lies at the root.
pub fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|b| *b == b'/').map_or(&[], |slash| &path[..slash])
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

fn patterns(field: &'static str, lines: &[String]) -> Result<Gitignore, PatternError> {
    let wrong = |pattern: &str, problem: String| PatternError { field, pattern: pattern.to_owned(), problem };
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder.add_line(None, line).map_err(|e| wrong(line, e.to_string()))?;
    }
    builder.build().map_err(|e| wrong("", e.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    fn selection(include: &[&str], exclude: &[&str], ignores: &[(&str, &str)]) -> Selection {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let mut selection = Selection::new(&owned(include), &owned(exclude)).unwrap();
        for (directory, content) in ignores {
            selection.add_ignore_file(directory.as_bytes(), content.as_bytes());
        }
        selection
    }

    fn taken<'a>(selection: &mut Selection, paths: &[&'a str]) -> Vec<&'a str> {
        paths.iter().copied().filter(|path| selection.takes(path.as_bytes())).collect()
    }

    #[test]
    fn takes_everything_but_git_by_default() {
        let mut all = selection(&[], &[], &[]);
        let paths = ["a", ".gitignore", ".github/x", "d/.git/config", ".git", "sub/.GIT/x", "git~1", "a\nb"];
        assert_eq!(taken(&mut all, &paths), ["a", ".gitignore", ".github/x", "a\nb"]);
        assert!(all.takes(b"\xff\xfe"), "names that are no UTF-8 are judged too");
    }

    #[test]
    fn include_names_files_and_directories() {
        let mut some = selection(&["src/", "*.md", "!src/gen/"], &[], &[]);
        let paths = ["src/a.rs", "src/gen/b.rs", "README.md", "docs/x.md", "Cargo.toml", "src2/x"];
        assert_eq!(taken(&mut some, &paths), ["src/a.rs", "README.md", "docs/x.md"]);
        let mut anchored = selection(&["/a"], &[], &[]);
        assert_eq!(taken(&mut anchored, &["a", "b/a"]), ["a"]);
    }

    #[test]
    fn exclude_beats_include_and_its_directories_stay_out() {
        let mut some = selection(&["*.rs"], &["target/", "!target/keep.rs"], &[]);
        assert_eq!(taken(&mut some, &["a.rs", "target/keep.rs", "x/target/b.rs"]), ["a.rs"]);
    }

    #[test]
    fn the_patterns_of_the_spec_are_judged_before_ignore_files_are_known() {
        let mut some = selection(&["*.rs"], &["target/", "!target/keep.rs"], &[]);
        let paths = ["a.rs", "a.md", "target/keep.rs", "x/target/b.rs", ".git/a.rs", "log.rs"];
        assert_eq!(
            paths.iter().filter(|path| some.may_take(path.as_bytes())).collect::<Vec<_>>(),
            [&"a.rs", &"log.rs"]
        );
        some.add_ignore_file(b"", b"log.rs\n");
        assert_eq!(taken(&mut some, &paths), ["a.rs"], "asking before has settled nothing");
    }

    #[test]
    fn the_deepest_ignore_file_wins() {
        let ignores =
            [("", "*.log\nbuild/\n/only-here\n# comment\n\n"), ("keep", "!*.log\n"), ("build", "!x\n")];
        let mut some = selection(&[], &[], &ignores);
        let paths = [
            "a.log",
            "d/a.log",
            "keep/a.log",
            "keep/d/a.log",
            "build/x",
            "d/build/x",
            "only-here",
            "d/only-here",
        ];
        assert_eq!(taken(&mut some, &paths), ["keep/a.log", "keep/d/a.log", "d/only-here"]);
        assert!(some.leaves_out(b"build") && !some.leaves_out(b"keep") && !some.leaves_out(b""));
    }

    #[test]
    fn anchors_relative_to_the_ignore_file() {
        let mut some = selection(&[], &[], &[("a/b", "/x\ny/z\n")]);
        let paths = ["a/b/x", "a/b/c/x", "a/b/y/z", "a/bx", "a/y/z", "x"];
        assert_eq!(taken(&mut some, &paths), ["a/b/c/x", "a/bx", "a/y/z", "x"]);
    }

    #[test]
    fn a_directory_pattern_spares_a_link_of_that_name() {
        let mut some = selection(&[], &[], &[("", "out/\n")]);
        assert_eq!(taken(&mut some, &["out", "out/x"]), ["out"]);
    }

    #[test]
    fn names_the_broken_pattern() {
        let error = Selection::new(&["a{".into(), "[z-a]".into()], &[]).unwrap_err();
        assert_eq!(error.field, "spec.source.include");
        assert!(error.to_string().contains(&error.pattern), "{error}");
    }
}
