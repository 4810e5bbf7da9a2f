//! All records of the E2B stand-in: teams, templates, sandboxes and their lifetimes, counters, switches.
//! Read and written by the lifecycle API, `gateway` and the tests' switches; time comes in as an argument.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::idempotency::Keys;
use super::machine::{Machine, Turn};
use super::options::{Options, Team, Template};
use super::snapshots::Snapshot;

/// One sandbox, as E2B records it.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Record {
    pub id: String,
    pub team: String,
    pub template: Template,
    pub metadata: BTreeMap<String, String>,
    pub has_metadata: bool,
    pub state: State,
    /// When the current run began; a resume is a new run.
    pub started_at: Timestamp,
    /// Running: when its time is over. Paused: when it was paused.
    pub end_at: Timestamp,
    pub auto_pause: bool,
    pub auto_resume: bool,
    pub allow_internet_access: Option<bool>,
    /// The timeout it was created with.
    pub timeout: Duration,
    pub token: String,
    pub machine: Arc<Machine>,
    /// Not in lists before this time.
    pub hidden_until: Option<Timestamp>,
    pub unreachable: Option<Unreachable>,
    /// So many GETs to come answer 404 although it lives: E2B does so where its own store fails.
    pub hidden_gets: u32,
    /// Its last pause kept no memory: it starts from its disk.
    pub without_memory: bool,
    /// Shown instead of its state: pausing, killing, snapshotting, or one that nobody knows.
    pub shown_as: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Running,
    Paused,
}

/// What the server makes of idempotency keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    #[default]
    Honour,
    /// It does not know the header: each request acts.
    Ignore,
    /// It has forgotten what became of the first request of a key.
    ForgetOutcomes,
}

/// How a sandbox that is running for the API does not answer. Both are a 502 of E2B's proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreachable {
    /// "The sandbox was not found": the proxy has no route to it.
    NotFound,
    /// "The sandbox is running but port is not open": its envd does not listen.
    PortClosed,
}

/// What happened so far. A sandbox that was created and killed counts in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Sandboxes that came up.
    pub creates: u64,
    /// Sandboxes killed by DELETE.
    pub deletes: u64,
    /// Sandboxes killed because their time was over.
    pub expired: u64,
    /// Sandboxes killed behind everybody's back.
    pub lost: u64,
    /// By the API, at expiry or behind everybody's back.
    pub pauses: u64,
    pub resumes: u64,
}

/// An error that E2B answers with.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
    #[serde(default)]
    pub error_code: Option<String>,
}

/// Everything, behind one lock.
pub struct Store {
    pub teams: Vec<Team>,
    pub templates: Vec<Template>,
    pub sandboxes: HashMap<String, Record>,
    pub keys: Keys,
    pub counters: Counters,
    /// Sandboxes that are being created or resumed, by team: they count as running.
    pub starting: HashMap<String, usize>,
    /// How long new sandboxes are missing from lists.
    pub hide_new: Duration,
    pub key_mode: KeyMode,
    /// Pauses that will fail; whether the sandbox is lost with it.
    pub failing_pauses: VecDeque<bool>,
    /// The next pauses keep the disk alone.
    pub degraded_pauses: u32,
    /// How long a time that is over goes unnoticed.
    pub overdue: Duration,
    /// The last snapshot of each sandbox: a kill by time-out leaves it, and the sandbox is `paused` with its files.
    pub snapshots: HashMap<String, Arc<Snapshot>>,
    /// How long a create takes, on top of what it really takes.
    pub create_latency: Duration,
    /// What the next creates are answered instead; recorded under their Idempotency-Key like any answer.
    pub refuse_creates: VecDeque<Refusal>,
}

impl Store {
    pub fn new(options: &Options) -> Self {
        Self {
            teams: options.teams.clone(),
            templates: options.templates.clone(),
            sandboxes: HashMap::new(),
            keys: Keys::default(),
            counters: Counters::default(),
            starting: HashMap::new(),
            hide_new: Duration::ZERO,
            key_mode: KeyMode::Honour,
            failing_pauses: VecDeque::new(),
            degraded_pauses: 0,
            overdue: Duration::ZERO,
            snapshots: HashMap::new(),
            create_latency: Duration::ZERO,
            refuse_creates: VecDeque::new(),
        }
    }

