//! A repository at GitHub, made by git, and a sandbox beside it.

use secrecy::SecretString;
use slipway::{
    api::Source,
    controllers::task::{
        commit::{self, Prepared, Rebase, Request},
        files::{Collection, Spool},
        parent::BaseBranch,
        result,
    },
    domain::line::Settings,
    domain::{
        failure::Failure,
        files::{Caps, WorkTree},
        output::Output,
        secrets::Needles,
    },
    e2b::{self, CreateRequest, E2b, Endpoints, Envd},
    github::{Author, Client, GitHub, RepositoryName},
    telemetry::{Api, CallLayer, Metrics, http_service},
};
use slipway_simulator::{Options, Simulator, github};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tokio::time::Instant;

pub const CAPS: Caps = Caps {
    max_files: 10_000,
    max_file_bytes: 50 << 20,
    max_total_bytes: 200 << 20,
    max_checkout_bytes: 1 << 30,
};
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where results lie in the sandbox.
pub const APP: &str = "/home/user/app";

/// Both stand-ins, and one sandbox.
pub struct World {
    pub simulator: Simulator,
    pub client: Client,
    pub envd: Envd,
    pub sandbox: String,
    pub spool: Spool,
    directory: tempfile::TempDir,
}

/// A repository at GitHub and a directory on this machine from which it is pushed to.
pub struct Repository<'a> {
    pub world: &'a World,
    pub name: RepositoryName,
    /// Where git pushes to.
    pub bare: PathBuf,
    /// A clone of its own, for what people do.
    pub theirs: PathBuf,
}

impl World {
    pub async fn new() -> Self {
        Self::with_path(PATH).await
    }

    /// The sandbox looks for programs in `path`.
    pub async fn with_path(path: &str) -> Self {
        Self::start(path, Options::default()).await
    }

    /// GitHub lists no tree whole that has more entries than these.
    pub async fn with_tree_limit(tree_limit: usize) -> Self {
        let settings = github::Settings { tree_limit, ..github::Settings::default() };
        let github = github::Options { settings, ..github::Options::default() };
        Self::start(PATH, Options { github, ..Options::default() }).await
    }

    async fn start(path: &str, options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = tokio::task::spawn_blocking(|| Simulator::start(options)).await.unwrap().unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let service = |api| http_service(http.clone(), &CallLayer::new(api, Metrics::new()));
        let github = GitHub::new(
            &simulator.github_url(),
            &simulator.github_url(),
            service(Api::Github),
            Settings { interval: Duration::ZERO, per_minute: 0, per_hour: 0 },
        );
        let client = github.client(&SecretString::from("slipway-bot-token"));
        let endpoints =
            Endpoints::new(None, Some(&simulator.e2b_api_url()), Some(&simulator.e2b_sandbox_url())).unwrap();
        let account = E2b::new(endpoints, service(Api::E2b), service(Api::Envd))
            .account(slipway_simulator::e2b::API_KEY.into());
        let request = CreateRequest {
            template: "base".to_owned(),
            timeout_seconds: 3600,
            auto_pause: true,
            env: BTreeMap::from([("PATH".to_owned(), SecretString::from(path))]),
            metadata: BTreeMap::new(),
        };
        let access = account.create(&request, &uuid::Uuid::new_v4().simple().to_string()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path().join("spool"), 1 << 30).unwrap();
        let (envd, sandbox) = (account.envd(&access), access.sandbox_id.clone());
        Self { simulator, client, envd, sandbox, spool, directory }
    }

