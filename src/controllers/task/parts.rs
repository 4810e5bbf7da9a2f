//! Sets what a pull request is to have beside its text: labels, and who is asked for a review.
//! Part of the Task controller's `perform`; what GitHub does not take is told, and stops nothing.

use super::{TaskController, access::AtGitHub};
use crate::{
    api::{PullRequestPart, PullRequestSpec, Task},
    domain::{failure::Failure, task::Outcome},
    github::Error,
};

impl TaskController {
    pub(super) async fn set_part(
        &self,
        task: &Task,
        number: i64,
        part: PullRequestPart,
    ) -> Result<Outcome, Failure> {
        let at = self.at_github(task).await?;
        let (spec, number) = (&task.spec.pull_request, u64::try_from(number).unwrap_or_default());
        let refused = match part {
            PullRequestPart::Labels => {
                refusal(at.client.add_labels(&at.name, number, &spec.labels).await)?.into_iter().collect()
            }
            PullRequestPart::Reviewers => request_reviewers(&at, number, spec).await?,
            PullRequestPart::Unknown => Vec::new(),
        };
        Ok(if refused.is_empty() { Outcome::Done } else { Outcome::PartRefused(refused.join("; ")) })
    }
}

/// All in one call. GitHub refuses all for one that it does not know: then each is asked alone. Returns the refusals.
async fn request_reviewers(
    at: &AtGitHub,
    number: u64,
    spec: &PullRequestSpec,
) -> Result<Vec<String>, Failure> {
    let (people, teams) = (spec.reviewers.as_slice(), spec.team_reviewers.as_slice());
    let Some(all) = refusal(at.client.request_reviewers(&at.name, number, people, teams).await)? else {
        return Ok(Vec::new());
    };
    if people.len() + teams.len() < 2 {
        return Ok(vec![all]);
    }
    let people = people.iter().map(|one| (one, std::slice::from_ref(one), &[][..]));
    let teams = teams.iter().map(|one| (one, &[][..], std::slice::from_ref(one)));
    let mut refused = Vec::new();
    for (name, person, team) in people.chain(teams) {
        let alone = at.client.request_reviewers(&at.name, number, person, team).await;
        refused.extend(refusal(alone)?.map(|words| format!("{name}: {words}")));
    }
    Ok(refused)
}

/// The words of a refusal that no retry cures.
fn refusal(set: Result<(), Error>) -> Result<Option<String>, Failure> {
    match set {
        Ok(()) => Ok(None),
        Err(error) if !error.class.is_retryable() => Ok(Some(error.message)),
        Err(error) => Err(error.into()),
    }
}
