//! One call to GitHub from start to end: limit, turn, request, answer, class. Every method of [`Client`] goes through
//! [`Client::send`]; nothing is sent twice here.

use super::{
    Error,
    call::{Call, Reply, Success, graphql_refusal, refusal, reset_in},
    classify::{Limit, RefusedCall, State, Verdict, classify, row_of},
    etags::{Answer, Etags},
    limits::{Credential, Credentials},
    lost::lost,
    name::RepositoryName,
    operation::Operation,
    recent::{Made, Recent},
};
use crate::{
    api::conditions::reason,
    domain::failure::Class,
    telemetry::{CallError, CallMeta, HttpService, retries},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use std::{convert::Infallible, fmt, sync::Arc, time::Instant};
use tower::ServiceExt as _;

/// No answer of GitHub's that Slipway asks for is larger: a full tree is at most 7 MB, a page of pull requests 25 MB.
const MAX_ANSWER: usize = 64 << 20;

/// The body of an answer, still to be read.
pub(super) type AnswerBody = http_body_util::combinators::BoxBody<Bytes, octocrab::Error>;

/// GitHub at one base URL. Cheap to clone; limits, turns and what was created lately are shared by all clients of it.
#[derive(Clone)]
pub struct GitHub {
    shared: Arc<Shared>,
}

struct Shared {
    /// Without a trailing slash: `https://api.github.com`, `https://ghe.example/api/v3`.
    base: String,
    server: String,
    octocrab: Octocrab,
    credentials: Credentials,
    recent: Recent,
    etags: Etags,
}

impl GitHub {
    /// `base_url` as in `GITHUB_API_URL`, `server_url` as in `GITHUB_SERVER_URL`; `write_interval`: writes of one credential
    /// begin at least this far apart. Must be called inside a tokio runtime, and lives as long as it.
    pub fn new(
        base_url: &str,
        server_url: &str,
        http: HttpService,
        write_interval: std::time::Duration,
    ) -> Self {
        let service = http.map_request(|request: http::Request<OctoBody>| request.map(reqwest::Body::wrap));
        let built = OctocrabBuilder::new_empty().with_service(service).with_auth(AuthState::None).build();
        let octocrab = built.unwrap_or_else(|never: Infallible| match never {});
        let shared = Shared {
            base: base_url.trim_end_matches('/').to_owned(),
            server: server_url.trim_end_matches('/').to_owned(),
            octocrab,
            credentials: Credentials::new(write_interval),
            recent: Recent::default(),
            etags: Etags::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A client that calls with this token. Cheap: make one per pass.
    pub fn client(&self, token: &SecretString) -> Client {
        Client {
            shared: self.shared.clone(),
            credential: self.shared.credentials.of(token),
            token: token.clone(),
        }
    }
}

/// GitHub as one credential sees it.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    credential: Arc<Credential>,
    token: SecretString,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.shared.base).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn recent(&self) -> &Recent {
        &self.shared.recent
    }

    /// Notes what this process has just made: GitHub may not show it everywhere yet.
    pub(super) fn just_made(&self, repository: &RepositoryName, made: Made) {
        self.recent().created(repository, Some(made), Instant::now());
    }

    /// One read, answered from memory where GitHub says that nothing has changed since.
    pub(super) async fn send_unless_known(&self, call: Call<'_>) -> Result<Reply, Error> {
        let (etags, credential, path) = (&self.shared.etags, self.credential.fingerprint, call.path.clone());
        let known = etags.get(credential, &path);
        let reply = self.send(call.etag(known.as_ref().map(|known| known.etag.clone()))).await?;
        Ok(match (reply, known) {
            (Reply::State(State::NotModified), Some(known)) => {
                Reply::Success(Success::known(known.body, known.pages))
            }
            (Reply::Success(success), _) => {
                if let Some(etag) = success.etag.clone() {
                    let pages = [success.next_page, success.last_page];
                    etags.set(credential, path, Answer { etag, body: success.body.clone(), pages });
                }
                Reply::Success(success)
            }
            (other, _) => other,
        })
    }

    /// A call that has one good answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let operation = call.operation;
        match self.send(call).await? {
            Reply::Success(success) => success.json(operation),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// The same of something that may not be there.
    pub(super) async fn find<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Option<T>, Error> {
        let operation = call.operation;
        match self.send(call).await? {
            Reply::Success(success) => success.json(operation).map(Some),
            Reply::State(State::Absent) => Ok(None),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// One call of the API. A limit in force or a turn that is too far off is refused here, unsent and unlogged.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Reply, Error> {
        let request = self.request(&call)?;
        self.send_as(&call, request).await
    }

    /// The same of a request that was made elsewhere.
    pub(super) async fn send_as(
        &self,
        call: &Call<'_>,
        request: http::Request<OctoBody>,
    ) -> Result<Reply, Error> {
        let operation = call.operation;
        self.check_limit(operation)?;
        let _turn = if operation.writes() {
            let turn = self.credential.turn().await.map_err(|until| waiting_for_turn(operation, until))?;
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
        &self,
        call: &Call<'_>,
        request: http::Request<OctoBody>,
    ) -> Result<AnswerBody, Error> {
        self.check_limit(call.operation)?;
        let opened = async {
            let answer = self.begin(call.operation, request).await?;
            if answer.status().is_success() {
                return Ok(answer.into_body());
            }
            let (head, body) = read_whole(call.operation, answer).await?;
            match self.meaning(call, &head, body)? {
                Reply::Success(_) => Err(State::Absent.unexpected(call.operation)),
                Reply::State(state) => Err(state.unexpected(call.operation)),
            }
        };
        let opened = opened.await;
        note(call.operation, &opened);
        opened
    }

    fn check_limit(&self, operation: Operation) -> Result<(), Error> {
        match self.credential.limited(Timestamp::now()) {
            Some(until) => Err(limited(operation, until, None)),
            None => Ok(()),
        }
    }

    /// Sends the request, reads the whole answer within the operation's deadline, and says what it means.
    async fn exchange(&self, call: &Call<'_>, request: http::Request<OctoBody>) -> Result<Reply, Error> {
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
        &self,
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

    fn request(&self, call: &Call<'_>) -> Result<http::Request<OctoBody>, Error> {
        let operation = call.operation;
        let wrong = |what: &str| Error {
            operation: operation.name(),
            class: Class::Invalid,
            reason: reason::REQUEST_REFUSED,
            message: format!("{} can't be sent: {what}", operation.name()),
            status: None,
        };
        let mut token = HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| wrong("the token has characters that no header may carry; check the Secret"))?;
        token.set_sensitive(true);
        let mut request = self
            .beside_api(call.method.clone(), &self.url(call))
            .header(header::AUTHORIZATION, token)
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
        request.body(body).map_err(|_| wrong("owner, name or branch do not form a URL"))
    }

    /// A GitHub Enterprise Server has GraphQL beside REST's `/api/v3`, not below it.
    fn url(&self, call: &Call<'_>) -> String {
        let base = &self.shared.base;
        let base = base.strip_suffix("/v3").filter(|_| call.is_graphql()).unwrap_or(base);
        format!("{base}{}", call.path)
    }

    /// A request that carries nothing of this client's but its name.
    #[allow(clippy::unused_self, reason = "it is said of a client")]
    pub(super) fn beside_api(&self, method: http::Method, url: &str) -> http::request::Builder {
        http::Request::builder()
            .method(method)
            .uri(url)
            .header(header::USER_AGENT, concat!("slipway/", env!("CARGO_PKG_VERSION")))
    }

    pub(super) fn token(&self) -> &SecretString {
        &self.token
    }

    /// Where git is spoken, without a trailing slash.
    pub(super) fn server(&self) -> &str {
        &self.shared.server
    }

    fn meaning(&self, call: &Call<'_>, head: &http::response::Parts, body: Bytes) -> Result<Reply, Error> {
        let now = Timestamp::now();
        let refusal = match head.status.is_success() {
            true if !call.is_graphql() => None,
            true => graphql_refusal(&head.headers, &body, now),
            false => Some(refusal(head.status, &head.headers, &body, now)),
        };
        let Some(refusal) = refusal else {
            self.credential.unlimited();
            self.note_last_call(call, &head.headers, now);
            return Ok(Reply::Success(Success::new(&head.headers, body)));
        };
        let just_made =
            call.repository.is_some_and(|name| self.recent().knows(name, &call.needs, Instant::now()));
        let about = call.repository.map(ToString::to_string).unwrap_or_default();
        let refused = RefusedCall { operation: call.operation, about: &about, file: call.file, just_made };
        tracing::debug!(
            operation = call.operation.name(),
            status = refusal.status,
            row = row_of(refused, &refusal).name,
            "GitHub answered otherwise"
        );
        match classify(refused, &refusal) {
            Verdict::State(state) => {
                self.credential.unlimited();
                self.note_last_call(call, &head.headers, now);
                Ok(Reply::State(state))
            }
            Verdict::Limited(limit) => {
                let until = self.credential.limit(limit, now);
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
    fn note_last_call(&self, call: &Call<'_>, headers: &http::HeaderMap, now: Timestamp) {
        if call.is_graphql() {
            return;
        }
        let remaining = headers.get("x-ratelimit-remaining").and_then(|v| v.to_str().ok());
        if remaining == Some("0")
            && let Some(wait) = reset_in(headers, now)
        {
            self.credential.limit(Limit { wait: Some(wait) }, now);
        }
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
        message: "GitHub limits the calls of this token; nothing is sent until the limit it named is over"
            .to_owned(),
        status: status.map(|s| s.as_u16()),
    }
}

fn waiting_for_turn(operation: Operation, until: Timestamp) -> Error {
    Error {
        operation: operation.name(),
        class: Class::Throttled { until },
        reason: reason::WAITING_FOR_WRITE_SLOT,
        message: "other writes with the same token come first; GitHub asks for one write at a time"
            .to_owned(),
        status: None,
    }
}
