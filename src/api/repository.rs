//! The kind Repository: one GitHub repository, its credentials and its webhook secret.
//! Imports `bounds`, `common` and the rule for branch names of this folder.

use super::{
    bounds,
    common::{LocalRef, Retry},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Repository is one GitHub repository, the credentials to write to it, and the secret of its webhook.
///
/// Deleting a Repository deletes nothing at GitHub but a webhook that the operator has made (`webhook.manage`).
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "slipway.dev",
    version = "v1alpha1",
    kind = "Repository",
    namespaced,
    status = "RepositoryStatus",
    shortname = "swrepo",
    category = "slipway",
    derive = "PartialEq",
    doc = "Repository is one GitHub repository, the credentials to write to it, and the secret of its webhook.",
    printcolumn(name = "Repository", type_ = "string", json_path = ".status.fullName"),
    printcolumn(name = "Branch", type_ = "string", json_path = ".status.defaultBranch"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.htmlURL", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.webhookSecretRef) || self.webhookSecretRef.name != self.credentialsSecretRef.name")
        .message("webhookSecretRef must name another Secret than credentialsSecretRef"),
    validation = Rule::new("!has(self.create) || self.createPolicy == 'IfMissing'")
        .message("create must only be set together with createPolicy IfMissing"),
    validation = Rule::new("!has(self.webhook) || self.webhook.manage != 'Repository' || has(self.webhookSecretRef)")
        .message("webhook.manage: Repository needs webhookSecretRef: the operator gives the webhook its secret")
)]
pub struct RepositorySpec {
    /// User or organisation that owns the repository at GitHub. Compared case-insensitively; can't be changed.
    #[schemars(length(min = 1, max = 39), regex(pattern = r"^[A-Za-z0-9](-?[A-Za-z0-9_])*$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("owner must not change: create another Repository"))]
    pub owner: String,

    /// Name of the repository at GitHub, without the owner. Compared case-insensitively; can't be changed.
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("name must not change: create another Repository"),
        validation = Rule::new("self != '.' && self != '..' && !self.endsWith('.git')").message("name must be a repository name without .git")
    )]
    pub name: String,

    /// Secret with the credentials for GitHub, of one of two kinds. Either the key `token`: a GitHub token. Or the keys of a
    /// GitHub App: `appID` and `installationID` in digits, and `privateKey`, the file in PEM that GitHub gave out for it; the
    /// operator buys tokens with it that are good for an hour and for this repository alone, and GitHub signs the commits of
    /// Tasks that name no author. `token` wins over the App's keys. Either may read and write contents and pull requests; for
    /// files below `.github/workflows` it also needs Workflows: write, and to create the repository (`createPolicy`)
    /// Administration: write for all repositories of the owner. To read checks it needs Commit statuses: read and Checks: read,
    /// which a fine-grained token can't have: a GitHub App can, and a classic token with the scope `repo`. Without it, set
    /// `pullRequest.merge.requireChecks: false` on Tasks that the operator merges.
    /// The Secret is read by name when it is needed; it may arrive after the Repository.
    pub credentials_secret_ref: LocalRef,

    /// Secret whose every value is a valid webhook secret, so that a secret can be rotated without a gap.
    /// Values under 16 bytes are ignored, and so are the keys `token`, `appID`, `installationID`, `privateKey` and `apiKey`.
    /// Absent: the receiver's own `GITHUB_WEBHOOK_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret_ref: Option<LocalRef>,

    /// What the operator does about the repository's webhook at GitHub. Default: nothing; a person makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,

    /// Policy while the repository has never been seen: `Never` waits for it, `IfMissing` creates it. Default: `Never`.
    /// Once it has been seen, a missing repository is reported (reason `RepositoryGone`) and never created again.
    #[serde(default)]
    pub create_policy: CreatePolicy,

    /// Settings of a repository that is created, with `createPolicy: IfMissing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<CreateRepository>,

    /// Branch that pull requests go to. Default: the repository's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = bounds::BRANCH), regex(pattern = r"^[^\x00-\x20\x7f~^:?*\[\\]+$"))]
    #[x_kube(validation = Rule::new(super::task::BRANCH_RULE).message("baseBranch must be a valid git branch name"))]
    pub base_branch: Option<String>,

    /// Whether commits of this repository get checks (check runs or commit statuses). `Expected`: a Task with
    /// `merge.requireChecks` waits until there is one. `None`: it merges a commit without any. Default: `Expected`.
    #[serde(default)]
    pub checks: RepositoryChecks,

    /// Interval at which pull requests are read again, in seconds, so that a lost webhook only delays. Default: 300.
    #[serde(default = "default_sync_interval")]
    #[schemars(range(min = 30, max = 86400))]
    pub sync_interval_seconds: i32,

    /// Stops sync, creation and every GitHub call for the Tasks of this repository; they wait with reason
    /// `RepositorySuspended`. Signed webhook deliveries still move their board.
    #[serde(default)]
    pub suspend: bool,
}

