//! No circle among files: what two files need of each other stands in a third below them (CONTRIBUTING.md).
//! Neighbours: `graph` says which file needs which.

use crate::{
    graph::{self, Need},
    sources::{self, Source},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The shortest circle through each file, told from its first file on.
fn circles(needs: &[Need]) -> BTreeSet<Vec<String>> {
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for need in needs.iter().filter(|need| !need.is_door) {
        arrows.entry(&need.from).or_default().insert(&need.to);
    }
    let mut found: BTreeMap<BTreeSet<String>, Vec<String>> = BTreeMap::new();
    for start in arrows.keys() {
        if let Some(circle) = circle(&arrows, start) {
            found.entry(circle.iter().cloned().collect()).or_insert(circle);
        }
    }
    found.into_values().collect()
}

/// The shortest way from `start` back to itself.
fn circle(arrows: &BTreeMap<&str, BTreeSet<&str>>, start: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in arrows.get(way.last()?).into_iter().flatten() {
            if *next == start {
                return Some(way.iter().map(|path| (*path).to_owned()).collect());
            }
            if seen.insert(*next) {
                ways.push_back([&way[..], &[next]].concat());
            }
        }
    }
    None
}

fn told(circles: &BTreeSet<Vec<String>>) -> String {
    circles.iter().map(|circle| circle.join(" → ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn files_form_no_circle() {
    let needs = graph::needs(&sources::below("src"));
    assert!(needs.len() > 300, "{} needs: the sources are not read as they should be", needs.len());
    let found = circles(&needs);
    assert!(found.is_empty(), "circles:\n{}", told(&found));
}

#[test]
fn a_circle_is_found() {
    let circle_of = |files: &[(&str, &str)]| {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        told(&circles(&graph::needs(&sources)))
    };
    let two = [
        ("src/a/mod.rs", "mod x; mod y;"),
        ("src/a/x.rs", "use super::y::Y;"),
        ("src/a/y.rs", "use crate::a::x::X;"),
    ];
    assert_eq!(circle_of(&two), "src/a/x.rs → src/a/y.rs");
    let parent =
        [("src/a.rs", "mod x;\nuse x::X;\npub struct A;"), ("src/a/x.rs", "use super::A;\npub struct X;")];
    assert_eq!(circle_of(&parent), "src/a.rs → src/a/x.rs");
    let called =
        [("src/a.rs", "mod x;\npub struct A; fn f() { x::run(); }"), ("src/a/x.rs", "use super::A;")];
    assert_eq!(circle_of(&called), "src/a.rs → src/a/x.rs");
    let three = [
        ("src/a/x.rs", "use crate::{a::{y::Y}};"),
        ("src/a/y.rs", "fn f() { super::z::run(); }"),
        ("src/a/z.rs", "use self::super::x as other;"),
        ("src/a/mod.rs", "mod x; mod y; mod z;"),
    ];
    assert_eq!(circle_of(&three), "src/a/x.rs → src/a/y.rs → src/a/z.rs");
    // A module shows its children, who meet through it.
    let door = [
        ("src/a/mod.rs", "mod x; mod y;\npub use x::X;\npub(crate) use y::Y;"),
        ("src/a/x.rs", "pub struct X;"),
        ("src/a/y.rs", "use super::X;"),
    ];
    assert_eq!(circle_of(&door), "");
}
