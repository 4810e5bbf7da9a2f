//! What people do at GitHub's web pages, and what tests prepare and look at, in process.
//! Acts go through the same handlers as API calls, but are neither logged nor limited; `control` offers them over HTTP.

use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::{Caller, Token, TokenKind};
use super::objects::{git_time, noreply};
use super::request::{Request, parse_query};
use super::state::{Account, AccountKind, Counts, State};
use super::{GitHub, Refused, refs, routes};
use crate::github::answer::Answer;

/// A repository to be created, with its first files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewRepository {
    pub owner: String,
    pub name: String,
    pub private: bool,
    pub description: Option<String>,
    /// Without a first commit: GitHub's git data API answers 409 until somebody pushes.
    pub empty: bool,
}

/// How a pull request is merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeMethod {
    #[default]
    Merge,
    Squash,
    Rebase,
}

impl GitHub {
    /// Does what `login` could do with any API call of the stand-in; an unknown login becomes a user.
    pub fn act(&self, login: &str, method: &Method, target: &str, body: Value) -> Result<Value, Refused> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (route, params) = routes::find(method, path).ok_or_else(Answer::not_found)?;
        let Value::Object(body) = body else {
            return Err(Answer::unprocessable("the body of an act must be a JSON object").into());
        };
        let mut request = self.request(login);
        (request.method, request.params, request.body) = (method.clone(), params, body);
        (request.query, request.target) = (parse_query(query), target.to_owned());
        self.with_state(login, |state| (route.handler)(state, &request))
            .map(|answer| answer.body.unwrap_or(Value::Null))
            .map_err(Refused::from)
    }

    fn request(&self, login: &str) -> Request {
        Request {
            method: Method::POST,
            params: std::collections::HashMap::new(),
            query: Vec::new(),
            body: serde_json::Map::new(),
            caller: Caller::Person(login.to_owned()),
            needs: "",
            now: self.inner.clock.now(),
            target: String::new(),
        }
    }

    /// A request of `login` about a repository, whatever it asks for.
    pub(super) fn request_of(&self, login: &str, full_name: &str) -> Request {
        let mut request = self.request(login);
        let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
        request.params.insert("owner", owner.to_owned());
        request.params.insert("repo", name.to_owned());
        request
    }

    /// Changes the state as `login` and sends what the change queued.
    pub(super) fn with_state<T>(&self, login: &str, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.inner.state();
        if state.account(login).is_none() {
            state.accounts.push(Account { login: login.to_owned(), kind: kind_of(login) });
        }
        let result = change(&mut state);
        let events = std::mem::take(&mut state.outbox);
        drop(state);
        self.deliveries.submit(events);
        result
    }

    pub fn add_account(&self, login: &str, kind: AccountKind) {
        let mut state = self.inner.state();
        if state.account(login).is_none() {
            state.accounts.push(Account { login: login.to_owned(), kind });
        }
    }

    /// Accepts a token from now on; one of the same value is replaced.
    pub fn add_token(&self, token: Token) {
        let bot = token.kind == TokenKind::Installation && token.login.ends_with("[bot]");
        self.add_account(&token.login, if bot { AccountKind::Bot } else { AccountKind::User });
        let mut state = self.inner.state();
        state.tokens.retain(|known| known.value != token.value);
        state.tokens.push(token);
    }

    /// Refuses the token from now on with 401 `Bad credentials`.
    pub fn revoke_token(&self, value: &str) {
        let mut state = self.inner.state();
        state.tokens.retain(|known| known.value != value);
        state.apps.tokens.retain(|known| known.value != value);
    }

    /// Leaves a token's owner `remaining` calls until `reset`, simulated time. False: unknown token.
    pub fn set_rate_limit(&self, token: &str, remaining: u64, reset: Timestamp) -> bool {
        let mut state = self.inner.state();
        let now = self.inner.clock.now();
        if let Some(token) = state.tokens.iter().find(|known| known.value == token).cloned() {
            state.limits.set(&Caller::Token(token), "core", now, remaining, reset);
        } else if let Some(installation) = state.apps.installation_of(token) {
            state.limits.set_installation(installation, "core", now, remaining, reset);
        } else {
            return false;
        }
        true
    }

    pub fn counts(&self) -> Counts {
        self.inner.state().counts.clone()
    }

    /// Creates a repository for a user or an organization, and returns it as the API shows it.
    pub fn create_repository(&self, new: &NewRepository) -> Result<Value, Refused> {
        let organization = self
            .inner
            .state()
            .account(&new.owner)
            .is_some_and(|account| account.kind == AccountKind::Organization);
        let target =
            if organization { format!("/orgs/{}/repos", new.owner) } else { "/user/repos".to_owned() };
        let login = if organization { "reviewer" } else { &new.owner };
        let body = json!({
            "name": new.name, "private": new.private, "description": new.description, "auto_init": !new.empty,
        });
        self.act(login, &Method::POST, &target, body)
    }

    /// The bare git directory of `owner/name`, to clone from.
    pub fn git_dir(&self, full_name: &str) -> Result<std::path::PathBuf, Refused> {
        let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
        self.inner.git_dir(owner, name, &Caller::Person("reviewer".to_owned())).map_err(Refused::from)
    }

    /// The SHA a branch points to.
    pub fn branch(&self, full_name: &str, branch: &str) -> Option<String> {
        let (owner, name) = full_name.split_once('/')?;
        let state = self.inner.state();
        let repository = &state.repositories[state.find(owner, name)?];
        repository.tip(branch).map(|id| id.to_string())
    }

    /// The names of all branches, sorted.
    pub fn branches(&self, full_name: &str) -> Result<Vec<String>, Refused> {
        let target = format!("/repos/{full_name}/git/matching-refs/heads/");
        let refs = self.act("reviewer", &Method::GET, &target, json!({}))?;
        let names = refs.as_array().into_iter().flatten().filter_map(|one| one["ref"].as_str());
        Ok(names.map(|name| name.trim_start_matches("refs/heads/").to_owned()).collect())
    }

    /// A pull request as the API shows it.
    pub fn pull(&self, full_name: &str, number: u64) -> Result<Value, Refused> {
        self.act("reviewer", &Method::GET, &format!("/repos/{full_name}/pulls/{number}"), json!({}))
    }

    /// All pull requests, oldest first, as the API lists them (at most 100).
    pub fn pulls(&self, full_name: &str) -> Result<Vec<Value>, Refused> {
        let target = format!("/repos/{full_name}/pulls?state=all&direction=asc&per_page=100");
        match self.act("reviewer", &Method::GET, &target, json!({}))? {
            Value::Array(pulls) => Ok(pulls),
            _ => Ok(Vec::new()),
        }
    }

    /// `reviewer` merges; returns the SHA that the base branch has then.
    pub fn merge(&self, full_name: &str, number: u64, method: MergeMethod) -> Result<String, Refused> {
        let target = format!("/repos/{full_name}/pulls/{number}/merge");
        let merged = self.act("reviewer", &Method::PUT, &target, json!({ "merge_method": method }))?;
        Ok(merged["sha"].as_str().unwrap_or_default().to_owned())
    }

    pub fn close(&self, full_name: &str, number: u64) -> Result<Value, Refused> {
        self.edit(full_name, number, json!({ "state": "closed" }))
    }

    pub fn reopen(&self, full_name: &str, number: u64) -> Result<Value, Refused> {
        self.edit(full_name, number, json!({ "state": "open" }))
    }

    /// `reviewer` changes title, body, base or state.
    pub fn edit(&self, full_name: &str, number: u64, changes: Value) -> Result<Value, Refused> {
        self.act("reviewer", &Method::PATCH, &format!("/repos/{full_name}/pulls/{number}"), changes)
    }

    pub fn ready(&self, full_name: &str, number: u64) -> Result<(), Refused> {
        self.turn(full_name, number, "markPullRequestReadyForReview")
    }

    pub fn draft(&self, full_name: &str, number: u64) -> Result<(), Refused> {
        self.turn(full_name, number, "convertPullRequestToDraft")
    }

    fn turn(&self, full_name: &str, number: u64, mutation: &str) -> Result<(), Refused> {
        let id = self.pull(full_name, number)?["node_id"].clone();
        let query =
            format!("mutation($id:ID!){{{mutation}(input:{{pullRequestId:$id}}){{pullRequest{{id}}}}}}");
        let body = json!({ "query": query, "variables": { "id": id } });
        let answer = self.act("reviewer", &Method::POST, "/graphql", body)?;
        match answer.get("errors") {
            Some(errors) => Err(Refused { status: 422, body: errors.clone() }),
            None => Ok(()),
        }
    }

    /// Commits files on a branch, made from the default branch if it is not there; returns the new SHA.
    /// Works on an empty repository too. A path with `None` is deleted.
    pub fn push(
        &self,
        full_name: &str,
        branch: &str,
        files: &[(&str, Option<&str>)],
        message: &str,
    ) -> Result<String, Refused> {
        let request = self.request_of("reviewer", full_name);
        let pushed =
            self.with_state("reviewer", |state| commit_files(state, &request, branch, files, message));
        pushed.map_err(Refused::from)
    }

    pub fn delete_branch(&self, full_name: &str, branch: &str) -> Result<Value, Refused> {
        let target = format!("/repos/{full_name}/git/refs/heads/{branch}");
        self.act("reviewer", &Method::DELETE, &target, json!({}))
    }

    /// Lets a branch change through pull requests only, or no longer.
    pub fn protect(&self, full_name: &str, branch: &str, protect: bool) -> Result<(), Refused> {
        self.with_repository(full_name, |state, at| {
            let protected = &mut state.repositories[at].protected;
            if protect {
                protected.insert(branch.to_owned())
            } else {
                protected.remove(branch)
            };
        })
    }

    pub fn archive(&self, full_name: &str, archived: bool) -> Result<Value, Refused> {
        self.act("reviewer", &Method::PATCH, &format!("/repos/{full_name}"), json!({ "archived": archived }))
    }

    pub fn rename(&self, full_name: &str, name: &str) -> Result<Value, Refused> {
        self.act("reviewer", &Method::PATCH, &format!("/repos/{full_name}"), json!({ "name": name }))
    }

    pub fn delete_repository(&self, full_name: &str) -> Result<Value, Refused> {
        self.act("reviewer", &Method::DELETE, &format!("/repos/{full_name}"), json!({}))
    }

    /// `login` reviews a pull request: `APPROVE`, `REQUEST_CHANGES` or `COMMENT`.
    pub fn review(
        &self,
        login: &str,
        full_name: &str,
        number: u64,
        event: &str,
        body: &str,
    ) -> Result<Value, Refused> {
        let target = format!("/repos/{full_name}/pulls/{number}/reviews");
        self.act(login, &Method::POST, &target, json!({ "event": event, "body": body }))
    }

    /// `login` comments on a line of a pull request.
    pub fn comment_line(
        &self,
        login: &str,
        full_name: &str,
        number: u64,
        (path, line): (&str, u64),
        body: &str,
    ) -> Result<Value, Refused> {
        let target = format!("/repos/{full_name}/pulls/{number}/comments");
        self.act(login, &Method::POST, &target, json!({ "path": path, "line": line, "body": body }))
    }

    /// `login` comments on a pull request.
    pub fn comment(&self, login: &str, full_name: &str, number: u64, body: &str) -> Result<Value, Refused> {
        let target = format!("/repos/{full_name}/issues/{number}/comments");
        self.act(login, &Method::POST, &target, json!({ "body": body }))
    }

    /// Makes `mergeable_state` say this (`blocked`, `behind`, `unstable`) until reset with `None`.
    pub fn force_mergeable_state(
        &self,
        full_name: &str,
        number: u64,
        forced: Option<&str>,
    ) -> Result<(), Refused> {
        self.with_repository(full_name, |state, at| {
            for pull in state.repositories[at].pulls.iter_mut().filter(|pull| pull.number == number) {
                pull.forced_state = forced.map(str::to_owned);
            }
        })
    }

    /// Creates a JSON webhook and returns its id; it gets a `ping` at once.
    pub fn add_hook(
        &self,
        full_name: &str,
        url: &str,
        secret: &str,
        events: &[&str],
    ) -> Result<u64, Refused> {
        let config = json!({ "url": url, "secret": secret, "content_type": "json" });
        let body = json!({ "config": config, "events": events });
        let hook = self.act("reviewer", &Method::POST, &format!("/repos/{full_name}/hooks"), body)?;
        Ok(hook["id"].as_u64().unwrap_or_default())
    }

    pub(super) fn with_repository<T>(
        &self,
        full_name: &str,
        change: impl FnOnce(&mut State, usize) -> T,
    ) -> Result<T, Refused> {
        let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
        let mut state = self.inner.state();
        let at = state.find(owner, name).ok_or_else(Answer::not_found)?;
        Ok(change(&mut state, at))
    }
}

