//! The sources as text, with comments, strings and tests taken out where they would mislead.
//! Used by `arrows` and `style`.

use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One source file, its path relative to the repository.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn module(&self) -> &str {
        module(&self.path)
    }

    /// Only for tests: a file or folder of that name.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
            || !self.path.starts_with("src/")
    }

    /// Code without comments, literals and `#[cfg(test)]` modules; as many lines as the file has.
    pub fn code(&self) -> String {
        without_tests(&blank(&self.text))
    }
}

/// First folder or file below `src/`: the module whose arrows a file counts for.
pub fn module(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap_or(path);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// Every `.rs` file below `folder`, sorted.
pub fn below(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.push(Source { path: relative, text: std::fs::read_to_string(&path).unwrap() });
        }
    }
}

/// Replaces comments and the content of literals by spaces, so that braces and paths in them do not count.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        for &c in &chars[at..end.unwrap_or(at + 1)] {
            out.push(if end.is_none() || c == '\n' { c } else { ' ' });
        }
        at = end.unwrap_or(at + 1);
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `None` when none begins there.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let find = |from: usize, what: &[char]| {
        let found = rest[from..].windows(what.len()).position(|window| window == what);
        at + found.map_or(rest.len(), |found| from + found + what.len())
    };
    match rest {
        ['/', '/', ..] => Some(at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => Some(find(2, &['*', '/'])),
        ['r', '"', ..] => Some(find(2, &['"'])),
        ['r', '#', ..] => {
            let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
            let opens = rest.get(hashes + 1) == Some(&'"');
            opens.then(|| find(hashes + 2, &[&['"'][..], &vec!['#'; hashes][..]].concat()))
        }
        ['"', ..] => Some(at + escaped_end(rest, '"')),
        // A lifetime has no closing quote two or more characters later.
        ['\'', '\\', ..] => Some(at + escaped_end(rest, '\'')),
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

fn escaped_end(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Blanks the block behind every `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let block = block_end(&out[start..]).map_or(out.len(), |end| start + end);
        let semicolon = out[start..].find(';').map_or(out.len(), |end| start + end + 1);
        let open = out[start..].find('{').map_or(out.len(), |open| start + open);
        let end = if semicolon < open { semicolon } else { block };
        let blanked: String = out[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        out.replace_range(start..end, &blanked);
    }
    out
}

/// Just behind the block that the first `{` opens. Ask only text without literals.
pub fn block_end(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn literals_comments_and_tests_do_not_count() {
    let text = r##"
fn a() { let s = "crate::github {"; } // crate::e2b
/* crate::app */ const B: &str = r#"crate::webhook"#; const C: char = '{';
fn d<'a>(x: &'a str) -> &'a str { x }
#[cfg(test)]
mod tests { use crate::cluster; fn t() { { } } }
fn e() {}
"##;
    let code = Source::new("src/domain/x.rs", text).code();
    for gone in ["github", "e2b", "app", "webhook", "cluster"] {
        assert!(!code.contains(gone), "{gone} in {code}");
    }
    assert!(code.contains("fn e()") && code.contains("fn d<'a>"));
    assert_eq!(code.lines().count(), text.lines().count());
}