fn default_sync_interval() -> i32 {
    300
}

/// What the operator does about the repository's webhook.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// `Repository`: the operator makes the webhook, repairs it, keeps its secret that of `webhookSecretRef`, and deletes it with
    /// the Repository or when this is set back to `Never`. It needs Webhooks: write, and the receiver's address
    /// (`webhook.publicURL` of the chart, `SLIPWAY_WEBHOOK_URL`). Default: `Never`.
    #[serde(default)]
    pub manage: ManageWebhook,
    /// Has GitHub send deliveries again that did not arrive, up to three times and three days long. Default: true.
    #[serde(default = "enabled")]
    pub redeliver: bool,
}

/// Whether the operator manages a webhook.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManageWebhook {
    #[default]
    Never,
    Repository,
}

/// Whether commits of a repository get checks.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RepositoryChecks {
    #[default]
    Expected,
    None,
}

/// Policy on creating a missing repository.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreatePolicy {
    #[default]
    Never,
    IfMissing,
}

/// Settings of a repository that is created.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CreateRepository {
    /// Makes the repository private. Default: true.
    #[serde(default = "enabled")]
    pub private: bool,
    /// Description shown at GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 350))]
    pub description: Option<String>,
    /// Makes GitHub create a first commit, so that there is a branch to open pull requests against. Default: true.
    #[serde(default = "enabled")]
    pub auto_init: bool,
}

impl Default for CreateRepository {
    fn default() -> Self {
        Self { private: true, description: None, auto_init: true }
    }
}

fn enabled() -> bool {
    true
}

/// Observed state of the repository.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// Conditions `Ready`, `Reconciling` and `Stalled`, and `WebhookReady` where `webhook.manage` is `Repository`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Generation of the spec that this status speaks of; -1: never looked at.
    #[serde(default = "super::common::never_observed")]
    pub observed_generation: i64,

    /// GitHub's numeric id of the repository. It survives a rename.
    #[serde(default, rename = "repositoryID", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub repository_id: Option<i64>,

    /// GitHub's numeric id of the owner.
    #[serde(default, rename = "ownerID", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub owner_id: Option<i64>,

    /// The id of the GitHub App whose credentials see the repository; absent with a token.
    #[serde(default, rename = "appID", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub app_id: Option<i64>,

    /// The account of GitHub's whose limits bind all calls with these credentials: the login of the token's user, or the
    /// installation of the App. All Repositories of an account share its limits, and one line for their Tasks' writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ID))]
    pub account: Option<String>,

    /// The limit of that account that holds now, as GitHub named it: nothing is called until it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// The webhook, where the operator manages it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookStatus>,

    /// `owner/name` as GitHub spells it today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub full_name: Option<String>,

    /// The repository's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::BRANCH))]
    pub default_branch: Option<String>,

    /// GitHub lets nobody write to it.
    #[serde(default, skip_serializing_if = "super::common::is_false")]
    pub archived: bool,

    /// The repository's page at GitHub.
    #[serde(default, rename = "htmlURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::URL))]
    pub html_url: Option<String>,

    /// Last value of the annotation `slipway.dev/reconcile` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::ANNOTATION))]
    pub observed_reconcile: Option<String>,

    /// A call that failed and will be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// A limit that GitHub has named for an account.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The end of the limit, to the minute: a limit that moves by less is not written again.
    pub until: Time,
    /// `RateLimited`: GitHub refused a call; `QuotaSpent`: the last of the account's calls for this hour is made.
    #[schemars(length(max = bounds::ID))]
    pub reason: String,
}

/// The webhook that the operator has made. Its counts move at most every ten minutes, or when `failing` changes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStatus {
    /// GitHub's id of it.
    #[schemars(range(min = 1))]
    pub id: i64,
    /// Where it delivers to.
    #[serde(default, rename = "url", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = bounds::URL))]
    pub url: String,
    /// Key and version of the Secret whose value GitHub was given: it never shows a secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = bounds::SECRET_VERSION))]
    pub secret_version: String,
    /// Time of the last delivery that arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,
    /// Number of deliveries that have not arrived and may still.
    #[serde(default, skip_serializing_if = "super::common::is_zero")]
    #[schemars(range(min = 0))]
    pub failing: i64,
    /// Number of deliveries that GitHub was told to send again.
    #[serde(default, skip_serializing_if = "super::common::is_zero")]
    #[schemars(range(min = 0))]
    pub redelivered: i64,
    /// Up to here all deliveries are settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<WebhookCheckpoint>,
}

/// An attempt in the log of a webhook's deliveries.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookCheckpoint {
    /// Time of the attempt.
    pub delivered_at: Time,
    /// GitHub's id of it.
    #[schemars(range(min = 0))]
    pub id: i64,
}
