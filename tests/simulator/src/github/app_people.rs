//! What the owner of an App and those who install it do at GitHub's web pages, in process and over the control side.
//! State is in `apps`; `control` calls `control_apps`.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::app_keys::public_key;
use super::apps::{App, AppManners, Installation, Installed, Minted, RepositorySelection};
use super::control::{Failure, parse};
use super::permissions::Permissions;
use super::state::AccountKind;
use super::{GitHub, Refused};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keys {
    public_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selection {
    repository_selection: RepositorySelection,
    #[serde(default)]
    repositories: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limit {
    remaining: u64,
    reset_seconds: u32,
}

fn wrong(message: &str) -> Refused {
    Answer::refused(StatusCode::UNPROCESSABLE_ENTITY, format!("stand-in: {message}")).into()
}

fn checked(keys: Vec<String>) -> Result<Vec<String>, Refused> {
    if keys.iter().all(|key| public_key(key).is_some()) {
        return Ok(keys);
    }
    Err(wrong("a public key must be an RSA key in PEM"))
}

impl GitHub {
    /// Registers an App; one of the same id is replaced, its installations stay as they are.
    pub fn add_app(&self, app: App) -> Result<(), Refused> {
        let app = App { public_keys: checked(app.public_keys)?, ..app };
        self.add_account(&app.login(), AccountKind::Bot);
        let mut state = self.inner.state();
        state.apps.known.retain(|one| one.id != app.id);
        state.apps.known.push(app);
        Ok(())
    }

    /// Gives an App other keys: rotation, or the loss of all of them.
    pub fn set_app_keys(&self, app: u64, public_keys: Vec<String>) -> Result<(), Refused> {
        let keys = checked(public_keys)?;
        let mut state = self.inner.state();
        let found = state.apps.known.iter_mut().find(|one| one.id == app);
        found.ok_or_else(Answer::not_found)?.public_keys = keys;
        Ok(())
    }

    /// Installs an App on an account; one of the same id is replaced. Repositories that are selected must be there.
    pub fn install(&self, installation: &Installation) -> Result<(), Refused> {
        let now = self.inner.clock.now();
        let repositories = self.selected(&installation.account, &installation.repositories)?;
        let mut state = self.inner.state();
        let app = state.apps.app(installation.app_id).ok_or_else(|| wrong("no such App"))?;
        let mut permissions = installation.permissions.clone().unwrap_or_else(|| app.permissions.clone());
        permissions.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
        let installed = Installed {
            id: installation.id,
            app: installation.app_id,
            account: installation.account.clone(),
            selection: installation.repository_selection,
            repositories,
            permissions,
            suspended_at: installation.suspended.then_some(now),
            created_at: now,
        };
        state.apps.installations.retain(|known| known.id != installed.id);
        state.apps.installations.push(installed);
        Ok(())
    }

    fn selected(&self, account: &str, names: &[String]) -> Result<BTreeSet<u64>, Refused> {
        let state = self.inner.state();
        let id = |name: &String| state.find(account, name).map(|at| state.repositories[at].id);
        names.iter().map(|name| id(name).ok_or_else(|| wrong("no such repository"))).collect()
    }

    fn with_installation(&self, id: u64, change: impl FnOnce(&mut Installed)) -> Result<(), Refused> {
        let mut state = self.inner.state();
        let found = state.apps.installations.iter_mut().find(|known| known.id == id);
        change(found.ok_or_else(Answer::not_found)?);
        Ok(())
    }

    /// Takes the App off the account: its tokens are no longer good.
    pub fn uninstall(&self, installation: u64) {
        self.inner.state().apps.installations.retain(|known| known.id != installation);
    }

    pub fn suspend_installation(&self, installation: u64, suspend: bool) -> Result<(), Refused> {
        let now = self.inner.clock.now();
        self.with_installation(installation, |installed| installed.suspended_at = suspend.then_some(now))
    }

    /// Selects other repositories, by their names without the owner.
    pub fn select_repositories(
        &self,
        installation: u64,
        selection: RepositorySelection,
        names: &[String],
    ) -> Result<(), Refused> {
        let account = self.inner.state().apps.installation(installation).map(|known| known.account.clone());
        let ids = self.selected(&account.ok_or_else(Answer::not_found)?, names)?;
        self.with_installation(installation, |installed| {
            (installed.selection, installed.repositories) = (selection, ids);
        })
    }

    /// Grants an installation other permissions. Tokens keep those that they were made with.
    pub fn grant(&self, installation: u64, mut permissions: Permissions) -> Result<(), Refused> {
        permissions.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
        self.with_installation(installation, |installed| installed.permissions = permissions)
    }

    /// How GitHub is about Apps from now on.
    pub fn set_app_manners(&self, manners: AppManners) {
        self.inner.state().apps.manners = manners;
    }

    /// Leaves an installation `remaining` calls until `reset`, simulated time, whatever the number of its tokens.
    pub fn set_installation_rate_limit(&self, installation: u64, remaining: u64, reset: Timestamp) {
        let now = self.inner.clock.now();
        let mut state = self.inner.state();
        state.limits.set_installation(installation, "core", now, remaining, reset);
    }

    /// The tokens that an installation was given and that were not revoked, oldest first: what each may do, not what it is.
    pub fn minted(&self, installation: u64) -> Vec<Value> {
        let state = self.inner.state();
        let name = |id: &u64| {
            let found = state.repositories.iter().find(|repository| repository.id == *id);
            found.map(|repository| repository.name.clone())
        };
        let own = state.apps.tokens.iter().filter(|token| token.installation == installation);
        let view = |token: &Minted| {
            let asked = token.repositories.as_ref();
            json!({
                "repositories": asked.map(|ids| ids.iter().filter_map(name).collect::<Vec<_>>()),
                "permissions": token.permissions,
                "expiresAt": token.expires_at,
            })
        };
        own.map(view).collect()
    }

    /// Control calls below `/github/apps` and `/github/installations`. `None`: unknown.
    pub(super) fn control_apps(
        &self,
        method: &str,
        segments: &[&str],
        body: &Bytes,
    ) -> Option<Result<Value, Failure>> {
        let done = match (method, segments) {
            ("POST", ["apps"]) => parse(body).and_then(|app| Ok(self.add_app(app)?)),
            ("POST", ["apps", "manners"]) => parse(body).map(|manners| self.set_app_manners(manners)),
            ("PUT", ["apps", id, "keys"]) => {
                let id = id.parse().ok()?;
                parse::<Keys>(body).and_then(|keys| Ok(self.set_app_keys(id, keys.public_keys)?))
            }
            ("POST", ["installations"]) => parse(body).and_then(|one| Ok(self.install(&one)?)),
            ("GET", ["installations", id, "tokens"]) => {
                return Some(Ok(json!({ "tokens": self.minted(id.parse().ok()?) })));
            }
            (method, ["installations", id, rest @ ..]) => {
                self.control_installation(method, id.parse().ok()?, rest, body)?
            }
            _ => return None,
        };
        Some(done.map(|()| json!({})))
    }

    fn control_installation(
        &self,
        method: &str,
        id: u64,
        rest: &[&str],
        body: &Bytes,
    ) -> Option<Result<(), Failure>> {
        Some(match (method, rest) {
            ("DELETE", []) => {
                self.uninstall(id);
                Ok(())
            }
            ("POST", ["suspend"]) => self.suspend_installation(id, true).map_err(Failure::from),
            ("POST", ["unsuspend"]) => self.suspend_installation(id, false).map_err(Failure::from),
            ("PUT", ["permissions"]) => parse(body).and_then(|granted| Ok(self.grant(id, granted)?)),
            ("PUT", ["repositories"]) => parse::<Selection>(body).and_then(|wanted| {
                Ok(self.select_repositories(id, wanted.repository_selection, &wanted.repositories)?)
            }),
            ("POST", ["rate-limit"]) => parse::<Limit>(body).map(|wanted| {
                let reset =
                    self.inner.clock.now() + jiff::SignedDuration::from_secs(wanted.reset_seconds.into());
                self.set_installation_rate_limit(id, wanted.remaining, reset);
            }),
            _ => return None,
        })
    }
}
