//! What a look at the webhook comes to: its condition, what status says of it, and the one step that mends it.
//! Part of `hook`; `decide` and `record` put it beside what they make of the repository itself.

use super::{Hook, HookFailure, HookOutcome, HookSeen, HookStep, is_kept, is_managed};
use crate::{
    api::{
        Repository, RepositoryStatus, WebhookCheckpoint, WebhookStatus, bounds,
        conditions::{WEBHOOK_READY, reason},
    },
    domain::{conditions, plan::Note, redelivery},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What only counts is written this often.
const MOVES: SignedDuration = SignedDuration::from_mins(10);
/// GitHub may fail for so long before a Repository that is being deleted leaves its webhook behind.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// A failure that may pass is no news before.
const NEWS: SignedDuration = SignedDuration::from_mins(5);
/// A failure that is younger may pass by itself.
const BLIP: SignedDuration = SignedDuration::from_mins(1);

/// What the webhook adds to a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Tended {
    pub step: Option<HookStep>,
    /// There is a webhook to delete with the Repository, or there may be one.
    pub finalizer: bool,
    pub note: Option<Note>,
}

/// Tells of what was found, and finds what to do about it.
pub fn tend(
    status: &mut RepositoryStatus,
    repository: &Repository,
    seen: &HookSeen,
    now: Timestamp,
) -> Tended {
    let mut told = Told { repository, now, status };
    let (mut note, mut kept) = (None, is_kept(repository));
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
            note = told.failed(failure);
            kept &= note.is_none();
            None
        }
        HookSeen::Unwanted { id } => {
            // Found by its address, it is known from now on.
            told.status.webhook.get_or_insert_with(|| WebhookStatus { id: *id, ..WebhookStatus::default() });
            Some(HookStep::Remove { id: *id })
        }
        HookSeen::Nothing => {
            kept = false;
            None
        }
        HookSeen::Found { hook, url, secret_version, log } => {
            told.found(hook.as_ref(), url, secret_version, log.as_ref())
        }
    };
    if !is_managed(repository) && status.webhook.is_none() && !kept {
        conditions::remove(&mut status.conditions, WEBHOOK_READY);
    }
    let finalizer = kept || status.webhook.is_some() || matches!(step, Some(HookStep::Make { .. }));
    Tended { step, finalizer, note }
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

    /// One failure that may pass changes nothing; one that lasts holds up no deletion for ever.
    fn failed(&mut self, HookFailure { failure, since }: &HookFailure) -> Option<Note> {
        let told = conditions::find(&self.status.conditions, WEBHOOK_READY);
        let passes = failure.class.is_retryable();
        // A wait for a turn names another place each time.
        let is_said = passes && told.is_some_and(|told| told.reason == failure.reason);
        let is_news = told.is_none() || !passes || self.now.duration_since(*since) >= NEWS;
        let message = format!("{}: {}", failure.operation, failure.message);
        if is_news && !is_said {
            self.say(false, failure.reason, &message);
        }
        let deleted = self.repository.metadata.deletion_timestamp.as_ref()?;
        // Another process may have failed before; what has just begun to fail here may pass all the same.
        let (waited, fails) = (self.now.duration_since(deleted.0), self.now.duration_since(*since));
        if passes && (waited < PATIENCE || fails < BLIP) {
            return None;
        }
        self.status.webhook = None;
        let message = format!("the webhook may still be at GitHub, delete it by hand: {message}");
        Some(Note::warning(reason::LEFT_BEHIND, message))
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
        let is_given = known.id == hook.id && known.secret_version == secret_version;
        if !is_given || hook.url != url || !hook.sends_well {
            if is_given && known.url == url {
                self.changed();
            }
            return Some(HookStep::Configure { id: hook.id, url: url.to_owned() });
        }
        if !hook.listens {
            self.changed();
            return Some(HookStep::Repair { id: hook.id });
        }
        match log {
            Some(log) => self.count(log),
            None => self.status.webhook.iter_mut().for_each(|webhook| webhook.failing = 0),
        }
        self.say_how_it_delivers(hook, url, log.map_or(0, |log| log.failing));
        if hook.missigned || log.is_some_and(|log| log.ping) {
            return Some(HookStep::Ping { id: hook.id, sign: hook.missigned.then(|| url.to_owned()) });
        }
        let log = log?;
        (!log.again.is_empty()).then(|| HookStep::Redeliver { id: hook.id, again: log.again.clone() })
    }

    fn changed(&mut self) {
        self.say(false, reason::WEBHOOK_CHANGED, "somebody has changed the webhook: it is repaired");
    }

    fn say_how_it_delivers(&mut self, hook: &Hook, url: &str, failing: usize) {
        let last = hook.trouble.as_deref().map(|trouble| format!("GitHub says of the last one: {trouble}"));
        let lost = Some(failing).filter(|count| *count > 0);
        let lost = lost.map(|count| format!("deliveries that have not arrived: {count}"));
        let trouble: Vec<String> = lost.into_iter().chain(last).collect();
        if trouble.is_empty() {
            self.say(true, reason::DELIVERING, &format!("GitHub delivers to {url}"));
        } else {
            let message = format!("deliveries to {url} fail: {}", trouble.join("; "));
            self.say(false, reason::DELIVERIES_FAILING, &message);
        }
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
    let mut finalizer = true;
    let repaired = || {
        Note::warning(reason::WEBHOOK_REPAIRED, "the webhook had been changed: it is as it should be again")
    };
    match outcome {
        HookOutcome::Made { id, url, secret_version } => {
            // It was there before.
            note = status.webhook.is_some().then(repaired);
            give(status, id, &url, secret_version);
        }
        HookOutcome::Configured { id, url, secret_version } => {
            let known = status.webhook.clone().unwrap_or_default();
            // Nothing that the operator has given it was to change.
            note =
                (known.id == id && known.url == url && known.secret_version == secret_version).then(repaired);
            give(status, id, &url, secret_version);
        }
        HookOutcome::Unclear | HookOutcome::Pinged => {}
        HookOutcome::Repaired => note = Some(repaired()),
        HookOutcome::Redelivered(count) => {
            if let Some(webhook) = &mut status.webhook {
                webhook.redelivered += i64::try_from(count).unwrap_or(i64::MAX);
            }
            let message = format!("{count} deliveries had not arrived: GitHub sends them again");
            note = (count > 0).then(|| Note::warning(reason::DELIVERIES_REDELIVERED, message));
        }
        HookOutcome::Removed => {
            status.webhook = None;
            finalizer = is_managed(repository);
        }
        HookOutcome::Failed(failure) => {
            note = Told { repository, now, status: &mut *status }.failed(&failure);
            finalizer = note.is_none();
        }
    }
    if !finalizer {
        conditions::remove(&mut status.conditions, WEBHOOK_READY);
    }
    Tended { step: None, finalizer, note }
}

fn give(status: &mut RepositoryStatus, id: i64, url: &str, secret_version: String) {
    let known = status.webhook.take().filter(|known| known.id == id).unwrap_or_default();
    status.webhook = Some(WebhookStatus { id, url: bounds::cut(url, bounds::URL), secret_version, ..known });
}
