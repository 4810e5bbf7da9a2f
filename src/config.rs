//! Arguments and environment, validated before anything starts: a wrong value is refused with its name, the value and
//! what is allowed. Read by `main` and `app` only.

mod value;

pub use value::{Environment, Error};

use crate::{
    domain::{files::Caps, line},
    e2b::Endpoints,
    telemetry::logs::Format,
};
use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use value::{Raw, Setting};

/// Slipway: carries AI-written code from a cloud sandbox to a merged pull request.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub logs: LogArguments,
}

/// The part to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controllers of Repositories, Sandboxes and Tasks.
    Controller(Box<ControllerArguments>),
    /// Run the receiver of GitHub's webhooks.
    Webhook(WebhookArguments),
    /// Ask a receiver whether it takes what is signed and refuses what is not.
    Ping(PingArguments),
    /// Print the `CustomResourceDefinition`s as YAML.
    Crds,
}

/// Settings of the logs.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// Log filter, for example `info,slipway::github=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    log: String,
    /// `text` or `json`.
    #[arg(long, env = "SLIPWAY_LOG_FORMAT", default_value = "text", global = true)]
    log_format: String,
}

/// The cluster, and the part of it to serve.
#[derive(Debug, Args)]
struct ClusterArguments {
    /// Kubeconfig file. Default: the cluster this runs in.
    #[arg(long, env = "KUBECONFIG", default_value = "", hide_default_value = true)]
    kubeconfig: String,
    /// Only objects of this namespace. Default: all.
    #[arg(long, env = "SLIPWAY_NAMESPACE", default_value = "", hide_default_value = true)]
    namespace: String,
}

/// Where GitHub is.
#[derive(Debug, Args)]
struct GithubArguments {
    /// Base URL of GitHub's REST API; its GraphQL is found by it.
    #[arg(long, env = "GITHUB_API_URL", default_value = "https://api.github.com")]
    github_api_url: String,
    /// URL of GitHub itself, where git is spoken and web pages are. Default: by the API's, `https://github.com` or
    /// `https://<host>`.
    #[arg(long, env = "GITHUB_SERVER_URL", default_value = "", hide_default_value = true)]
    github_server_url: String,
}

/// Settings of `slipway controller`. The E2B key comes from the environment only (`E2B_API_KEY`).
#[derive(Debug, Args)]
pub struct ControllerArguments {
    #[command(flatten)]
    cluster: ClusterArguments,
    #[command(flatten)]
    github: GithubArguments,
    /// E2B's domain. Default: `e2b.app`.
    #[arg(long, env = "E2B_DOMAIN", default_value = "", hide_default_value = true)]
    e2b_domain: String,
    /// Base URL of E2B's API. Default: `https://api.<domain>`.
    #[arg(long, env = "E2B_API_URL", default_value = "", hide_default_value = true)]
    e2b_api_url: String,
    /// Base URL of all traffic to sandboxes. Default: by the sandbox's domain.
    #[arg(long, env = "E2B_SANDBOX_URL", default_value = "", hide_default_value = true)]
    e2b_sandbox_url: String,
    /// Marks the sandboxes of this installation at E2B. Default: the UID of the namespace this runs in; required outside a cluster.
    #[arg(long, env = "SLIPWAY_INSTALLATION", default_value = "", hide_default_value = true)]
    installation: String,
    /// Address that health and metrics are served at. Default: `[::]:8080`, all of both IP families, or of IPv4 where there
    /// is no IPv6.
    #[arg(long, env = "SLIPWAY_OPS_LISTEN", default_value = "", hide_default_value = true)]
    ops_listen: String,
    /// File with certificates (PEM) of authorities that GitHub, E2B and proxies are trusted by, beside the system's. Read at the
    /// start.
    #[arg(long, env = "SLIPWAY_CA_BUNDLE", default_value = "", hide_default_value = true)]
    ca_bundle: String,
    /// Where GitHub reaches the receiver, without a path, like `https://hooks.example.com`. Empty: no webhook can be managed.
    #[arg(long, env = "SLIPWAY_WEBHOOK_URL", default_value = "", hide_default_value = true)]
    webhook_url: String,
    /// Least time between two writes to GitHub through one account.
    #[arg(long, env = "SLIPWAY_GITHUB_WRITE_INTERVAL", default_value = "1s")]
    github_write_interval: String,
    /// Most writes to GitHub through one account in any minute; 0: as many as GitHub takes.
    #[arg(long, env = "SLIPWAY_GITHUB_CONTENT_PER_MINUTE", default_value = "80")]
    github_content_per_minute: String,
    /// Most writes to GitHub through one account in any hour; 0: as many as GitHub takes.
    #[arg(long, env = "SLIPWAY_GITHUB_CONTENT_PER_HOUR", default_value = "500")]
    github_content_per_hour: String,
    /// Directory for files on their way from a sandbox to GitHub.
    #[arg(long, env = "SLIPWAY_SPOOL_DIR", default_value = "/tmp/slipway")]
    spool_dir: String,
    /// Most that is spooled at a time.
    #[arg(long, env = "SLIPWAY_SPOOL_BYTES", default_value = "1GiB")]
    spool_bytes: String,
    /// Most files of one Task.
    #[arg(long, env = "SLIPWAY_MAX_FILES", default_value = "5000")]
    max_files: String,
    /// Largest file of a Task.
    #[arg(long, env = "SLIPWAY_MAX_FILE_BYTES", default_value = "50MiB")]
    max_file_bytes: String,
    /// Most bytes of one Task.
    #[arg(long, env = "SLIPWAY_MAX_TOTAL_BYTES", default_value = "256MiB")]
    max_total_bytes: String,
    /// Most that is fetched from GitHub for one checkout, packed as git sends it.
    #[arg(long, env = "SLIPWAY_MAX_CHECKOUT_BYTES", default_value = "1GiB")]
    max_checkout_bytes: String,
}

