//! The merge queue of a branch: how a pull request stands towards it, into it, out of it. GitHub has it in GraphQL alone.
//! Beside `graphql`, whose answers it reads alike; `pulls` merges where there is no queue, `rules` tells whether there is one.
//!
//! Source: <https://docs.github.com/en/graphql/reference/mutations#enqueuepullrequest>.

use super::{
    Client, Error,
    call::{Call, Reply},
    checks::CheckState,
    classify::State,
    graphql::{Answer, InRepository, call, words},
    name::RepositoryName,
    operation::Operation,
    pulls::PullState,
    recent::Made,
    rollup::{Context, Rollup, Suite, newest, state_of},
};
use serde::Deserialize;
use serde_json::{Value, json};

const QUEUE_STATE: &str = include_str!("graphql/queue_state.graphql");
const QUEUE_PLACE: &str = include_str!("graphql/queue_place.graphql");
const ENQUEUE: &str = include_str!("graphql/enqueue_pull_request.graphql");
const DEQUEUE: &str = include_str!("graphql/dequeue_pull_request.graphql");
/// A commit with more pages of checks than these is read no further.
const MAX_PAGES: usize = 10;

/// A pull request on its way to a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    /// Its id in GraphQL, by which it is put into the queue and taken out.
    pub id: String,
    pub state: PullState,
    pub merged: bool,
    pub draft: bool,
    pub head_sha: String,
    /// `clean`, `blocked`, `behind`, `dirty`, `unstable`, `draft`, `has_hooks`, `unknown`.
    pub merge_state: String,
    /// Absent where no rule asks for a review.
    pub review_decision: Option<ReviewDecision>,
    pub in_queue: bool,
    /// Absent outside of the queue.
    pub entry: Option<QueueEntry>,
    /// The worst of all checks of the head; absent where it has none.
    pub rollup: Option<CheckState>,
    /// The checks of the head, the newest of each. A required one that nobody has begun is not among them.
    pub checks: Vec<QueueCheck>,
    /// Why `rollup` and `checks` are not all that GitHub has, in GitHub's words.
    pub unread: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewDecision {
    Approved,
    ChangesRequested,
    ReviewRequired,
    /// A word of GitHub's that is not known here.
    #[serde(other)]
    Unknown,
}

/// The place of a pull request in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueEntry {
    /// 1 is merged next.
    pub position: u32,
    pub state: QueueEntryState,
    #[serde(rename = "estimatedTimeToMerge")]
    pub estimated_seconds: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QueueEntryState {
    Queued,
    AwaitingChecks,
    Mergeable,
    Unmergeable,
    /// About to be merged: it can't be taken out any more.
    Locked,
    /// A word of GitHub's that is not known here.
    #[serde(other)]
    Unknown,
}

/// A check of the head of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCheck {
    pub name: String,
    pub state: CheckState,
    /// Whether a rule of the base branch asks for it.
    pub required: bool,
    /// The App that it is of; absent of a commit status.
    pub app: Option<u64>,
}

/// Result of putting a pull request into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the queue, by this call or since before.
    InQueue,
    /// The head is another commit, or GitHub has not seen the push yet.
    HeadChanged,
    /// Checks that are expected or have failed, missing reviews, conflicts, a draft, a closed one. GitHub's words.
    NotYet { message: String },
    /// The base branch has no queue.
    NoQueue,
}

