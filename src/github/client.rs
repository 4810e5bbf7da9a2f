//! GitHub as one credential sees it: which token a call is made with, and which other one where GitHub refuses that.
//! Every method of [`Client`] goes through here; `session` makes the call, `access` has the tokens of a GitHub App.

use super::{
    Error,
    access::{Access, AppSource, Installed, is_unknown},
    account::Account,
    accounts::Accounts,
    call::{Call, Reply, Success},
    classify::State,
    etags::{Answer, Etags},
    grant::{Grant, ISSUES, WORKFLOWS},
    identities::{Identities, User},
    lacking::of_call,
    name::RepositoryName,
    names::Names,
    operation::Operation,
    recent::{Made, Recent},
    session::{AnswerBody, Caller, Opened, Session, Shared},
    token::Token,
    tokens::Tokens,
    trust::Trust,
};
use crate::{api::conditions::reason, domain::line::Settings, telemetry::HttpService};
use jiff::Timestamp;
use octocrab::{AuthState, OctoBody, OctocrabBuilder};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use std::{convert::Infallible, fmt, sync::Arc, time::Instant};
use tower::ServiceExt as _;

/// GitHub at one base URL. Cheap to clone; limits, turns, tokens and what was created lately are shared by all clients of it.
#[derive(Clone)]
pub struct GitHub {
    shared: Arc<Shared>,
    tokens: Arc<Tokens>,
    identities: Arc<Identities>,
}

impl GitHub {
    /// `base_url` as in `GITHUB_API_URL`, `server_url` as in `GITHUB_SERVER_URL`; `line`: bounds of the writes of one account.
    /// Must be called inside a tokio runtime, and lives as long as it.
    pub fn new(base_url: &str, server_url: &str, http: HttpService, line: Settings) -> Self {
        let service = http.map_request(|request: http::Request<OctoBody>| request.map(reqwest::Body::wrap));
        let built = OctocrabBuilder::new_empty().with_service(service).with_auth(AuthState::None).build();
        let octocrab = built.unwrap_or_else(|never: Infallible| match never {});
        let shared = Shared {
            base: base_url.trim_end_matches('/').to_owned(),
            server: server_url.trim_end_matches('/').to_owned(),
            octocrab,
            accounts: Accounts::new(line),
            recent: Recent::default(),
            etags: Etags::default(),
            names: Names::default(),
            trust: Trust::default(),
        };
        Self { shared: Arc::new(shared), tokens: Arc::default(), identities: Arc::default() }
    }

    /// A client that calls with this token. Cheap: make one per pass.
    pub fn client(&self, token: &SecretString) -> Client {
        let source = Source::Token(Arc::new(Token::own(token.clone())));
        Client::new(self.clone(), source)
    }

    /// A client that calls with tokens which it buys for this App and repository. Cheap: make one per pass.
    pub fn app(&self, source: AppSource) -> Client {
        let source = Source::App(Arc::new(Installed::new(source)));
        Client::new(self.clone(), source)
    }

    /// Waits until the turns of some have come that were told to wait for theirs, and returns who they are.
    pub async fn called(&self) -> Vec<Arc<str>> {
        self.shared.accounts.called().await
    }

    /// The object `id` does not want to write any more: nobody waits for its turn.
    pub fn leave(&self, id: &str) {
        self.shared.accounts.leave(id);
    }

    /// Whether the object `id` was told to wait for its turn, and was not called yet.
    pub fn awaits(&self, id: &str) -> bool {
        self.shared.accounts.awaits(id)
    }

    /// What the next leader has to know of all accounts. `ended`: this process sends nothing any more.
    pub fn hand_over(&self, ended: bool) -> String {
        self.shared.accounts.hand_over(ended)
    }

    /// Takes over what [`Self::hand_over`] said for the leader before. Empty: nobody has led; absent: its release says nothing.
    pub fn take_over(&self, words: Option<&str>) {
        self.shared.accounts.take_over(words);
    }

    /// The account whose limits bind a token: that of its user, where GitHub tells who that is.
    async fn account_of(&self, token: &Token) -> Arc<Account> {
        let accounts = &self.shared.accounts;
        if let Some(account) = accounts.of_token(&token.fingerprint) {
            return account;
        }
        let Some(user) = self.user_of(token).await else { return accounts.of(&token.fingerprint) };
        let name = format!("user {}", user.id);
        accounts.learned(&token.fingerprint, name.as_bytes());
        accounts.of(name.as_bytes())
    }

    async fn user_of(&self, token: &Token) -> Option<Arc<User>> {
        let (shared, operation) = (&self.shared, Operation::GetUser);
        let ask = async {
            let call = Call::get(operation, "/user".to_owned());
            let account = shared.accounts.of(&token.fingerprint);
            let session = Session { shared, account: &account, token, caller: &Caller::default() };
            match session.send(&call, shared.request(&call, token)?).await? {
                Reply::Success(success) => success.json(operation),
                Reply::State(other) => Err(other.unexpected(operation)),
            }
        };
        self.identities.user(token.fingerprint, ask).await
    }
}

