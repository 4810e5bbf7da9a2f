//! Tells the command of a later round why it runs again: what people and checks have said of the pull request since, as a file
//! in its sandbox. Part of the Task controller; `github` is asked, `domain::feedback` makes the text.

use super::{TaskController, access::AtGitHub};
use crate::{
    api::Task,
    domain::{
        failure::{Class, Failure},
        feedback::Feedback,
        task::{DiscussedPull, WantedFeedback},
    },
    e2b::Command,
    github::{Error, FailedChecks},
};
use bytes::Bytes;
use futures::stream;
use std::time::Duration;

/// Makes the directory anew: an earlier command may have left something of that name.
const PREPARE: &str =
    r#"mkdir -p -m 1777 /var/tmp/slipway; rm -rf -- "$1" && mkdir -m 755 -- "$1" && echo made"#;
const OPERATION: &str = "writeFeedback";
/// Bytes of the script's answer.
const MAX_OUTPUT: usize = 4 << 10;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where the file of an attempt lies in its sandbox.
pub(super) fn place(generation: &str) -> String {
    format!("{}/feedback.md", directory(generation))
}

fn directory(generation: &str) -> String {
    format!("/var/tmp/slipway/{generation}.told")
}

impl TaskController {
    /// Writes the file; doing it again writes it as things are then.
    pub(super) async fn write_feedback(&self, task: &Task, wanted: &WantedFeedback) -> Result<(), Failure> {
        let mut feedback = Feedback { rerun: wanted.rerun.clone(), ..Feedback::default() };
        if let Some(pull) = &wanted.pull {
            let at = self.at_github(task).await?;
            (feedback.pull_request, feedback.closed) = (Some(pull.number), pull.closed);
            match read(&at, pull, wanted.last_try, &mut feedback).await {
                // The round does not go on with it: that it is not shown any more holds nothing up.
                Err(failure) if pull.closed && !failure.class.is_retryable() => {
                    feedback.checks_unread = Some(failure.message);
                }
                read => read?,
            }
        }
        let envd = self.envd(task, &wanted.sandbox).await?;
        let mut prepare = Command::sh(OPERATION, PREPARE, [directory(&wanted.generation)]);
        (prepare.write, prepare.timeout) = (true, Some(TIMEOUT));
        let output = envd.run(prepare.clone(), MAX_OUTPUT).await?;
        if output.stdout != b"made\n" {
            return Err(prepare.unexpected_output(&output).into());
        }
        let boundary = format!("slipway-{}-feedback", wanted.generation);
        let content = Bytes::from(feedback.markdown());
        let content = stream::once(async { Ok(content) });
        Ok(envd.write_file(OPERATION, &place(&wanted.generation), &boundary, content).await?)
    }
}

/// Reads what is said of a pull request, in at most six calls: the newest of each kind and the checks, then who may write, and
/// what room is left for more.
async fn read(
    at: &AtGitHub,
    pull: &DiscussedPull,
    last_try: bool,
    feedback: &mut Feedback,
) -> Result<(), Failure> {
    let (client, name) = (&at.client, &at.name);
    let number = u64::try_from(pull.number).unwrap_or_default();
    let (mut remarks, more_reviews) = client.reviews(name, number, 1).await?;
    // Each comment on a line belongs to a review.
    let mut more_lines = false;
    if !remarks.is_empty() {
        let (lines, more) = client.line_comments(name, number, pull.since, 1).await?;
        remarks.extend(lines);
        more_lines = more;
    }
    let comments = told(client.comments(name, number, pull.since, 1).await)?;
    let (comments, more_comments) = comments.unwrap_or_default();
    remarks.extend(comments);
    let checks = match &pull.head {
        Some(head) => match client.failed_checks(name, head).await {
            // GitHub may be too busy for this one, again and again: the command is told the rest.
            Err(error) if last_try && error.class == Class::Transient => Ok(Err(error.message)),
            read => told(read),
        }?,
        None => Ok(FailedChecks::default()),
    };
    match checks {
        Ok(found) => (feedback.checks, feedback.checks_unread) = (found.checks, found.unread),
        Err(why) => feedback.checks_unread = Some(why),
    }
    let wanting = [more_reviews.is_some(), more_comments.is_some(), more_lines];
    feedback.incomplete = more_comments.is_some_and(|last| last > 2)
        || more_reviews.is_some_and(|last| last > 2)
        || wanting.iter().filter(|more| **more).count() > 1;
    // The sixth call goes where most is missing.
    if let Some(page) = more_reviews {
        remarks.extend(client.reviews(name, number, page).await?.0);
    } else if let Some(page) = more_comments {
        remarks.extend(client.comments(name, number, pull.since, page).await?.0);
    } else if more_lines {
        let (lines, more) = client.line_comments(name, number, pull.since, 2).await?;
        remarks.extend(lines);
        feedback.incomplete |= more;
    }
    remarks.retain(|remark| pull.since.is_none_or(|since| remark.at >= since));
    if !remarks.is_empty() {
        // With more than a page of them, who is not on it may still be one.
        feedback.writers =
            told(client.writers(name).await)?.ok().filter(|(_, more)| !more).map(|(names, _)| names);
    }
    feedback.remarks = remarks;
    Ok(())
}

/// What a token may not read is said, and holds nothing up.
fn told<T>(read: Result<T, Error>) -> Result<Result<T, String>, Failure> {
    match read {
        Ok(found) => Ok(Ok(found)),
        Err(error) if !error.class.is_retryable() => Ok(Err(error.message)),
        Err(error) => Err(error.into()),
    }
}
