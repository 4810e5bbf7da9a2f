//! What people say of a pull request: reviews, comments, and who of those that say it may write.
//! Neighbour of `pulls` and of `graphql`, which has what checks say; the Task controller makes a file of it for the next round.
//!
//! Sources: GitHub REST API, "Pull request reviews", "Pull request review comments", "Issue comments", "Collaborators".

use super::{
    Client, Error,
    call::{Call, Reply, Success, encode_query},
    name::RepositoryName,
    operation::Operation,
};
use crate::domain::feedback::{Place, Remark};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Entries per page, as many as GitHub gives.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct User {
    login: String,
}

/// A deleted account is null; GitHub shows it as `ghost`.
fn login(user: Option<User>) -> String {
    user.map_or_else(|| "ghost".to_owned(), |user| user.login)
}

#[derive(Deserialize)]
struct ReviewAnswer {
    user: Option<User>,
    state: String,
    #[serde(default)]
    body: Option<String>,
    /// Absent while it is pending.
    submitted_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct LineAnswer {
    user: Option<User>,
    path: String,
    line: Option<u32>,
    #[serde(default)]
    body: Option<String>,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct CommentAnswer {
    user: Option<User>,
    #[serde(default)]
    body: Option<String>,
    updated_at: Timestamp,
}

impl Client {
    /// A page of the reviews of a pull request, which come oldest first and in no other order; which page is the last, if
    /// this is not it.
    pub async fn reviews(
        &self,
        repository: &RepositoryName,
        number: u64,
        page: u32,
    ) -> Result<(Vec<Remark>, Option<u32>), Error> {
        let path = format!("/repos/{repository}/pulls/{number}/reviews?per_page={PAGE}&page={page}");
        let operation = Operation::ListReviews;
        let success = self.list(Call::get(operation, path).about(repository)).await?;
        let reviews: Vec<ReviewAnswer> = success.json(operation)?;
        let remarks = reviews.into_iter().filter_map(|review| {
            let place = Place::Review(review.state);
            let (author, text) = (login(review.user), review.body.unwrap_or_default());
            Some(Remark { author, at: review.submitted_at?, place, text })
        });
        Ok((remarks.collect(), success.last_page))
    }

    /// A page of the comments on lines of a pull request, of those since `since`, newest first; whether there are more.
    pub async fn line_comments(
        &self,
        repository: &RepositoryName,
        number: u64,
        since: Option<Timestamp>,
        page: u32,
    ) -> Result<(Vec<Remark>, bool), Error> {
        let since = since_query(since);
        let path = format!(
            "/repos/{repository}/pulls/{number}/comments?sort=updated&direction=desc&per_page={PAGE}&page={page}{since}"
        );
        let operation = Operation::ListReviewComments;
        let success = self.list(Call::get(operation, path).about(repository)).await?;
        let comments: Vec<LineAnswer> = success.json(operation)?;
        let remark = |comment: LineAnswer| Remark {
            author: login(comment.user),
            at: comment.updated_at,
            place: Place::File { path: comment.path, line: comment.line },
            text: comment.body.unwrap_or_default(),
        };
        Ok((comments.into_iter().map(remark).collect(), success.next_page.is_some()))
    }

    /// A page of the comments of the conversation since `since`, oldest first; which page is the last, if this is not it.
    pub async fn comments(
        &self,
        repository: &RepositoryName,
        number: u64,
        since: Option<Timestamp>,
        page: u32,
    ) -> Result<(Vec<Remark>, Option<u32>), Error> {
        let since = since_query(since);
        let path = format!("/repos/{repository}/issues/{number}/comments?per_page={PAGE}&page={page}{since}");
        let operation = Operation::ListComments;
        let success = self.list(Call::get(operation, path).about(repository)).await?;
        let comments: Vec<CommentAnswer> = success.json(operation)?;
        let remark = |comment: CommentAnswer| Remark {
            author: login(comment.user),
            at: comment.updated_at,
            place: Place::Conversation,
            text: comment.body.unwrap_or_default(),
        };
        Ok((comments.into_iter().map(remark).collect(), success.last_page))
    }

    /// The logins, in lower case, of the first hundred who may write to the repository; whether there are more.
    pub async fn writers(&self, repository: &RepositoryName) -> Result<(BTreeSet<String>, bool), Error> {
        let operation = Operation::ListCollaborators;
        let path = format!("/repos/{repository}/collaborators?permission=push&per_page={PAGE}");
        let success = self.list(Call::get(operation, path).about(repository)).await?;
        let users: Vec<User> = success.json(operation)?;
        let logins = users.into_iter().map(|user| user.login.to_lowercase()).collect();
        Ok((logins, success.next_page.is_some()))
    }

    async fn list(&self, call: Call<'_>) -> Result<Success, Error> {
        let operation = call.operation;
        match self.send_unless_known(call).await? {
            Reply::Success(success) => Ok(success),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}

fn since_query(since: Option<Timestamp>) -> String {
    let at = |since: Timestamp| since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    since.map_or_else(String::new, |since| format!("&since={}", encode_query(&at(since))))
}
