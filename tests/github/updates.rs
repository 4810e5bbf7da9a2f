//! GitHub's own update of an open pull request (*Update branch*): told from everything that only looks like it.

use crate::support::World;
use serde_json::json;
use slipway::controllers::task::commit::is_update;
use slipway::github::{CreatedPull, NewPull};
use slipway_simulator::github::Manners;

/// A pull request with a file of ours, behind a base branch that has changed another part of it, and our commit.
async fn behind(world: &World) -> String {
    world.push("main", &[("a", Some("1\n2\n3\n4\n5\n6\n7\n8\n9\n")), ("b", Some("b"))]);
    let ours = world.push("work", &[("a", Some("ours\n2\n3\n4\n5\n6\n7\n8\n9\n")), ("new", Some("n"))]);
    let new = NewPull {
        title: "A".into(),
        head: "work".into(),
        base: "main".into(),
        body: String::new(),
        draft: false,
    };
    let opened = world.client.create_pull(&world.repository, &new).await.unwrap();
    assert!(matches!(opened, CreatedPull::Created(_)));
    world.push("main", &[("a", Some("1\n2\n3\n4\n5\n6\n7\n8\ntheirs\n")), ("c", Some("c"))]);
    ours
}

async fn update(world: &World, ours: &str, head: &str) -> bool {
    is_update(&world.client, &world.repository, "main", ours, head).await.unwrap()
}

#[tokio::test]
async fn the_button_pressed_once_or_more_often_is_githubs_own_update() {
    let world = World::new();
    let ours = behind(&world).await;
    let once = world.simulator.github.update_branch(&world.full_name(), 1).unwrap();
    assert!(update(&world, &ours, &once).await);
    let again = world.simulator.github.update_branch(&world.full_name(), 1).unwrap_err();
    assert_eq!(
        (again.status, again.body["message"].as_str()),
        (422, Some("There are no new commits on the base branch."))
    );
    world.push("main", &[("d", Some("d"))]);
    let twice = world.simulator.github.update_branch(&world.full_name(), 1).unwrap();
    assert!(update(&world, &ours, &twice).await, "from our commit");
    assert!(update(&world, &once, &twice).await, "from the update before");
    // Somebody else's push on top of it, or below it.
    let pushed = world.push("work", &[("new", Some("more"))]);
    assert!(!update(&world, &ours, &pushed).await);
    world.push("main", &[("e", Some("e"))]);
    let above = world.simulator.github.update_branch(&world.full_name(), 1).unwrap();
    assert!(!update(&world, &ours, &above).await);
    assert!(update(&world, &pushed, &above).await, "GitHub's own, on another's commit");
}

#[tokio::test]
async fn an_expected_head_that_has_moved_and_a_conflict_are_refused() {
    let world = World::new();
    let ours = behind(&world).await;
    let target = format!("/repos/{}/pulls/1/update-branch", world.full_name());
    let press = |head: &str| {
        world.simulator.github.act(
            "reviewer",
            &http::Method::PUT,
            &target,
            json!({ "expected_head_sha": head }),
        )
    };
    assert_eq!(press(&"0".repeat(40)).unwrap_err().status, 422);
    world.push("main", &[("new", Some("theirs"))]);
    assert_eq!(press(&ours).unwrap_err().body["message"], "merge conflict between base and head");
}

#[tokio::test]
async fn a_head_that_github_shows_before_its_commit_is_asked_for_again() {
    let world = World::new();
    let ours = behind(&world).await;
    let manners = Manners { lag_seconds: 3600, ..Manners::default() };
    world.simulator.github.set_manners(&world.full_name(), manners).unwrap();
    let head = world.simulator.github.update_branch(&world.full_name(), 1).unwrap();
    let failure = is_update(&world.client, &world.repository, "main", &ours, &head).await.unwrap_err();
    assert!(failure.class.is_retryable(), "{failure:?}");
}

#[tokio::test]
async fn what_somebody_has_merged_or_resolved_or_rewritten_is_no_update() {
    let world = World::new();
    let ours = behind(&world).await;
    let git = |arguments: &[&str]| {
        let dir = world.simulator.github.git_dir(&world.full_name()).unwrap();
        crate::support::git(&dir, arguments)
    };
    let main = git(&["rev-parse", "main"]);
    let (button, tree) = {
        let head = world.simulator.github.update_branch(&world.full_name(), 1).unwrap();
        let tree = git(&["rev-parse", &format!("{head}^{{tree}}")]);
        (head, tree)
    };
    assert!(update(&world, &ours, &button).await);
    // The same merge by hand: GitHub has not signed it.
    let by_hand = git(&[
        "-c",
        "user.name=GitHub",
        "-c",
        "user.email=noreply@github.com",
        "commit-tree",
        &tree,
        "-p",
        &ours,
        "-p",
        &main,
        "-m",
        "Merge",
    ]);
    assert!(!update(&world, &ours, &by_hand).await);
    // Signed by GitHub, but ours is changed in it, gone from it, or not below it.
    let changed = world.push(
        "elsewhere",
        &[("a", Some("1\n2\n3\n4\n5\n6\n7\n8\ntheirs\n")), ("new", Some("resolved")), ("c", Some("c"))],
    );
    let changed = git(&["rev-parse", &format!("{changed}^{{tree}}")]);
    // The same content as a symlink.
    git(&["read-tree", &tree]);
    let blob = git(&["rev-parse", &format!("{tree}:new")]);
    git(&["update-index", "--cacheinfo", &format!("120000,{blob},new")]);
    let linked = git(&["write-tree"]);
    for (name, tree, parents) in [
        ("linked", &linked, vec![&ours, &main]),
        ("resolved", &changed, vec![&ours, &main]),
        ("taken back", &git(&["rev-parse", "main^{tree}"]), vec![&ours, &main]),
        ("rewritten", &tree, vec![&main]),
        ("the other way round", &tree, vec![&main, &ours]),
        ("not of the base branch", &tree, vec![&ours, &by_hand]),
    ] {
        let parents: Vec<&str> = parents.into_iter().map(String::as_str).collect();
        let head = world.simulator.github.signed_commit(&world.full_name(), tree, &parents).unwrap();
        assert!(!update(&world, &ours, &head).await, "{name}");
    }
    let same = world.simulator.github.signed_commit(&world.full_name(), &tree, &[&ours, &main]).unwrap();
    assert!(update(&world, &ours, &same).await);
}
