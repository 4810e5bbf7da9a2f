//! What is set of a pull request after it was opened. Neighbour of `pulls`, which opens it.
//! Sources: GitHub REST API, "Labels for issues" and "Review requests".

use super::{
    Client, Error,
    call::{Call, Reply},
    name::RepositoryName,
    operation::Operation,
    recent::Made,
};

impl Client {
    /// Adds labels to those that the pull request has. Doing it again changes nothing.
    pub async fn add_labels(
        &self,
        repository: &RepositoryName,
        number: u64,
        labels: &[String],
    ) -> Result<(), Error> {
        let path = format!("/repos/{repository}/issues/{number}/labels");
        self.set(Operation::AddLabels, repository, number, path, &serde_json::json!({ "labels": labels }))
            .await
    }

    /// Asks people and teams for a review. One that GitHub does not take makes it refuse all of them.
    pub async fn request_reviewers(
        &self,
        repository: &RepositoryName,
        number: u64,
        people: &[String],
        teams: &[String],
    ) -> Result<(), Error> {
        let path = format!("/repos/{repository}/pulls/{number}/requested_reviewers");
        let body = serde_json::json!({ "reviewers": people, "team_reviewers": teams });
        self.set(Operation::RequestReviewers, repository, number, path, &body).await
    }

    async fn set(
        &self,
        operation: Operation,
        repository: &RepositoryName,
        number: u64,
        path: String,
        body: &serde_json::Value,
    ) -> Result<(), Error> {
        let call = Call::post(operation, path, body).about(repository).needs(Made::Pull(number));
        match self.send(call).await? {
            Reply::Success(_) => Ok(()),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}
