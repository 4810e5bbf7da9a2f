//! What the E2B stand-in is told at its start: teams with their plans, templates, where to listen.
//! Read by `store`; tests change most of it later through `E2b`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The API key of the default team.
pub const API_KEY: &str = "e2b_0000000000000000000000000000000000000000";
/// The name of the default team.
pub const TEAM: &str = "default";

/// How the E2B stand-in starts. The default has one team and the templates `base` and `no-tar`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the lifecycle API listens.
    pub listen: SocketAddr,
    /// Where the sandboxes' envd is reached.
    pub sandbox_listen: SocketAddr,
    pub teams: Vec<Team>,
    pub templates: Vec<Template>,
    /// Where the sandboxes' files are; absent: a temporary directory, removed at the end.
    pub directory: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: loopback,
            sandbox_listen: loopback,
            teams: vec![Team::new(TEAM, API_KEY)],
            templates: vec![
                Template::new("base"),
                Template { hidden_commands: vec!["tar".to_owned()], ..Template::new("no-tar") },
            ],
            directory: None,
        }
    }
}

/// A team: who owns sandboxes. Its keys see those and no others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    pub name: String,
    /// Start with `e2b_`.
    pub keys: Vec<String>,
    /// How long a sandbox may run without a pause, and the longest timeout. Whole hours, as E2B's plans have it.
    #[serde(default = "Team::default_hours")]
    pub max_hours: u32,
    /// How many sandboxes may run at the same time.
    #[serde(default = "Team::default_concurrency")]
    pub max_sandboxes: usize,
    /// A blocked team gets 403.
    #[serde(default)]
    pub blocked: bool,
}

impl Team {
    /// A team on the Pro plan.
    pub fn new(name: &str, key: &str) -> Self {
        Self {
            name: name.to_owned(),
            keys: vec![key.to_owned()],
            max_hours: Self::default_hours(),
            max_sandboxes: Self::default_concurrency(),
            blocked: false,
        }
    }

    fn default_hours() -> u32 {
        24
    }

    fn default_concurrency() -> usize {
        100
    }

    pub(super) fn max_run(&self) -> Duration {
        Duration::from_secs(u64::from(self.max_hours) * 3600)
    }
}

/// A template that every team may use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The name people use; E2B calls it alias.
    pub name: String,
    /// The id that E2B answers with; absent: made from the name.
    #[serde(default)]
    pub id: Option<String>,
    /// Commands that its sandboxes do not have.
    #[serde(default)]
    pub hidden_commands: Vec<String>,
    #[serde(default = "Template::default_user")]
    pub default_user: String,
    /// Version of the envd that it was built with; before 0.4.0 it has no default user.
    #[serde(default = "Template::envd_version")]
    pub envd_version: String,
}

impl Template {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
            hidden_commands: Vec::new(),
            default_user: Self::default_user(),
            envd_version: Self::envd_version(),
        }
    }

    fn default_user() -> String {
        super::sandbox::users::USER.to_owned()
    }

    fn envd_version() -> String {
        super::envd::VERSION.to_owned()
    }

    /// Returns whether its envd knows whom it acts as where a request does not say so.
    pub fn has_default_user(&self) -> bool {
        let mut numbers = self.envd_version.split('.').map_while(|number| number.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(0), Some(4))
    }

    /// Never the name, so that nobody takes one for the other.
    pub fn id(&self) -> String {
        self.id
            .clone()
            .unwrap_or_else(|| format!("tpl{}", self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "")))
    }
}
