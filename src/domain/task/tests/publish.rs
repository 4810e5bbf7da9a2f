//! Whose a pull request is, and what it says.

use super::{
    super::publish::{is_ours, marker},
    *,
};
use crate::{api::PullRequestState, domain::pull_request::ObservedPullRequest};

fn seen(number: i64, state: PullRequestState, head: &str, body: &str) -> SeenPull {
    let observed =
        ObservedPullRequest { head_sha: Some(head.into()), ..ObservedPullRequest::new(number, state) };
    SeenPull { observed, body: body.into(), mergeable_state: None }
}

#[test]
fn a_pull_request_is_known_by_its_head_its_line_or_by_being_open() {
    use PullRequestState::{Closed, Open};
    let mut world = World::new();
    world.run_until(|world| world.status().commit_sha.is_some());
    let (task, mut status) = (world.task.clone(), world.status());
    let (commit, line) = (status.commit_sha.clone().expect("committed"), marker(&task, &status));
    for (pull, ours) in [
        (seen(1, Closed, &commit, ""), true),
        (seen(1, Closed, "other", &format!("text\n\n  {line}\n")), true),
        (seen(1, Open, "other", ""), true),
        (seen(1, Closed, "other", "text"), false),
    ] {
        assert_eq!(is_ours(&task, &status, &pull), ours, "{pull:?}");
    }
    world.rest();
    let past = world.status().pull_request.expect("open");
    let number = past.number;
    status.pull_request_history = vec![past];
    assert!(!is_ours(&task, &status, &seen(number, Closed, &commit, &line)), "a round before had it");
    status.commit_sha = None;
    let headless = SeenPull {
        observed: ObservedPullRequest { head_sha: None, ..seen(9, Closed, "", "").observed },
        ..seen(9, Closed, "", "")
    };
    assert!(!is_ours(&task, &status, &headless), "neither has a commit");
}

#[test]
fn the_text_is_the_tasks_where_the_spec_has_none_and_ends_with_the_line() {
    let mut world = World::new();
    let status = world.status();
    let line = marker(&world.task, &status);
    assert_eq!(line, format!("Slipway-Task: {}/1", world::UID));
    assert_eq!(pull_request_text(&world.task, &status), ("Do it".into(), line.clone()));
    world.edit(|spec| spec.description = Some("Why.\n".into()));
    assert_eq!(pull_request_text(&world.task, &status).1, format!("Why.\n\n{line}"));
    world.edit(|spec| {
        spec.pull_request.title = Some("Title".into());
        spec.pull_request.body = Some("Body".into());
    });
    assert_eq!(pull_request_text(&world.task, &status), ("Title".into(), format!("Body\n\n{line}")));
}
