//! Everything the GitHub stand-in remembers, apart from the git objects, which are in bare repositories on disk.
//! Handlers change it under one lock; what it queues in `outbox` is delivered by `deliveries`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Settings;
use super::answer::Answer;
use super::apps::Apps;
use super::auth::{Access, Caller, Token, authorize};
use super::branch_rules::BranchRule;
use super::checks::CheckSet;
use super::deliveries::Deliveries;
use super::delivery::Outgoing;
use super::lfs::Storage;
use super::limits::Limits;
use super::manners::Manners;
use super::merge_queue::{Entry, Removal};
use super::permissions::permit;
use super::request::Request;
use super::secondary::Secondary;
use super::talk::Said;
use crate::core::Clock;

/// A user, an organization or the bot of a GitHub App.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    pub login: String,
    pub kind: AccountKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountKind {
    User,
    Organization,
    Bot,
}

impl AccountKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Organization => "Organization",
            Self::Bot => "Bot",
        }
    }
}

/// Objects created and deleted since the start, by API calls and people alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub repositories_created: u64,
    pub repositories_deleted: u64,
    pub refs_created: u64,
    pub refs_updated: u64,
    pub refs_deleted: u64,
    pub blobs_created: u64,
    pub trees_created: u64,
    pub commits_created: u64,
    pub pulls_created: u64,
    pub pulls_merged: u64,
}

pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    /// Where the bare repositories are.
    pub(super) dir: PathBuf,
    /// The API's own base URL, without a trailing slash.
    pub(super) url: String,
    /// That of git and LFS; another one than the API's at GitHub Enterprise Server.
    pub(super) host: String,
    /// In order of creation; the id is the position plus 1001.
    pub(super) accounts: Vec<Account>,
    pub(super) tokens: Vec<Token>,
    pub(super) apps: Apps,
    pub(super) limits: Limits,
    pub(super) secondary: Secondary,
    pub(super) repositories: Vec<Repository>,
    /// Lower-case full names that were renamed away, to repository ids.
    pub(super) moved: HashMap<String, u64>,
    pub(super) outbox: Vec<Outgoing>,
    /// What was sent so far, which the API shows.
    pub(super) deliveries: Deliveries,
    pub(super) counts: Counts,
    pub(super) last_id: u64,
}

pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) private: bool,
    pub(super) archived: bool,
    pub(super) default_branch: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) pushed_at: Timestamp,
    pub(super) git: git2::Repository,
    pub(super) pulls: Vec<Pull>,
    pub(super) hooks: Vec<Hook>,
    pub(super) rules: Vec<BranchRule>,
    pub(super) queue: Vec<Entry>,
    /// Who has left the queue, oldest first.
    pub(super) removals: Vec<Removal>,
    /// Branches that only change through pull requests.
    pub(super) protected: BTreeSet<String>,
    /// Branches that take verified commits only.
    pub(super) signed: BTreeSet<String>,
    /// Commits that GitHub has signed, and when.
    pub(super) verified: RefCell<HashMap<git2::Oid, Timestamp>>,
    pub(super) checks: BTreeMap<String, CheckSet>,
    pub(super) manners: Manners,
    /// What was said of its pull requests, oldest first.
    pub(super) talk: Vec<Said>,
    /// Those who may push.
    pub(super) writers: BTreeSet<String>,
    /// Labels that there are, in lower case.
    pub(super) labels: BTreeSet<String>,
    /// Slugs of the teams that have access.
    pub(super) teams: BTreeSet<String>,
    pub(super) lfs: Storage,
    /// When commits, branches and pull requests were made.
    pub(super) made_at: HashMap<String, Timestamp>,
    /// When a commit became the tip of a branch.
    pub(super) pushed: HashMap<String, Timestamp>,
    /// Additions, deletions and changed files between two commits, as far as they have been counted.
    pub(super) extents: RefCell<HashMap<(git2::Oid, git2::Oid), (usize, usize, usize)>>,
}

/// A pull request between two branches of the same repository.
#[derive(Clone)]
pub(super) struct Pull {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) author: String,
    pub(super) open: bool,
    pub(super) draft: bool,
    pub(super) head_ref: String,
    pub(super) head_sha: String,
    pub(super) base_ref: String,
    pub(super) base_sha: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
    pub(super) merged_at: Option<Timestamp>,
    pub(super) merged_by: Option<String>,
    pub(super) merge_commit_sha: Option<String>,
    pub(super) mergeability: Mergeability,
    pub(super) labels: Vec<String>,
    pub(super) reviewers: Vec<String>,
    pub(super) team_reviewers: Vec<String>,
    /// What `mergeable_state` says regardless of the truth, for reviews and rules the stand-in does not model.
    pub(super) forced_state: Option<String>,
}

/// Whether base and head merge cleanly; forgotten whenever one of them moves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mergeability {
    Unknown,
    /// Asked for once: the next read knows it.
    Computing,
    Known(bool),
}

