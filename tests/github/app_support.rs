//! An App with an installation on `acme`, a client that calls under it, and what was bought for it.
//! Used by the tests of Apps, beside `support`.

use crate::support::{http_client, spaced};
use futures::FutureExt as _;
use serde_json::Value;
use slipway::{
    domain::failure::Class,
    github::{App, AppSource, Client, Error, GitHub, NewCommit, RepositoryName, TreeContent, TreeEntry},
    telemetry::{Api, CallLayer, Metrics, http_service},
};
use slipway_simulator::{
    Options, Simulator,
    github::{self, Installation, NewRepository, Permissions, RepositorySelection, TestKey},
};
use std::{sync::Arc, time::Duration};

pub const APP: u64 = 4_551_400;
pub const INSTALLATION: u64 = 152_995;
pub const MINT: &str = "POST /app/installations/{installation_id}/access_tokens";

pub struct AppWorld {
    pub simulator: Simulator,
    pub github: GitHub,
    pub repository: RepositoryName,
    /// GitHub's id of the repository.
    pub id: u64,
}

pub fn permissions(pairs: &[(&str, &str)]) -> Permissions {
    pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
}

/// All that the operator ever asks for.
pub fn all_permissions() -> Permissions {
    permissions(&[
        ("administration", "write"),
        ("checks", "read"),
        ("contents", "write"),
        ("issues", "write"),
        ("members", "read"),
        ("pull_requests", "write"),
        ("repository_hooks", "write"),
        ("statuses", "read"),
        ("workflows", "write"),
    ])
}

impl AppWorld {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// `acme/app`, private, with a first commit, and an App that was given it and may do all.
    pub fn with(options: Options) -> Self {
        let simulator = Simulator::start(options).unwrap();
        let layer = CallLayer::new(Api::Github, Metrics::new());
        let github = GitHub::new(
            &simulator.github_url(),
            &simulator.github.host_url(),
            http_service(http_client(), &layer),
            spaced(Duration::ZERO),
        );
        let public_keys = vec![TestKey::One.public_pem()];
        let permissions = all_permissions();
        let app = github::App { id: APP, slug: "slipway".into(), public_keys, permissions };
        simulator.github.add_app(app).unwrap();
        let made = create(&simulator, "app");
        let installation = Installation {
            id: INSTALLATION,
            app_id: APP,
            account: "acme".into(),
            repository_selection: RepositorySelection::Selected,
            repositories: vec!["app".into()],
            ..Installation::default()
        };
        simulator.github.install(&installation).unwrap();
        Self { simulator, github, repository: RepositoryName::new("acme", "app"), id: made }
    }

    /// By the name that the repository has.
    pub fn client(&self) -> Client {
        self.github.app(self.source(app(TestKey::One)))
    }

    /// For another repository, by its name.
    pub fn client_of(&self, name: &RepositoryName) -> Client {
        self.github.app(AppSource { name: name.clone(), ..self.source(app(TestKey::One)) })
    }

    pub fn source(&self, app: App) -> AppSource {
        let again = Arc::new(|| async { None }.boxed());
        AppSource { app, name: self.repository.clone(), id: None, again }
    }

    /// Number of tokens asked for.
    pub fn bought(&self) -> usize {
        self.simulator.calls.of("github", MINT).len()
    }

    /// What the newest token is for.
    pub fn newest(&self) -> Value {
        self.simulator.github.minted(INSTALLATION).pop().unwrap()
    }

    /// A commit of `files` on top of `main`; nobody is named.
    pub async fn commit(&self, client: &Client, files: &[&str]) -> Result<slipway::github::Commit, Error> {
        let parent = client.get_branch_sha(&self.repository, "main").await?.expect("a first commit");
        let entry = |path: &&str| TreeEntry {
            path: (*path).to_owned(),
            mode: "100644".to_owned(),
            content: TreeContent::Inline("on: push\n".to_owned()),
        };
        let entries: Vec<_> = files.iter().map(entry).collect();
        let tree = client.create_tree(&self.repository, Some(&parent), &entries).await?;
        let date = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let message = "Add it\n".to_owned();
        let new = NewCommit { message, tree, parents: vec![parent], author: None, date };
        client.create_commit(&self.repository, &new).await
    }
}

pub fn create(simulator: &Simulator, name: &str) -> u64 {
    let new = NewRepository { owner: "acme".into(), name: name.into(), private: true, ..Default::default() };
    simulator.github.create_repository(&new).unwrap()["id"].as_u64().unwrap()
}

pub fn app(key: TestKey) -> App {
    App { id: APP, installation: INSTALLATION, key: key.private_pem().into() }
}

/// Lets ten seconds and one pass for everything that waits by tokio's clock.
pub async fn ten_seconds_pass() {
    time_passes(Duration::from_secs(11)).await;
}

pub async fn time_passes(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

/// Class, reason and message of a refusal.
pub fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> (Class, &'static str, String) {
    let error = result.unwrap_err();
    (error.class, error.reason, error.message)
}
