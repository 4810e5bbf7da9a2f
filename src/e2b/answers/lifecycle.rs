//! The rows for E2B's control API, by operation and status, then `error_code`, then words.
//! Part of `answers`, which says how a row is found.

use super::row::{AGAIN, CONNECT, CREATE, GET, KILL, LIST, Means, PAUSE, Row, SET_TIMEOUT};
use crate::api::conditions::reason;
use crate::e2b::error::URLS;

pub(super) static ALL: [&str; 7] = [CREATE, GET, LIST, CONNECT, SET_TIMEOUT, PAUSE, KILL];
static OF_ONE: [&str; 5] = [GET, CONNECT, SET_TIMEOUT, PAUSE, KILL];
static STARTS: [&str; 2] = [CREATE, CONNECT];
static ENDS: [&str; 3] = [SET_TIMEOUT, PAUSE, KILL];

const ROUTE: &str = "check E2B_API_URL and the version of the server there: it does not know this call";
const SPEC: &str = "correct the Sandbox's spec";

const fn at(status: u16) -> (u16, u16) {
    (status, status)
}

/// A success has neither reason nor cure.
const fn done(operations: &'static [&'static str], status: (u16, u16), meaning: &'static str) -> Row {
    Row::new(operations, status, Means::Done, "", meaning, "")
}

const fn unknown_route(operations: &'static [&'static str], status: u16, meaning: &'static str) -> Row {
    Row::new(operations, at(status), Means::Transient, reason::E2B_UNKNOWN_ROUTE, meaning, ROUTE)
}

const fn transient(
    operations: &'static [&'static str],
    status: (u16, u16),
    reason: &'static str,
    meaning: &'static str,
) -> Row {
    Row::new(operations, status, Means::Transient, reason, meaning, AGAIN)
}

const fn invalid(operations: &'static [&'static str], status: u16, meaning: &'static str) -> Row {
    Row::new(operations, at(status), Means::Invalid, reason::E2B_INVALID_REQUEST, meaning, SPEC)
}

