//! Which module may know which, and what `domain` may not know at all.
//! Neighbours: `sources` gives the code without comments and tests.

use crate::sources::{self, Source};

/// Module and what it may use. Whatever is not listed is forbidden.
const ARROWS: [(&str, &[&str]); 11] = [
    ("main", &["app", "config"]),
    (
        "lib",
        &[
            "api",
            "app",
            "cluster",
            "config",
            "controllers",
            "domain",
            "e2b",
            "github",
            "telemetry",
            "webhook",
        ],
    ),
    ("app", &["api", "cluster", "config", "controllers", "domain", "e2b", "github", "telemetry", "webhook"]),
    // Settings are made of the types that the parts take them as.
    ("config", &["controllers", "e2b", "telemetry", "webhook"]),
    ("controllers", &["api", "cluster", "domain", "e2b", "github", "telemetry"]),
    ("webhook", &["api", "cluster", "domain", "telemetry"]),
    ("github", &["domain", "telemetry"]),
    ("e2b", &["domain", "telemetry"]),
    ("cluster", &["api", "domain", "telemetry"]),
    ("domain", &["api"]),
    ("api", &[]),
];

/// `telemetry` serves all and knows none.
const MODULES: [&str; 10] =
    ["api", "app", "cluster", "config", "controllers", "domain", "e2b", "github", "telemetry", "webhook"];

/// What `domain` may not touch: it is pure. `kube`'s data types are the API's, its client is not.
const IMPURE: [&str; 16] = [
    "kube::Client",
    "kube::Api",
    "kube::client",
    "kube::runtime",
    "kube::api",
    "tokio",
    "reqwest",
    "octocrab",
    "warp",
    "hyper",
    "std::time::SystemTime",
    "SystemTime",
    "std::time::Instant",
    "Instant::now",
    "Timestamp::now",
    "std::env",
];

/// The modules of this crate that `source` uses, with the line.
fn used(source: &Source) -> Vec<(usize, String)> {
    let code = source.code();
    let mut found = Vec::new();
    for statement in paths(&code) {
        for (line, path) in statement {
            found.push((line, path));
        }
    }
    found
}

/// Every `crate::a::b` path, groups of a `use` taken apart as far as their first segment.
fn paths(code: &str) -> Vec<Vec<(usize, String)>> {
    let mut all = Vec::new();
    for root in ["crate::", "slipway::"] {
        for (at, _) in code.match_indices(root) {
            let boundary = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
            if !boundary {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let rest = &code[at + root.len()..];
            let segments = if rest.starts_with('{') {
                let end = sources::block_end(rest).unwrap_or(rest.len());
                first_segments(&rest[1..end - 1])
            } else {
                vec![ident(rest)]
            };
            all.push(segments.into_iter().map(|segment| (line, segment)).collect());
        }
    }
    all
}

fn ident(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// `a::{b, c}, d` → `a`, `d`.
fn first_segments(group: &str) -> Vec<String> {
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
    parts.iter().map(|part| ident(part)).filter(|part| !part.is_empty()).collect()
}

/// Every forbidden arrow, as `file:line: what`.
fn violations(all: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in all.iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let allowed = ARROWS.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, allowed)| allowed);
        for (line, used) in used(source) {
            if MODULES.contains(&used.as_str()) && used != module && !allowed.contains(&used.as_str()) {
                found.push(format!("{}:{line}: {module} must not use {used}", source.path));
            }
        }
        found.extend(climbs(source));
        found.extend(controllers_among_themselves(source));
        if module == "domain" {
            found.extend(impure(source));
        }
    }
    found
}

/// `super::` that leaves the module would be an arrow that the paths above do not see.
fn climbs(source: &Source) -> Vec<String> {
    let code = source.code();
    let below = source.path.strip_prefix("src/").unwrap_or(&source.path);
    let depth = below.trim_end_matches("/mod.rs").trim_end_matches(".rs").split('/').count();
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(at) = rest.find("super::") {
            let chain = &rest[at..];
            let ups = chain.split("super::").take_while(|part| part.is_empty()).count();
            if ups >= depth {
                found.push(format!(
                    "{}:{}: super:: leaves the module: write crate::",
                    source.path,
                    number + 1
                ));
            }
            rest = &chain[7 * ups.max(1)..];
        }
    }
    found
}

