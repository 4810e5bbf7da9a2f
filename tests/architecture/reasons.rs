//! The one table of reasons: each is documented, none stands twice, and nobody writes one out.
//! Neighbours: `src/api/conditions.rs` is the table, `sources` gives the rest.

use crate::sources::{self, Source};
use std::collections::BTreeMap;

const TABLE: &str = "src/api/conditions.rs";

/// Name and value of every reason, with what is wrong in the table.
fn reasons(table: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut reasons, mut faults, mut documented) = (BTreeMap::new(), Vec::new(), false);
    let (_, below) = table.split_once("pub mod reason").unwrap_or_default();
    for line in below.lines().map(str::trim) {
        if let Some((name, value)) =
            line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": &str = "))
        {
            let value = value.trim_matches(|c| c == '"' || c == ';');
            if !documented {
                faults.push(format!("{name} has no doc line"));
            }
            if name.replace('_', "") != value.to_uppercase() {
                faults.push(format!("{name} is not its value {value} in capitals"));
            }
            if let Some(twice) = reasons.insert(value.to_owned(), name.to_owned()) {
                faults.push(format!("{name} and {twice} are the same"));
            }
        }
        documented = line.starts_with("///");
    }
    (reasons, faults)
}

/// Where a reason of the table is written out as a text.
fn written_out(reasons: &BTreeMap<String, String>, source: &Source) -> Vec<String> {
    // Enough to leave a file's tests out: they come last.
    let text = source.text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().starts_with("//")) {
        for literal in line.split('"').skip(1).step_by(2) {
            if let Some(name) = reasons.get(literal) {
                found.push(format!("{}:{}: {literal} is reason::{name}", source.path, number + 1));
            }
        }
    }
    found
}

#[test]
fn every_reason_is_documented_and_stands_once() {
    let sources = sources::below("src");
    let table = sources.iter().find(|source| source.path == TABLE).unwrap();
    let (reasons, faults) = reasons(&table.text);
    assert!(reasons.len() > 100, "{} reasons: the table is not where it is looked for", reasons.len());
    assert!(faults.is_empty(), "{TABLE}:\n{}", faults.join("\n"));
    let others = sources.iter().filter(|source| source.path != TABLE && !source.is_test());
    let found: Vec<_> = others.flat_map(|source| written_out(&reasons, source)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_fault_in_the_table_is_found() {
    let table = "pub mod reason {\n    /// Good.\n    pub const GOOD_ONE: &str = \"GoodOne\";\n    pub const BARE: &str = \"Bare\";\n    /// D.\n    pub const OTHER: &str = \"GoodOne\";\n}";
    let (reasons, faults) = reasons(table);
    assert_eq!(
        faults,
        [
            "BARE has no doc line",
            "OTHER is not its value GoodOne in capitals",
            "OTHER and GOOD_ONE are the same"
        ]
    );
    let source =
        Source::new("src/x.rs", "// \"Bare\"\nfn f() { g(\"Bare\") }\n#[cfg(test)]\nmod tests { \"Bare\" }");
    assert_eq!(written_out(&reasons, &source), ["src/x.rs:2: Bare is reason::BARE"]);
}
