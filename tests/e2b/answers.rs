//! The table of E2B's answers: each row is reached, by the table alone and over the wire, and `docs/e2b.md` says the same.
//! Neighbours: `lifecycle` has the answers as they come in a sandbox's life.

use crate::support::{World, key, request};
use slipway::domain::failure::{Class, Failure};
use slipway::e2b::answers::{
    self, Answer, CONNECT, CREATE, ENVD, GET, KILL, LIST, Means, PAUSE, Row, SET_TIMEOUT, TABLES,
};
use slipway::e2b::{Account, Error};
use slipway_simulator::core::{Action, Rule, When};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What changes from call to call, and what people can do nothing with.
const NOISE: &str = "request 5b8efff798038103 at 10.11.12.13:3000";

/// An answer that this row is for.
struct Example {
    status: u16,
    body: String,
    message: String,
    retry_after: Option<&'static str>,
}

fn example(row: &Row) -> Example {
    let status = if row.status == (0, 999) { 200 } else { row.status.0 };
    let message = row.words.map_or_else(|| NOISE.to_owned(), |words| format!("{words}, {NOISE}"));
    let body = match row.own {
        Some(false) => "404 page not found".to_owned(),
        _ => {
            let mut body = serde_json::json!({"code": status, "message": message});
            if let Some(code) = row.code {
                body["error_code"] = code.into();
            }
            body.to_string()
        }
    };
    let retry_after = (row.retry_after == Some(true)).then_some("7");
    Example { status, body, message, retry_after }
}

/// The rows that stand last and take what no other does: an example of them would be a success.
fn takes_the_rest(row: &Row) -> bool {
    row.status == (0, 999) && row.code.is_none()
}

#[test]
fn every_row_is_reached_by_an_answer_of_its_own() {
    for row in TABLES.into_iter().flatten() {
        let Example { mut status, message, retry_after, .. } = example(row);
        if takes_the_rest(row) {
            status = if row.operations == [ENVD] { 507 } else { 199 };
        }
        // What is taken by rows of single statuses before it.
        if row.status == (500, 599) && row.code.is_none() {
            status = 507;
        }
        if row.status.0 == 400 && row.status.1 == 499 {
            status = 418;
        }
        let own = row.own.unwrap_or(true);
        let answer = Answer { status, own, error_code: row.code, message: &message, retry_after };
        // One operation may have a row of its own for the same answer, but not all of them.
        let reaches = |operation: &&str| std::ptr::eq(answers::find(operation, &answer), row);
        assert!(
            row.operations.iter().any(|operation| reaches(&operation)),
            "{status} never leads to {row:#?}"
        );
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
            let row = answers::find(operation, &Answer { status: *status, own: true, ..Answer::default() });
            let is_own = row.status.1 - row.status.0 < 100;
            assert!(is_own && row.reason != "E2BUnexpectedAnswer", "{operation} {status}: {row:#?}");
        }
    }
}

async fn call(account: &Account, operation: &str, id: &str) -> Result<(), Error> {
    match operation {
        CREATE => account.create(&request("base"), &key()).await.map(drop),
        GET => account.get(id).await.map(drop),
        LIST => account.list(&BTreeMap::new()).await.map(drop),
        CONNECT => account.connect(id, 300, true).await.map(drop),
        SET_TIMEOUT => account.set_timeout(id, 300).await.map(drop),
        PAUSE => account.pause(id).await.map(drop),
        KILL => account.kill(id).await.map(drop),
        other => panic!("{other} is no operation of the control API"),
    }
}

fn endpoint(operation: &str) -> &'static str {
    match operation {
        CREATE => "POST /v2/sandboxes",
        GET => "GET /sandboxes/{sandboxID}",
        LIST => "GET /v2/sandboxes",
        CONNECT => "POST /v2/sandboxes/{sandboxID}/connect",
        SET_TIMEOUT => "POST /sandboxes/{sandboxID}/timeout",
        PAUSE => "POST /sandboxes/{sandboxID}/pause",
        KILL => "DELETE /sandboxes/{sandboxID}",
        other => panic!("{other} is no operation of the control API"),
    }
}

fn is_of_class(class: Class, means: Means) -> bool {
    match means {
        Means::Done | Means::NotFound | Means::Unclear => false,
        Means::Transient => class == Class::Transient,
        Means::Limited => matches!(class, Class::Throttled { .. }),
        Means::Denied => class == Class::Denied,
        Means::Invalid => class == Class::Invalid,
        Means::Missing => class == Class::NotFound,
    }
}

