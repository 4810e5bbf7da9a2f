//! Which file of `src` needs which: every `use`, and every path that starts at `crate`, `super`, `self` or a child module,
//! followed through re-exports to the file that defines what it names. Used by `arrows` and `circles`.

use crate::sources::Source;
use std::collections::BTreeMap;

/// A path as it is written in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    line: usize,
    path: Vec<String>,
    /// The name that it has in the file: the last segment, or the one behind `as`.
    name: String,
    /// `pub use`, whoever it is visible to.
    exported: bool,
    /// A `use`, not a path in the middle of code.
    imported: bool,
}

struct File {
    path: String,
    /// `["domain", "task"]`; empty for the crate itself.
    module: Vec<String>,
    written: Vec<Written>,
    /// The code without its imports.
    rest: String,
}

/// One file needs another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub from: String,
    pub line: usize,
    pub to: String,
    /// A module shows what its own children define: a door, through which nothing is needed.
    pub is_door: bool,
}

/// All needs among `sources`, tests left out.
pub fn needs(sources: &[Source]) -> Vec<Need> {
    let files: Vec<File> = sources.iter().filter(|source| !source.is_test()).map(read).collect();
    let modules: BTreeMap<&[String], &File> =
        files.iter().filter(|file| file.path != "src/main.rs").map(|file| (&file.module[..], file)).collect();
    let mut found = Vec::new();
    for file in &files {
        for written in &file.written {
            let Some(to) = resolve(&modules, file, &written.path, 0) else { continue };
            let is_door = written.exported
                && to.module.starts_with(&file.module)
                && !has_word(&file.rest, &written.name);
            if to.path != file.path {
                found.push(Need {
                    from: file.path.clone(),
                    line: written.line,
                    to: to.path.clone(),
                    is_door,
                });
            }
        }
    }
    found.sort();
    found.dedup_by(|a, b| (&a.from, &a.to, a.is_door) == (&b.from, &b.to, b.is_door));
    found
}

/// Every path of a file, whole, whatever crate it leads to.
pub fn paths(source: &Source) -> Vec<String> {
    read(source).written.iter().map(|written| written.path.join("::")).collect()
}

fn read(source: &Source) -> File {
    let code = source.code();
    let (imports, rest) = imports(&code);
    let mut written = imports;
    written.extend(inline(&rest));
    File { path: source.path.clone(), module: module_of(&source.path), written, rest }
}

fn has_word(code: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (code[..at].chars().next_back(), code[at + name.len()..].chars().next());
        // A child of the same name is declared, not needed.
        !before.is_some_and(word) && !after.is_some_and(word) && !code[..at].ends_with("mod ")
    })
}

fn module_of(path: &str) -> Vec<String> {
    let below = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let below = below.strip_suffix("/mod").unwrap_or(below);
    if matches!(below, "lib" | "main") { Vec::new() } else { below.split('/').map(str::to_owned).collect() }
}

/// The file that defines what `path` names; `None` for what is not of this crate.
fn resolve<'a>(
    modules: &BTreeMap<&[String], &'a File>,
    file: &File,
    path: &[String],
    depth: usize,
) -> Option<&'a File> {
    let mut at = file.module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" | "slipway" => (at, rest) = (Vec::new(), &path[1..]),
        "self" | "super" => {
            while rest.first().is_some_and(|segment| segment == "self") {
                rest = &rest[1..];
            }
            while rest.first().is_some_and(|segment| segment == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        child => {
            at.push(child.to_owned());
            modules.get(&at[..])?;
            rest = &path[1..];
        }
    }
    while let Some(segment) = rest.first() {
        at.push(segment.clone());
        if !modules.contains_key(&at[..]) {
            at.pop();
            break;
        }
        rest = &rest[1..];
    }
    let door = *modules.get(&at[..])?;
    let Some(name) = rest.first() else { return Some(door) };
    // What the door only shows is defined behind it.
    let shown = door.written.iter().find(|written| written.imported && written.name == *name);
    let behind = shown.filter(|shown| depth < 8 && (door.path != file.path || shown.path != path));
    let behind = behind.and_then(|shown| {
        let path = [&shown.path[..], &rest[1..]].concat();
        resolve(modules, door, &path, depth + 1)
    });
    Some(behind.unwrap_or(door))
}

