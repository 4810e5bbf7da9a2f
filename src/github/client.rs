//! GitHub as one credential sees it: which token a call is made with, and which other one where GitHub refuses that.
//! Every method of [`Client`] goes through here; `session` makes the call, `tokens` has those of a GitHub App.

use super::{
    Error,
    account::Account,
    accounts::Accounts,
    app::App,
    call::{Call, Reply, Success},
    classify::State,
    etags::{Answer, Etags},
    grant::Grant,
    identities::{Identities, User},
    mint::Place,
    name::RepositoryName,
    operation::Operation,
    recent::{Made, Recent},
    session::{AnswerBody, Caller, Session, Shared},
    token::Token,
    tokens::{Bought, Tokens},
};
use crate::{api::conditions::reason, domain::line::Settings, telemetry::HttpService};
use futures::future::BoxFuture;
use jiff::Timestamp;
use octocrab::{AuthState, OctoBody, OctocrabBuilder};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, OnceLock},
    time::Instant,
};
use tower::ServiceExt as _;

/// GitHub at one base URL. Cheap to clone; limits, turns, tokens and what was created lately are shared by all clients of it.
#[derive(Clone)]
pub struct GitHub {
    shared: Arc<Shared>,
    tokens: Arc<Tokens>,
    identities: Arc<Identities>,
}

/// A GitHub App for one repository.
#[derive(Clone)]
pub struct AppSource {
    pub app: App,
    pub name: RepositoryName,
    /// The repository's id, once it is known: the name may be another's by then.
    pub id: Option<u64>,
    /// Reads the App once more, past every cache: its key may have been rotated. `None`: it can't be had.
    pub again: Arc<dyn Fn() -> BoxFuture<'static, Option<App>> + Send + Sync>,
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
        };
        Self { shared: Arc::new(shared), tokens: Arc::default(), identities: Arc::default() }
    }

    /// A client that calls with this token. Cheap: make one per pass.
    pub fn client(&self, token: &SecretString) -> Client {
        let source = Source::Token(Arc::new(Token::own(token.clone())));
        Client { github: self.clone(), source, caller: Caller::default() }
    }

    /// A client that calls with tokens which it buys for this App and repository. Cheap: make one per pass.
    pub fn app(&self, source: AppSource) -> Client {
        let installed = Installed { source, rotated: OnceLock::new() };
        Client { github: self.clone(), source: Source::App(Arc::new(installed)), caller: Caller::default() }
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
    source: Source,
    caller: Caller,
}

#[derive(Clone)]
enum Source {
    Token(Arc<Token>),
    App(Arc<Installed>),
}

struct Installed {
    source: AppSource,
    /// The App with the key that it turned out to have by now.
    rotated: OnceLock<App>,
}

/// The token of one call.
#[derive(Clone)]
struct Access {
    account: Arc<Account>,
    token: Arc<Token>,
    /// Where it is kept, and what it may do, if it was bought.
    bought: Option<(Bought, Grant)>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.github.shared.base).finish_non_exhaustive()
    }
}

impl Client {
    /// This client, for the object `id`, whose work has been under way `since`: the older goes first. It is called by its id when
    /// its turn comes.
    #[must_use]
    pub fn on_behalf_of(self, id: &str, since: Timestamp) -> Self {
        Self { caller: Caller { id: id.into(), since, ..Caller::default() }, ..self }
    }

    /// The account whose limits bind the calls of this client. Whoever it calls for is called when a limit begins, moves or ends.
    pub async fn account(&self) -> Result<Arc<Account>, Error> {
        let account = self.access(Grant::of(Operation::GetRepository)).await?.account;
        if let (None, Source::Token(token)) = (account.name(), &self.source)
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
            Source::App(installed) => Some(installed.source.app.id),
        }
    }

    pub(super) fn recent(&self) -> &Recent {
        &self.github.shared.recent
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

    /// The same of something that may not be there.
    pub(super) async fn find<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Option<T>, Error> {
        let operation = call.operation;
        match self.send(call).await? {
            Reply::Success(success) => success.json(operation).map(Some),
            Reply::State(State::Absent) => Ok(None),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// One call of the API.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Reply, Error> {
        self.send_as(&call, |token| self.github.shared.request(&call, token)).await
    }

    /// The same of a request that is made elsewhere, for the token that it is to carry.
    pub(super) async fn send_as(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Token) -> Result<http::Request<OctoBody>, Error>,
    ) -> Result<Reply, Error> {
        let access = self.access_for(call).await?;
        let answered = self.session(&access).send(call, request(&access.token)?).await;
        match self.another(call, &access, answered.as_ref().err()).await? {
            Some(other) => self.session(&other).send(call, request(&other.token)?).await,
            None => answered,
        }
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
        request: impl Fn(&Token) -> Result<http::Request<OctoBody>, Error>,
    ) -> Result<AnswerBody, Error> {
        let access = self.access_for(call).await?;
        let opened = self.session(&access).open(call, request(&access.token)?).await;
        match self.another(call, &access, opened.as_ref().err()).await? {
            Some(other) => self.session(&other).open(call, request(&other.token)?).await,
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
        let grant = Grant::of(call.operation);
        let grant = if call.is_of_workflows() { grant.with_workflows() } else { grant };
        self.access(grant).await
    }

    async fn access(&self, grant: Grant) -> Result<Access, Error> {
        let Installed { source, rotated } = match &self.source {
            Source::Token(token) => {
                let account = self.github.account_of(token).await;
                return Ok(Access { account, token: token.clone(), bought: None });
            }
            Source::App(installed) => installed.as_ref(),
        };
        let app = rotated.get().unwrap_or(&source.app);
        match self.buy(app, source, grant.clone()).await {
            Err(refused) if is_unknown(&refused) => match (source.again)().await {
                // By its own name in the cache: who has the old key has no claim to what the new one is answered.
                Some(other) if other.fingerprint() != app.fingerprint() => {
                    let access = self.buy(&other, source, grant).await?;
                    // Another call may have found out first.
                    let _ = rotated.set(other);
                    Ok(access)
                }
                _ => Err(refused),
            },
            bought => bought,
        }
    }

    async fn buy(&self, app: &App, source: &AppSource, grant: Grant) -> Result<Access, Error> {
        let (shared, place) = (&self.github.shared, Place { name: &source.name, id: source.id });
        let bought = self.github.tokens.get(shared, app, place, &grant).await?;
        let account = shared.accounts.of(&app.account());
        account.named(|| format!("installation {}", app.installation));
        Ok(Access { account, token: bought.token.clone(), bought: Some((bought, grant)) })
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
            bought.forget();
            return self.access(grant.clone()).await.map(Some);
        }
        // A branch may lead to workflow files, which nothing but GitHub's answer tells.
        let forbidden = [reason::PERMISSION_MISSING, reason::WORKFLOW_PERMISSION_MISSING];
        if call.operation.may_move_workflows()
            && forbidden.contains(&refused.reason)
            && !grant.has_workflows()
        {
            return Ok(self.access(grant.clone().with_workflows()).await.ok());
        }
        Ok(None)
    }
}

/// GitHub does not know (any more) who this is.
fn is_unknown(refused: &Error) -> bool {
    refused.status == Some(401) && refused.reason == reason::BAD_CREDENTIALS
}
