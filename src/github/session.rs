//! One call with one token from start to end: limit, turn, request, answer, class. Nothing is sent twice here.
//! `client` chooses the token and may try another; `mint` buys tokens by calls of this kind.

use super::{
    Error,
    account::Account,
    accounts::Accounts,
    call::{Call, Reply, Success, graphql_refusal, refusal, reset_in},
    classify::{Refusal, RefusedCall, State, Verdict, classify, row_of},
    etags::Etags,
    lost::lost,
    names::Names,
    operation::Operation,
    recent::Recent,
    token::{Origin, Token},
    trust::{Revoked, Server, Shown, Trust},
};
use crate::{
    api::conditions::reason,
    domain::{
        failure::Class,
        line::{Named, Wait, Waiter},
    },
    telemetry::{CallError, CallMeta, retries},
};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use octocrab::{OctoBody, Octocrab};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// No answer of GitHub's that Slipway asks for is larger: a full tree is at most 7 MB, a page of pull requests 25 MB.
const MAX_ANSWER: usize = 64 << 20;

/// The body of an answer, still to be read.
pub(super) type AnswerBody = http_body_util::combinators::BoxBody<Bytes, octocrab::Error>;

/// An answer to a read whose answer is not held.
pub(super) enum Opened {
    Body(AnswerBody),
    /// The repository was renamed or transferred.
    Moved,
}

/// What all clients of one GitHub share.
pub(super) struct Shared {
    /// Without a trailing slash: `https://api.github.com`, `https://ghe.example/api/v3`.
    pub(super) base: String,
    /// Where git is spoken, without a trailing slash.
    pub(super) server: String,
    pub(super) octocrab: Octocrab,
    pub(super) accounts: Accounts,
    pub(super) recent: Recent,
    pub(super) etags: Etags,
    pub(super) names: Names,
    pub(super) trust: Trust,
}

impl Shared {
    /// The request of a call, signed with `token`.
    pub(super) fn request(&self, call: &Call<'_>, token: &Token) -> Result<http::Request<OctoBody>, Error> {
        let bearer = call.authorization(token.bearer())?;
        let mut request = beside_api(call.method.clone(), &self.url(call))
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        if let Some(etag) = &call.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let body = match &call.body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                OctoBody::from(body.clone())
            }
            None => OctoBody::from(()),
        };
        request.body(body).map_err(|_| call.unsendable("owner, name or branch do not form a URL"))
    }

    /// A GitHub Enterprise Server has GraphQL beside REST's `/api/v3`, not below it.
    fn url(&self, call: &Call<'_>) -> String {
        let base = self.base.strip_suffix("/v3").filter(|_| call.is_graphql()).unwrap_or(&self.base);
        format!("{base}{}", call.path)
    }
}

/// A request that carries nothing but the operator's name.
pub(super) fn beside_api(method: http::Method, url: &str) -> http::request::Builder {
    http::Request::builder()
        .method(method)
        .uri(url)
        .header(header::USER_AGENT, concat!("slipway/", env!("CARGO_PKG_VERSION")))
}

/// What a call is made with.
#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) shared: &'a Shared,
    /// Whose limits and turns bind the call.
    pub(super) account: &'a Account,
    pub(super) token: &'a Token,
    pub(super) caller: &'a Caller,
}

/// For whom a call is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    pub(super) id: Arc<str>,
    /// Since when its work has been under way.
    pub(super) since: Timestamp,
    /// It has had a turn to write.
    pub(super) wrote: Arc<AtomicBool>,
}