/// Settings of `slipway webhook`. The secret comes from the environment only (`GITHUB_WEBHOOK_SECRET`).
#[derive(Debug, Args)]
pub struct WebhookArguments {
    #[command(flatten)]
    cluster: ClusterArguments,
    #[command(flatten)]
    github: GithubArguments,
    /// Address that GitHub's deliveries arrive at. Default: `[::]:3000`, all of both IP families, or of IPv4 where there is no
    /// IPv6.
    #[arg(long, env = "SLIPWAY_WEBHOOK_LISTEN", default_value = "", hide_default_value = true)]
    webhook_listen: String,
    /// Address that health and metrics are served at. Default: `[::]:8081`, all of both IP families, or of IPv4 where there
    /// is no IPv6.
    #[arg(long, env = "SLIPWAY_OPS_LISTEN", default_value = "", hide_default_value = true)]
    ops_listen: String,
    /// Largest body of a delivery, at most 25 MiB.
    #[arg(long, env = "SLIPWAY_WEBHOOK_MAX_BODY_BYTES", default_value = "5MiB")]
    webhook_max_body_bytes: String,
}

/// Settings of `slipway ping`. What it signs with comes from the environment only (`GITHUB_WEBHOOK_SECRET`).
#[derive(Debug, Args)]
pub struct PingArguments {
    /// Base URL of the receiver, for example `http://slipway:3000`.
    #[arg(long)]
    url: String,
}

/// The cluster, and the part of it to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Absent: the cluster this process runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Absent: all namespaces.
    pub namespace: Option<String>,
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// At this port of every address, whatever IP families there are.
    Anywhere(u16),
    At(SocketAddr),
}

/// Settings of the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    pub filter: String,
    pub format: Format,
}

/// `slipway controller`, validated. Prints no secret: they are in `secrecy` types.
#[derive(Debug)]
pub struct Controller {
    pub cluster: Cluster,
    /// Without a trailing slash.
    pub github_api_url: String,
    /// Without a trailing slash.
    pub github_server_url: String,
    pub e2b_endpoints: Endpoints,
    /// Absent: every Sandbox brings its own.
    pub e2b_api_key: Option<SecretString>,
    /// Absent: the UID of the namespace this runs in.
    pub installation: Option<String>,
    pub ops_listen: Listen,
    /// Authorities to trust beside the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Where GitHub reaches the receiver, without a path. Absent: no webhook can be managed.
    pub webhook_url: Option<String>,
    /// Bounds of the writes through one account of GitHub's.
    pub github_line: line::Settings,
    pub spool_dir: PathBuf,
    pub spool_bytes: u64,
    pub caps: Caps,
}

/// `slipway webhook`, validated.
#[derive(Debug)]
pub struct Webhook {
    pub cluster: Cluster,
    pub listen: Listen,
    pub ops_listen: Listen,
    pub max_body_bytes: u64,
    /// Host of GitHub's web pages, with the port if it has one.
    pub github_host: String,
    /// Absent: only Repositories with a secret of their own.
    pub secret: Option<SecretString>,
}

/// `slipway ping`, validated.
#[derive(Debug)]
pub struct Ping {
    /// Without a trailing slash.
    pub url: String,
    /// Absent: only refusal is checked.
    pub secret: Option<SecretString>,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl LogArguments {
    /// # Errors
    /// A format that is neither `text` nor `json`. The filter is checked where it is installed.
    pub fn validate(&self) -> Result<Logs, Error> {
        let setting = Setting::new("SLIPWAY_LOG_FORMAT", &self.log_format);
        let format = match self.log_format.as_str() {
            "text" => Format::Text,
            "json" => Format::Json,
            _ => return Err(setting.must_be("text or json")),
        };
        Ok(Logs { filter: self.log.clone(), format })
    }
}

impl GithubArguments {
    fn api_url(&self) -> Result<String, Error> {
        Setting::new("GITHUB_API_URL", &self.github_api_url).read(Raw::base_url)
    }

