//! What a Task is not alone with in the random walks: another Task in its Sandboxes, stores that lag, late news.
//! Used by `events` and `walk`; `drive` asks it what a pass sees.

use super::{
    dice::Dice,
    world::{E2bSandbox, UID, sandbox},
    *,
};
use crate::{
    api::{SandboxRequest, SandboxSpec},
    domain::{pull_request::ObservedPullRequest, turn},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::VecDeque;

const OTHER: &str = "99999999-0000-4000-8000-000000000000";
/// Files that another Task has left in a sandbox.
pub(super) const THEIRS: &str = "theirs";

/// A store: what is seen, then what has become of it since. It never goes back.
#[derive(Debug, Clone, Default)]
struct Store<T>(VecDeque<T>);

impl<T> Store<T> {
    fn advance(&mut self, live: T, dice: &mut Dice) {
        self.0.push_back(live);
        let behind = if dice.one_in(2) { 0 } else { dice.below(self.0.len()) };
        self.0.drain(..self.0.len() - 1 - behind);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Others {
    /// Another Task, which asks for the Sandbox `box` now and then.
    task: Task,
    /// In which sandboxes other Tasks have begun, and when.
    began: Vec<(String, Timestamp)>,
    repositories: Store<Option<RepositoryView>>,
    sandboxes: Store<Vec<SandboxView>>,
    /// The stores are as old as walks make them; otherwise they are up to date.
    pub lag: bool,
    /// The Task as it was since its own last write: a pass may see any of these.
    pub versions: Vec<Task>,
    /// Deliveries that are on their way, or come again.
    pub mail: Vec<ObservedPullRequest>,
}

impl World {
    /// From now on the Task is not alone.
    pub(super) fn meet_others(&mut self) {
        let mut task = world::task("other", OTHER, self.task.spec.clone(), self.now);
        task.status = Some(TaskStatus::default());
        let began = Vec::new();
        let (repositories, sandboxes) = (Store::default(), Store::default());
        let others = Others {
            task,
            began,
            repositories,
            sandboxes,
            lag: true,
            versions: Vec::new(),
            mail: Vec::new(),
        };
        self.others = Some(others);
        for (name, owner) in [("box", None), ("second", None), ("theirs", Some(OTHER))] {
            if self.sandboxes.iter().any(|view| view.name == name) {
                continue;
            }
            let id = format!("sb{}", self.boxes.len() + 1);
            let files = Some("by hand".into()).filter(|_| name == "second");
            self.boxes.push(E2bSandbox {
                id: id.clone(),
                of: name.into(),
                alive: true,
                files,
                ..Default::default()
            });
            self.sandboxes.push(SandboxView {
                id: Some(id),
                incarnation: 1,
                running: true,
                health: Health::Ready,
                ..sandbox(name, owner, SandboxSpec::default())
            });
        }
        self.remember();
    }

    /// Keeps the Task as it is now for a pass that sees it late.
    pub(super) fn remember(&mut self) {
        if let Some(others) = &mut self.others
            && others.versions.last() != Some(&self.task)
        {
            others.versions.push(self.task.clone());
        }
    }

    /// The stores go on, or not yet; the next pass may see the Task as it was.
    pub(super) fn time_goes_on(&mut self, dice: &mut Dice) {
        let (repository, sandboxes) = (self.repository.clone(), self.sandboxes.clone());
        let Some(others) = &mut self.others else { return };
        others.repositories.advance(repository, dice);
        others.sandboxes.advance(sandboxes, dice);
        self.stale = (dice.one_in(4)).then(|| dice.one_of(&others.versions));
    }

    /// Everything that lags is seen, and the other Task has gone.
    pub(super) fn be_up_to_date(&mut self) {
        self.stale = None;
        if let Some(others) = &mut self.others {
            others.lag = false;
            others.task.status = None;
        }
        self.give_turns();
    }

    /// What a pass sees of the cluster beside the Task.
    pub(super) fn seen(&self, others: &Others) -> Context {
        let repositories = others.repositories.0.front().filter(|_| others.lag);
        let sandboxes = others.sandboxes.0.front().filter(|_| others.lag);
        let sandboxes = sandboxes.unwrap_or(&self.sandboxes).clone();
        let source = source_generation(&self.task, &self.status()).map(|run| run.sandbox_id.clone());
        let began = others.began.iter().filter(|(sandbox, _)| Some(sandbox) == source.as_ref());
        Context {
            repository: repositories.unwrap_or(&self.repository).clone(),
            place: turn::place(&self.task, [&others.task]),
            others_began: began.map(|(_, at)| *at).max(),
            sandboxes,
            ..Context::default()
        }
    }

    /// The controller of shared Sandboxes gives the turn, by the Tasks as they are.
    pub(super) fn give_turns(&mut self) {
        let Some(others) = &self.others else { return };
        for view in self.sandboxes.iter_mut().filter(|view| view.owner.is_none()) {
            let tasks = [Some(&self.task).filter(|_| !self.released), Some(&others.task)];
            let tasks = tasks.into_iter().flatten();
            view.holder = turn::grant(view.holder.as_ref(), &view.name, tasks).holder;
        }
    }

    /// The other Task asks for the turn, works in its turn, or gives it back.
    pub(super) fn other_task(&mut self, dice: &mut Dice) {
        let now = self.now;
        let Some(others) = &mut self.others else { return };
        let status = others.task.status.get_or_insert_default();
        let holds = self.sandboxes.iter().find(|view| {
            view.holder.as_ref().is_some_and(|holder| holder.uid == OTHER) && view.owner.is_none()
        });
        match (&status.sandbox_request, holds.and_then(|view| view.id.clone())) {
            (None, _) => {
                status.sandbox_request = Some(SandboxRequest {
                    id: format!("other-{}", now.as_second()),
                    sandbox_name: dice.one_of(&["box", "box", "second"]).into(),
                    since: Time(now),
                    unreachable_since: None,
                    resting: false,
                    begun: None,
                });
            }
            (Some(_), Some(id)) if dice.one_in(2) => {
                others.began.push((id.clone(), now));
                for e2b in self.boxes.iter_mut().filter(|e2b| e2b.id == id) {
                    e2b.files = Some(THEIRS.into());
                    e2b.tree = None;
                }
                assert!(!self.has_command_in(&id), "two Tasks work in {id}");
            }
            _ => status.sandbox_request = None,
        }
    }

    /// How often another Task has begun in this sandbox.
    pub(super) fn times_others_began(&self, id: &str) -> usize {
        let began = self.others.iter().flat_map(|others| &others.began);
        began.filter(|(sandbox, _)| sandbox == id).count()
    }

    /// Whether the Task has the turn in this sandbox, or needs none there.
    pub(super) fn has_turn_in(&self, id: &str) -> bool {
        let view = self.sandboxes.iter().find(|view| view.id.as_deref() == Some(id));
        view.is_none_or(|view| match &view.owner {
            // What was given away while a command runs in it is left as soon as E2B answers.
            Some(owner) => [UID, "another"].contains(&owner.uid.as_str()),
            None => view.holder.as_ref().is_some_and(|holder| holder.uid == UID),
        })
    }
}