#[derive(Clone)]
pub(super) struct Hook {
    pub(super) id: u64,
    pub(super) url: String,
    pub(super) secret: Option<String>,
    /// `json` or `form`.
    pub(super) content_type: String,
    /// `0` or `1`.
    pub(super) insecure_ssl: String,
    pub(super) events: Vec<String>,
    pub(super) active: bool,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

impl Repository {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The commit a branch points to.
    pub(super) fn tip(&self, branch: &str) -> Option<git2::Oid> {
        self.git.refname_to_id(&format!("refs/heads/{branch}")).ok()
    }

    /// Whether there is no branch at all.
    pub(super) fn is_empty(&self) -> bool {
        let Ok(mut branches) = self.git.references_glob("refs/heads/*") else { return true };
        branches.next().is_none()
    }

    /// `Git Repository is empty.` where GitHub's git data API says so.
    pub(super) fn not_empty(&self) -> Result<(), Answer> {
        if self.is_empty() { Err(Answer::empty_repository()) } else { Ok(()) }
    }
}

impl State {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn account(&self, login: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.login.eq_ignore_ascii_case(login))
    }

    pub(super) fn find(&self, owner: &str, name: &str) -> Option<usize> {
        self.repositories.iter().position(|repository| {
            repository.owner.eq_ignore_ascii_case(owner) && repository.name.eq_ignore_ascii_case(name)
        })
    }

    /// The position of the repository a request names, if its caller gets at it.
    pub(super) fn repository(&self, request: &Request, access: Access) -> Result<usize, Answer> {
        if let Ok(id) = request.param("repository_id").parse::<u64>() {
            let at = self.repositories.iter().position(|repository| repository.id == id);
            return self.allowed(request, at.ok_or_else(Answer::not_found)?, access);
        }
        let (owner, name) = (request.param("owner"), request.param("repo"));
        let Some(at) = self.find(owner, name) else {
            return Err(self.moved_or_gone(request, owner, name));
        };
        self.allowed(request, at, access)
    }

    /// What is private is hidden first; then the permission is asked for; then what is archived is shut.
    fn allowed(&self, request: &Request, at: usize, access: Access) -> Result<usize, Answer> {
        let (caller, repository) = (&request.caller, &self.repositories[at]);
        authorize(caller, repository, Access::Read)?;
        permit(caller, repository, request.needs)?;
        authorize(caller, repository, access)?;
        Ok(at)
    }

    /// The repository that had this name before it was renamed, unless another has it now.
    pub(super) fn renamed(&self, owner: &str, name: &str) -> Option<&Repository> {
        let id = self.moved.get(&format!("{owner}/{name}").to_ascii_lowercase())?;
        self.repositories.iter().find(|one| one.id == *id)
    }

    /// GitHub keeps a renamed repository's old name working by a redirect to its id.
    fn moved_or_gone(&self, request: &Request, owner: &str, name: &str) -> Answer {
        let Some(repository) = self.renamed(owner, name) else { return Answer::not_found() };
        if authorize(&request.caller, repository, Access::Read).is_err() {
            return Answer::not_found();
        }
        let rest = request.target.splitn(5, '/').nth(4).map(|rest| format!("/{rest}")).unwrap_or_default();
        let location = format!("{}/repositories/{}{rest}", self.url, repository.id);
        // A client that follows 301 may turn other methods into GET.
        let (status, message) = if request.method == http::Method::GET {
            (http::StatusCode::MOVED_PERMANENTLY, "Moved Permanently")
        } else {
            (http::StatusCode::TEMPORARY_REDIRECT, "Temporary Redirect")
        };
        Answer::new(status, json!({ "message": message, "url": location })).with_header("location", location)
    }

    /// Whom a limit is counted for, as its refusal names them.
    pub(super) fn limited(&self, caller: &Caller) -> String {
        match caller {
            Caller::Token(token) => format!("user ID {}", self.account_id(&token.login)),
            Caller::Installation(acting) => format!("installation ID {}", acting.installation),
            Caller::App(id) => format!("app ID {id}"),
            Caller::Anonymous | Caller::Person(_) => "127.0.0.1".to_owned(),
        }
    }

    /// What the control side shows.
    pub(super) fn summary(&self) -> Value {
        let mut open = Vec::new();
        let mut repositories = Vec::new();
        for repository in &self.repositories {
            repositories.push(json!({
                "id": repository.id,
                "fullName": repository.full_name(),
                "gitDir": repository.git.path(),
                "pulls": repository.pulls.len(),
                "hooks": repository.hooks.len(),
            }));
            for pull in repository.pulls.iter().filter(|pull| pull.open) {
                open.push(json!({
                    "repository": repository.full_name(),
                    "number": pull.number,
                    "head": pull.head_ref,
                    "draft": pull.draft,
                }));
            }
        }
        json!({ "counts": self.counts, "repositories": repositories, "openPulls": open })
    }
}
