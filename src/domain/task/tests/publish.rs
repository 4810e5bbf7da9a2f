//! What a pull request says.

use super::*;
use crate::domain::pull_request::marker;

#[test]
fn the_text_is_the_tasks_where_the_spec_has_none_and_ends_with_the_line() {
    let mut world = World::new();
    let status = world.status();
    let line = marker(world::UID, 1);
    assert_eq!(pull_request_text(&world.task, &status), ("Do it".into(), line.clone()));
    world.edit(|spec| spec.description = Some("Why.\n".into()));
    assert_eq!(pull_request_text(&world.task, &status).1, format!("Why.\n\n{line}"));
    world.edit(|spec| {
        spec.pull_request.title = Some("Title".into());
        spec.pull_request.body = Some("Body".into());
    });
    assert_eq!(pull_request_text(&world.task, &status), ("Title".into(), format!("Body\n\n{line}")));
}

#[test]
fn nobody_elses_text_claims_a_pull_request() {
    let mut world = World::new();
    let claim = marker("another", 1);
    world.edit(|spec| spec.description = Some(format!("Why.\n{claim}")));
    let body = pull_request_text(&world.task, &world.status()).1;
    assert_eq!(body, format!("Why.\n\n{}", marker(world::UID, 1)));
}
