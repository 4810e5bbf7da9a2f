//! How accounts, repositories and pull requests look in answers and in webhook payloads.
//! Field names and their presence follow GitHub's `OpenAPI` description.

use serde_json::{Value, json};

use super::auth::Caller;
use super::objects::node_id;
use super::parts;
use super::request::stamp;
use super::state::{Mergeability, Pull, State};

impl State {
    pub(super) fn account_id(&self, login: &str) -> u64 {
        let at = self.accounts.iter().position(|account| account.login.eq_ignore_ascii_case(login));
        at.map_or(0, |at| at as u64 + 1001)
    }

    pub(super) fn user_view(&self, login: &str) -> Value {
        let id = self.account_id(login);
        let kind = self.account(login).map_or("User", |account| account.kind.name());
        let login = self.account(login).map_or(login, |account| account.login.as_str());
        let url = format!("{}/users/{login}", self.url);
        json!({
            "login": login,
            "id": id,
            "node_id": node_id(if kind == "Organization" { "O" } else { "U" }, id),
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
            "gravatar_id": "",
            "url": url,
            "html_url": format!("https://github.com/{login}"),
            "followers_url": format!("{url}/followers"),
            "following_url": format!("{url}/following{{/other_user}}"),
            "gists_url": format!("{url}/gists{{/gist_id}}"),
            "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{url}/subscriptions"),
            "organizations_url": format!("{url}/orgs"),
            "repos_url": format!("{url}/repos"),
            "events_url": format!("{url}/events{{/privacy}}"),
            "received_events_url": format!("{url}/received_events"),
            "type": kind,
            "user_view_type": "public",
            "site_admin": false,
        })
    }

    /// A repository; `caller` decides the `permissions`, which webhook payloads do not have.
    pub(super) fn repository_view(&self, at: usize, caller: Option<&Caller>) -> Value {
        let repository = &self.repositories[at];
        let full_name = repository.full_name();
        let url = format!("{}/repos/{full_name}", self.url);
        let html = format!("https://github.com/{full_name}");
        let mut view = json!({
            "id": repository.id,
            "node_id": node_id("R", repository.id),
            "name": repository.name,
            "full_name": full_name,
            "private": repository.private,
            "owner": self.user_view(&repository.owner),
            "html_url": html,
            "description": repository.description,
            "fork": false,
            "url": url,
            "hooks_url": format!("{url}/hooks"),
            "branches_url": format!("{url}/branches{{/branch}}"),
            "blobs_url": format!("{url}/git/blobs{{/sha}}"),
            "git_refs_url": format!("{url}/git/refs{{/sha}}"),
            "trees_url": format!("{url}/git/trees{{/sha}}"),
            "statuses_url": format!("{url}/statuses/{{sha}}"),
            "commits_url": format!("{url}/commits{{/sha}}"),
            "git_commits_url": format!("{url}/git/commits{{/sha}}"),
            "pulls_url": format!("{url}/pulls{{/number}}"),
            "created_at": stamp(repository.created_at),
            "updated_at": stamp(repository.updated_at),
            "pushed_at": stamp(repository.pushed_at),
            "git_url": format!("git://github.com/{full_name}.git"),
            "ssh_url": format!("git@github.com:{full_name}.git"),
            "clone_url": format!("{}/{full_name}.git", self.host),
            "size": 0,
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": null,
            "has_issues": true,
            "has_projects": true,
            "has_wiki": true,
            "has_pages": false,
            "forks_count": 0,
            "archived": repository.archived,
            "disabled": false,
            "open_issues_count": repository.pulls.iter().filter(|pull| pull.open).count(),
            "license": null,
            "allow_forking": true,
            "is_template": false,
            "topics": [],
            "visibility": if repository.private { "private" } else { "public" },
            "default_branch": repository.default_branch,
        });
        if let Some(caller) = caller {
            let write = caller.reaches_repository(repository) && caller.may_write();
            view["permissions"] =
                json!({ "admin": write, "maintain": write, "push": write, "triage": write, "pull": true });
            for name in ["allow_merge_commit", "allow_squash_merge", "allow_rebase_merge"] {
                view[name] = true.into();
            }
        }
        view
    }

    /// A pull request as it appears in lists; `pull_view` adds what only a single one has.
    pub(super) fn pull_summary(&self, at: usize, pull: &Pull) -> Value {
        let repository = &self.repositories[at];
        let full_name = repository.full_name();
        let (url, number) = (format!("{}/repos/{full_name}", self.url), pull.number);
        let html = format!("https://github.com/{full_name}/pull/{number}");
        let side = |branch: &str, sha: &str| {
            json!({
                "label": format!("{}:{branch}", repository.owner),
                "ref": branch,
                "sha": sha,
                "user": self.user_view(&repository.owner),
                "repo": self.repository_view(at, None),
            })
        };
        let pull_url = format!("{url}/pulls/{number}");
        let issue_url = format!("{url}/issues/{number}");
        let statuses_url = format!("{url}/statuses/{}", pull.head_sha);
        json!({
            "url": pull_url,
            "id": pull.id,
            "node_id": node_id("PR", pull.id),
            "html_url": html,
            "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"),
            "issue_url": issue_url,
            "number": number,
            "state": if pull.open { "open" } else { "closed" },
            "locked": false,
            "title": pull.title,
            "user": self.user_view(&pull.author),
            "body": pull.body,
            "created_at": stamp(pull.created_at),
            "updated_at": stamp(pull.updated_at),
            "closed_at": pull.closed_at.map(stamp),
            "merged_at": pull.merged_at.map(stamp),
            "merge_commit_sha": pull.merge_commit_sha,
            "assignee": null,
            "assignees": [],
            "requested_reviewers": pull.reviewers.iter().map(|one| self.user_view(one)).collect::<Vec<_>>(),
            "requested_teams": pull.team_reviewers.iter().map(|slug| json!({ "slug": slug })).collect::<Vec<_>>(),
            "labels": parts::views(&pull.labels),
            "milestone": null,
            "draft": pull.draft,
            "commits_url": format!("{pull_url}/commits"),
            "review_comments_url": format!("{pull_url}/comments"),
            "review_comment_url": format!("{url}/pulls/comments{{/number}}"),
            "comments_url": format!("{issue_url}/comments"),
            "statuses_url": statuses_url,
            "head": side(&pull.head_ref, &pull.head_sha),
            "base": side(&pull.base_ref, &pull.base_sha),
            "_links": links(&pull_url, &html, &issue_url, &statuses_url),
            "author_association": "MEMBER",
            "auto_merge": null,
            "active_lock_reason": null,
        })
    }

    pub(super) fn pull_view(&self, at: usize, pull: &Pull) -> Value {
        let mut view = self.pull_summary(at, pull);
        let mergeable = match pull.mergeability {
            Mergeability::Known(mergeable) if pull.open => Some(mergeable),
            _ => None,
        };
        let (commits, files) = self.extent(at, pull);
        let more = json!({
            "merged": pull.merged_at.is_some(),
            "mergeable": mergeable,
            "rebaseable": mergeable,
            "mergeable_state": self.mergeable_state(at, pull, mergeable),
            "merged_by": pull.merged_by.as_deref().map(|login| self.user_view(login)),
            "comments": 0,
            "review_comments": 0,
            "maintainer_can_modify": false,
            "commits": commits,
            "additions": files.0,
            "deletions": files.1,
            "changed_files": files.2,
        });
        if let (Some(view), Some(more)) = (view.as_object_mut(), more.as_object()) {
            view.extend(more.clone());
        }
        view
    }

    /// `mergeable_state`: draft wins over the rest, then what was forced, conflicts, rules, unfinished checks.
    pub(super) fn mergeable_state(&self, at: usize, pull: &Pull, mergeable: Option<bool>) -> String {
        let (repository, now) = (&self.repositories[at], self.clock.now());
        let passed = || {
            let latest = repository.latest_checks_of(&pull.head_sha, now);
            latest.iter().all(|shown| shown.check.has_passed())
        };
        let state = match mergeable {
            None => "unknown",
            Some(false) => "dirty",
            Some(true) if pull.draft => "draft",
            Some(true) => match &pull.forced_state {
                Some(state) => state,
                None if repository.is_behind(pull) => "behind",
                None if !repository.violations(pull, now, false).is_empty() => "blocked",
                None if passed() => "clean",
                None => "unstable",
            },
        };
        state.to_owned()
    }

    /// Commits, and (additions, deletions, changed files), of a pull request.
    fn extent(&self, at: usize, pull: &Pull) -> (usize, (usize, usize, usize)) {
        let git = &self.repositories[at].git;
        let measure = || -> Result<(usize, (usize, usize, usize)), git2::Error> {
            let head = git2::Oid::from_str(&pull.head_sha)?;
            let base = git.merge_base(head, git2::Oid::from_str(&pull.base_sha)?)?;
            let (ahead, _) = git.graph_ahead_behind(head, base)?;
            // Every line is compared: of a large change that takes seconds, so it is done once.
            let mut known = self.repositories[at].extents.borrow_mut();
            if let Some(extent) = known.get(&(base, head)) {
                return Ok((ahead, *extent));
            }
            let (old, new) = (git.find_commit(base)?.tree()?, git.find_commit(head)?.tree()?);
            let stats = git.diff_tree_to_tree(Some(&old), Some(&new), None)?.stats()?;
            let extent = (stats.insertions(), stats.deletions(), stats.files_changed());
            known.insert((base, head), extent);
            Ok((ahead, extent))
        };
        measure().unwrap_or_default()
    }
}

/// A pull request's `_links`.
fn links(pull: &str, html: &str, issue: &str, statuses: &str) -> Value {
    let link = |href: String| json!({ "href": href });
    json!({
        "self": link(pull.to_owned()),
        "html": link(html.to_owned()),
        "issue": link(issue.to_owned()),
        "comments": link(format!("{issue}/comments")),
        "review_comments": link(format!("{pull}/comments")),
        "review_comment": link(format!("{}/comments{{/number}}", pull.rsplit_once('/').map_or(pull, |(list, _)| list))),
        "commits": link(format!("{pull}/commits")),
        "statuses": link(statuses.to_owned()),
    })
}
