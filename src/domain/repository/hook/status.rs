//! What a look at the webhook comes to: its condition, what status says of it, and the one step that mends it.
//! Part of `hook`; `decide` and `record` put it beside what they make of the repository itself.

use super::{AGAIN, Hook, HookOutcome, HookSeen, HookStep, is_managed};
use crate::{
    api::{
        Repository, RepositoryStatus, WebhookCheckpoint, WebhookStatus, bounds,
        conditions::{WEBHOOK_READY, reason},
    },
    domain::{
        conditions,
        failure::Failure,
        plan::{Next, Note},
        redelivery,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What only counts is written this often.
const MOVES: SignedDuration = SignedDuration::from_mins(10);
/// GitHub may fail for so long before a Repository that is being deleted leaves its webhook behind.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What the webhook adds to a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Tended {
    pub step: Option<HookStep>,
    /// There is a webhook to delete with the Repository, or there may be one soon.
    pub finalizer: bool,
    pub note: Option<Note>,
    /// Sooner than anything else asks for.
    pub next: Option<Next>,
}

impl Tended {
    fn new(repository: &Repository, status: &RepositoryStatus) -> Self {
        let finalizer = status.webhook.is_some() || is_managed(repository);
        Self { step: None, finalizer, note: None, next: None }
    }
}

/// Tells of what was found, and finds what to do about it.
pub fn tend(
    status: &mut RepositoryStatus,
    repository: &Repository,
    seen: &HookSeen,
    now: Timestamp,
) -> Tended {
    let mut told = Told { repository, now, status };
    let step = match seen {
        HookSeen::NotAsked => None,
        HookSeen::Nowhere => {
            let message = "set webhook.publicURL of the chart (SLIPWAY_WEBHOOK_URL): the operator does not know the receiver's address";
            told.say(false, reason::WEBHOOK_URL_MISSING, message);
            None
        }
        HookSeen::NoSecret(message) => {
            told.say(false, reason::WEBHOOK_SECRET_MISSING, message);
            None
        }
        HookSeen::Failed(failure) => {
            let message = format!("{}: {}", failure.operation, failure.message);
            told.say(false, failure.reason, &message);
            None
        }
        HookSeen::Unwanted { id } => {
            // Found by its address, it is known from now on.
            told.status.webhook.get_or_insert_with(|| WebhookStatus { id: *id, ..WebhookStatus::default() });
            Some(HookStep::Remove { id: *id })
        }
        HookSeen::Found { hook, url, secret_version, log } => {
            told.found(hook.as_ref(), url, secret_version, log.as_ref())
        }
    };
    if !is_managed(repository) && status.webhook.is_none() {
        conditions::remove(&mut status.conditions, WEBHOOK_READY);
    }
    Tended { step, ..Tended::new(repository, status) }
}

struct Told<'a> {
    repository: &'a Repository,
    now: Timestamp,
    status: &'a mut RepositoryStatus,
}

