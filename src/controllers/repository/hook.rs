//! The repository's webhook at GitHub: asks for it and for its log of deliveries.
//! Part of the Repository controller; `change_hook` makes the one change that is due, `domain::repository` says which.

use super::{RepositoryController, name_today};
use crate::{
    api::Repository,
    api::conditions::reason,
    cluster::Age,
    domain::{
        asker::Asker,
        failure::{Class, Failure, operation},
        redelivery::{self, Attempt, Checkpoint, Findings, Known},
        repository::{self, EVENTS, Hook, HookFailure, HookSeen, HookStage},
        signature::{SHORTEST_SECRET, is_webhook_secret},
    },
    github::{self, Client, HookDelivery, LastResponse, RepositoryName},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};

/// A log that has grown by more pages since the last look is read no further: what is older is the sync's to find.
const PAGES: usize = 50;
/// An attempt stands in the log this soon after it was asked for, where all is well.
pub(super) const SHOWN: SignedDuration = SignedDuration::from_secs(10);

/// The secret that the webhook is given, and what stands for it in status.
pub(super) struct Signing {
    pub(super) secret: SecretString,
    pub(super) version: String,
}

impl RepositoryController {
    /// Looks at the webhook, if that is due. `sync`: when the first sync of this process is. `busy`: the pass has something else
    /// to change, so that the next one looks.
    pub(super) async fn look_at_hook(
        &self,
        object: &Repository,
        sync: Timestamp,
        busy: bool,
        now: Timestamp,
    ) -> HookSeen {
        let uid = object.uid().unwrap_or_default();
        let due = self.hook_due(object, &uid, sync, now);
        let stage = repository::hook_stage(object, self.receiver.as_deref(), due, now);
        let plan = |next| self.memory.change_hook(&uid, |hook| hook.next = next);
        if stage == HookStage::Rest {
            if due <= now {
                plan(None);
            }
            return HookSeen::NotAsked;
        }
        if busy {
            plan(Some(now));
            return HookSeen::NotAsked;
        }
        // Also for a look that does not end in time.
        plan(Some(now + soon(object)));
        let mut seen = match self.ask(object, stage, now).await {
            Ok(seen) => seen,
            Err(failure) => return HookSeen::Failed(self.hook_failed(object, failure, now)),
        };
        let wait = match &mut seen {
            HookSeen::NoSecret(_) => soon(object),
            HookSeen::Found { hook: Some(hook), log, .. } => self.restrain(object, hook, log.as_mut(), now),
            _ => repository::interval(object),
        };
        self.memory.change_hook(&uid, |hook| {
            (hook.next, hook.awaits_turn) = (Some(now + wait), false);
            if seen.is_answer() {
                hook.failing_since = None;
            }
        });
        seen
    }

    /// Keeps from pinging too often, and from giving the secret again and again; the wait before the next look.
    fn restrain(
        &self,
        object: &Repository,
        hook: &mut Hook,
        log: Option<&mut Findings>,
        now: Timestamp,
    ) -> SignedDuration {
        let (uid, interval) = (object.uid().unwrap_or_default(), repository::interval(object));
        let signed = self.memory.hook(&uid).signed;
        hook.missigned &= signed.is_none_or(|signed| signed + interval <= now);
        let Some(log) = log.filter(|log| log.ping) else { return interval };
        // A ping and the look behind it fit into an interval: what is sent again then is there within one.
        let every = repository::AGAIN.min(interval / 2);
        let wait = self.memory.receiver().asks(&uid, every, now);
        log.ping = wait.is_some_and(|wait| wait.is_zero());
        match wait {
            None => interval,
            Some(_) if log.ping => every,
            Some(wait) => wait,
        }
    }

    fn hook_due(&self, object: &Repository, uid: &str, sync: Timestamp, now: Timestamp) -> Timestamp {
        let hook = self.memory.hook(uid);
        if hook.awaits_turn && !self.github.awaits(&Asker::of(object).id()) {
            // It has been called.
            return now;
        }
        // One that was made before is looked at with the sync: a start does not ask for all at once.
        let made = object.status.as_ref().is_some_and(|status| status.webhook.is_some());
        hook.next.unwrap_or(if made { sync } else { now })
    }

    /// Remembers a failure, and when it is tried again.
    pub(super) fn hook_failed(&self, object: &Repository, failure: Failure, now: Timestamp) -> HookFailure {
        let wait = match failure.class {
            Class::Throttled { until } => until.duration_since(now).max(SignedDuration::from_secs(1)),
            Class::Transient => soon(object),
            _ => repository::interval(object),
        };
        let awaits_turn = failure.reason == reason::WAITING_FOR_GITHUB;
        let mut since = now;
        self.memory.change_hook(&object.uid().unwrap_or_default(), |hook| {
            since = *hook.failing_since.get_or_insert(now);
            (hook.next, hook.awaits_turn) = (Some(now + wait), awaits_turn);
        });
        HookFailure { failure, since }
    }

    async fn ask(&self, object: &Repository, stage: HookStage, now: Timestamp) -> Result<HookSeen, Failure> {
        Ok(match stage {
            HookStage::Rest => HookSeen::NotAsked,
            HookStage::Nothing => HookSeen::Nothing,
            HookStage::Nowhere => HookSeen::Nowhere,
            HookStage::Remove { id } => HookSeen::Unwanted { id },
            HookStage::Search { url } => {
                let github = self.client(object, Age::Cached).await?;
                let name = self.name_at_github(object, &github).await?;
                let found = github.find_hook(&name, &url).await?;
                found.map_or(HookSeen::Nothing, |hook| HookSeen::Unwanted { id: signed(hook.id) })
            }
            HookStage::Look { id, url } => self.find_hook(object, id, url, now).await?,
        })
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
    pub(super) async fn signing(&self, object: &Repository) -> Result<Result<Signing, String>, Failure> {
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
        let known = self.memory.hook(&uid);
        let settled = known.checkpoint.or_else(|| written(object));
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
        let arrived =
            attempts.iter().filter(|attempt| attempt.arrived).map(|attempt| attempt.delivered_at).max();
        let arrival = {
            let mut receiver = self.memory.receiver();
            receiver.arrival = receiver.arrival.max(arrived);
            receiver.arrival
        };
        let findings = redelivery::judge(&attempts, Known { asked: &known.asked, arrival }, now);
        self.memory.change_hook(&uid, |hook| {
            hook.asked.retain(|guid, _| attempts.iter().any(|attempt| attempt.guid == *guid));
            hook.checkpoint = findings.checkpoint.or(hook.checkpoint);
        });
        Ok(findings)
    }
}

/// The wait before another look where something is not as it should be.
pub(super) fn soon(object: &Repository) -> SignedDuration {
    repository::AGAIN.min(repository::interval(object))
}

pub(super) fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn of_github(hook: github::Hook) -> Hook {
    let has_all = EVENTS.iter().all(|event| hook.events.iter().any(|known| known == event || known == "*"));
    let trouble = hook.last_response.as_ref().and_then(trouble);
    Hook {
        id: signed(hook.id),
        listens: hook.active && has_all,
        missigned: hook.last_response.as_ref().is_some_and(|last| last.code == Some(401)),
        sends_well: hook.content_type == "json" && !hook.insecure_ssl,
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
