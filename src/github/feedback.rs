//! What is said of a pull request: reviews, comments, annotations of checks, and who of those that say it may write.
//! Neighbour of `pulls` and `checks`; the Task controller makes a file of it for the command of the next round.
//!
//! Sources: GitHub REST API, "Pull request reviews", "Pull request review comments", "Issue comments", "Check runs",
//! "Collaborators".

use super::{
    Client, Error,
    call::{Call, Reply, Success, encode_query},
    name::RepositoryName,
    operation::Operation,
};
use crate::domain::feedback::{CheckAnnotation, FailedCheck, Place, Remark};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeSet;

/// Entries per page, as many as GitHub gives.
const PAGE: usize = 100;

/// A check run that has failed, and how many annotations it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRun {
    pub id: u64,
    pub check: FailedCheck,
}

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

#[derive(Deserialize)]
struct RunsAnswer {
    check_runs: Vec<RunAnswer>,
}

#[derive(Deserialize)]
struct RunAnswer {
    id: u64,
    name: String,
    conclusion: Option<String>,
    #[serde(default)]
    output: OutputAnswer,
}

#[derive(Deserialize, Default)]
struct OutputAnswer {
    title: Option<String>,
    summary: Option<String>,
    #[serde(default)]
    annotations_count: usize,
}

#[derive(Deserialize)]
struct AnnotationAnswer {
    path: String,
    start_line: u32,
    annotation_level: Option<String>,
    message: Option<String>,
}

/// Ends of a check run that are no failure, by "Check runs", `conclusion`.
const FINE: [&str; 4] = ["success", "neutral", "skipped", "stale"];

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

    /// The newest hundred comments on lines of a pull request, of those since `since`.
    pub async fn newest_line_comments(
        &self,
        repository: &RepositoryName,
        number: u64,
        since: Option<Timestamp>,
    ) -> Result<Vec<Remark>, Error> {
        let path = format!(
            "/repos/{repository}/pulls/{number}/comments?sort=updated&direction=desc&per_page={PAGE}{}",
            since_query(since)
        );
        let comments: Vec<LineAnswer> = self.listed(Operation::ListReviewComments, repository, path).await?;
        let remark = |comment: LineAnswer| Remark {
            author: login(comment.user),
            at: comment.updated_at,
            place: Place::File { path: comment.path, line: comment.line },
            text: comment.body.unwrap_or_default(),
        };
        Ok(comments.into_iter().map(remark).collect())
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

    /// The check runs of a commit that have failed, of the newest hundred.
    pub async fn failed_runs(&self, repository: &RepositoryName, sha: &str) -> Result<Vec<FailedRun>, Error> {
        let path = format!("/repos/{repository}/commits/{sha}/check-runs?per_page={PAGE}");
        let answer: RunsAnswer = self.listed(Operation::ListFailedRuns, repository, path).await?;
        let failed = answer.check_runs.into_iter().filter_map(|run| {
            let conclusion = run.conclusion.filter(|conclusion| !FINE.contains(&conclusion.as_str()))?;
            let check = FailedCheck {
                name: run.name,
                conclusion,
                title: run.output.title.unwrap_or_default(),
                summary: run.output.summary.unwrap_or_default(),
                annotations: Vec::new(),
                more: run.output.annotations_count,
            };
            Some(FailedRun { id: run.id, check })
        });
        Ok(failed.collect())
    }

    /// The first hundred annotations of a check run.
    pub async fn annotations(
        &self,
        repository: &RepositoryName,
        run: u64,
    ) -> Result<Vec<CheckAnnotation>, Error> {
        let path = format!("/repos/{repository}/check-runs/{run}/annotations?per_page={PAGE}");
        let answer: Vec<AnnotationAnswer> = self.listed(Operation::ListAnnotations, repository, path).await?;
        let annotation = |annotation: AnnotationAnswer| CheckAnnotation {
            path: annotation.path,
            line: annotation.start_line,
            level: annotation.annotation_level.unwrap_or_else(|| "notice".to_owned()),
            message: annotation.message.unwrap_or_default(),
        };
        Ok(answer.into_iter().map(annotation).collect())
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

    async fn listed<T: DeserializeOwned>(
        &self,
        operation: Operation,
        repository: &RepositoryName,
        path: String,
    ) -> Result<T, Error> {
        self.list(Call::get(operation, path).about(repository)).await?.json(operation)
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