impl Session<'_> {
    /// Sends a request. A limit in force or a turn that is too far off is refused here, unsent and unlogged.
    pub(super) async fn send(
        self,
        call: &Call<'_>,
        request: http::Request<OctoBody>,
    ) -> Result<Reply, Error> {
        let operation = call.operation;
        self.check_limit(operation)?;
        // Before the turn: who waits for another call to find out would hold up all writes of the account.
        self.check_token(call).await?;
        let _turn = if let Some(write) = operation.write() {
            let waiter = Waiter { uid: self.caller.id.clone(), write, since: self.caller.since };
            let again = self.caller.wrote.load(Ordering::Relaxed);
            let turn = self.account.turn(&waiter, again).await;
            let turn = turn.map_err(|wait| waiting_for_turn(operation, &wait))?;
            self.caller.wrote.store(true, Ordering::Relaxed);
            // The write before this one may have met the limit.
            self.check_limit(operation)?;
            Some(turn)
        } else {
            None
        };
        let reply = self.exchange(call, request).await;
        note(operation, &reply);
        reply
    }

    /// Sends a read whose answer is too long to be held. A success is returned with its body still to be read; anything else
    /// is read, and is a failure.
    pub(super) async fn open(
        self,
        call: &Call<'_>,
        request: http::Request<OctoBody>,
    ) -> Result<Opened, Error> {
        self.check_limit(call.operation)?;
        self.check_token(call).await?;
        let opened = async {
            let answer = self.begin(call.operation, request).await?;
            if answer.status().is_success() {
                self.note_token(call, answer.status());
                return Ok(Opened::Body(answer.into_body()));
            }
            let (head, body) = read_whole(call.operation, answer).await?;
            match self.meaning(call, &head, body)? {
                Reply::Success(_) => Err(State::Absent.unexpected(call.operation)),
                Reply::State(State::Moved { .. }) => Ok(Opened::Moved),
                Reply::State(state) => Err(state.unexpected(call.operation)),
            }
        };
        let opened = opened.await;
        note(call.operation, &opened);
        opened
    }

    fn check_limit(self, operation: Operation) -> Result<(), Error> {
        match self.account.blocked() {
            Some(until) => Err(limited(operation, until, None)),
            None => Ok(()),
        }
    }

    /// Waits while another call finds out whether the token is still valid.
    async fn check_token(self, call: &Call<'_>) -> Result<(), Error> {
        if self.shows_own_token(call) && self.shared.trust.pass(self.shown(call)).await == Err(Revoked) {
            return Err(revoked(call));
        }
        Ok(())
    }

    /// Whether the call shows GitHub a token that somebody else can take back. One that was bought is bought anew.
    fn shows_own_token(self, call: &Call<'_>) -> bool {
        let of_storage = matches!(call.operation, Operation::LfsUpload | Operation::LfsVerify);
        self.token.origin() == Origin::Own && !of_storage
    }

    fn shown(self, call: &Call<'_>) -> Shown {
        let over_git = matches!(call.operation, Operation::FetchPack | Operation::LfsBatch);
        (self.token.fingerprint, if over_git { Server::Git } else { Server::Api })
    }

    /// What is not valid gets none of these answers.
    fn note_token(self, call: &Call<'_>, status: StatusCode) {
        let valid = status.is_success() || [304, 404, 409, 422].contains(&status.as_u16());
        if valid && self.shows_own_token(call) {
            self.shared.trust.accepted(self.shown(call));
        }
    }

    /// Sends the request, reads the whole answer within the operation's deadline, and says what it means.
    async fn exchange(self, call: &Call<'_>, request: http::Request<OctoBody>) -> Result<Reply, Error> {
        let operation = call.operation;
        let deadline = operation.deadline();
        let whole = async { read_whole(operation, self.begin(operation, request).await?).await };
        let (head, body) = match tokio::time::timeout(deadline, whole).await {
            Ok(answered) => answered?,
            Err(_) => return Err(lost(operation, &CallError::Deadline(deadline))),
        };
        self.meaning(call, &head, body)
    }

    /// Sends the request; the head of the answer comes within the operation's deadline.
    async fn begin(
        self,
        operation: Operation,
        mut request: http::Request<OctoBody>,
    ) -> Result<http::Response<AnswerBody>, Error> {
        request.extensions_mut().insert(CallMeta {
            operation: operation.name(),
            deadline: operation.deadline(),
            write: operation.writes(),
        });
        self.shared.octocrab.execute(request).await.map_err(|e| lost(operation, &e))
    }

    fn meaning(self, call: &Call<'_>, head: &http::response::Parts, body: Bytes) -> Result<Reply, Error> {
        let now = Timestamp::now();
        self.note_token(call, head.status);
        let refusal = match head.status.is_success() {
            true if !call.is_graphql() => None,
            true => graphql_refusal(call.asks_for, &head.headers, &body, now),
            false => Some(refusal(head.status, &head.headers, &body, now)),
        };
        let Some(refusal) = refusal else {
            self.account.unlimited();
            self.note_last_call(call, &head.headers, now);
            return Ok(Reply::Success(Success::new(&head.headers, body)));
        };
        let just_made =
            call.repository.is_some_and(|name| self.shared.recent.knows(name, &call.needs, Instant::now()));
        let about = call.repository.map(ToString::to_string).unwrap_or_default();
        let refused = RefusedCall {
            operation: call.operation,
            about: &about,
            file: call.file,
            permission: call.permission.as_deref(),
            just_made,
            token: self.token.origin(),
            by_id: call.by_id,
            stray: refusal.status == 401
                && self.shows_own_token(call)
                && self.shared.trust.refused(self.shown(call)),
        };
        tracing::debug!(
            operation = call.operation.name(),
            status = refusal.status,
            row = row_of(refused, &refusal).name,
            "GitHub answered otherwise"
        );
        match classify(refused, &refusal) {
            Verdict::State(state) => {
                self.account.unlimited();
                self.note_last_call(call, &head.headers, now);
                Ok(Reply::State(state))
            }
            Verdict::Limited(limit) => {
                let told = limit.wait.map(|wait| (wait, Named::Told));
                let (wait, named) = told.unwrap_or((Duration::ZERO, Named::Silent));
                let until = self.account.limit(wait, named);
                Err(limited(call.operation, until, Some(head.status)))
            }
            Verdict::Failed { class, reason, message } => {
                self.note_last_call(call, &head.headers, now);
                Err(Error {
                    operation: call.operation.name(),
                    class,
                    reason,
                    message,
                    status: Some(refusal.status),
                })
            }
        }
    }

    /// An answer that was fine may be the last one before the limit: the next call would only be refused.
    /// GraphQL has a budget of its own, which says nothing of REST's.
    fn note_last_call(self, call: &Call<'_>, headers: &http::HeaderMap, now: Timestamp) {
        if call.is_graphql() {
            return;
        }
        let remaining = headers.get("x-ratelimit-remaining").and_then(|v| v.to_str().ok());
        if remaining == Some("0")
            && let Some(wait) = reset_in(headers, now)
        {
            self.account.limit(wait, Named::Spent);
        }
    }
}

