//! The filters that `.gitattributes` files name, as far as a tree's own files say it. Pure.
//! Fed by `controllers::task`, which reads the files out of the base.
//!
//! Source: gitattributes(5). Patterns are those of gitignore, but none is negative and none stands for what lies below it.

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::{BTreeMap, HashMap};

/// The name of the files.
pub const ATTRIBUTES_FILE: &str = ".gitattributes";

/// The `.gitattributes` files of one tree.
#[derive(Debug, Default)]
pub struct Attributes {
    /// By the directory they lie in; `""` is the root.
    files: BTreeMap<String, Rules>,
    /// Macros that name a filter; an empty one: none.
    macros: HashMap<String, String>,
}

#[derive(Debug)]
struct Rules {
    patterns: Gitignore,
    /// The filter of each pattern that says something of it; an empty one: none.
    filters: HashMap<String, String>,
}

impl Attributes {
    /// Adds the file of `directory`. The root's has to be first: only there macros are defined. Lines that are none are
    /// passed over, as git does.
    pub fn add(&mut self, directory: &str, content: &[u8]) {
        let mut builder = GitignoreBuilder::new("");
        let mut filters = HashMap::new();
        for line in String::from_utf8_lossy(content).lines() {
            let line = line.trim_start();
            if line.starts_with('#') {
                continue;
            }
            let Some((pattern, attributes)) = split(line) else { continue };
            let says = self.filter_in(attributes);
            if let Some(name) = pattern.strip_prefix("[attr]") {
                if let Some(says) = says.filter(|_| directory.is_empty()) {
                    self.macros.insert(name.to_owned(), says);
                }
                continue;
            }
            let Some(says) = says else { continue };
            if !pattern.starts_with('!') && !pattern.ends_with('/') && builder.add_line(None, pattern).is_ok()
            {
                filters.insert(pattern.to_owned(), says);
            }
        }
        if let Ok(patterns) = builder.build() {
            self.files.insert(directory.to_owned(), Rules { patterns, filters });
        }
    }

    /// The filter that a list of attributes names last; an empty one: none, `None`: it says nothing of it.
    fn filter_in(&self, attributes: &str) -> Option<String> {
        let says = |word: &str| match word {
            "-filter" | "!filter" | "filter" => Some(String::new()),
            _ => match word.strip_prefix("filter=") {
                Some(name) => Some(name.to_owned()),
                None => self.macros.get(word).cloned(),
            },
        };
        attributes.split_ascii_whitespace().filter_map(says).next_back()
    }

    /// The filter of the file at `path`, if it has one: the deepest file that says something of it decides.
    pub fn filter(&self, path: &str) -> Option<&str> {
        let ends = path.rmatch_indices('/').map(|(at, _)| at);
        for directory in ends.map(|end| &path[..end]).chain([""]) {
            let Some(rules) = self.files.get(directory) else { continue };
            let below = if directory.is_empty() { path } else { &path[directory.len() + 1..] };
            if let ignore::Match::Ignore(glob) = rules.patterns.matched(below, false) {
                return rules
                    .filters
                    .get(glob.original())
                    .map(String::as_str)
                    .filter(|name| !name.is_empty());
            }
        }
        None
    }
}

/// The directories whose `.gitattributes` files count for `path`, the root first.
pub fn attribute_directories(path: &str) -> impl Iterator<Item = &str> {
    [""].into_iter().chain(path.match_indices('/').map(|(at, _)| &path[..at]))
}

/// Pattern and attributes of a line. A pattern may stand in quotes.
fn split(line: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = line.strip_prefix('"') {
        return quoted.split_once('"').map(|(pattern, rest)| (pattern, rest.trim()));
    }
    line.split_once([' ', '\t']).map(|(pattern, rest)| (pattern, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_file_and_its_last_line_decide() {
        let mut attributes = Attributes::default();
        attributes.add(
            "",
            b"# comment\n[attr]large filter=lfs diff=lfs\n*.bin filter=lfs diff=lfs merge=lfs -text\n*.txt text\n\
              *.psd large\n\"odd name\" filter=crypt\n/only.x filter=crypt\nall/ filter=no\n!a filter=no\nraw.bin -filter\n",
        );
        attributes.add("docs", b"*.bin !filter\n[attr]large filter=other\nx.psd text\n");
        for (path, filter) in [
            ("a.bin", Some("lfs")),
            ("d/e/a.bin", Some("lfs")),
            ("a.txt", None),
            ("a.psd", Some("lfs")),
            ("odd name", Some("crypt")),
            ("only.x", Some("crypt")),
            ("d/only.x", None),
            ("all/a", None),
            ("a", None),
            ("raw.bin", None),
            ("d/raw.bin", None),
            ("docs/a.bin", None),
            ("docs/e/a.bin", None),
            ("docs/x.psd", Some("lfs")),
        ] {
            assert_eq!(attributes.filter(path), filter, "{path}");
        }
        assert_eq!(attribute_directories("a/b/c").collect::<Vec<_>>(), ["", "a", "a/b"]);
    }
}
