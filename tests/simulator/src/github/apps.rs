//! GitHub Apps: who they are, where they are installed, and the tokens that their installations were given.
//! `jwt` lets an App in, `installations` has its routes, `app_people` what its owner does with it; `auth` asks whose a token is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::answer::Answer;
use super::permissions::Permissions;
use super::state::Repository;

/// A GitHub App.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    pub id: u64,
    pub slug: String,
    /// Public RSA keys in PEM; a JWT may be signed with any of their private ones.
    #[serde(default)]
    pub public_keys: Vec<String>,
    /// What it asks for; an installation grants it, and gains nothing when it is changed later.
    #[serde(default)]
    pub permissions: Permissions,
}

impl App {
    /// What `iss` may say instead of the id.
    pub fn client_id(&self) -> String {
        format!("Iv23li{:014}", self.id)
    }

    /// Who it is where it acts.
    pub fn login(&self) -> String {
        format!("{}[bot]", self.slug)
    }
}

/// Where an App may work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepositorySelection {
    #[default]
    All,
    Selected,
}

impl RepositorySelection {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Selected => "selected",
        }
    }
}

/// An App on one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Installation {
    pub id: u64,
    pub app_id: u64,
    /// Login of the user or organization.
    pub account: String,
    #[serde(default)]
    pub repository_selection: RepositorySelection,
    /// Names, without the owner, of those that were selected.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// What the account has granted; absent: all that the App asks for.
    #[serde(default)]
    pub permissions: Option<Permissions>,
    #[serde(default)]
    pub suspended: bool,
}

/// How GitHub is about all Apps and their tokens; the default has nothing unusual.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AppManners {
    /// Letters of a new token; below 100: the old opaque format of 40.
    pub token_length: usize,
    /// How far GitHub's clock is ahead of the stand-in's: in a JWT's dates, in a token's end, in the `date` of answers.
    pub skew_seconds: i64,
    /// New tokens are not known everywhere at once.
    pub new_tokens: NewTokens,
}

/// What a new token is answered as long as one of the two is not over.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewTokens {
    /// 401 or 403.
    pub status: u16,
    pub seconds: i64,
    pub calls: u64,
}

impl Default for AppManners {
    fn default() -> Self {
        Self { token_length: 520, skew_seconds: 0, new_tokens: NewTokens::default() }
    }
}

impl Default for NewTokens {
    fn default() -> Self {
        Self { status: 401, seconds: 0, calls: 0 }
    }
}

/// An installation as the stand-in keeps it.
pub(super) struct Installed {
    pub(super) id: u64,
    pub(super) app: u64,
    pub(super) account: String,
    pub(super) selection: RepositorySelection,
    /// Ids, which outlive a renaming.
    pub(super) repositories: BTreeSet<u64>,
    pub(super) permissions: Permissions,
    pub(super) suspended_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
}

impl Installed {
    pub(super) fn has(&self, repository: &Repository) -> bool {
        repository.owner.eq_ignore_ascii_case(&self.account)
            && (self.selection == RepositorySelection::All || self.repositories.contains(&repository.id))
    }
}

/// A token of an installation.
pub(super) struct Minted {
    pub(super) value: String,
    pub(super) installation: u64,
    /// Ids of the repositories it was asked for; `None`: all that the installation has.
    pub(super) repositories: Option<BTreeSet<u64>>,
    pub(super) permissions: Permissions,
    pub(super) made_at: Timestamp,
    pub(super) expires_at: Timestamp,
    calls: AtomicU64,
}

/// An installation that makes a call, by one of its tokens.
#[derive(Clone, Debug)]
pub(super) struct Acting {
    pub(super) token: String,
    pub(super) installation: u64,
    /// Of the bot.
    pub(super) login: String,
    pub(super) account: String,
    pub(super) permissions: Permissions,
    /// The token is for some repositories only.
    pub(super) scoped: bool,
    /// `None`: all of the account.
    repositories: Option<BTreeSet<u64>>,
}

impl Acting {
    pub(super) fn reaches(&self, repository: &Repository) -> bool {
        repository.owner.eq_ignore_ascii_case(&self.account)
            && self.repositories.as_ref().is_none_or(|ids| ids.contains(&repository.id))
    }

    /// Whether there may be repositories of the account that it does not reach.
    pub(super) fn is_selected(&self) -> bool {
        self.repositories.is_some()
    }
}