/// The controllers of two kinds meet in API objects only.
fn controllers_among_themselves(source: &Source) -> Vec<String> {
    let kinds = ["repository", "sandbox", "task"];
    let Some(own) = source.path.strip_prefix("src/controllers/") else { return Vec::new() };
    let own = own.split('/').next().unwrap_or(own).trim_end_matches(".rs");
    if !kinds.contains(&own) {
        return Vec::new();
    }
    let code = source.code();
    let others = kinds.iter().filter(|kind| **kind != own);
    others
        .filter(|kind| {
            code.contains(&format!("controllers::{kind}")) || code.contains(&format!("super::{kind}::Co"))
        })
        .map(|kind| format!("{}: the {own} controller must not use the {kind} controller", source.path))
        .collect()
}

fn impure(source: &Source) -> Vec<String> {
    let code = source.code();
    // `use kube::{Api, …}` is the same as `kube::Api`.
    let groups: String = code
        .match_indices("kube::{")
        .flat_map(|(at, _)| {
            let rest = &code[at + 6..];
            let end = sources::block_end(rest).unwrap_or(rest.len());
            first_segments(&rest[1..end - 1]).into_iter().map(|segment| format!(" kube::{segment} "))
        })
        .collect();
    let all = format!("{code}{groups}");
    IMPURE
        .iter()
        .filter(|word| contains_path(&all, word))
        .map(|word| format!("{}: domain must not use {word}", source.path))
        .collect()
}

/// Whether `path` occurs as a whole: `tokio` in `tokio::time`, not in `my_tokio`.
fn contains_path(code: &str, path: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + path.len()..].chars().next();
        // A bare crate name counts only as the start of a path or in a `use`.
        let is_path =
            path.contains("::") || path == "SystemTime" || code[at + path.len()..].starts_with("::");
        is_path && !before.is_some_and(word) && !after.is_some_and(word)
    })
}

#[test]
fn every_arrow_is_one_of_the_design() {
    let found = violations(&sources::below("src"));
    assert!(found.is_empty(), "forbidden arrows:\n{}", found.join("\n"));
}

#[test]
fn a_forbidden_arrow_is_found() {
    let bad = [
        ("src/domain/x.rs", "use crate::github::Client;", "domain must not use github"),
        ("src/api/x.rs", "use crate::domain;", "api must not use domain"),
        ("src/github/x.rs", "use crate::{domain::failure, api::{Task, State}};", "github must not use api"),
        ("src/e2b/x.rs", "fn f() { crate::cluster::status::write(); }", "e2b must not use cluster"),
        ("src/webhook.rs", "use crate::controllers::shell;", "webhook must not use controllers"),
        ("src/telemetry/x.rs", "use crate::domain;", "telemetry must not use domain"),
        ("src/domain/x.rs", "use super::super::github;", "super:: leaves the module"),
        (
            "src/controllers/task/x.rs",
            "use crate::controllers::sandbox::SandboxController;",
            "the task controller must not use the sandbox controller",
        ),
        (
            "src/domain/x.rs",
            "fn f() { let now = jiff::Timestamp::now(); }",
            "domain must not use Timestamp::now",
        ),
        ("src/domain/x.rs", "use kube::{Resource, Api};", "domain must not use kube::Api"),
        ("src/domain/x.rs", "use tokio::time;", "domain must not use tokio"),
    ];
    for (path, text, message) in bad {
        let found = violations(&[Source::new(path, text)]);
        assert!(found.iter().any(|line| line.contains(message)), "{path}: {text}: {found:?}");
    }
    let good = [
        ("src/domain/a/b.rs", "use super::super::plan; use kube::ResourceExt; // crate::github"),
        ("src/controllers/task/mod.rs", "use super::shell::Reconciler; use crate::{e2b, github};"),
        ("src/domain/x.rs", "#[cfg(test)]\nmod tests { use crate::github; }"),
    ];
    for (path, text) in good {
        assert_eq!(violations(&[Source::new(path, text)]), Vec::<String>::new(), "{path}");
    }
}
