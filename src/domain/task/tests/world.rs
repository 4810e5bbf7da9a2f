//! The world as data: one Task, its Repository and Sandbox, what E2B and GitHub have. Changed by people, time and
//! `drive`; nothing here decides anything about the Task.

use super::{faults::Faults, github::GitHub, others::Others, *};
use crate::{
    api::{RERUN_ANNOTATION, SandboxSpec, TaskSpec},
    domain::failure::{Class, Failure},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const UID: &str = "0123abcd-0000-4000-8000-000000000000";
pub(super) const START: i64 = 1_800_000_000;

/// An E2B sandbox.
#[derive(Debug, Clone, Default)]
pub(super) struct E2bSandbox {
    pub id: String,
    /// Name of the Sandbox it stands for.
    pub of: String,
    pub alive: bool,
    pub files: Option<String>,
    /// What it was made from.
    pub template: String,
    /// The commit that is checked out, and the attempt that it was made for.
    pub tree: Option<(String, String)>,
}

/// A started command: its directory in one sandbox.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub generation: String,
    pub sandbox: String,
    pub ends: Timestamp,
    pub code: i32,
    /// Its process is gone without an exit code.
    pub dead: bool,
    /// A signal ended it.
    pub signalled: bool,
    /// The input it was started with.
    pub input: String,
    /// What it made lies in its sandbox.
    pub finished: bool,
    /// How often another Task had begun there before it.
    pub after: usize,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub now: Timestamp,
    pub task: Task,
    pub released: bool,
    pub repository: Option<RepositoryView>,
    pub sandboxes: Vec<SandboxView>,
    /// Another Task that has the turn in a shared Sandbox.
    pub holder: Option<String>,
    /// When another Task last began in the shared Sandbox.
    pub others_began: Option<Timestamp>,
    /// The Sandboxes' events come late: the Task sees them as they were.
    pub lagging: Option<Vec<SandboxView>>,
    pub boxes: Vec<E2bSandbox>,
    pub processes: Vec<Process>,
    pub github: GitHub,
    pub spool: BTreeMap<String, String>,
    /// Commands work in a copy of the repository that is one commit behind, where there is an older one.
    pub copies: bool,
    /// What the sandbox has besides its files.
    pub remarks: Remarks,
    /// Seconds that a command runs, its exit code, and the files it makes.
    pub command: (i64, i32, Option<String>),
    pub faults: Faults,
    pub dead_since: BTreeMap<String, Timestamp>,
    pub signalled_since: BTreeMap<String, Timestamp>,
    pub pull_read: Option<PullRead>,
    pub status_writes: Vec<String>,
    pub calls: Vec<(Timestamp, &'static str)>,
    pub effects: Vec<String>,
    pub notes: Vec<&'static str>,
    /// The pass is abandoned at this point from now.
    pub fuse: Option<usize>,
    pub points: usize,
    /// Other Tasks and late stores, in random walks.
    pub others: Option<Others>,
    /// The next pass sees the Task as it was.
    pub stale: Option<Task>,
    /// The Task as it is, while a pass sees it as it was.
    pub fresh: Option<Task>,
}

impl World {
    /// A Task with a Sandbox of its own and a command.
    pub(super) fn new() -> Self {
        Self::of(&json!({"sandboxTemplate": {"spec": {}}, "generate": {"command": ["make"]}}))
    }

    /// A Task in the shared Sandbox `box`, which runs.
    pub(super) fn shared() -> Self {
        let mut world = Self::of(&json!({"sandboxRef": {"name": "box"}, "generate": {"command": ["make"]}}));
        world.boxes.push(E2bSandbox {
            id: "sb1".into(),
            of: "box".into(),
            alive: true,
            ..E2bSandbox::default()
        });
        world.sandboxes.push(SandboxView {
            id: Some("sb1".into()),
            incarnation: 1,
            running: true,
            health: Health::Ready,
            ..sandbox("box", None, SandboxSpec::default())
        });
        world
    }

    /// A Task whose command works in a checkout of the repository.
    pub(super) fn with_checkout() -> Self {
        Self::of(&json!({"sandboxTemplate": {"spec": {}}, "generate": {"command": ["make"]},
            "source": {"path": "/app", "checkout": {}}}))
    }

    /// A Task without a command: the files are in the shared Sandbox already.
    pub(super) fn without_command() -> Self {
        let mut world = Self::shared();
        world.task.spec.generate = None;
        world.boxes[0].files = Some("by hand".into());
        world
    }

    fn of(fields: &Value) -> Self {
        let mut spec = json!({"title": "Do it", "repositoryRef": {"name": "r"}, "source": {"path": "/app"}});
        for (key, value) in fields.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        let spec: TaskSpec = serde_json::from_value(spec).expect("valid");
        let now = Timestamp::from_second(START).expect("in range");
        Self {
            now,
            task: task("t", UID, spec, now),
            released: false,
            repository: Some(repository()),
            sandboxes: Vec::new(),
            holder: None,
            others_began: None,
            lagging: None,
            boxes: Vec::new(),
            processes: Vec::new(),
            github: GitHub::new(),
            copies: false,
            remarks: Remarks::default(),
            spool: BTreeMap::new(),
            command: (12, 0, Some("made".into())),
            faults: Faults::default(),
            dead_since: BTreeMap::new(),
            signalled_since: BTreeMap::new(),
            pull_read: None,
            status_writes: Vec::new(),
            calls: Vec::new(),
            effects: Vec::new(),
            notes: Vec::new(),
            fuse: None,
            points: 0,
            others: None,
            stale: None,
            fresh: None,
        }
    }

    pub(super) fn status(&self) -> TaskStatus {
        self.task.status.clone().unwrap_or_default()
    }

    pub(super) fn row(&self) -> Row {
        let status = self.status();
        (status.state, status.column, status.build_status)
    }

    pub(super) fn reason(&self) -> String {
        self.reason_of(names::READY)
    }

    pub(super) fn reason_of(&self, type_: &str) -> String {
        find(&self.status().conditions, type_).map_or_else(String::new, |found| found.reason.clone())
    }

    pub(super) fn message(&self) -> String {
        find(&self.status().conditions, names::READY).map_or_else(String::new, |ready| ready.message.clone())
    }

    pub(super) fn holds(&self, type_: &str) -> bool {
        is_true(&self.status().conditions, type_)
    }

    /// Somebody edits the spec.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut TaskSpec)) {
        let before = self.task.spec.clone();
        change(&mut self.task.spec);
        if self.task.spec != before {
            *self.task.metadata.generation.get_or_insert(0) += 1;
        }
    }

    /// The template of its own Sandbox; the default one where it has none.
    pub(super) fn template(&self) -> SandboxSpec {
        self.task.spec.sandbox_template.as_ref().map(|template| template.spec.clone()).unwrap_or_default()
    }

    /// Somebody edits the template.
    pub(super) fn edit_template(&mut self, change: impl FnOnce(&mut SandboxSpec)) {
        self.edit(|spec| {
            if let Some(template) = &mut spec.sandbox_template {
                change(&mut template.spec);
            }
        });
    }

    pub(super) fn annotate(&mut self, name: &str, value: &str) {
        self.task.annotations_mut().insert(name.into(), value.into());
    }

    pub(super) fn rerun(&mut self, value: &str) {
        self.annotate(RERUN_ANNOTATION, value);
    }

    /// Somebody deletes the Task; without a finalizer it is gone at once.
    pub(super) fn delete(&mut self) {
        if self.task.finalizers().is_empty() {
            self.released = true;
        } else if self.task.metadata.deletion_timestamp.is_none() {
            self.task.metadata.deletion_timestamp = Some(Time(self.now));
            *self.task.metadata.generation.get_or_insert(0) += 1;
        }
    }

    /// The Sandbox that the Task works in or would like to.
    pub(super) fn sandbox(&self) -> Option<&SandboxView> {
        let name = crate::domain::demand::sandbox_name(&self.task);
        self.sandboxes.iter().find(|view| view.name == name).or(self.sandboxes.last())
    }

    pub(super) fn sandbox_mut(&mut self) -> Option<&mut SandboxView> {
        let name = self.sandbox()?.name.clone();
        self.sandboxes.iter_mut().find(|view| view.name == name)
    }

    /// E2B has lost the sandbox.
    pub(super) fn lose_sandbox(&mut self) {
        if let Some(view) = self.sandbox_mut() {
            view.running = false;
            view.health = Health::NotReady("the sandbox is gone".into());
            let id = view.id.clone();
            for lost in self.boxes.iter_mut().filter(|e2b| Some(&e2b.id) == id.as_ref()) {
                lost.alive = false;
            }
        }
    }

    /// E2B does not show the sandbox; a second look is to tell whether it is gone.
    pub(super) fn miss_sandbox(&mut self, missing: bool) {
        if let Some(view) = self.sandbox_mut() {
            (view.running, view.missing) = (!missing, missing);
            let missed = Health::NotReady("E2B neither shows nor lists it (SandboxMissing)".into());
            view.health = if missing { missed } else { Health::Ready };
        }
    }

    /// E2B has paused the sandbox: its processes stand still, nothing is lost.
    pub(super) fn pause_sandbox(&mut self) {
        if let Some(view) = self.sandbox_mut() {
            view.running = false;
            view.health = Health::Ready;
        }
    }

    /// Something kills the command.
    pub(super) fn kill_process(&mut self) {
        let now = self.now;
        for process in self.processes.iter_mut().filter(|process| process.ends > now) {
            process.dead = true;
        }
    }

    /// What the Sandbox controller does meanwhile: one thing at a time, and only for a Task that needs it.
    pub(super) fn sandbox_controller(&mut self) {
        self.give_turns();
        for gone in self.sandboxes.extract_if(.., |view| view.deleting) {
            self.boxes.iter_mut().filter(|e2b| e2b.of == gone.name).for_each(|e2b| e2b.alive = false);
        }
        let needed = crate::domain::demand::of(&self.task) == crate::domain::demand::Demand::Work;
        let asked = self.status().sandbox_request.map(|request| request.sandbox_name);
        let view = self.sandboxes.iter_mut().find(|view| Some(&view.name) == asked.as_ref() && !view.running);
        let comes_up = |view: &&mut SandboxView| !view.missing && !matches!(view.health, Health::Stalled(_));
        let Some(view) = view.filter(|view| needed && comes_up(view)) else {
            return;
        };
        let known = self.boxes.iter().any(|e2b| e2b.alive && Some(&e2b.id) == view.id.as_ref());
        if !known && view.health != Health::NotReady("creating".into()) {
            view.health = Health::NotReady("creating".into());
            return;
        }
        if !known {
            let id = format!("sb{}", self.boxes.len() + 1);
            let template = view.spec.template.clone();
            self.boxes.push(E2bSandbox {
                id: id.clone(),
                of: view.name.clone(),
                alive: true,
                template,
                ..E2bSandbox::default()
            });
            view.id = Some(id);
            view.incarnation += 1;
        }
        view.running = true;
        view.health = Health::Ready;
    }

    /// Processes of the Task that live now.
    pub(super) fn commands(&self) -> impl Iterator<Item = &Process> {
        let lives = |id: &str| self.boxes.iter().any(|e2b| e2b.alive && e2b.id == id);
        let runs = |process: &Process| process.ends > self.now && !process.dead && !process.signalled;
        self.processes.iter().filter(move |process| runs(process) && lives(&process.sandbox))
    }

    pub(super) fn alive(&self) -> usize {
        self.commands().count()
    }

    pub(super) fn has_command_in(&self, sandbox: &str) -> bool {
        self.commands().any(|process| process.sandbox == sandbox)
    }

    pub(super) fn pass_time(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// How often a step of this name was made.
    pub(super) fn made(&self, step: &str) -> usize {
        self.effects.iter().filter(|effect| effect.starts_with(step)).count()
    }
}

/// A Sandbox that nobody has looked at.
pub(super) fn sandbox(name: &str, owner: Option<&str>, spec: SandboxSpec) -> SandboxView {
    SandboxView {
        name: name.into(),
        id: None,
        incarnation: 0,
        running: false,
        missing: false,
        paused_seconds: 0,
        rolled_back_at: None,
        health: Health::NotReady("creating".into()),
        owner: owner.map(|uid| OwnerView { uid: uid.into(), name: "Task t".into() }),
        deleting: false,
        holder: None,
        spec,
    }
}

pub(super) fn repository() -> RepositoryView {
    RepositoryView {
        id: Some(7),
        base_branch: Some("main".into()),
        health: Health::Ready,
        suspended: false,
        sync_interval: SignedDuration::from_secs(300),
        checks_expected: true,
    }
}

pub(super) fn task(name: &str, uid: &str, spec: TaskSpec, created: Timestamp) -> Task {
    let mut task = Task::new(name, spec);
    task.metadata.namespace = Some("n".into());
    task.metadata.uid = Some(uid.into());
    task.metadata.generation = Some(1);
    task.metadata.creation_timestamp = Some(Time(created));
    task
}

pub(super) fn failure(operation: &'static str, class: Class, reason: &'static str) -> Failure {
    Failure { operation, class, reason, message: "something is broken".into() }
}
