//! What is set of a pull request after it was opened. Neighbour of `pulls`, which opens it.
//! Sources: GitHub REST API, "Labels for issues" and "Review requests".

use super::{
    Client, Error,
    call::{Call, Reply},
    grant::MEMBERS,
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
        let call = Call::post(Operation::AddLabels, path, &serde_json::json!({ "labels": labels }));
        self.set(call.about(repository), number).await
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
        // To whom it does not show the organization's teams GitHub says that there is none of this name.
        let more = (!teams.is_empty()).then_some(MEMBERS);
        let call = Call::post(Operation::RequestReviewers, path, &body).about(repository).more(more);
        self.set(call, number).await
    }

    async fn set(&self, call: Call<'_>, number: u64) -> Result<(), Error> {
        let operation = call.operation;
        match self.send(call.needs(Made::Pull(number))).await? {
            Reply::Success(_) => Ok(()),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}