/// Every `use` of `code`, and the code without them.
fn imports(code: &str) -> (Vec<Written>, String) {
    let mut found = Vec::new();
    let mut rest = code.to_owned();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].trim_end();
        let starts = code[..at].chars().next_back().is_none_or(char::is_whitespace)
            && before.chars().next_back().is_none_or(|c| ";{}])".contains(c) || before.ends_with("pub"));
        let Some(end) = code[at..].find(';').filter(|_| starts) else { continue };
        let exported = before.ends_with("pub")
            || before
                .strip_suffix(')')
                .is_some_and(|b| b.rsplit('(').nth(1).is_some_and(|b| b.ends_with("pub")));
        let line = code[..at].matches('\n').count() + 1;
        let mut paths = Vec::new();
        expand(&code[at + 4..at + end], &[], &mut paths);
        for (path, name) in paths {
            found.push(Written { line, path, name, exported, imported: true });
        }
        let blank: String = code[at..at + end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        rest.replace_range(at..at + end, &blank);
    }
    (found, rest)
}

/// `a::{self, b::C as D}` → (`a`, `a`), (`a::b::C`, `D`).
fn expand(tree: &str, prefix: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let head = tree[..open].trim().trim_end_matches("::");
        let prefix = [prefix, &segments(head)[..]].concat();
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        for branch in branches(inner) {
            expand(&branch, &prefix, found);
        }
        return;
    }
    let (path, alias) =
        tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path = [prefix, &segments(path)[..]].concat();
    // A group's `self` and a glob name the module before them.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self" || last == "*") {
        let glob = path.pop().is_some_and(|last| last == "*");
        let name = if glob { "*".to_owned() } else { path.last().cloned().unwrap_or_default() };
        found.push((path, alias.map_or(name, str::to_owned)));
    } else if let Some(name) = path.last().cloned() {
        found.push((path, alias.map_or(name, str::to_owned)));
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|segment| segment.trim().to_owned()).filter(|segment| !segment.is_empty()).collect()
}

/// The parts between the commas of a group's own level.
fn branches(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Every path in `code`. What starts at no module of this crate is sorted out when it is resolved.
fn inline(code: &str) -> Vec<Written> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = code[at..].find(word).map(|start| at + start) {
        let path: String = code[start..].chars().take_while(|c| word(*c) || *c == ':').collect();
        at = start + path.len();
        let path = segments(&path);
        let extern_crate = code[..start].ends_with("::");
        // `Type::Item` starts at no module, and a single word is no path.
        if !extern_crate && path.len() > 1 && path[0].starts_with(|c: char| c.is_lowercase()) {
            let line = code[..start].matches('\n').count() + 1;
            let name = path[path.len() - 1].clone();
            found.push(Written { line, path, name, exported: false, imported: false });
        }
    }
    found
}

fn to_of(sources: &[(&str, &str)]) -> Vec<(String, String, bool)> {
    let sources: Vec<Source> = sources.iter().map(|(path, text)| Source::new(path, text)).collect();
    needs(&sources).into_iter().map(|need| (need.from, need.to, need.is_door)).collect()
}

#[test]
fn paths_lead_to_the_file_that_defines_what_they_name() {
    let doors = [
        ("src/lib.rs", "pub mod a; pub mod b;"),
        ("src/a/mod.rs", "mod x;\npub use x::{X, Inner as Outer};\npub struct Own;"),
        ("src/a/x.rs", "pub struct X; pub struct Inner; pub mod names { pub const N: u8 = 1; }"),
        ("src/b.rs", ""),
    ];
    let b = |text: &'static str| {
        let sources = [&doors[..3], &[("src/b.rs", text)]].concat();
        let found = to_of(&sources).into_iter().filter(|(from, ..)| from == "src/b.rs");
        found.map(|(_, to, _)| to).collect::<Vec<_>>()
    };
    assert_eq!(b("use crate::a::X;"), ["src/a/x.rs"]);
    assert_eq!(b("use crate::{a::{Outer as O, Own}};"), ["src/a/mod.rs", "src/a/x.rs"]);
    assert_eq!(b("use super::a::x::names::N;"), ["src/a/x.rs"]);
    assert_eq!(b("fn f() { crate::a::X::new(); }"), ["src/a/x.rs"]);
    assert_eq!(b("use crate::a::{self};"), ["src/a/mod.rs"]);
    assert_eq!(b("use kube::Api; // crate::a::X\n#[cfg(test)] mod tests { use crate::a::X; }"), [""; 0]);
    assert_eq!(to_of(&doors[..3]), [("src/a/mod.rs".into(), "src/a/x.rs".into(), true)], "only a door");
    let used = [("src/a/mod.rs", "mod x;\npub use x::X;\npub fn made() -> X { X }"), doors[2]];
    assert_eq!(to_of(&used), [("src/a/mod.rs".into(), "src/a/x.rs".into(), false)], "needed as well");
    assert_eq!(b("fn f() { ::a::X::new(); }"), [""; 0], "another crate of that name");
}