/// GitHub as one credential sees it.
#[derive(Clone)]
pub struct Client {
    github: GitHub,
    pub(super) source: Source,
    caller: Caller,
    /// GitHub's id of the repository that its calls are about, once that is known.
    pub(super) repository: Option<u64>,
}

#[derive(Clone)]
pub(super) enum Source {
    Token(Arc<Token>),
    App(Arc<Installed>),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.github.shared.base).finish_non_exhaustive()
    }
}

impl Client {
    fn new(github: GitHub, source: Source) -> Self {
        Self { github, source, caller: Caller::default(), repository: None }
    }

    /// This client, for the object `id`, whose work has been under way `since`: the older goes first. It is called by its id when
    /// its turn comes.
    #[must_use]
    pub fn on_behalf_of(self, id: &str, since: Timestamp) -> Self {
        Self { caller: Caller { id: id.into(), since, ..Caller::default() }, ..self }
    }

    /// The account whose limits bind the calls of this client. Whoever it calls for is called when a limit begins, moves or ends.
    pub async fn account(&self) -> Result<Arc<Account>, Error> {
        let account = self.access(Grant::of(Operation::GetRepository)).await?.account;
        // A name is worth no call while a limit holds.
        if let (None, None, Source::Token(token)) = (account.name(), account.blocked(), &self.source)
            && let Some(user) = self.github.user_of(token).await
        {
            account.named(|| user.login.clone());
        }
        account.watch(&self.caller.id);
        Ok(account)
    }

    /// The App whose tokens this client calls with, if it is one.
    pub fn app_id(&self) -> Option<u64> {
        match &self.source {
            Source::Token(_) => None,
            Source::App(installed) => Some(installed.id()),
        }
    }

