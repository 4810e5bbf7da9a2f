//! Which module may know which, and what `domain` may not know at all.
//! Neighbours: `graph` says which file needs which, `sources` gives the code without comments and tests.

use crate::{
    graph::{self, Need},
    sources::{self, Source},
};

/// Module and what it may use. Whatever is not listed is forbidden: `telemetry` serves all and knows none.
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
    ("config", &["domain", "e2b", "telemetry"]),
    ("controllers", &["api", "cluster", "domain", "e2b", "github", "telemetry"]),
    ("webhook", &["api", "cluster", "domain", "telemetry"]),
    ("github", &["domain", "telemetry"]),
    ("e2b", &["domain", "telemetry"]),
    ("cluster", &["api", "domain", "telemetry"]),
    ("domain", &["api"]),
    ("api", &[]),
];

/// Names and nothing else: who reports a failure says why in the words that the API knows.
const VOCABULARY: &str = "src/api/conditions.rs";

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

/// Every forbidden arrow, as `file:line: what`. An arrow goes to the folder that defines a thing, whoever shows it.
fn violations(all: &[Source]) -> Vec<String> {
    let mut found: Vec<String> = graph::needs(all).iter().filter_map(violation).collect();
    for source in all.iter().filter(|source| !source.is_test() && source.module() == "domain") {
        found.extend(impure(source));
    }
    found
}

fn violation(need: &Need) -> Option<String> {
    let (from, to) = (sources::module(&need.from), sources::module(&need.to));
    let allowed = ARROWS.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| allowed);
    let place = format!("{}:{}", need.from, need.line);
    let is_word = need.to == VOCABULARY && ["github", "e2b"].contains(&from);
    if from != to && !allowed.contains(&to) && !is_word {
        return Some(format!("{place}: {from} must not use {to} ({})", need.to));
    }
    match (controller(&need.from), controller(&need.to)) {
        (Some(own), Some(other)) if own != other => {
            Some(format!("{place}: the {own} controller must not use the {other} controller"))
        }
        _ => None,
    }
}

/// The kind whose controller a file belongs to. Two of them meet in API objects only.
fn controller(path: &str) -> Option<&str> {
    let own = path.strip_prefix("src/controllers/")?;
    let own = own.split('/').next().unwrap_or(own).trim_end_matches(".rs");
    ["repository", "sandbox", "task"].contains(&own).then_some(own)
}

fn impure(source: &Source) -> Vec<String> {
    // `use kube::{Api, …}` is the same as `kube::Api`.
    let all = format!("{} {}", source.code(), graph::paths(source).join(" "));
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
        ("src/domain/x.rs", "use super::super::github;", "domain must not use github"),
        ("src/github/x.rs", "use crate::domain::Shown;", "github must not use api"),
        ("src/telemetry/x.rs", "use crate::api::conditions::reason;", "telemetry must not use api"),
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
        let found = violations(&beside(path, text));
        assert!(found.iter().any(|line| line.contains(message)), "{path}: {text}: {found:?}");
    }
    let good = [
        ("src/domain/a/b.rs", "use super::super::plan; use kube::ResourceExt; // crate::github"),
        ("src/controllers/task/mod.rs", "use super::shell::Reconciler; use crate::{e2b, github};"),
        ("src/domain/x.rs", "#[cfg(test)]\nmod tests { use crate::github; }"),
        ("src/e2b/x.rs", "use crate::api::conditions::reason;"),
    ];
    for (path, text) in good {
        assert_eq!(violations(&beside(path, text)), Vec::<String>::new(), "{path}");
    }
}

/// One file among the modules of the crate, where `domain` shows something of `api`'s.
fn beside(path: &str, text: &str) -> Vec<Source> {
    let mut all = vec![
        Source::new("src/domain.rs", "pub use crate::api::Shown;"),
        Source::new("src/controllers/sandbox/mod.rs", ""),
        Source::new("src/api/conditions.rs", ""),
    ];
    for module in ["api", "app", "cluster", "config", "controllers", "e2b", "github", "telemetry", "webhook"]
    {
        all.push(Source::new(&format!("src/{module}.rs"), ""));
    }
    all.retain(|source| source.path != path);
    all.push(Source::new(path, text));
    all
}
