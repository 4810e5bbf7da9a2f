//! Webhook payloads: what happened, as GitHub tells it.
//! Queued in `State::outbox` under the state's lock, sent by `deliveries` after it is released.

use git2::Oid;
use serde_json::{Value, json};

use super::delivery::{Event, Outgoing};
use super::objects::git_commit;
use super::state::{AccountKind, Hook, State};

/// What `before` or `after` of a push says when there is no commit.
const NONE: &str = "0000000000000000000000000000000000000000";

impl State {
    /// Queues an event for every hook of the repository that wants it.
    pub(super) fn emit(&mut self, at: usize, event: &'static str, mut payload: Value, sender: &str) {
        let repository = &self.repositories[at];
        let wants =
            |hook: &&Hook| hook.active && hook.events.iter().any(|wanted| wanted == "*" || wanted == event);
        let hooks: Vec<Hook> = repository.hooks.iter().filter(wants).cloned().collect();
        if hooks.is_empty() {
            return;
        }
        self.complete(at, &mut payload, sender);
        let guid = uuid::Uuid::new_v4().to_string();
        for hook in hooks {
            self.queue(at, hook, event, &guid, payload.clone());
        }
    }

    fn queue(&mut self, at: usize, hook: Hook, name: &'static str, guid: &str, payload: Value) {
        let (repository_id, guid) = (self.repositories[at].id, guid.to_owned());
        self.outbox.push(Outgoing::Event(Event { hook, name, guid, repository_id, payload }));
    }

    /// Adds what every payload has.
    fn complete(&self, at: usize, payload: &mut Value, sender: &str) {
        let owner = &self.repositories[at].owner;
        payload["repository"] = self.repository_view(at, None);
        if self.account(owner).is_some_and(|account| account.kind == AccountKind::Organization) {
            let id = self.account_id(owner);
            payload["organization"] = json!({
                "login": owner,
                "id": id,
                "node_id": super::objects::node_id("O", id),
                "url": format!("{}/orgs/{owner}", self.url),
                "description": "",
            });
        }
        payload["sender"] = self.user_view(sender);
    }

    /// A `pull_request` event; `extra` holds what only some actions have (`before`, `after`, `changes`).
    pub(super) fn emit_pull(&mut self, at: usize, index: usize, action: &str, extra: &Value, sender: &str) {
        let pull = &self.repositories[at].pulls[index];
        let mut payload = json!({
            "action": action,
            "number": pull.number,
            "pull_request": self.pull_view(at, pull),
        });
        if let (Some(payload), Some(extra)) = (payload.as_object_mut(), extra.as_object()) {
            payload.extend(extra.clone());
        }
        self.emit(at, "pull_request", payload, sender);
    }

    /// A `push` event: a branch was created, moved or deleted.
    pub(super) fn emit_push(
        &mut self,
        at: usize,
        branch: &str,
        before: Option<Oid>,
        after: Option<Oid>,
        forced: bool,
        sender: &str,
    ) {
        let payload = self.push_payload(at, branch, before, after, forced, sender);
        self.emit(at, "push", payload, sender);
    }

    fn push_payload(
        &self,
        at: usize,
        branch: &str,
        before: Option<Oid>,
        after: Option<Oid>,
        forced: bool,
        sender: &str,
    ) -> Value {
        let repository = &self.repositories[at];
        let commit = after.and_then(|id| repository.git.find_commit(id).ok());
        let head = commit.map(|commit| git_commit(&self.url, repository, &commit));
        let show = |id: Option<Oid>| id.map_or_else(|| NONE.to_owned(), |id| id.to_string());
        let commits = match (&head, before) {
            (Some(head), _) => json!([brief(head)]),
            (None, _) => json!([]),
        };
        let html = format!("https://github.com/{}", repository.full_name());
        json!({
            "ref": format!("refs/heads/{branch}"),
            "before": show(before),
            "after": show(after),
            "created": before.is_none(),
            "deleted": after.is_none(),
            "forced": forced,
            "base_ref": null,
            "compare": format!("{html}/compare/{}...{}", show(before), show(after)),
            "commits": commits,
            "head_commit": head.as_ref().map(brief),
            "pusher": { "name": sender, "email": super::objects::noreply(sender) },
        })
    }

    /// The `ping` that a new hook gets, whatever its events.
    pub(super) fn emit_ping(&mut self, at: usize, hook: &Hook, view: &Value, sender: &str) {
        let mut payload = json!({
            "zen": "Approachable is better than simple.",
            "hook_id": hook.id,
            "hook": view,
        });
        self.complete(at, &mut payload, sender);
        self.queue(at, hook.clone(), "ping", &uuid::Uuid::new_v4().to_string(), payload);
    }

    /// Tells one hook, if it wants to know, of the push that the default branch is at.
    pub(super) fn emit_last_push(&mut self, at: usize, hook: &Hook, sender: &str) {
        let repository = &self.repositories[at];
        let Some(tip) = repository.tip(&repository.default_branch) else { return };
        if !hook.events.iter().any(|event| event == "push" || event == "*") {
            return;
        }
        let before = repository.git.find_commit(tip).ok().and_then(|commit| commit.parent_id(0).ok());
        let branch = repository.default_branch.clone();
        let mut payload = self.push_payload(at, &branch, before, Some(tip), false, sender);
        self.complete(at, &mut payload, sender);
        self.queue(at, hook.clone(), "push", &uuid::Uuid::new_v4().to_string(), payload);
    }
}

/// A commit as `push` shows it, and others who need few words.
pub(super) fn brief(commit: &Value) -> Value {
    json!({
        "id": commit["sha"],
        "tree_id": commit["tree"]["sha"],
        "distinct": true,
        "message": commit["message"],
        "timestamp": commit["committer"]["date"],
        "url": commit["html_url"],
        "author": { "name": commit["author"]["name"], "email": commit["author"]["email"] },
        "committer": { "name": commit["committer"]["name"], "email": commit["committer"]["email"] },
    })
}