pub(super) static ROWS: [Row; 49] = [
    unknown_route(&ALL, 404, "the server does not know the route").words("no matching operation was found"),
    unknown_route(&ALL, 404, "a 404 without E2B's body: another server, or one without this route")
        .own(false),
    unknown_route(&ALL, 405, "the server does not know the method of the route"),
    unknown_route(&[LIST], 404, "the server has no list of this version"),
    done(&[CREATE], at(201), "made"),
    done(&[GET, LIST], at(200), "shown"),
    done(&[CONNECT], at(200), "it ran already: its time is extended"),
    done(&[CONNECT], at(201), "it was paused and is resumed"),
    done(&ENDS, (200, 299), "done"),
    Row::new(
        &ALL,
        at(401),
        Means::Denied,
        reason::E2B_UNAUTHORIZED,
        "the API key is missing, wrong or revoked",
        "put a valid key into the Secret of credentialsSecretRef (key apiKey) or into E2B_API_KEY, \
         then set the annotation slipway.dev/reconcile to any new value",
    ),
    Row::new(
        &ALL,
        at(403),
        Means::Denied,
        reason::E2B_FORBIDDEN,
        "the team is blocked, or may not do this",
        "check that the team of the API key is not blocked and may use the template",
    ),
    Row::new(
        &[CREATE],
        at(404),
        Means::Invalid,
        reason::TEMPLATE_NOT_FOUND,
        "the template, or its tag, is not visible to the team",
        "set spec.template to a template that the team of the API key can see",
    ),
    Row::new(
        &OF_ONE,
        at(404),
        Means::NotFound,
        "",
        "no such sandbox in this team, or E2B's store has failed: the first witness of a loss, never the only one",
        "",
    ),
    transient(
        &[CREATE],
        at(409),
        reason::IDEMPOTENCY_IN_PROGRESS,
        "the first request of this key still runs",
    )
    .code("idempotency_in_progress"),
    transient(&[CREATE], at(409), reason::IDEMPOTENCY_MISMATCH, "the key was used with another body")
        .code("idempotency_request_mismatch"),
    transient(&[CREATE], at(409), reason::IDEMPOTENCY_UNKNOWN, "what the first request made is not known")
        .code("idempotency_outcome_unknown"),
    transient(&[CREATE], at(422), reason::IDEMPOTENCY_UNKNOWN, "what the first request made is not known")
        .code("idempotency_outcome_unknown"),
    Row::new(
        &[CONNECT],
        at(409),
        Means::Transient,
        reason::SANDBOX_SNAPSHOT_UNRESPONSIVE,
        "the memory of the sandbox does not come back",
        "it is started from its disk once; kill the sandbox if it stays so: it is replaced then",
    )
    .code("sandbox_snapshot_guest_agent_unresponsive"),
    transient(&[CONNECT], at(409), reason::SANDBOX_BUSY, "another start is under way")
        .code("sandbox_start_in_flight"),
    transient(&[CONNECT], at(409), reason::SANDBOX_BEING_KILLED, "a kill is under way").words("being killed"),
    Row::new(&[PAUSE], at(409), Means::Unclear, "", "paused already, or in a state that can't be paused", ""),
    transient(&[CREATE], at(409), reason::SANDBOX_BUSY, "in conflict with another request"),
    transient(
        &[CONNECT, SET_TIMEOUT, KILL],
        at(409),
        reason::SANDBOX_BUSY,
        "the sandbox is changing its state",
    ),
    Row::new(
        &STARTS,
        at(429),
        Means::Transient,
        reason::SANDBOX_QUOTA,
        "the team runs as many sandboxes as its plan allows",
        "wait until other sandboxes end, kill some, or raise the plan's limit",
    )
    .words("maximum number of concurrent"),
    Row::new(
        &ALL,
        at(429),
        Means::Limited,
        reason::E2B_RATE_LIMITED,
        "a limit on the team's calls; nothing is sent before Retry-After, 5 minutes at most",
        "it is asked again when the limit is over",
    )
    .retry_after(true),
    transient(&ALL, at(429), reason::E2B_RATE_LIMITED, "a limit on the team's calls, without a time"),
    invalid(&[CONNECT], 400, "the server does not start sandboxes from their disk")
        .code("sandbox_memory_override_disabled"),
    invalid(&[CONNECT, SET_TIMEOUT], 400, "the plan's longest run is over")
        .words("Max instance length exceeded"),
    invalid(&STARTS, 400, "the spec's timeoutSeconds is not what the plan allows").words("Timeout"),
    invalid(&ALL, 400, "the request is not valid"),
    invalid(&ALL, 422, "the request is not valid"),
    Row::new(
        &[CREATE],
        at(500),
        Means::Invalid,
        reason::SANDBOX_CREATE_REFUSED,
        "repeating the create is useless",
        SPEC,
    )
    .code("sandbox_create_refused"),
    transient(
        &[CREATE],
        at(503),
        reason::IDEMPOTENCY_IN_PROGRESS,
        "the result is not at hand: same key again",
    )
    .words("same Idempotency-Key"),
    transient(&STARTS, (500, 599), reason::SANDBOX_CAPACITY, "no machine with room")
        .code("sandbox_capacity_unavailable"),
    transient(&STARTS, (500, 599), reason::SANDBOX_CAPACITY, "no machine that fits")
        .code("sandbox_no_compatible_node"),
    transient(&STARTS, (500, 599), reason::SANDBOX_CAPACITY, "no machine in time")
        .code("sandbox_placement_timeout"),
    transient(&STARTS, at(500), reason::E2B_UNAVAILABLE, "the start has failed")
        .code("sandbox_create_failed"),
    transient(
        &[PAUSE],
        at(500),
        reason::E2B_UNAVAILABLE,
        "the pause has failed; the sandbox may be gone: a look tells",
    ),
    transient(
        &[PAUSE],
        at(503),
        reason::E2B_UNAVAILABLE,
        "the sandbox is busy or its daemon dead; it goes on running",
    ),
    transient(&ALL, at(408), reason::E2B_UNAVAILABLE, "the request took too long"),
    transient(&ALL, at(500), reason::E2B_UNAVAILABLE, "E2B has failed"),
    transient(&ALL, at(502), reason::E2B_UNAVAILABLE, "E2B, or a proxy before it, has failed"),
    transient(&ALL, at(503), reason::E2B_UNAVAILABLE, "E2B is busy"),
    transient(&ALL, at(504), reason::E2B_UNAVAILABLE, "E2B did not answer its proxy in time"),
    transient(&ALL, (500, 599), reason::E2B_UNAVAILABLE, "E2B has failed"),
    invalid(&ALL, 413, "the request is too large"),
    Row::new(&ALL, (400, 499), Means::Invalid, reason::E2B_INVALID_REQUEST, "refused", SPEC),
    Row::new(
        &ALL,
        (300, 399),
        Means::Transient,
        reason::E2B_UNEXPECTED_ANSWER,
        "a redirect, which is not followed",
        URLS,
    ),
    Row::new(&ALL, (0, 999), Means::Transient, reason::E2B_UNEXPECTED_ANSWER, "nothing that E2B sends", URLS),
];