#[derive(Default)]
pub(super) struct Apps {
    pub(super) known: Vec<App>,
    pub(super) installations: Vec<Installed>,
    pub(super) tokens: Vec<Minted>,
    pub(super) manners: AppManners,
    made: u64,
}

impl Apps {
    pub(super) fn app(&self, id: u64) -> Option<&App> {
        self.known.iter().find(|app| app.id == id)
    }

    pub(super) fn installation(&self, id: u64) -> Option<&Installed> {
        self.installations.iter().find(|installed| installed.id == id)
    }

    /// The installation that a token was made for.
    pub(super) fn installation_of(&self, token: &str) -> Option<u64> {
        self.tokens.iter().find(|known| known.value == token).map(|known| known.installation)
    }

    /// GitHub's time, where the stand-in's clock says `now`.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        now.checked_add(SignedDuration::from_secs(self.manners.skew_seconds)).unwrap_or(now)
    }

    /// Makes a token that lives for an hour.
    pub(super) fn mint(
        &mut self,
        (installation, app): (u64, u64),
        repositories: Option<BTreeSet<u64>>,
        permissions: Permissions,
        now: Timestamp,
    ) -> &Minted {
        self.made += 1;
        let made_at = self.time(now);
        let minted = Minted {
            value: token_value(app, self.made, self.manners.token_length),
            installation,
            repositories,
            permissions,
            made_at,
            expires_at: made_at.checked_add(SignedDuration::from_hours(1)).unwrap_or(made_at),
            calls: AtomicU64::new(0),
        };
        self.tokens.push(minted);
        &self.tokens[self.tokens.len() - 1]
    }

    /// Whose token this is; `None`: it was never given out, or is no longer good, which GitHub does not tell apart.
    pub(super) fn acting(&self, value: &str, now: Timestamp) -> Option<Result<Arc<Acting>, Answer>> {
        let now = self.time(now);
        let minted = self.tokens.iter().find(|token| token.value == value && now < token.expires_at)?;
        let installed = self.installation(minted.installation)?;
        if installed.suspended_at.is_some() {
            return Some(Err(suspended()));
        }
        if let Some(refusal) = self.too_new(minted, now) {
            return Some(Err(refusal));
        }
        let selected =
            (installed.selection == RepositorySelection::Selected).then_some(&installed.repositories);
        // A repository that was taken from the installation is out of reach of its older tokens too.
        let repositories = match (&minted.repositories, selected) {
            (Some(asked), Some(selected)) => Some(asked & selected),
            (asked, selected) => asked.as_ref().or(selected).cloned(),
        };
        Some(Ok(Arc::new(Acting {
            token: minted.value.clone(),
            installation: installed.id,
            login: self.app(installed.app)?.login(),
            account: installed.account.clone(),
            permissions: minted.permissions.clone(),
            scoped: minted.repositories.is_some(),
            repositories,
        })))
    }

    /// Counts a call with the token, and refuses it while the token is new.
    fn too_new(&self, minted: &Minted, now: Timestamp) -> Option<Answer> {
        let NewTokens { status, seconds, calls } = self.manners.new_tokens;
        let before = minted.calls.fetch_add(1, Ordering::Relaxed);
        if before >= calls && now >= minted.made_at + SignedDuration::from_secs(seconds) {
            return None;
        }
        Some(if status == 403 {
            Answer::forbidden("Resource not accessible by integration")
        } else {
            Answer::refused(StatusCode::UNAUTHORIZED, "Bad credentials")
        })
    }
}

pub(super) fn suspended() -> Answer {
    Answer::forbidden("This installation has been suspended")
}

/// `ghs_` and what looks like a JWT, or, if it has to be short, 36 letters and digits.
fn token_value(app: u64, serial: u64, length: usize) -> String {
    let (mut value, length) =
        if length < 100 { ("ghs_".to_owned(), 40) } else { (format!("ghs_{app}_"), length) };
    let dots = [value.len() + 36, length.saturating_sub(44)];
    let seed = uuid::Uuid::new_v4();
    let mut block = 0_u64;
    while value.len() < length {
        block += 1;
        for letter in hex::encode(sha2::Sha256::digest(format!("{seed} {serial} {block}"))).chars() {
            let dot = length > 40 && dots.contains(&value.len());
            value.push(if dot { '.' } else { letter });
        }
    }
    value.truncate(length);
    value
}