    fn server_url(&self) -> Result<String, Error> {
        let given = Setting::new("GITHUB_SERVER_URL", &self.github_server_url).optional(Raw::base_url)?;
        match given {
            Some(url) => Ok(url),
            None => Setting::new("GITHUB_API_URL", &self.github_api_url).read(Raw::server_url),
        }
    }
}

impl ClusterArguments {
    fn validate(&self) -> Result<Cluster, Error> {
        let namespace = Setting::new("SLIPWAY_NAMESPACE", &self.namespace).optional(Raw::dns_label)?;
        let kubeconfig = (!self.kubeconfig.is_empty()).then(|| PathBuf::from(&self.kubeconfig));
        Ok(Cluster { kubeconfig, namespace })
    }
}

fn listen(variable: &'static str, value: &str, port: u16) -> Result<Listen, Error> {
    let given = Setting::new(variable, value).optional(Raw::address)?;
    Ok(given.map_or(Listen::Anywhere(port), Listen::At))
}

impl ControllerArguments {
    /// # Errors
    /// The first setting that is not what it must be.
    pub fn validate(&self, environment: Environment<'_>) -> Result<Controller, Error> {
        let bytes = |name, value, max| Setting::new(name, value).read(|raw| raw.bytes(KIB, max));
        let max_file_bytes = bytes("SLIPWAY_MAX_FILE_BYTES", &self.max_file_bytes, 100 * MIB)?;
        let max_total_bytes = bytes("SLIPWAY_MAX_TOTAL_BYTES", &self.max_total_bytes, 10 * GIB)?;
        let spool_bytes = bytes("SLIPWAY_SPOOL_BYTES", &self.spool_bytes, 1024 * GIB)?;
        if max_total_bytes > spool_bytes {
            return Err(Setting::new("SLIPWAY_MAX_TOTAL_BYTES", &self.max_total_bytes).must_be(&format!(
                "at most SLIPWAY_SPOOL_BYTES ({spool_bytes}), or its files never find room"
            )));
        }
        Ok(Controller {
            cluster: self.cluster.validate()?,
            github_api_url: self.github.api_url()?,
            github_server_url: self.github.server_url()?,
            e2b_endpoints: Endpoints::new(
                Some(&self.e2b_domain),
                Some(&self.e2b_api_url),
                Some(&self.e2b_sandbox_url),
            )?,
            e2b_api_key: value::secret("E2B_API_KEY", environment)?,
            installation: Setting::new("SLIPWAY_INSTALLATION", &self.installation).optional(Raw::id)?,
            ops_listen: listen("SLIPWAY_OPS_LISTEN", &self.ops_listen, 8080)?,
            ca_bundle: Setting::new("SLIPWAY_CA_BUNDLE", &self.ca_bundle).optional(Raw::absolute_path)?,
            webhook_url: Setting::new("SLIPWAY_WEBHOOK_URL", &self.webhook_url).optional(Raw::origin)?,
            github_line: self.github_line()?,
            spool_dir: Setting::new("SLIPWAY_SPOOL_DIR", &self.spool_dir).read(Raw::absolute_path)?,
            spool_bytes,
            caps: Caps {
                max_files: Setting::new("SLIPWAY_MAX_FILES", &self.max_files)
                    .read(|raw| raw.count(1, 100_000))?,
                max_file_bytes,
                max_total_bytes,
                max_checkout_bytes: bytes("SLIPWAY_MAX_CHECKOUT_BYTES", &self.max_checkout_bytes, 100 * GIB)?,
            },
        })
    }
}

impl ControllerArguments {
    fn github_line(&self) -> Result<line::Settings, Error> {
        let most = |name, value| Setting::new(name, value).read(|raw| raw.most(100_000));
        Ok(line::Settings {
            interval: Setting::new("SLIPWAY_GITHUB_WRITE_INTERVAL", &self.github_write_interval)
                .read(|raw| raw.duration(Duration::ZERO, Duration::from_mins(1)))?,
            per_minute: most("SLIPWAY_GITHUB_CONTENT_PER_MINUTE", &self.github_content_per_minute)?,
            per_hour: most("SLIPWAY_GITHUB_CONTENT_PER_HOUR", &self.github_content_per_hour)?,
        })
    }
}

impl WebhookArguments {
    /// # Errors
    /// The first setting that is not what it must be.
    pub fn validate(&self, environment: Environment<'_>) -> Result<Webhook, Error> {
        Ok(Webhook {
            cluster: self.cluster.validate()?,
            listen: listen("SLIPWAY_WEBHOOK_LISTEN", &self.webhook_listen, 3000)?,
            ops_listen: listen("SLIPWAY_OPS_LISTEN", &self.ops_listen, 8081)?,
            max_body_bytes: Setting::new("SLIPWAY_WEBHOOK_MAX_BODY_BYTES", &self.webhook_max_body_bytes)
                .read(|raw| raw.bytes(KIB, 25 * MIB))?,
            github_host: value::authority(&self.github.server_url()?).to_owned(),
            secret: value::webhook_secret("GITHUB_WEBHOOK_SECRET", environment)?,
        })
    }
}

impl PingArguments {
    /// # Errors
    /// The first setting that is not what it must be.
    pub fn validate(&self, environment: Environment<'_>) -> Result<Ping, Error> {
        Ok(Ping {
            url: Setting::new("URL", &self.url).read(Raw::base_url)?,
            secret: value::webhook_secret("GITHUB_WEBHOOK_SECRET", environment)?,
        })
    }
}

#[cfg(test)]
mod tests;
