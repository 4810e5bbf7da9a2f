//! The repository's webhook: whether it is there as it should be, whether what it sends arrives, and what is sent again. Pure.
//! Asked and told beside the repository itself by `stage` and `decide`; `redelivery` judges the log of deliveries.

mod status;

pub(super) use status::{Tended, recorded, tend};

use super::current::is_current;
use crate::{
    api::{ManageWebhook, Repository, WebhookStatus},
    domain::{
        failure::Failure,
        redelivery::{self, Again},
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// Where the receiver takes deliveries, below its public address.
pub const RECEIVER_PATH: &str = "/api/webhooks/github";
/// On Repositories whose webhook is managed: it is the one thing at GitHub that goes with them.
pub const FINALIZER: &str = "slipway.dev/repository";
/// Events that can move a Task.
pub const EVENTS: [&str; 1] = ["pull_request"];
/// After a failure the webhook is looked at again so soon, or after the interval where that is shorter.
pub const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// What a pass has to ask about the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookStage {
    /// Nothing.
    Rest,
    /// The one that is known, or one of this address.
    Look { id: Option<i64>, url: String },
    /// Managed, without an address to deliver to.
    Nowhere,
    /// Ours, and not wanted any more.
    Remove { id: i64 },
    /// Not wanted, and not known: a pass that has made one may have ended before it could write so.
    Search { url: String },
    /// There can be none.
    Nothing,
}

/// The webhook as GitHub shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub id: i64,
    pub url: String,
    /// It is switched on, and told of all of [`EVENTS`].
    pub listens: bool,
    /// It sends JSON, and checks certificates.
    pub sends_well: bool,
    /// The receiver did not know the signature of its last delivery.
    pub missigned: bool,
    /// The answer to its last delivery, where it was none that will do.
    pub trouble: Option<String>,
}

/// What a pass has found of the webhook.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum HookSeen {
    #[default]
    NotAsked,
    Nowhere,
    /// No value in the Secret can sign; why.
    NoSecret(String),
    Found {
        hook: Option<Hook>,
        /// The address that it should deliver to.
        url: String,
        /// Key and version of the Secret whose value it should have.
        secret_version: String,
        /// Its log, where deliveries are sent again.
        log: Option<redelivery::Findings>,
    },
    Unwanted {
        id: i64,
    },
    /// There is none, and none is wanted.
    Nothing,
    Failed(HookFailure),
}

impl HookSeen {
    /// Returns whether GitHub has answered: what is only known to be unwanted says nothing of whether it can be reached.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Found { .. } | Self::Nothing)
    }
}

/// A call about the webhook that has failed.
#[derive(Debug, Clone, PartialEq)]
pub struct HookFailure {
    pub failure: Failure,
    /// Since when all of them have.
    pub since: Timestamp,
}

/// One change of the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookStep {
    Make {
        url: String,
    },
    /// Switches it on, with all events.
    Repair {
        id: i64,
    },
    /// Gives it address and secret.
    Configure {
        id: i64,
        url: String,
    },
    /// Asks whether a delivery arrives; where its signature was not known, with address and secret given again before.
    Ping {
        id: i64,
        sign: Option<String>,
    },
    /// Has these deliveries made again.
    Redeliver {
        id: i64,
        again: Vec<Again>,
    },
    Remove {
        id: i64,
    },
}

/// The result of a [`HookStep`].
#[derive(Debug, Clone, PartialEq)]
pub enum HookOutcome {
    Made {
        id: i64,
        url: String,
        secret_version: String,
    },
    Repaired,
    Configured {
        id: i64,
        url: String,
        secret_version: String,
    },
    /// It is not as the last look has shown it: the next one says more.
    Unclear,
    Pinged,
    /// So many were taken by GitHub; the rest is too old or gone, or has its turn at the next look.
    Redelivered(usize),
    Removed,
    Failed(HookFailure),
}

/// Returns whether the operator manages the webhook.
pub fn is_managed(repository: &Repository) -> bool {
    repository.metadata.deletion_timestamp.is_none()
        && repository.spec.webhook.as_ref().is_some_and(|webhook| webhook.manage == ManageWebhook::Repository)
}

/// The webhook that the operator has made.
pub(super) fn ours(repository: &Repository) -> Option<&WebhookStatus> {
    repository.status.as_ref()?.webhook.as_ref().filter(|webhook| webhook.id > 0)
}

/// The address of a Repository's own webhook: two that stand for one repository at GitHub never share one.
fn url(repository: &Repository, receiver: &str) -> String {
    format!("{receiver}{RECEIVER_PATH}?repository={}", repository.uid().unwrap_or_default())
}

/// Finds what to ask. `receiver`: the receiver's public address, if it is known; `due`: when the next look is due.
pub fn hook_stage(
    repository: &Repository,
    receiver: Option<&str>,
    due: Timestamp,
    now: Timestamp,
) -> HookStage {
    // A suspended Repository calls GitHub for nothing but to be gone.
    let awake = !repository.spec.suspend || repository.metadata.deletion_timestamp.is_some();
    if !awake || (now < due && is_current(repository)) {
        return HookStage::Rest;
    }
    let id = ours(repository).map(|ours| ours.id);
    let url = receiver.map(|receiver| url(repository, receiver));
    let known = repository.status.as_ref().is_some_and(|status| status.repository_id.is_some());
    match (is_managed(repository), id, url) {
        (false, Some(id), _) => HookStage::Remove { id },
        (false, None, _) if !is_kept(repository) => HookStage::Rest,
        (false, None, Some(url)) if known => HookStage::Search { url },
        (false, None, _) => HookStage::Nothing,
        (true, ..) if !known => HookStage::Rest,
        (true, _, None) => HookStage::Nowhere,
        (true, id, Some(url)) => HookStage::Look { id, url },
    }
}

/// Whether the object does not go before its webhook.
pub(super) fn is_kept(repository: &Repository) -> bool {
    repository.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}
