//! Changes the repository's webhook at GitHub: one change a pass.
//! Part of the Repository controller; `hook` has looked before, `domain::repository` has decided.

use super::{
    RepositoryController,
    hook::{SHOWN, signed, soon},
    name_today,
};
use crate::{
    api::{Repository, conditions::reason},
    cluster::Age,
    domain::{
        failure::{Class, Failure, operation},
        redelivery::Again,
        repository::{self, EVENTS, HookOutcome, HookStep},
    },
    github::{self, ChangedHook, Client, CreatedHook, NewHook, Redelivered, RepositoryName},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::Instant;

/// Deliveries are sent again for so long in one pass: each waits for its turn to write, and others wait for the pass.
const SENDING: Duration = Duration::from_secs(30);
/// So many refusals end it: a single delivery must not hold up the others.
const REFUSALS: usize = 3;

impl RepositoryController {
    /// Makes one change.
    pub(super) async fn change_hook(&self, object: &Repository, step: &HookStep) -> HookOutcome {
        let (uid, now) = (object.uid().unwrap_or_default(), Timestamp::now());
        let outcome = match self.try_change(object, step).await {
            Ok(outcome) => outcome,
            Err(failure) => return HookOutcome::Failed(self.hook_failed(object, failure, now)),
        };
        let wait = match (&outcome, step) {
            // What was made is looked at at once, to say what it has come to.
            (HookOutcome::Made { .. } | HookOutcome::Removed, _) => SignedDuration::ZERO,
            (HookOutcome::Pinged, _) => SHOWN.min(soon(object)),
            (HookOutcome::Redelivered(count), HookStep::Redeliver { again, .. }) if *count == again.len() => {
                repository::interval(object)
            }
            _ => soon(object),
        };
        self.memory.change_hook(&uid, |hook| {
            hook.next = Some(Timestamp::now() + wait);
            (hook.failing_since, hook.awaits_turn) = (None, false);
            if matches!(step, HookStep::Ping { sign: Some(_), .. }) {
                hook.signed = Some(now);
            }
        });
        if matches!(step, HookStep::Ping { .. }) {
            self.memory.receiver().pinged = Some((now, uid));
        }
        outcome
    }

    async fn try_change(&self, object: &Repository, step: &HookStep) -> Result<HookOutcome, Failure> {
        let (github, name) = (self.client(object, Age::Cached).await?, name_today(object));
        let number = |id: &i64| u64::try_from(*id).unwrap_or_default();
        let changed =
            |changed, outcome| if changed == ChangedHook::Changed { outcome } else { HookOutcome::Unclear };
        Ok(match step {
            HookStep::Make { url } => {
                let Ok(signing) = self.signing(object).await? else { return Ok(HookOutcome::Unclear) };
                let new = NewHook { url, secret: &signing.secret, events: &EVENTS };
                match github.create_hook(&name, &new).await? {
                    CreatedHook::Created(hook) => HookOutcome::Made {
                        id: signed(hook.id),
                        url: url.clone(),
                        secret_version: signing.version,
                    },
                    CreatedHook::Exists => HookOutcome::Unclear,
                }
            }
            HookStep::Repair { id } => {
                changed(github.repair_hook(&name, number(id), &EVENTS, true).await?, HookOutcome::Repaired)
            }
            HookStep::Configure { id, url } => {
                let Ok(signing) = self.signing(object).await? else { return Ok(HookOutcome::Unclear) };
                let set = github.set_hook_config(&name, number(id), url, &signing.secret).await?;
                let secret_version = signing.version;
                changed(set, HookOutcome::Configured { id: *id, url: url.clone(), secret_version })
            }
            HookStep::Ping { id, sign } => {
                if let (Some(url), Ok(signing)) = (sign, self.signing(object).await?) {
                    github.set_hook_config(&name, number(id), url, &signing.secret).await?;
                }
                changed(github.ping_hook(&name, number(id)).await?, HookOutcome::Pinged)
            }
            HookStep::Redeliver { id, again } => {
                HookOutcome::Redelivered(self.redeliver(object, &github, number(id), again).await?)
            }
            HookStep::Remove { id } => self.remove_hook(object, &github, number(id)).await?,
        })
    }

    /// A 404 may also be a token that GitHub does not show the webhook: only a list without it tells that it is gone.
    async fn remove_hook(
        &self,
        object: &Repository,
        github: &Client,
        id: u64,
    ) -> Result<HookOutcome, Failure> {
        let name = self.name_at_github(object, github).await?;
        if github.delete_hook(&name, id).await? == ChangedHook::Changed {
            return Ok(HookOutcome::Removed);
        }
        let webhook = object.status.as_ref().and_then(|status| status.webhook.as_ref());
        let url = webhook.map(|webhook| webhook.url.as_str()).unwrap_or_default();
        let found = github.find_hook(&name, url).await?;
        Ok(if found.is_some_and(|hook| hook.id == id) { HookOutcome::Unclear } else { HookOutcome::Removed })
    }

    /// The repository's name as it is now: one that is being deleted, or suspended, is not synced any more.
    pub(super) async fn name_at_github(
        &self,
        object: &Repository,
        github: &Client,
    ) -> Result<RepositoryName, Failure> {
        let found = self.look_up(github, object).await?;
        found.and_then(|found| RepositoryName::parse(&found.full_name)).ok_or_else(|| Failure {
            operation: operation::FIND_REPOSITORY,
            class: Class::NotFound,
            reason: reason::REPOSITORY_GONE,
            message: "GitHub does not show the repository to this token any more".to_owned(),
        })
    }

    /// Asks for one more attempt of each; how many GitHub has taken. The rest has its turn at the next look.
    async fn redeliver(
        &self,
        object: &Repository,
        github: &Client,
        hook: u64,
        again: &[Again],
    ) -> Result<usize, github::Error> {
        let (uid, name, began) = (object.uid().unwrap_or_default(), name_today(object), Instant::now());
        let (mut taken, mut refused) = (0, 0);
        for Again { attempt, guid } in again {
            let answer = github.redeliver(&name, hook, *attempt).await;
            if !answer.as_ref().is_err_and(|error| matches!(error.class, Class::Throttled { .. })) {
                // Also one that GitHub can't send again: it is not asked for for ever.
                self.memory.change_hook(&uid, |hook| *hook.asked.entry(guid.clone()).or_default() += 1);
            }
            match answer {
                Ok(Redelivered::Accepted) => taken += 1,
                Ok(Redelivered::Gone) => {}
                Err(error) => {
                    refused += 1;
                    let ends = refused == REFUSALS || matches!(error.class, Class::Throttled { .. });
                    if ends && taken == 0 {
                        return Err(error);
                    }
                    if ends {
                        break;
                    }
                }
            }
            if began.elapsed() >= SENDING {
                break;
            }
        }
        Ok(taken)
    }
}
