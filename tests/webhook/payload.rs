//! Payloads of the event `pull_request`, in the shape that GitHub sends, shortened to about forty fields.
//! Source: <https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request>.

use crate::world::{OWNER_ID, REPOSITORY_ID};
use serde_json::{Value, json};

/// What of a payload the tests vary.
#[derive(Clone, Debug)]
pub struct Payload {
    pub action: &'static str,
    pub number: i64,
    pub state: &'static str,
    pub draft: bool,
    pub merged_at: Option<&'static str>,
    /// RFC 3339.
    pub updated_at: String,
    pub branch: String,
    pub repository: (i64, String),
    pub head_repository_id: i64,
    pub head_sha: &'static str,
    pub body: Option<String>,
}

/// Where a pull request's head stands unless a test says otherwise.
pub const HEAD: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";

/// An open pull request of `octo/app`, changed at this minute of 2 January 2026.
pub fn payload(action: &'static str, number: i64, minute: u32) -> Payload {
    Payload {
        action,
        number,
        state: "open",
        draft: false,
        merged_at: None,
        updated_at: format!("2026-01-02T00:{minute:02}:00Z"),
        branch: format!("task/t-{number}/work"),
        repository: (REPOSITORY_ID, "octo/app".to_owned()),
        head_repository_id: REPOSITORY_ID,
        head_sha: HEAD,
        body: None,
    }
}

impl Payload {
    pub fn draft(self) -> Self {
        Self { draft: true, ..self }
    }

    pub fn closed(self) -> Self {
        Self { state: "closed", ..self }
    }

    pub fn merged(self, at: &'static str) -> Self {
        Self { state: "closed", merged_at: Some(at), ..self }
    }

    pub fn of(self, id: i64, full_name: &str) -> Self {
        Self { repository: (id, full_name.to_owned()), head_repository_id: id, ..self }
    }

    pub fn json(&self) -> Value {
        let repository = |id: i64| {
            json!({
                "id": id, "node_id": "R_1", "name": self.repository.1.split('/').next_back(), "full_name": self.repository.1,
                "private": false, "fork": false, "owner": {"login": "octo", "id": OWNER_ID, "type": "Organization"},
                "default_branch": "main",
            })
        };
        json!({
            "action": self.action,
            "number": self.number,
            "pull_request": {
                "url": format!("https://api.github.test/repos/{}/pulls/{}", self.repository.1, self.number),
                "id": 100_000 + self.number,
                "node_id": format!("PR_{}", self.number),
                "html_url": format!("https://github.test/{}/pull/{}", self.repository.1, self.number),
                "number": self.number,
                "state": self.state,
                "locked": false,
                "title": "Work",
                "user": {"login": "octocat", "id": 1},
                "body": self.body,
                "created_at": "2026-01-01T00:00:00Z",
                "updated_at": self.updated_at,
                "closed_at": (self.state == "closed").then_some(&self.updated_at),
                "merged_at": self.merged_at,
                "merge_commit_sha": "e5bd3914e2e596debea16f433f57875b5b90bcd6",
                "assignees": [], "requested_reviewers": [], "labels": [], "milestone": null,
                "draft": self.draft,
                "head": {
                    "label": format!("octo:{}", self.branch), "ref": self.branch,
                    "sha": self.head_sha, "repo": repository(self.head_repository_id),
                },
                "base": {
                    "label": "octo:main", "ref": "main",
                    "sha": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "repo": repository(self.repository.0),
                },
                "author_association": "OWNER",
                "merged": self.merged_at.is_some(),
                "mergeable": null, "mergeable_state": "unknown", "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1,
            },
            "repository": repository(self.repository.0),
            "organization": {"login": "octo", "id": OWNER_ID},
            "sender": {"login": "octocat", "id": 1},
        })
    }
}