/// Result of taking a pull request out of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dequeued {
    Left,
    /// GitHub says that it failed, which it does too where it succeeded: look whether the pull request is in the queue.
    Unclear,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queued {
    pull_request: PullAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullAnswer {
    id: String,
    state: String,
    merged: bool,
    #[serde(default)]
    is_draft: bool,
    head_ref_oid: String,
    merge_state_status: Option<String>,
    review_decision: Option<ReviewDecision>,
    is_in_merge_queue: bool,
    merge_queue_entry: Option<QueueEntry>,
    status_check_rollup: Option<Rollup>,
}

impl From<PullAnswer> for QueueState {
    fn from(answer: PullAnswer) -> Self {
        Self {
            id: answer.id,
            state: if answer.state == "OPEN" { PullState::Open } else { PullState::Closed },
            merged: answer.merged,
            draft: answer.is_draft,
            head_sha: answer.head_ref_oid,
            merge_state: answer.merge_state_status.map_or_else(|| "unknown".to_owned(), |s| s.to_lowercase()),
            review_decision: answer.review_decision,
            in_queue: answer.is_in_merge_queue,
            entry: answer.merge_queue_entry,
            rollup: answer.status_check_rollup.and_then(|rollup| rollup.state).as_deref().map(state_of),
            checks: Vec::new(),
            unread: None,
        }
    }
}

impl From<Context> for QueueCheck {
    fn from(context: Context) -> Self {
        let state = context.state();
        match context {
            Context::CheckRun(run) => {
                let app = run.check_suite.app["databaseId"].as_u64();
                Self { name: run.name, state, required: run.is_required.unwrap_or_default(), app }
            }
            Context::StatusContext(status) => {
                let required = status.is_required.unwrap_or_default();
                Self { name: status.context, state, required, app: None }
            }
        }
    }
}

/// What one answer tells of a pull request.
struct Page {
    state: QueueState,
    checks: Vec<Context>,
    /// Where the next checks begin.
    next: Option<String>,
}

impl Client {
    /// How a pull request stands towards a merge, with the first thousand checks of its head.
    pub async fn queue_state(&self, repository: &RepositoryName, number: u64) -> Result<QueueState, Error> {
        let Page { mut state, mut checks, mut next } = self.queue_page(repository, number, None).await?;
        let mut pages = 1;
        while let Some(cursor) = next {
            if pages == MAX_PAGES {
                state.unread.get_or_insert("there are more than a thousand".to_owned());
                break;
            }
            let page = self.queue_page(repository, number, Some(&cursor)).await?;
            if page.state.head_sha != state.head_sha {
                state.unread.get_or_insert("the head has moved while they were read".to_owned());
                break;
            }
            checks.extend(page.checks);
            state.unread = state.unread.or(page.state.unread);
            next = page.next;
            pages += 1;
        }
        state.checks = newest(checks, Suite::may_be_of).into_iter().map(Into::into).collect();
        Ok(state)
    }

    /// The same without its checks, which not every token may read.
    pub async fn queue_place(&self, repository: &RepositoryName, number: u64) -> Result<QueueState, Error> {
        let variables = json!({"owner": repository.owner, "name": repository.name, "number": number});
        let call = call(Operation::GetQueuePlace, QUEUE_PLACE, &variables)
            .about(repository)
            .needs(Made::Pull(number))
            .asks_for("/repository/pullRequest");
        let answer: Answer<InRepository<Queued>> = self.read(call).await?;
        let unread = Some("this token may not read checks".to_owned());
        Ok(QueueState { unread, ..answer.data.repository.pull_request.into() })
    }

    async fn queue_page(
        &self,
        repository: &RepositoryName,
        number: u64,
        after: Option<&str>,
    ) -> Result<Page, Error> {
        let variables =
            json!({"owner": repository.owner, "name": repository.name, "number": number, "after": after});
        let call = call(Operation::GetQueueState, QUEUE_STATE, &variables)
            .about(repository)
            .needs(Made::Pull(number))
            .asks_for("/repository/pullRequest");
        let answer: Answer<InRepository<Queued>> = self.read(call).await?;
        let mut pull = answer.data.repository.pull_request;
        let rollup = pull.status_check_rollup.as_mut();
        let contexts = rollup.map(|rollup| std::mem::take(&mut rollup.contexts)).unwrap_or_default();
        let next = contexts.page_info.end_cursor.clone().filter(|_| contexts.page_info.has_next_page);
        let (checks, odd) = contexts.contexts();
        let state = QueueState { unread: words(&answer.errors).or(odd), ..pull.into() };
        Ok(Page { state, checks, next })
    }

    /// Puts a pull request, by its id in GraphQL, into the queue of its base branch if its head is still `sha`.
    pub async fn enqueue(
        &self,
        repository: &RepositoryName,
        node_id: &str,
        sha: &str,
    ) -> Result<Enqueued, Error> {
        let operation = Operation::EnqueuePull;
        let variables = json!({"input": {"pullRequestId": node_id, "expectedHeadOid": sha}});
        let call = by_id(operation, ENQUEUE, &variables, repository, node_id);
        match self.send(call.needs(Made::Commit(sha.to_owned()))).await? {
            Reply::Success(_) | Reply::State(State::AlreadyExists) => Ok(Enqueued::InQueue),
            Reply::State(State::HeadChanged) => Ok(Enqueued::HeadChanged),
            Reply::State(State::NotMergeable { message }) => Ok(Enqueued::NotYet { message }),
            Reply::State(State::Absent) => Ok(Enqueued::NoQueue),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// Takes a pull request, by its id in GraphQL, out of the queue.
    pub async fn dequeue(&self, repository: &RepositoryName, node_id: &str) -> Result<Dequeued, Error> {
        let operation = Operation::DequeuePull;
        let variables = json!({"input": {"id": node_id}});
        match self.send(by_id(operation, DEQUEUE, &variables, repository, node_id)).await? {
            Reply::Success(_) => Ok(Dequeued::Left),
            Reply::State(State::Unclear) => Ok(Dequeued::Unclear),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}

fn by_id<'a>(
    operation: Operation,
    document: &str,
    variables: &Value,
    repository: &'a RepositoryName,
    node_id: &str,
) -> Call<'a> {
    call(operation, document, variables).about(repository).needs(Made::Node(node_id.to_owned()))
}