    pub fn team_of_key(&self, key: &str) -> Option<&Team> {
        self.teams.iter().find(|team| team.keys.iter().any(|known| known == key))
    }

    /// By name or id; a tag `:default` is the same.
    pub fn template(&self, reference: &str) -> Option<&Template> {
        let reference = reference.strip_suffix(":default").unwrap_or(reference);
        self.templates.iter().find(|template| template.name == reference || template.id() == reference)
    }

    /// A sandbox of this team; another team's is as unknown as one that never was.
    pub fn sandbox(&mut self, team: &str, id: &str) -> Option<&mut Record> {
        self.sandboxes.get_mut(id).filter(|record| record.team == team)
    }

    /// Takes a place among the team's running sandboxes; an error names the limit that is reached.
    pub fn reserve(&mut self, team: &Team) -> Result<(), usize> {
        let running = self
            .sandboxes
            .values()
            .filter(|record| record.team == team.name && record.state == State::Running);
        let taken = running.count() + self.starting.get(&team.name).copied().unwrap_or(0);
        if taken >= team.max_sandboxes {
            return Err(team.max_sandboxes);
        }
        *self.starting.entry(team.name.clone()).or_default() += 1;
        Ok(())
    }

    /// Gives back what `reserve` took: the sandbox counts by itself now, or never came up.
    pub fn release(&mut self, team: &str) {
        if let Some(starting) = self.starting.get_mut(team) {
            *starting = starting.saturating_sub(1);
        }
    }

    /// When the next running sandbox's time is over.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let running = self.sandboxes.values().filter(|record| record.state == State::Running);
        running.map(|record| later(record.end_at, self.overdue)).min()
    }

    /// Pauses or removes every sandbox whose time is over; its machine has to follow.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Followup> {
        let overdue = self.overdue;
        let due = |record: &Record| record.state == State::Running && later(record.end_at, overdue) <= now;
        let ids: Vec<String> =
            self.sandboxes.values().filter(|record| due(record)).map(|record| record.id.clone()).collect();
        let mut followups = Vec::new();
        for id in ids {
            let snapshot = self.snapshots.get(&id).cloned();
            let Some(record) = self.sandboxes.get_mut(&id) else { continue };
            let (machine, turn) = (Arc::clone(&record.machine), record.machine.next_turn());
            if record.auto_pause && self.failing_pauses.pop_front().is_none() {
                // It was paused when its time was over, however late somebody looks.
                record.state = State::Paused;
                record.without_memory = self.degraded_pauses > 0;
                self.degraded_pauses = self.degraded_pauses.saturating_sub(1);
                self.counters.pauses += 1;
                followups.push(Followup::Pause(machine, turn));
            } else if let Some(snapshot) = snapshot {
                // Killed, but nobody deletes its snapshot.
                record.state = State::Paused;
                record.end_at = snapshot.taken_at;
                record.without_memory = true;
                self.counters.expired += 1;
                followups.push(Followup::RollBack(machine, turn, snapshot));
            } else if let Some(record) = self.sandboxes.remove(&id) {
                self.counters.expired += 1;
                followups.push(Followup::Kill(record.machine));
            }
        }
        followups
    }
}

/// What a machine has to do after its record was changed.
pub enum Followup {
    Pause(Arc<Machine>, Option<Turn>),
    /// Stop, and go back to the files of then.
    RollBack(Arc<Machine>, Option<Turn>, Arc<Snapshot>),
    Kill(Arc<Machine>),
}

impl Followup {
    pub async fn run(self) {
        match self {
            Self::Pause(machine, turn) => {
                if let Err(error) = machine.pause(turn).await {
                    tracing::error!(%error, "pausing a sandbox failed");
                }
            }
            Self::RollBack(machine, turn, snapshot) => {
                let rolled_back = machine.pause(turn).await.and_then(|turn| {
                    snapshot.restore(&machine)?;
                    drop(turn);
                    Ok(())
                });
                if let Err(error) = rolled_back {
                    tracing::error!(%error, "rolling a sandbox back failed");
                }
            }
            Self::Kill(machine) => machine.kill().await,
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// When a sandbox's time is over that may still run for `timeout` from now: never later than its plan allows.
pub fn end_at(now: Timestamp, timeout: Duration, started_at: Timestamp, max_run: Duration) -> Timestamp {
    later(now, timeout).min(later(started_at, max_run))
}
