//! What the tests start from: a stand-in, an adapter on it, and a repository.

use secrecy::SecretString;
use slipway::{
    domain::{
        files::{File, Mode, Snapshot},
        git::blob_id,
        line::Settings,
    },
    github::{Author, Client, GitHub, RepositoryName},
    telemetry::{Api, CallLayer, Metrics, http_service},
};
use slipway_simulator::{Options, Simulator, core::Rule, github};
use std::{path::Path, process::Command, time::Duration};

pub const TOKEN: &str = "slipway-bot-token";
pub const USER: &str = "slipway-bot";

pub struct World {
    pub simulator: Simulator,
    pub github: GitHub,
    pub client: Client,
    pub metrics: Metrics,
    pub repository: RepositoryName,
}

/// A line that only spaces its writes.
pub fn spaced(interval: Duration) -> Settings {
    Settings { interval, per_minute: 0, per_hour: 0 }
}

impl World {
    /// A repository with a first commit; writes without pauses.
    pub fn new() -> Self {
        Self::with(Options::default(), Duration::ZERO)
    }

    pub fn with(options: Options, write_interval: Duration) -> Self {
        let simulator = Simulator::start(options).unwrap();
        let metrics = Metrics::new();
        let layer = CallLayer::new(Api::Github, metrics.clone());
        let github = GitHub::new(
            &simulator.github_url(),
            &simulator.github_url(),
            http_service(http_client(), &layer),
            spaced(write_interval),
        );
        let client = github.client(&SecretString::from(TOKEN));
        let repository = RepositoryName::new(USER, "app");
        let world = Self { simulator, github, client, metrics, repository };
        world.create("app", false);
        world
    }

    /// A repository made by its owner at the web page, without a call of ours.
    pub fn create(&self, name: &str, empty: bool) -> RepositoryName {
        let new = github::NewRepository {
            owner: USER.to_owned(),
            name: name.to_owned(),
            empty,
            ..Default::default()
        };
        self.simulator.github.create_repository(&new).unwrap();
        RepositoryName::new(USER, name)
    }

    pub fn full_name(&self) -> String {
        self.repository.to_string()
    }

    pub async fn tip(&self) -> String {
        self.client
            .get_branch_sha(&self.repository, "main")
            .await
            .unwrap()
            .expect("the repository has a first commit")
    }

    /// A commit on `main` by somebody else.
    pub fn push(&self, branch: &str, files: &[(&str, Option<&str>)]) -> String {
        self.simulator.github.push(&self.full_name(), branch, files, "by hand").unwrap()
    }

    pub fn calls(&self, endpoint: &str) -> usize {
        self.simulator.calls.of("github", endpoint).len()
    }

    /// All API calls so far, but for the one that asks whose a token is: it comes once per token.
    pub fn count(&self) -> usize {
        self.simulator.calls.count(|call| call.api == "github" && call.endpoint != "GET /user")
    }

    pub fn client_of(&self, token: &str) -> Client {
        self.github.client(&SecretString::from(token))
    }
}

pub fn http_client() -> reqwest::Client {
    // Refused when another test was first; then that one's is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

pub fn author() -> Author {
    Author { name: "Slipway".to_owned(), email: "slipway@users.noreply.github.com".to_owned() }
}

/// Files spooled below a directory, as the Task controller leaves them.
pub struct Spool {
    pub directory: tempfile::TempDir,
    pub snapshot: Snapshot,
}

impl Spool {
    pub fn of(files: &[(&str, Mode, &[u8])]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut spooled: Vec<File> = files
            .iter()
            .enumerate()
            .map(|(index, (path, mode, bytes))| {
                let content = directory.path().join(index.to_string());
                std::fs::write(&content, bytes).unwrap();
                File {
                    path: (*path).to_owned(),
                    mode: *mode,
                    size: bytes.len() as u64,
                    blob: blob_id(bytes),
                    content,
                    replaces: None,
                    object: None,
                }
            })
            .collect();
        spooled.sort_by(|a, b| a.path.cmp(&b.path));
        Self { directory, snapshot: Snapshot { files: spooled, ..Snapshot::default() } }
    }

    pub fn texts(files: &[(&str, &str)]) -> Self {
        let files: Vec<(&str, Mode, &[u8])> =
            files.iter().map(|(path, text)| (*path, Mode::Regular, text.as_bytes())).collect();
        Self::of(&files)
    }

    pub fn ledger(&self) -> std::path::PathBuf {
        self.directory.path().join("blobs")
    }
}

/// Runs git and returns what it printed; its failure is the test's.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("git").current_dir(directory).args(arguments).output().expect("git must be installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A fault rule for one endpoint of GitHub.
pub fn fault(endpoint: &str) -> Rule {
    Rule::on("github", endpoint)
}