/// What the call that has found out was told, of one that was not sent.
fn revoked(call: &Call<'_>) -> Error {
    let about = call.repository.map(ToString::to_string).unwrap_or_default();
    let refused = RefusedCall::new(call.operation, &about);
    let refusal = Refusal { status: 401, message: "Bad credentials".to_owned(), ..Refusal::default() };
    match classify(refused, &refusal) {
        Verdict::Failed { class, reason, message } => {
            Error { operation: call.operation.name(), class, reason, message, status: Some(401) }
        }
        Verdict::State(_) | Verdict::Limited(_) => State::Absent.unexpected(call.operation),
    }
}

/// Reads the body of an answer that is to be held.
async fn read_whole(
    operation: Operation,
    answer: http::Response<AnswerBody>,
) -> Result<(http::response::Parts, Bytes), Error> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|e| lost(operation, &*e))?;
    Ok((head, body.to_bytes()))
}

/// Notes how a call ended, for the log of what is tried again.
fn note<T>(operation: Operation, ended: &Result<T, Error>) {
    match ended {
        Ok(_) => retries::call_succeeded(operation.name()),
        Err(error) if error.reason == reason::NOT_LEADING => {}
        Err(error) => retries::call_failed(error.operation, error.status, &error.message),
    }
}

fn limited(operation: Operation, until: Timestamp, status: Option<StatusCode>) -> Error {
    Error {
        operation: operation.name(),
        class: Class::Throttled { until },
        reason: reason::RATE_LIMITED,
        message: "GitHub limits the calls of this account; nothing is sent until the limit it named is over"
            .to_owned(),
        status: status.map(|s| s.as_u16()),
    }
}

fn waiting_for_turn(operation: Operation, wait: &Wait) -> Error {
    Error {
        operation: operation.name(),
        class: Class::Throttled { until: wait.until },
        reason: reason::WAITING_FOR_GITHUB,
        message: wait.to_string(),
        status: None,
    }
}
