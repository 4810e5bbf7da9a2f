//! A pull request of GitHub's as the transition sees it: the same for lists, single reads and answers to writes.
//! Used by the Task and Repository controllers.

use super::{Pull, PullState};
use crate::domain::pull_request::{ObservedPullRequest, PullRequestState};

impl From<&Pull> for ObservedPullRequest {
    fn from(pull: &Pull) -> Self {
        let state = match pull.state {
            _ if pull.merged => PullRequestState::Merged,
            PullState::Open => PullRequestState::Open,
            PullState::Closed => PullRequestState::Closed,
        };
        Self {
            number: i64::try_from(pull.number).unwrap_or(i64::MAX),
            state,
            draft: Some(pull.draft),
            branch: Some(pull.head.branch.clone()),
            node_id: Some(pull.node_id.clone()),
            url: Some(pull.url.clone()),
            head_sha: Some(pull.head.sha.clone()),
            merge_sha: pull.merge_commit_sha.clone().filter(|_| pull.merged),
            merged_at: pull.merged_at,
            updated_at: Some(pull.updated_at),
        }
    }
}