    /// A repository whose first commit is what `script` makes in an empty work tree.
    pub fn repository(&self, name: &str, script: &str) -> Repository<'_> {
        let new = github::NewRepository {
            owner: "slipway-bot".to_owned(),
            name: name.to_owned(),
            ..Default::default()
        };
        self.simulator.github.create_repository(&new).unwrap();
        let bare = self.simulator.github.git_dir(&format!("slipway-bot/{name}")).unwrap();
        let theirs = self.directory.path().join(name);
        std::fs::create_dir(&theirs).unwrap();
        git(&theirs, &["init", "-q", "-b", "main"]);
        git(&theirs, &["remote", "add", "origin", bare.to_str().unwrap()]);
        let repository =
            Repository { world: self, name: RepositoryName::new("slipway-bot", name), bare, theirs };
        repository.push(script);
        repository
    }

    /// Runs a shell script in the sandbox, as root; its failure is the test's.
    pub async fn sh(&self, script: &str) {
        self.run(script, Some("root")).await;
    }

    /// The same as another user; `None`: the sandbox's own.
    pub async fn run(&self, script: &str, user: Option<&'static str>) {
        let mut command = e2b::Command::sh("sh", &format!("set -e; {script}"), []);
        command.user = user;
        command.envs =
            PERSON.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())).collect();
        let output = self.envd.run(command, 1 << 16).await.unwrap();
        assert_eq!(output.exit_code, Some(0), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Where the host finds a file of the sandbox.
    pub fn host(&self, path: &str) -> PathBuf {
        self.simulator.e2b.host_path(&self.sandbox, path).unwrap()
    }
}