fn kind_of(login: &str) -> AccountKind {
    if login.ends_with("[bot]") { AccountKind::Bot } else { AccountKind::User }
}

fn commit_files(
    state: &mut State,
    request: &Request,
    branch: &str,
    files: &[(&str, Option<&str>)],
    message: &str,
) -> Result<String, Answer> {
    let at = state.repository(request, super::auth::Access::Read)?;
    let repository = &state.repositories[at];
    let git = &repository.git;
    let parent = repository.tip(branch).or_else(|| repository.tip(&repository.default_branch));
    let parent = parent.map(|id| git.find_commit(id)).transpose()?;
    let mut index = git2::Index::new()?;
    if let Some(parent) = &parent {
        index.read_tree(&parent.tree()?)?;
    }
    for (path, content) in files {
        match content {
            Some(content) => {
                let entry = git2::IndexEntry {
                    ctime: git2::IndexTime::new(0, 0),
                    mtime: git2::IndexTime::new(0, 0),
                    dev: 0,
                    ino: 0,
                    mode: 0o100_644,
                    uid: 0,
                    gid: 0,
                    file_size: 0,
                    id: git.blob(content.as_bytes())?,
                    flags: 0,
                    flags_extended: 0,
                    path: path.as_bytes().to_vec(),
                };
                index.add(&entry)?;
            }
            None => index.remove_path(std::path::Path::new(path))?,
        }
    }
    let tree = git.find_tree(index.write_tree_to(git)?)?;
    let login = request.caller.login()?;
    let who = git2::Signature::new(login, &noreply(login), &git_time(request.now, 0))?;
    let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
    let id = git.commit(None, &who, &who, message, &tree, &parents)?;
    drop((tree, parents));
    drop(parent);
    refs::set_branch(state, at, branch, id, request)?;
    Ok(id.to_string())
}
