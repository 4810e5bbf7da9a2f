//! Sizes, headers and what must not stand in the sources: the parts of "How we write" (CONTRIBUTING.md) that a machine can check.
//! Neighbours: `sources` gives the code without comments and tests.

use crate::sources::{self, Source, block_end, root};
use std::path::Path;

const MAX_LINES: usize = 400;
const MAX_FUNCTION: usize = 60;
/// A scenario is told in one piece.
const MAX_SCENARIO: usize = 80;

/// Name and number of lines of every function in `code`.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let boundary = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let rest = &code[at + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (open, semicolon) = (rest.find('{'), rest.find(';').unwrap_or(rest.len()));
        let Some(open) = open.filter(|open| *open < semicolon || rest[..*open].contains("where")) else {
            continue;
        };
        if !boundary || name.is_empty() {
            continue;
        }
        let end = open + block_end(&rest[open..]).unwrap_or(0);
        found.push((name, rest[..end].matches('\n').count() + 1));
    }
    found
}

#[test]
fn files_and_functions_fit_on_a_screen() {
    let mut found = Vec::new();
    for source in sources::below("src").iter().chain(&sources::below("tests")) {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines, at most {MAX_LINES}", source.path));
        }
        let most = if source.is_test() { MAX_SCENARIO } else { MAX_FUNCTION };
        for (name, lines) in functions(&source.code()) {
            if lines > most {
                found.push(format!("{}: {name} has {lines} lines, at most {most}", source.path));
            }
        }
    }
    assert!(found.is_empty(), "too long:\n{}", found.join("\n"));
}

#[test]
fn a_long_function_is_found() {
    let body = "    x();\n".repeat(61);
    let code = format!(
        "impl A {{\n    fn short(&self) {{}}\n    pub async fn long<T>(a: T)\n    where\n        T: B,\n    {{\n{body}    }}\n}}\n"
    );
    let found = functions(&code);
    assert_eq!(found[0], ("short".to_owned(), 1));
    assert!(found[1].0 == "long" && found[1].1 > MAX_FUNCTION, "{found:?}");
}

#[test]
fn every_module_says_what_it_does_and_who_its_neighbours_are() {
    let headless = |source: &&Source| {
        // The library's front page is the README.
        source.path != "src/lib.rs"
            && source.text.lines().take_while(|line| line.starts_with("//!")).count() < 2
    };
    let sources = sources::below("src");
    let found: Vec<_> = sources
        .iter()
        .filter(|source| !source.is_test())
        .filter(headless)
        .map(|source| &source.path)
        .collect();
    assert!(found.is_empty(), "two lines of //! are missing: {found:#?}");
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut found = Vec::new();
    for source in sources::below("src").iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code().lines().enumerate() {
            if line.contains(".unwrap()") || line.contains("todo!(") || line.contains("unimplemented!(") {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Every file that git tracks or would track, as text; binary files are left out.
fn tracked() -> Vec<Source> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files of this repository");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    let read = |name: &str| Some(Source::new(name, &std::fs::read_to_string(root().join(name)).ok()?));
    names.lines().filter_map(read).collect()
}

#[test]
fn no_file_names_a_package_registry() {
    // Put together here, so that this file does not contain them itself. The registries' clients know their hosts.
    let hosts: Vec<String> = [
        ["static.", "crates.io"],
        ["index.", "crates.io"],
        ["registry.", "npmjs.org"],
        ["pypi.", "org"],
        ["files.", "pythonhosted.org"],
        ["proxy.", "golang.org"],
        ["sum.", "golang.org"],
        ["deb.", "debian.org"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect();
    let mut found = Vec::new();
    for file in tracked() {
        // Cargo writes the canonical name of its index into the lock, whatever mirror is used.
        if Path::new(&file.path).file_name().is_some_and(|name| name == "Cargo.lock") {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            if hosts.iter().any(|host| line.contains(host.as_str())) {
                found.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    assert!(found.is_empty(), "registry hosts:\n{}", found.join("\n"));
}
