//! The rows for envd and the proxy before it, by the code of a Connect error or by HTTP status.
//! Part of `answers`, which says how a row is found. Connect's errors come with status 200 in a stream.

use super::row::{AGAIN, ENVD, Means, Row};
use crate::api::conditions::reason;

static ALL: [&str; 1] = [ENVD];
const ANY: (u16, u16) = (0, 999);

const REFUSED: &str = "look at the sandbox's files and users: its daemon does not take this";
const TOKEN: &str = "if it stays so, kill the sandbox: it is replaced then";

const fn row(
    status: (u16, u16),
    means: Means,
    reason: &'static str,
    meaning: &'static str,
    cure: &'static str,
) -> Row {
    Row::new(&ALL, status, means, reason, meaning, cure)
}

const fn unreachable(status: (u16, u16), meaning: &'static str) -> Row {
    row(status, Means::Transient, reason::SANDBOX_UNREACHABLE, meaning, AGAIN)
}

const fn refused(status: (u16, u16), meaning: &'static str) -> Row {
    row(status, Means::Invalid, reason::SANDBOX_AGENT_ERROR, meaning, REFUSED)
}

pub(super) static OTHER: Row =
    row(ANY, Means::Transient, reason::SANDBOX_AGENT_ERROR, "the daemon has failed", AGAIN);

pub(super) static ROWS: [Row; 20] = [
    unreachable(ANY, "the daemon is being frozen for a pause").code("unavailable"),
    unreachable((409, 409), "the sandbox is changing its state"),
    row(
        (507, 507),
        Means::Invalid,
        reason::SANDBOX_DISK_FULL,
        "the sandbox's disk is full",
        "take a template with a larger disk, or free room in the sandbox",
    ),
    unreachable((502, 502), "the sandbox does not run, or its daemon does not listen"),
    unreachable((503, 504), "the proxy before the sandboxes is busy"),
    row(
        (429, 429),
        Means::Transient,
        reason::SANDBOX_QUOTA,
        "the team runs as many sandboxes as its plan allows",
        "wait until other sandboxes end, kill some, or raise the plan's limit",
    )
    .words("maximum number of concurrent"),
    row(
        (429, 429),
        Means::Limited,
        reason::E2B_RATE_LIMITED,
        "a limit on the traffic to sandboxes",
        "it is asked again when the limit is over",
    )
    .retry_after(true),
    row(
        (429, 429),
        Means::Transient,
        reason::E2B_RATE_LIMITED,
        "a limit on the traffic, without a time",
        AGAIN,
    ),
    row(ANY, Means::Transient, reason::COMMAND_TIMEOUT, "the command outlived its time", AGAIN)
        .code("deadline_exceeded"),
    row(ANY, Means::Denied, reason::SANDBOX_AGENT_ERROR, "no such user in the sandbox", TOKEN)
        .code("unauthenticated"),
    row(ANY, Means::Denied, reason::SANDBOX_AGENT_ERROR, "not allowed in the sandbox", TOKEN)
        .code("permission_denied"),
    row(
        (401, 401),
        Means::Denied,
        reason::SANDBOX_AGENT_ERROR,
        "the access token is not the sandbox's",
        TOKEN,
    ),
    row((403, 403), Means::Denied, reason::SANDBOX_AGENT_ERROR, "the proxy does not let this through", TOKEN),
    row(ANY, Means::Missing, reason::E2B_NOT_FOUND, "no such file or process", AGAIN).code("not_found"),
    row((404, 404), Means::Missing, reason::E2B_NOT_FOUND, "no such file", AGAIN),
    refused(ANY, "an argument that the daemon does not take").code("invalid_argument"),
    refused(ANY, "not possible with these files").code("failed_precondition"),
    refused(ANY, "a value that is out of range").code("out_of_range"),
    refused((400, 499), "the request is not valid"),
    row(ANY, Means::Transient, reason::SANDBOX_AGENT_ERROR, "the daemon has failed", AGAIN),
];
