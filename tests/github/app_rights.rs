//! Rights that an App may have beside the usual ones: what they are bought for, and what goes on without them.
//! Neighbours: `app_support` has the App, `app_work` what is done with the usual rights.

use crate::{
    app_support::{AppWorld, INSTALLATION, all_permissions, permissions, ten_seconds_pass, told},
    support::fault,
};
use serde_json::json;
use slipway::{
    domain::failure::Class,
    github::{Client, CreatedPull, NewPull, WantedPack},
};
use slipway_simulator::{core::When, github::Check as SetCheck};

impl AppWorld {
    /// The installation without one of the rights that it has.
    fn without(self, right: &str) -> Self {
        let mut granted = all_permissions();
        granted.remove(right);
        self.simulator.github.grant(INSTALLATION, granted).unwrap();
        self
    }

    /// A pull request, and a client whose tokens are not new.
    async fn with_pull(&self) -> (Client, u64) {
        self.simulator.github.push("acme/app", "task/a", &[("a", Some("1"))], "by hand").unwrap();
        let client = self.client();
        let pull = NewPull {
            title: "a".into(),
            head: "task/a".into(),
            base: "main".into(),
            body: String::new(),
            draft: false,
        };
        let CreatedPull::Created(pull) = client.create_pull(&self.repository, &pull).await.unwrap() else {
            panic!("it is the first")
        };
        ten_seconds_pass().await;
        (client, pull.number)
    }
}

#[tokio::test]
async fn teams_are_asked_with_the_right_to_see_them_and_people_without() {
    let (people, teams) = (["reviewer".to_owned()], ["reviewers".to_owned()]);
    let world = AppWorld::new();
    let (client, number) = world.with_pull().await;
    client.request_reviewers(&world.repository, number, &people, &[]).await.unwrap();
    assert_eq!(world.bought(), 1);
    client.request_reviewers(&world.repository, number, &people, &teams).await.unwrap();
    assert_eq!((world.bought(), &world.newest()["permissions"]["members"]), (2, &json!("read")));

    let world = AppWorld::new().without("members");
    let (client, number) = world.with_pull().await;
    let (class, reason, message) =
        told(client.request_reviewers(&world.repository, number, &people, &teams).await);
    assert_eq!((class, reason), (Class::Denied, "PermissionMissing"));
    assert!(message.contains("\"Members: read\"") && message.contains("of the organization"), "{message}");
    client.request_reviewers(&world.repository, number, &people, &[]).await.unwrap();
}

#[tokio::test]
async fn a_label_that_is_not_there_is_made_with_the_right_to_issues_or_named() {
    let labels = |one: &str| ["bug".to_owned(), one.to_owned()];
    let world = AppWorld::new();
    let (client, number) = world.with_pull().await;
    client.add_labels(&world.repository, number, &labels("Question")).await.unwrap();
    assert_eq!(world.bought(), 1, "both were there");
    client.add_labels(&world.repository, number, &labels("ai")).await.unwrap();
    assert_eq!((world.bought(), &world.newest()["permissions"]["issues"]), (2, &json!("write")));

    let world = AppWorld::new().without("issues");
    let (client, number) = world.with_pull().await;
    let (class, reason, message) = told(client.add_labels(&world.repository, number, &labels("ai")).await);
    assert_eq!((class, reason), (Class::Denied, "PermissionMissing"));
    assert!(message.contains("make the label by hand") && message.contains("Issues: write"), "{message}");
}

#[tokio::test]
async fn what_an_app_lacks_is_named_with_the_file_and_the_way_without_it() {
    let world = AppWorld::new().without("workflows");
    let client = world.client();
    let (class, reason, message) = told(world.commit(&client, &["a", ".github/workflows/ci.yml"]).await);
    assert_eq!((class, reason), (Class::Denied, "WorkflowPermissionMissing"));
    for words in ["\"Workflows: write\"", ".github/workflows/ci.yml", "source.exclude"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(!message.contains("Contents"), "that it has: {message}");
    world.commit(&client, &["a.txt"]).await.expect("anything else is as before");

    let world = AppWorld::new().without("checks");
    let (_, reason, message) = told(world.client().get_checks(&world.repository, "main").await);
    assert_eq!(reason, "PermissionMissing");
    assert!(message.contains("\"Checks: read\"") && message.contains("requireChecks"), "{message}");
}

/// A server that takes no token of an App's, as where `GITHUB_SERVER_URL` is that of another GitHub.
#[tokio::test]
async fn a_refusal_that_lasts_costs_one_token_and_is_told() {
    let world = AppWorld::new();
    let client = world.client();
    let head = client.get_branch_sha(&world.repository, "main").await.unwrap().unwrap();
    ten_seconds_pass().await;
    world.simulator.faults.set(fault("git").when(When::All).status(401, "Bad credentials"));
    let wanted = WantedPack { commit: &head, depth: 1 };
    let fetch = async || told(client.fetch_pack(&world.repository, wanted).await.map(drop));
    assert_eq!((fetch().await.1, world.bought()), ("NotVisibleYet", 2));
    for _ in 0..3 {
        ten_seconds_pass().await;
        let (class, reason, message) = fetch().await;
        assert_eq!((class, reason, world.bought()), (Class::Denied, "BadCredentials", 2), "{message}");
        assert!(message.contains("GITHUB_SERVER_URL"), "{message}");
        assert!(client.get_branch_sha(&world.repository, "main").await.unwrap().is_some());
    }
}

/// Two workflows may have jobs of one name. Without *Actions* GitHub does not say whose they are.
#[tokio::test]
async fn jobs_of_two_workflows_are_two_checks_with_and_without_the_right_to_their_runs() {
    for granted in [true, false] {
        let world = AppWorld::new();
        let mut rights = all_permissions();
        if granted {
            rights.extend(permissions(&[("actions", "read")]));
        }
        world.simulator.github.grant(INSTALLATION, rights).unwrap();
        let client = world.client();
        let tip = client.get_branch_sha(&world.repository, "main").await.unwrap().unwrap();
        let run = |workflow, conclusion: &str| SetCheck {
            name: "build".to_owned(),
            conclusion: Some(conclusion.to_owned()),
            workflow,
            ..Default::default()
        };
        let runs = vec![run(1, "failure"), run(2, "success"), run(3, "failure"), run(3, "success")];
        world.simulator.github.set_checks("acme/app", &tip, runs).unwrap();
        let failed = client.failed_checks(&world.repository, &tip).await.unwrap();
        assert_eq!((failed.checks.len(), failed.unread), (1, None), "Actions: {granted}");
    }
}
