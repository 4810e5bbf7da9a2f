//! The repository's webhook at GitHub: asks for it and for its log of deliveries, and makes the one change that is due.
//! Part of the Repository controller; `domain::repository` says what to ask and what follows.

use super::{RepositoryController, name_today};
use crate::{
    api::Repository,
    cluster::Age,
    domain::{
        failure::{Failure, operation},
        redelivery::{self, Again, Attempt, Checkpoint, Findings},
        repository::{self, EVENTS, Hook, HookOutcome, HookSeen, HookStage, HookStep},
        signature::{SHORTEST_SECRET, is_webhook_secret},
    },
    github::{
        self, ChangedHook, Client, CreatedHook, HookDelivery, LastResponse, NewHook, Redelivered,
        RepositoryName,
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};

/// A log that has grown by more pages since the last look is read no further: what is older is the sync's to find.
const PAGES: usize = 50;

/// The secret that the webhook is given, and what stands for it in status.
struct Signing {
    secret: SecretString,
    version: String,
}

impl RepositoryController {
    /// Looks at the webhook, if that is due. `sync`: when the first sync of this process is.
    pub(super) async fn look_at_hook(
        &self,
        object: &Repository,
        sync: Timestamp,
        now: Timestamp,
    ) -> HookSeen {
        let uid = object.uid().unwrap_or_default();
        let made = object.status.as_ref().is_some_and(|status| status.webhook.is_some());
        // One that was made before is looked at with the sync: a start does not ask for all at once.
        let due = self.memory.next_hook(&uid).unwrap_or(if made { sync } else { now });
        let stage = repository::hook_stage(object, self.receiver.as_deref(), due, now);
        if stage == HookStage::Rest {
            if due <= now {
                self.memory.plan_hook(&uid, None);
            }
            return HookSeen::NotAsked;
        }
        // Also for a look that does not end in time.
        self.memory.plan_hook(&uid, Some(now + repository::AGAIN.min(repository::interval(object))));
        let seen = match stage {
            HookStage::Rest => HookSeen::NotAsked,
            HookStage::Nowhere => HookSeen::Nowhere,
            HookStage::Remove { id } => HookSeen::Unwanted { id },
            HookStage::Search { url } => {
                self.search_hook(object, &url).await.unwrap_or_else(HookSeen::Failed)
            }
            HookStage::Look { id, url } => {
                self.find_hook(object, id, url, now).await.unwrap_or_else(HookSeen::Failed)
            }
        };
        let wait = match &seen {
            HookSeen::Failed(failure) => wait_after(object, failure),
            _ => repository::interval(object),
        };
        self.memory.plan_hook(&uid, Some(now + wait));
        seen
    }

    async fn search_hook(&self, object: &Repository, url: &str) -> Result<HookSeen, Failure> {
        let github = self.client(object, Age::Cached).await?;
        let found = github.find_hook(&name_today(object), url).await?;
        Ok(found.map_or(HookSeen::NotAsked, |hook| HookSeen::Unwanted { id: signed(hook.id) }))
    }

    async fn find_hook(
        &self,
        object: &Repository,
        id: Option<i64>,
        url: String,
        now: Timestamp,
    ) -> Result<HookSeen, Failure> {
        let signing = match self.signing(object).await? {
            Ok(signing) => signing,
            Err(why) => return Ok(HookSeen::NoSecret(why)),
        };
        let (github, name) = (self.client(object, Age::Cached).await?, name_today(object));
        let known = match id.and_then(|id| u64::try_from(id).ok()) {
            Some(id) => github.get_hook(&name, id).await?,
            None => None,
        };
        let found = match known {
            Some(hook) => Some(hook),
            None => github.find_hook(&name, &url).await?,
        };
        let redeliver = object.spec.webhook.as_ref().is_some_and(|webhook| webhook.redeliver);
        let log = match &found {
            Some(hook) if redeliver => Some(self.log(object, &github, &name, hook.id, now).await?),
            _ => None,
        };
        Ok(HookSeen::Found { hook: found.map(of_github), url, secret_version: signing.version, log })
    }

    /// The last value by key name that can sign; or why there is none.
    async fn signing(&self, object: &Repository) -> Result<Result<Signing, String>, Failure> {
        let namespace = object.namespace().unwrap_or_default();
        let Some(name) = object.spec.webhook_secret_ref.as_ref().map(|secret| &secret.name) else {
            return Ok(Err(
                "set webhookSecretRef: a webhook is managed with a secret of the Repository's own".to_owned(),
            ));
        };
        let values = self.secrets.get(&namespace, name).await;
        let values = values.map_err(|error| error.during(operation::GET_SECRET))?;
        let Some(values) = values else {
            return Ok(Err(format!("Secret {name} does not exist in this namespace: create it")));
        };
        let usable = values
            .iter()
            .filter(|(key, value)| is_webhook_secret(key) && value.expose_secret().len() >= SHORTEST_SECRET);
        let last = usable.filter_map(|(key, _)| Some((key, values.text(key)?))).last();
        Ok(last
            .map(|(key, secret)| Signing { secret, version: format!("{key}/{}", values.version()) })
            .ok_or_else(|| {
                format!("Secret {name} has no value of at least {SHORTEST_SECRET} bytes of text: put the webhook's secret there")
            }))
    }

    /// Reads the log back to where all is settled.
    async fn log(
        &self,
        object: &Repository,
        github: &Client,
        name: &RepositoryName,
        hook: u64,
        now: Timestamp,
    ) -> Result<Findings, github::Error> {
        let uid = object.uid().unwrap_or_default();
        let settled = self.memory.checkpoint(&uid).or_else(|| written(object));
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut cursor = None;
        for pages in 1..=PAGES {
            let page = github.hook_deliveries(name, hook, cursor.as_deref()).await?;
            attempts.extend(page.deliveries.into_iter().map(attempt));
            let reached = attempts.last().is_some_and(|last| {
                settled.is_some_and(|settled| last.place() <= settled)
                    || last.delivered_at + redelivery::KEPT <= now
            });
            cursor = page.next;
            if reached || cursor.is_none() {
                break;
            }
            if pages == PAGES {
                tracing::warn!(repository = %name, pages, "the log of deliveries is longer: what it does not show is left to the sync");
            }
        }
        attempts.retain(|attempt| settled.is_none_or(|settled| attempt.place() > settled));
        self.memory.keep_asked(&uid, |guid| attempts.iter().any(|attempt| attempt.guid == guid));
        let findings = redelivery::judge(&attempts, &self.memory.asked(&uid), now);
        if let Some(checkpoint) = findings.checkpoint {
            self.memory.set_checkpoint(&uid, checkpoint);
        }
        Ok(findings)
    }

    /// Makes one change.
    pub(super) async fn change_hook(&self, object: &Repository, step: &HookStep) -> HookOutcome {
        let outcome = self.try_change(object, step).await.unwrap_or_else(HookOutcome::Failed);
        let wait = match &outcome {
            HookOutcome::Failed(failure) => wait_after(object, failure),
            HookOutcome::Redelivered(count) if *count < sent_again(step) => {
                repository::AGAIN.min(repository::interval(object))
            }
            // One that is there and is not shown, or the other way round.
            HookOutcome::Unclear => repository::AGAIN.min(repository::interval(object)),
            HookOutcome::Redelivered(_) => repository::interval(object),
            // What was changed is looked at at once, to say what it has come to.
            _ => SignedDuration::ZERO,
        };
        self.memory.plan_hook(&object.uid().unwrap_or_default(), Some(Timestamp::now() + wait));
        outcome
    }

    async fn try_change(&self, object: &Repository, step: &HookStep) -> Result<HookOutcome, Failure> {
        let (github, name) = (self.client(object, Age::Cached).await?, name_today(object));
        let number = |id: &i64| u64::try_from(*id).unwrap_or_default();
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
            HookStep::Repair { id } => match github.repair_hook(&name, number(id), &EVENTS, true).await? {
                ChangedHook::Changed => HookOutcome::Repaired,
                ChangedHook::Gone => HookOutcome::Unclear,
            },
            HookStep::Configure { id, url } => {
                let Ok(signing) = self.signing(object).await? else { return Ok(HookOutcome::Unclear) };
                match github.set_hook_config(&name, number(id), url, &signing.secret).await? {
                    ChangedHook::Changed => {
                        HookOutcome::Configured { id: *id, url: url.clone(), secret_version: signing.version }
                    }
                    ChangedHook::Gone => HookOutcome::Unclear,
                }
            }
            HookStep::Redeliver { id, again } => {
                HookOutcome::Redelivered(self.redeliver(object, &github, number(id), again).await?)
            }
            HookStep::Remove { id } => {
                github.delete_hook(&name, number(id)).await?;
                HookOutcome::Removed
            }
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
        let (uid, name) = (object.uid().unwrap_or_default(), name_today(object));
        let mut taken = 0;
        for Again { attempt, guid } in again {
            match github.redeliver(&name, hook, *attempt).await {
                Ok(Redelivered::Accepted) => taken += 1,
                Ok(Redelivered::Gone) => {}
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
            // Also one that GitHub can't send again: it is not asked for for ever.
            self.memory.asked_again(&uid, guid);
        }
        Ok(taken)
    }
}

/// How many deliveries a step has sent again.
fn sent_again(step: &HookStep) -> usize {
    if let HookStep::Redeliver { again, .. } = step { again.len() } else { 0 }
}

/// A failure that may pass is looked at again soon.
fn wait_after(object: &Repository, failure: &Failure) -> SignedDuration {
    let interval = repository::interval(object);
    if failure.class.is_retryable() { interval.min(repository::AGAIN) } else { interval }
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn of_github(hook: github::Hook) -> Hook {
    let has_all = EVENTS.iter().all(|event| hook.events.iter().any(|known| known == event || known == "*"));
    let trouble = hook.last_response.as_ref().and_then(trouble);
    Hook {
        id: signed(hook.id),
        in_order: hook.active && has_all && hook.content_type == "json" && !hook.insecure_ssl,
        trouble,
        url: hook.url,
    }
}

/// What GitHub says of the last answer, where that was no good one. Before the first delivery it says `unused`.
fn trouble(last: &LastResponse) -> Option<String> {
    let fine = match last.code {
        Some(code) => (200..300).contains(&code),
        None => last.status == "unused",
    };
    (!fine).then(|| last.message.clone().unwrap_or_else(|| last.status.clone()))
}

fn attempt(delivery: HookDelivery) -> Attempt {
    let moves = delivery.event == "pull_request" && redelivery::moves(delivery.action.as_deref());
    Attempt {
        id: delivery.id,
        guid: delivery.guid,
        delivered_at: delivery.delivered_at,
        arrived: delivery.status == "OK",
        status_code: delivery.status_code,
        moves,
    }
}

/// The checkpoint in status.
fn written(object: &Repository) -> Option<Checkpoint> {
    let checkpoint = object.status.as_ref()?.webhook.as_ref()?.checkpoint.as_ref()?;
    let id = u64::try_from(checkpoint.id).ok()?;
    Some(Checkpoint { delivered_at: checkpoint.delivered_at.0, id })
}
