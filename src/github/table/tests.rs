//! What holds of the whole table: each row has a case, each status of GitHub's own description a row, and
//! `docs/github.md` says the same.

use super::{
    super::classify::{Refusal, RefusedCall, Verdict, classify, row_of},
    super::operation::Operation::{self, Compare, GetPull, GetRef, GetRepository, GetUser},
    *,
};
use crate::github::{call::refusal, token::Origin};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

mod cases;

fn told(verdict: &Verdict) -> (String, String) {
    match verdict {
        Verdict::Limited(_) => ("limit".into(), String::new()),
        Verdict::State(_) => ("state".into(), String::new()),
        Verdict::Failed { class, reason, message } => (format!("{class:?} {reason}"), message.clone()),
    }
}

#[test]
fn each_answer_finds_its_row_and_each_row_has_an_answer() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        let refusal = case.refusal();
        let row = row_of(case.call, &refusal);
        let about = format!("{:?} {} {}", case.call.operation, case.status, case.body);
        assert_eq!(row.name, case.row, "{about}");
        let (means, message) = told(&classify(case.call, &refusal));
        assert_eq!(means, case.means, "{about}");
        assert!(message.contains(case.cure), "{about}: {message}");
        seen.insert(row.name);
    }
    let names: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), ROWS.len(), "a name twice");
    assert_eq!(names.difference(&seen).collect::<Vec<_>>(), Vec::<&&str>::new(), "rows without a case");
}

/// What a person reads: who answered what, why, and what to do; nothing of the machinery.
#[test]
fn every_message_says_what_happened_and_what_to_do() {
    for case in cases::all() {
        let (_, message) = told(&classify(case.call, &case.refusal()));
        if message.is_empty() {
            continue;
        }
        let (cause, cure) = message.rsplit_once("; ").unwrap_or_else(|| panic!("no cure: {message}"));
        let begins =
            format!("GitHub answered {} for acme/app with {}", case.call.operation.name(), case.status);
        assert!(cause.starts_with(&begins) && cure.len() > 10, "{message}");
        for internal in ["{", "}", "serde", "octocrab", "ledger", "::", "Some("] {
            assert!(!cure.contains(internal), "{internal}: {message}");
        }
    }
}

#[test]
fn an_answer_that_names_several_rules_has_the_cure_of_each() {
    let body = r#"{"message":"Repository rule violations found\n\nCommits must have verified signatures.\n\nCommit message must match a pattern\n\nFile path is restricted"}"#;
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let refusal = refusal(status, &HeaderMap::new(), body.as_bytes(), Timestamp::UNIX_EPOCH);
    let call = RefusedCall::new(CreateRef, "acme/app");
    let (means, message) = told(&classify(call, &refusal));
    assert_eq!(means, "Invalid BranchProtected");
    for cure in ["signed commits", "commit.message", "source.exclude"] {
        assert!(message.contains(cure), "{cure}: {message}");
    }
    assert!(!message.contains("spec.branch"), "another branch would not help: {message}");
}

/// `openapi.json` has the statuses of GitHub's `OpenAPI` description 23.0.2 that are no success, per operation.
#[test]
fn every_status_that_github_describes_has_a_row() {
    let described: BTreeMap<String, Vec<u16>> =
        serde_json::from_str(include_str!("openapi.json")).expect("statuses per operation");
    for operation in Operation::ALL {
        let statuses =
            described.get(operation.name()).unwrap_or_else(|| panic!("{operation:?} is not described"));
        for status in statuses {
            let refusal = Refusal { status: *status, ..Refusal::default() };
            let call = RefusedCall::new(*operation, "");
            assert_ne!(row_of(call, &refusal).name, "other", "{operation:?} {status}");
        }
    }
    assert_eq!(described.len(), Operation::ALL.len(), "an operation is described that is never called");
}

fn on(row: &Row) -> String {
    match row.on {
        Every => "every call".into(),
        All(Side::Look) => "every lookup".into(),
        All(Side::Read) => "every other read".into(),
        All(Side::Write) => "every write".into(),
        Only(some) => some.iter().map(|one| format!("`{}`", one.name())).collect::<Vec<_>>().join(", "),
    }
}

fn answer(row: &Row) -> String {
    let status = match row.status {
        Status::Is(any) => any.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Status::From(first, last) => format!("{first} to {last}"),
    };
    let says = row.says.iter().map(|words| format!("*{words}*")).collect::<Vec<_>>().join(", ");
    let when = match row.when {
        When::Always => "",
        When::NamesLimit => "; it names a limit",
        When::JustMade => "; within a minute of our own creation",
        When::NewToken => "; within 10 s of the buying of an App's token",
        When::AppToken => "; the token was bought for an App",
        When::ById => "; the repository is known by its id",
        When::Stray => "; the token, or the App's key, has served before and has not been refused for 8 s",
        When::Workflow => "; the tree has a path below `.github/workflows`",
    };
    let separator = if says.is_empty() { "" } else { ": " };
    format!("{status}{separator}{says}{when}")
}

fn meaning(row: &Row) -> String {
    match row.means {
        Limited => "limit | `RateLimited`".into(),
        State(known) => format!("answer: {known:?} | "),
        Failed(class, reason) => format!("{class:?} | `{reason}`"),
        Rule => format!("Invalid | `{}`", r::BRANCH_PROTECTED),
    }
}

/// `make tables` prints it anew.
#[test]
fn docs_github_md_says_what_the_table_says() {
    let line = |row: &Row| {
        let cure =
            row.cure.replace("{permission}", "…").replace("{file}", "*the file*").replace("{skew}", "…");
        format!("| {} | {} | {} | {} | {cure} |\n", row.name, on(row), answer(row), meaning(row))
    };
    let page: String =
        std::iter::once(include_str!("head.md").to_owned()).chain(ROWS.iter().map(line)).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/github.md");
    if env::var_os("PRINT_TABLES").is_some() {
        fs::write(path, &page).expect("docs/github.md can be written");
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    assert!(there == page, "docs/github.md is not what the table says: run `make tables`");
}