/// What a person reads: one line with the cause and the cure, and nothing of the machinery.
fn check_message(row: &Row, failure: &Failure) {
    let said = &failure.message;
    assert!(!row.cure.is_empty() && said.ends_with(row.cure), "no cure: {said}");
    assert!(said.len() > row.cure.len() + 15, "no cause: {said}");
    assert!(said.len() <= 1024 && !said.contains('\n'), "{said}");
    for internal in ["Some(", "None", "http://", "https://", "::", "{", "reqwest", "hyper", "serde"] {
        assert!(!said.contains(internal), "{internal} in {said}");
    }
    // What is wrong with the user's own input stays word for word.
    if failure.class != Class::Invalid {
        assert!(!said.contains("5b8efff798038103") && !said.contains("10.11.12.13"), "{said}");
    }
}

#[tokio::test]
async fn every_row_of_the_control_api_holds_over_the_wire() {
    let mut seen = BTreeSet::new();
    for (number, row) in TABLES[0].iter().enumerate() {
        if matches!(row.means, Means::Done) || takes_the_rest(row) || row.status.0 == 300 {
            continue;
        }
        for operation in row.operations {
            // A limit that was named would hold the next call back.
            let world = World::new();
            let Example { status, body, retry_after, .. } = example(row);
            let headers = retry_after.map(|after| ("retry-after".to_owned(), after.to_owned())).into_iter();
            let action = Action::Status { status, headers: headers.collect(), body, after_effect: false };
            world.sim.faults.set(Rule::on("e2b", endpoint(operation)).when(When::All).action(action));
            let answer = call(&world.account, operation, "iabcdefghijklmnopqrst").await;
            seen.insert(number);
            if matches!(row.means, Means::NotFound | Means::Unclear) {
                assert!(answer.is_ok(), "{operation} {status}: {answer:?}");
                continue;
            }
            let error = answer.unwrap_err();
            let expected = answers::find(
                operation,
                &Answer {
                    status,
                    own: row.own != Some(false),
                    error_code: row.code,
                    message: row.words.unwrap_or(NOISE),
                    retry_after,
                },
            );
            assert!(is_of_class(error.class, expected.means), "{operation} {status}: {error:?}");
            assert_eq!(error.reason, expected.reason, "{operation} {status}");
            check_message(expected, &Failure::from(error));
        }
    }
    assert!(seen.len() > 40, "{} rows", seen.len());
}

#[tokio::test]
async fn a_limit_holds_the_same_call_of_the_same_key_back_and_nothing_else() {
    let world = World::new();
    let id = world.sandbox("base").await.access.sandbox_id;
    let limit = |after: &str| Action::Status {
        status: 429,
        headers: BTreeMap::from([("retry-after".to_owned(), after.to_owned())]),
        body: r#"{"code":429,"message":"Rate limit exceeded"}"#.to_owned(),
        after_effect: false,
    };
    world.sim.faults.set(Rule::on("e2b", endpoint(LIST)).when(When::Next(1)).action(limit("999999999")));
    let error = world.account.list(&BTreeMap::new()).await.unwrap_err();
    let Class::Throttled { until } = error.class else { panic!("{error:?}") };
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((200..=300).contains(&left), "bounded: {left} s");

    let before = world.sim.calls.of("e2b", endpoint(LIST)).len();
    let again = world.account.list(&BTreeMap::new()).await.unwrap_err();
    assert!(matches!(again.class, Class::Throttled { .. }) && again.reason == error.reason, "{again:?}");
    assert_eq!(world.sim.calls.of("e2b", endpoint(LIST)).len(), before, "it was not sent");
    assert!(world.account.get(&id).await.unwrap().is_some(), "other calls go on");
}

/// A page of people's: the table by operation.
fn page() -> String {
    let mut page = String::from(
        "# What E2B's answers mean\n\n\
         Made from `src/e2b/answers` (`UPDATE_DOCS=1 cargo test --test e2b docs`); a test fails when the two differ. The first row\n\
         that fits counts. *again*: repeated by itself, quickly at first and every 5 minutes later, every 10 s while a needed\n\
         sandbox lives. *limit*: nothing of this call is sent before its end. *stalls*: a person has to act; it is looked at again\n\
         every 5 minutes all the same. In the conditions of a Sandbox a key that is refused shows as `CredentialsDenied`, a create\n\
         that is refused for the spec as `CreateRefused`.\n",
    );
    for operation in [CREATE, GET, LIST, CONNECT, SET_TIMEOUT, PAUSE, KILL, ENVD] {
        let title = if operation == ENVD {
            "the daemon in a sandbox".to_owned()
        } else {
            format!("`{}`", endpoint(operation))
        };
        let _ = write!(
            page,
            "\n## {operation}: {title}\n\n| answer | it says | what follows | reason | cure |\n|---|---|---|---|---|\n"
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
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page(), "docs/e2b.md differs from the table: UPDATE_DOCS=1 cargo test --test e2b docs");
}
