//! The table itself: each row is reached by an answer of its own, every known status has a row, and `docs/e2b.md` is printed
//! from it. Neighbours: `tests/e2b/answers.rs` has the rows over the wire.

use super::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;

#[test]
fn every_row_is_reached_by_an_answer_of_its_own() {
    for row in TABLES.into_iter().flatten() {
        let mut status = row.status.0;
        if row.status == (0, 999) {
            status = if row.operations == [ENVD] { 508 } else { 199 };
        }
        // What is taken by rows of single statuses before it.
        if row.status == (500, 599) && row.code.is_none() {
            status = 508;
        }
        if row.status.0 == 400 && row.status.1 == 499 {
            status = 418;
        }
        let message = row.words.unwrap_or("words");
        let retry_after = (row.retry_after == Some(true)).then_some("7");
        let own = row.own.unwrap_or(true);
        let answer = Answer { status, own, error_code: row.code, message, retry_after };
        // One operation may have a row of its own for the same answer, but not all of them.
        let reaches = |operation: &&str| std::ptr::eq(find(operation, &answer), row);
        assert!(row.operations.iter().any(reaches), "{status} never leads to {row:#?}");
    }
}

/// The statuses that E2B documents or is known to send.
#[test]
fn every_known_status_of_every_operation_has_a_row_of_its_own() {
    let known: [(&str, &[u16]); 7] = [
        (CREATE, &[201, 400, 401, 403, 404, 405, 409, 422, 429, 500, 502, 503, 504]),
        (GET, &[200, 400, 401, 403, 404, 429, 500]),
        (LIST, &[200, 400, 401, 403, 429, 500]),
        (CONNECT, &[200, 201, 400, 401, 403, 404, 409, 429, 500, 503, 504]),
        (SET_TIMEOUT, &[204, 400, 401, 403, 404, 409, 429, 500]),
        (PAUSE, &[204, 401, 403, 404, 409, 429, 500, 503]),
        (KILL, &[204, 401, 403, 404, 409, 429, 500]),
    ];
    for (operation, statuses) in known {
        for status in statuses {
            let row = find(operation, &Answer { status: *status, own: true, ..Answer::default() });
            let is_own = row.status.1 - row.status.0 < 100;
            assert!(is_own && row.reason != "E2BUnexpectedAnswer", "{operation} {status}: {row:#?}");
        }
    }
}

fn title(operation: &str) -> &'static str {
    match operation {
        CREATE => "`POST /v2/sandboxes`",
        GET => "`GET /sandboxes/{id}`",
        LIST => "`GET /v2/sandboxes`",
        CONNECT => "`POST /v2/sandboxes/{id}/connect`",
        SET_TIMEOUT => "`POST /sandboxes/{id}/timeout`",
        PAUSE => "`POST /sandboxes/{id}/pause`",
        KILL => "`DELETE /sandboxes/{id}`",
        _ => "the daemon in a sandbox",
    }
}

/// A page of people's: the table by operation.
fn page() -> String {
    let mut page = String::from(
        "# What E2B's answers mean\n\n\
         Made from `src/e2b/answers` (`make tables`); a test fails when the two differ. The first row\n\
         that fits counts. *again*: repeated automatically, quickly at first and every 5 minutes later, every 10 s while a needed\n\
         sandbox lives. *limit*: nothing of this call is sent before its end. *stalls*: a person has to act; it is looked at again\n\
         every 5 minutes all the same. In the conditions of a Sandbox a key that is refused shows as `CredentialsDenied`, a create\n\
         that is refused for the spec as `CreateRefused`.\n",
    );
    for operation in [CREATE, GET, LIST, CONNECT, SET_TIMEOUT, PAUSE, KILL, ENVD] {
        let _ = write!(
            page,
            "\n## {operation}: {}\n\n| answer | it says | what follows | reason | cure |\n|---|---|---|---|---|\n",
            title(operation)
        );
        let mut shown = BTreeSet::new();
        for row in TABLES.into_iter().flatten().filter(|row| row.operations.contains(&operation)) {
            // A row of the operation's own comes before one of all operations.
            if !shown.insert(pattern(row)) {
                continue;
            }
            let reason = if row.reason.is_empty() { String::new() } else { format!("`{}`", row.reason) };
            let _ = writeln!(
                page,
                "| {} | {} | {} | {reason} | {} |",
                pattern(row),
                row.meaning,
                follows(row.means),
                row.cure
            );
        }
    }
    page
}

fn pattern(row: &Row) -> String {
    let mut pattern = match row.status {
        (0, 999) if row.code.is_some() => String::new(),
        (0, 999) => "any other".to_owned(),
        (200, 299) => "2xx".to_owned(),
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}–{last}"),
    };
    for part in [
        row.code.map(|code| format!("`{code}`")),
        row.words.map(|words| format!("“{words}”")),
        row.own.map(|own| if own { "E2B's body".to_owned() } else { "without E2B's body".to_owned() }),
        row.retry_after.map(|_| "with `Retry-After`".to_owned()),
    ]
    .into_iter()
    .flatten()
    {
        pattern.push_str(if pattern.is_empty() { "" } else { " " });
        pattern.push_str(&part);
    }
    pattern
}

fn follows(means: Means) -> &'static str {
    match means {
        Means::Done => "done",
        Means::NotFound => "a list has to say the same",
        Means::Unclear => "a look tells",
        Means::Transient => "again",
        Means::Limited => "limit",
        Means::Denied | Means::Invalid => "stalls",
        Means::Missing => "not there",
    }
}

#[test]
fn docs_e2b_md_is_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/e2b.md");
    if std::env::var_os("PRINT_TABLES").is_some() {
        std::fs::write(&path, page()).expect("docs/e2b.md can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page(), "docs/e2b.md differs from the table: make tables");
}