    /// The repository that an App's token turned out to be for, where it is bought by the repository's name; and whether the
    /// token is so new that GitHub may not know it everywhere yet.
    pub(super) async fn bought_for(&self) -> Result<Option<(u64, bool)>, Error> {
        match &self.source {
            Source::App(installed) if installed.is_by_name() => {
                let access = self.access(Grant::standing()).await?;
                let repository = access.bought.and_then(|(bought, _)| bought.minted.repository);
                Ok(repository.map(|id| (id, access.token.is_new())))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn recent(&self) -> &Recent {
        &self.github.shared.recent
    }

    pub(super) fn names(&self) -> &Names {
        &self.github.shared.names
    }

    /// Notes what this process has just made: GitHub may not show it everywhere yet.
    pub(super) fn just_made(&self, repository: &RepositoryName, made: Made) {
        self.recent().created(repository, Some(made), Instant::now());
    }

    /// One read, answered from memory where GitHub says that nothing has changed since.
    pub(super) async fn send_unless_known(&self, call: Call<'_>) -> Result<Reply, Error> {
        let token = self.access_for(&call).await?.token.fingerprint;
        let (etags, path): (&Etags, _) = (&self.github.shared.etags, call.path.clone());
        let known = etags.get(token, &path);
        let reply = self.send(call.etag(known.as_ref().map(|known| known.etag.clone()))).await?;
        Ok(match (reply, known) {
            (Reply::State(State::NotModified), Some(known)) => {
                Reply::Success(Success::known(known.body, known.pages))
            }
            (Reply::Success(success), _) => {
                if let Some(etag) = success.etag.clone() {
                    let pages = [success.next_page, success.last_page];
                    etags.set(token, path, Answer { etag, body: success.body.clone(), pages });
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

    /// The same of something that may not be there. Unchanged since the last call: costs no rate limit (`ETag`).
    pub(super) async fn find<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Option<T>, Error> {
        let operation = call.operation;
        match self.send_unless_known(call).await? {
            Reply::Success(success) => success.json(operation).map(Some),
            Reply::State(State::Absent) => Ok(None),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// One call of the API.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Reply, Error> {
        self.send_as(&call, |call, token| self.github.shared.request(call, token)).await
    }

    /// The same of a request that is made elsewhere, for the token that it is to carry. A repository that has moved is followed, and
    /// what is not found is looked for under today's name: another may have the old one.
    pub(super) async fn send_as(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Call<'_>, &Token) -> Result<http::Request<OctoBody>, Error>,
    ) -> Result<Reply, Error> {
        let today = self.today(call).await?;
        // Boxed here and below: every caller's future would hold it several times over, and a pass is many of them deep.
        let answered = Box::pin(self.send_once(today.as_ref().unwrap_or(call), &request)).await;
        let elsewhere = match &answered {
            Ok(reply) => matches!(reply, Reply::State(State::Moved { .. })),
            Err(error) => !error.class.is_retryable() && error.status == Some(404),
        };
        if elsewhere && let Some(there) = self.moved(call).await? {
            return Box::pin(self.send_once(&there, &request)).await;
        }
        answered
    }

    async fn send_once(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Call<'_>, &Token) -> Result<http::Request<OctoBody>, Error>,
    ) -> Result<Reply, Error> {
        let mut access = self.access_for(call).await?;
        let mut answered = self.session(&access).send(call, request(call, &access.token)?).await;
        if let Some(other) = self.another(call, &access, answered.as_ref().err()).await? {
            answered = self.session(&other).send(call, request(call, &other.token)?).await;
            access = other;
        }
        if answered.as_ref().err().is_none_or(|refused| !refused.class.is_retryable()) {
            access.has_served();
        }
        answered
    }

    /// The same of a request that carries no token of GitHub's API, and goes where that said.
    pub(super) async fn send_without_token(
        &self,
        call: &Call<'_>,
        request: http::Request<OctoBody>,
    ) -> Result<Reply, Error> {
        let access = self.access_for(call).await?;
        self.session(&access).send(call, request).await
    }

    /// Sends a read whose answer is too long to be held. A success is returned with its body still to be read; anything else
    /// is read, and is a failure.
    pub(super) async fn open(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Call<'_>, &Token) -> Result<http::Request<OctoBody>, Error>,
    ) -> Result<AnswerBody, Error> {
        let today = self.today(call).await?;
        let mut opened = Box::pin(self.open_once(today.as_ref().unwrap_or(call), &request)).await?;
        if matches!(opened, Opened::Moved)
            && let Some(there) = self.moved(call).await?
        {
            opened = Box::pin(self.open_once(&there, &request)).await?;
        }
        match opened {
            Opened::Body(body) => Ok(body),
            Opened::Moved => Err(State::Moved { id: None }.unexpected(call.operation)),
        }
    }

    async fn open_once(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Call<'_>, &Token) -> Result<http::Request<OctoBody>, Error>,
    ) -> Result<Opened, Error> {
        let access = self.access_for(call).await?;
        let opened = self.session(&access).open(call, request(call, &access.token)?).await;
        match self.another(call, &access, opened.as_ref().err()).await? {
            Some(other) => self.session(&other).open(call, request(call, &other.token)?).await,
            None => opened,
        }
    }

    /// Where git is spoken, without a trailing slash.
    pub(super) fn server(&self) -> &str {
        &self.github.shared.server
    }

    fn session<'a>(&'a self, access: &'a Access) -> Session<'a> {
        Session {
            shared: &self.github.shared,
            account: &access.account,
            token: &access.token,
            caller: &self.caller,
        }
    }

    /// The token that a call is made with first.
    async fn access_for(&self, call: &Call<'_>) -> Result<Access, Error> {
        if call.in_account {
            return self.access(Grant::to_look_around()).await;
        }
        let grant = Grant::of(call.operation);
        let grant = call.more.map_or(grant.clone(), |more| grant.with(more));
        let grant = if call.is_of_workflows() { grant.with(WORKFLOWS) } else { grant };
        self.access(grant).await.map_err(|refused| of_call(call, refused))
    }

    async fn access(&self, grant: Grant) -> Result<Access, Error> {
        match &self.source {
            Source::Token(token) => {
                let account = self.github.account_of(token).await;
                Ok(Access { account, token: token.clone(), bought: None })
            }
            Source::App(installed) => installed.access(&self.github.shared, &self.github.tokens, grant).await,
        }
    }

    /// The other token with which a refused call is made once more; `None`: the answer stands.
    async fn another(
        &self,
        call: &Call<'_>,
        access: &Access,
        refused: Option<&Error>,
    ) -> Result<Option<Access>, Error> {
        let (Some((bought, grant)), Some(refused)) = (&access.bought, refused) else { return Ok(None) };
        if is_unknown(refused) {
            if bought.minted.replaces_refused {
                return Ok(None);
            }
            bought.refused();
            return self.access(grant.clone()).await.map(Some);
        }
        let forbidden = [reason::PERMISSION_MISSING, reason::WORKFLOW_PERMISSION_MISSING];
        let more = match call.operation {
            // A branch may lead to workflow files, and a label be a new one: nothing but GitHub's answer tells.
            operation if operation.may_move_workflows() => WORKFLOWS,
            Operation::AddLabels => ISSUES,
            _ => return Ok(None),
        };
        if !forbidden.contains(&refused.reason) || grant.has(more) {
            return Ok(None);
        }
        Ok(self.access(grant.clone().with(more)).await.ok())
    }
}
