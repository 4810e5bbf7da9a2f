//! The table of E2B's answers over the wire: each row has the class, the reason and the words that the table says.
//! Neighbours: `src/e2b/answers/tests.rs` holds the table itself, `lifecycle` the answers as they come in a sandbox's life.

use crate::support::{World, key, request};
use slipway::domain::failure::{Class, Failure};
use slipway::e2b::answers::{
    self, Answer, CONNECT, CREATE, GET, KILL, LIST, Means, PAUSE, Row, SET_TIMEOUT, TABLES,
};
use slipway::e2b::{Account, Error};
use slipway_simulator::core::{Action, Rule, When};
use std::collections::{BTreeMap, BTreeSet};

/// What changes from call to call, and what people can do nothing with.
const NOISE: &str = "request 5b8efff798038103 at 10.11.12.13:3000";

/// An answer that this row is for.
struct Example {
    status: u16,
    body: String,
    retry_after: Option<&'static str>,
}

fn example(row: &Row) -> Example {
    let status = if row.status == (0, 999) { 200 } else { row.status.0 };
    let body = if row.own == Some(false) {
        "404 page not found".to_owned()
    } else {
        let message = row.words.map_or_else(|| NOISE.to_owned(), |words| format!("{words}, {NOISE}"));
        let mut body = serde_json::json!({"code": status, "message": message});
        if let Some(code) = row.code {
            body["error_code"] = code.into();
        }
        body.to_string()
    };
    let retry_after = (row.retry_after == Some(true)).then_some("7");
    Example { status, body, retry_after }
}

/// The rows that stand last and take what no other does: an example of them would be a success.
fn takes_the_rest(row: &Row) -> bool {
    row.status == (0, 999) && row.code.is_none()
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