impl Repository<'_> {
    /// Somebody commits what `script` does and pushes it to `main`; the commit.
    pub fn push(&self, script: &str) -> String {
        sh(&self.theirs, script);
        git(&self.theirs, &["add", "-A", "-f", "."]);
        self.push_staged()
    }

    /// The same of what is staged.
    pub fn push_staged(&self) -> String {
        git(&self.theirs, &["commit", "-q", "--allow-empty", "-m", "by hand"]);
        git(&self.theirs, &["push", "-q", "-f", "origin", "HEAD:main"]);
        self.tip()
    }

    pub fn tip(&self) -> String {
        git(&self.bare, &["rev-parse", "main"])
    }

    /// A clone in the sandbox, in which `script` has run.
    pub fn copied(&self, path: &str, script: &str) -> PathBuf {
        let place = self.world.host(path);
        git(
            Path::new("/"),
            &["clone", "-q", &format!("file://{}", self.bare.display()), place.to_str().unwrap()],
        );
        sh(&place, script);
        place
    }

    /// Reads the result in the sandbox and commits it, as a round does that began at `base`.
    pub async fn publish(&self, source: &Source, base: &str) -> Result<Prepared, Failure> {
        self.publish_on(source, base, base, None).await
    }

    /// The same with Secrets that the sandbox was given.
    pub async fn publish_knowing(&self, source: &Source, needles: &Needles) -> Result<Prepared, Failure> {
        let base = self.tip();
        self.publish_as(source, &base, &base, None, needles).await
    }

    /// The same on an open pull request: its head is `parent`, `last` is what the round before has left there.
    pub async fn publish_on(
        &self,
        source: &Source,
        base: &str,
        parent: &str,
        last: Option<&str>,
    ) -> Result<Prepared, Failure> {
        self.publish_as(source, base, parent, last, &Needles::default()).await
    }

    async fn publish_as(
        &self,
        source: &Source,
        base: &str,
        parent: &str,
        last: Option<&str>,
        needles: &Needles,
    ) -> Result<Prepared, Failure> {
        // Each repository has a Task of its own, which is read once at a time.
        let task = self.theirs.file_name().unwrap().display();
        let id = format!("{task}-1-1-{}", uuid::Uuid::new_v4().simple());
        let World { client, envd, spool, .. } = self.world;
        let collection = Collection { envd, source, caps: CAPS, spool, id: &id, output: &Output::default() };
        let branch = BaseBranch { name: "main", sha: base };
        let (collected, tree) = result::read(client, &self.name, collection, branch, parent).await?;
        let author = Author { name: "Slipway".into(), email: "slipway@users.noreply.github.com".into() };
        let ledger = spool.ledger(&id);
        let request = Request {
            repository: &self.name,
            parent,
            base_sha: base,
            base_branch: "main",
            last,
            base: tree.as_ref(),
            snapshot: &collected.snapshot,
            message: "Change it\n\nSlipway-Task: uid",
            title: "Change it",
            body: "",
            needles,
            author: Some(&author),
            date: "2026-11-29T12:00:00Z".parse().unwrap(),
            ledger: Some(&ledger),
            deadline: Instant::now() + Duration::from_mins(5),
        };
        let prepared = commit::prepare(client, request).await;
        spool.remove(&id).unwrap();
        prepared
    }

    /// The commit made again on `onto`; `None` where others have changed the same paths.
    pub async fn rebased(&self, commit: &str, onto: &str) -> Result<Option<String>, Failure> {
        let author = Author { name: "Slipway".into(), email: "slipway@users.noreply.github.com".into() };
        let asked = Rebase {
            repository: &self.name,
            commit,
            onto,
            author: Some(&author),
            date: "2026-11-29T12:00:00Z".parse().unwrap(),
        };
        Ok(commit::rebase(&self.world.client, asked).await?.map(|(_, commit)| commit))
    }

    /// What a reading says of the work tree beside the files.
    pub async fn read(&self, source: &Source) -> WorkTree {
        let World { client, envd, spool, .. } = self.world;
        let output = Output::default();
        let collection = Collection { envd, source, caps: CAPS, spool, id: "u-1-1-read", output: &output };
        let tip = self.tip();
        let branch = BaseBranch { name: "main", sha: &tip };
        let (collected, _) = result::read(client, &self.name, collection, branch, &tip).await.unwrap();
        spool.remove("u-1-1-read").unwrap();
        collected.snapshot.work_tree.unwrap()
    }

    /// The commit of a result that has changed something.
    pub async fn committed(&self, source: &Source, base: &str) -> String {
        match self.publish(source, base).await {
            Ok(Prepared::Commit { commit, .. }) => commit,
            other => panic!("{other:?}"),
        }
    }

    /// What a commit changes on its parent, as `git diff-tree --name-status` says it.
    pub fn changes(&self, commit: &str) -> Vec<String> {
        let said =
            git(&self.bare, &["diff-tree", "-r", "--no-commit-id", "--name-status", "--no-renames", commit]);
        said.lines().map(|line| line.replace('\t', " ")).collect()
    }

    /// The content of a file in a commit.
    pub fn content(&self, commit: &str, path: &str) -> String {
        git(&self.bare, &["show", &format!("{commit}:{path}")])
    }

    /// Merges `commit` into `main` by git, which must work without a conflict; the merge's tree at `path`.
    pub fn merged(&self, commit: &str) -> String {
        git(&self.theirs, &["fetch", "-q", "origin", "main"]);
        git(&self.theirs, &["fetch", "-q", "origin", commit]);
        git(&self.theirs, &["checkout", "-q", "-f", "--detach", "origin/main"]);
        git(
            &self.theirs,
            &[
                "-c",
                "merge.renames=false",
                "-c",
                "merge.directoryRenames=false",
                "merge",
                "-q",
                "--no-edit",
                commit,
            ],
        );
        git(&self.theirs, &["rev-parse", "HEAD"])
    }
}

pub fn source(path: &str) -> Source {
    Source { path: path.to_owned(), ..Source::default() }
}

/// Runs git and returns what it printed; its failure is the test's.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(directory).args([
        "-c",
        "safe.directory=*",
        "-c",
        "uploadpack.allowAnySHA1InWant=true",
    ]);
    let output = command
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        // What is only looked at stays its owner's.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .envs(PERSON)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "git {arguments:?} in {}: {words}", directory.display());
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs a shell script in `directory`; its failure is the test's.
pub fn sh(directory: &Path, script: &str) {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(directory).env("GIT_CONFIG_GLOBAL", "/dev/null").envs(PERSON);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

const PERSON: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "Ann"),
    ("GIT_AUTHOR_EMAIL", "ann@example.com"),
    ("GIT_COMMITTER_NAME", "Ann"),
    ("GIT_COMMITTER_EMAIL", "ann@example.com"),
    ("GIT_ALLOW_PROTOCOL", "file"),
    ("GIT_TERMINAL_PROMPT", "0"),
];

pub fn sha256(content: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    hex::encode(Sha256::digest(content))
}
