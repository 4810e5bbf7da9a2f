//! What each answer of E2B means: one table from operation and answer to class, reason and cure, and how a row is found.
//! `e2b::call` and `e2b::lifecycle` go by it, the tests iterate over it, and `docs/e2b.md` is printed from it.

mod envd;
mod lifecycle;
mod row;
#[cfg(test)]
mod tests;

pub use row::{Answer, CONNECT, CREATE, ENVD, GET, KILL, LIST, Means, PAUSE, Row, SET_TIMEOUT};

/// The rows for the control API and for envd. The first that fits an answer counts; the last of each fits all.
pub static TABLES: [&[Row]; 2] = [&lifecycle::ROWS, &envd::ROWS];

/// Finds the row of an answer.
pub fn find(operation: &str, answer: &Answer<'_>) -> &'static Row {
    let mut rows = TABLES.iter().flat_map(|table| table.iter());
    // An operation that stands in no row is one of envd's.
    let known = lifecycle::ALL.contains(&operation);
    let operation = if known { operation } else { ENVD };
    rows.find(|row| row.fits(operation, answer)).unwrap_or(&envd::OTHER)
}