impl Told<'_> {
    /// Never changes `Ready`.
    fn say(&mut self, ready: bool, reason: &str, message: &str) {
        let generation = self.repository.metadata.generation.unwrap_or_default();
        let conditions = &mut self.status.conditions;
        conditions::set(conditions, generation, self.now, WEBHOOK_READY, ready, reason, message);
    }

    fn found(
        &mut self,
        hook: Option<&Hook>,
        url: &str,
        secret_version: &str,
        log: Option<&redelivery::Findings>,
    ) -> Option<HookStep> {
        let Some(hook) = hook else {
            self.say(false, reason::WEBHOOK_MISSING, "the webhook is being made");
            return Some(HookStep::Make { url: url.to_owned() });
        };
        let known = self.status.webhook.clone().unwrap_or_default();
        let kept = known.id == hook.id && known.secret_version == secret_version && hook.url == url;
        if !kept {
            return Some(HookStep::Configure { id: hook.id, url: url.to_owned() });
        }
        if !hook.in_order {
            self.say(false, reason::WEBHOOK_CHANGED, "somebody has changed the webhook: it is repaired");
            return Some(HookStep::Repair { id: hook.id });
        }
        match log {
            Some(log) => self.count(log),
            None => self.status.webhook.iter_mut().for_each(|webhook| webhook.failing = 0),
        }
        let last = hook.trouble.as_deref().map(|trouble| format!("GitHub says of the last one: {trouble}"));
        let lost = Some(log.map_or(0, |log| log.failing)).filter(|count| *count > 0);
        let lost = lost.map(|count| format!("deliveries that have not arrived: {count}"));
        let trouble: Vec<String> = lost.into_iter().chain(last).collect();
        if trouble.is_empty() {
            self.say(true, reason::DELIVERING, &format!("GitHub delivers to {url}"));
        } else {
            let message = format!("deliveries to {url} fail: {}", trouble.join("; "));
            self.say(false, reason::DELIVERIES_FAILING, &message);
        }
        let again = log.map(|log| log.again.clone()).filter(|again| !again.is_empty())?;
        Some(HookStep::Redeliver { id: hook.id, again })
    }

    fn count(&mut self, log: &redelivery::Findings) {
        let Some(webhook) = &mut self.status.webhook else { return };
        let failing = i64::try_from(log.failing).unwrap_or(i64::MAX);
        let newest = log.last_success.or(webhook.last_success.as_ref().map(|time| time.0));
        let is_old = |time: &Time| newest.is_some_and(|newest| newest.duration_since(time.0) >= MOVES);
        if webhook.failing != failing || webhook.last_success.as_ref().is_none_or(is_old) {
            webhook.last_success = newest.map(Time);
            webhook.failing = failing;
            if let Some(checkpoint) = log.checkpoint {
                webhook.checkpoint = Some(WebhookCheckpoint {
                    delivered_at: Time(checkpoint.delivered_at),
                    id: i64::try_from(checkpoint.id).unwrap_or(i64::MAX),
                });
            }
        }
    }
}

/// Tells of the outcome of a step.
pub fn recorded(
    status: &mut RepositoryStatus,
    repository: &Repository,
    outcome: HookOutcome,
    now: Timestamp,
) -> Tended {
    let mut note = None;
    match outcome {
        HookOutcome::Made { id, url, secret_version }
        | HookOutcome::Configured { id, url, secret_version } => {
            let known = status.webhook.take().filter(|known| known.id == id).unwrap_or_default();
            status.webhook =
                Some(WebhookStatus { id, url: bounds::cut(&url, bounds::URL), secret_version, ..known });
        }
        HookOutcome::Unclear => {}
        HookOutcome::Repaired => {
            let message = "the webhook had been changed: it is as it should be again";
            note = Some(Note::warning(reason::WEBHOOK_REPAIRED, message));
        }
        HookOutcome::Redelivered(count) => {
            if let Some(webhook) = &mut status.webhook {
                webhook.redelivered += i64::try_from(count).unwrap_or(i64::MAX);
            }
            let message = format!("{count} deliveries had not arrived: GitHub sends them again");
            note = (count > 0).then(|| Note::warning(reason::DELIVERIES_REDELIVERED, message));
        }
        HookOutcome::Removed => status.webhook = None,
        HookOutcome::Failed(failure) => return failed(status, repository, &failure, now),
    }
    Tended { note, ..Tended::new(repository, status) }
}

/// A webhook that can't be removed holds up no Repository for ever.
fn failed(
    status: &mut RepositoryStatus,
    repository: &Repository,
    failure: &Failure,
    now: Timestamp,
) -> Tended {
    let message = format!("{}: {}", failure.operation, failure.message);
    Told { repository, now, status }.say(false, failure.reason, &message);
    let again = Some(Next::After(AGAIN));
    let tended = |status: &RepositoryStatus| Tended { next: again, ..Tended::new(repository, status) };
    let Some(deleted) = &repository.metadata.deletion_timestamp else { return tended(status) };
    if failure.class.is_retryable() && now.duration_since(deleted.0) < PATIENCE {
        return tended(status);
    }
    status.webhook = None;
    let message = format!("the webhook may still be at GitHub, delete it by hand: {message}");
    Tended { note: Some(Note::warning(reason::LEFT_BEHIND, message)), ..Tended::new(repository, status) }
}
