//! What was asked for, held against what is done and published: the invariants of a Task's rounds.
//! `drive` asks at each write, `effects` and `github` at each step; `invariants` holds what stands in one status alone.

use super::{others::THEIRS, *};
use crate::{
    api::{Phase, RERUN_ANNOTATION, State, TaskSpec},
    domain::{input, pull_request::marker, retry},
};
use kube::ResourceExt;

/// What a commit was made of.
#[derive(Debug, Clone)]
pub(super) struct Made {
    files: String,
    input: String,
    publication: String,
    /// Title and text for its pull request.
    text: (String, String),
}

impl Made {
    pub(super) fn of(task: &Task, status: &TaskStatus, files: &str) -> Self {
        let (input, publication) = (input::digest(&task.spec), input::publication_digest(&task.spec));
        Self {
            files: files.into(),
            input,
            publication,
            text: pull_request_text(task, status, &crate::domain::output::Output::default()),
        }
    }
}

/// A status in one line, without what it tells people.
pub(super) fn short(status: &TaskStatus) -> String {
    let status = TaskStatus { conditions: Vec::new(), ..status.clone() };
    serde_json::to_string(&status).expect("JSON")
}

/// The input by which a command is started.
pub(super) fn asked(spec: &TaskSpec) -> String {
    input::digest(spec)
}

impl World {
    /// A commit that a branch is to stand at: made by a command that was asked for just that.
    pub(super) fn check_commit(&self, sha: &str) {
        let status = self.status();
        let told = || format!("{sha}: {}", short(&status));
        let parent = status.parent_sha.clone().unwrap_or_default();
        assert!(github::stands_on(sha, &parent), "it stands on its parent: {}", told());
        let Some(made) = self.github.commits.get(sha) else { panic!("nobody made {}", told()) };
        assert_eq!(Some(&made.input), status.input_digest.as_ref(), "another input: {}", told());
        assert_eq!(
            Some(&made.publication),
            status.publication_digest.as_ref(),
            "another publication: {}",
            told()
        );
        let runs = source_generation(&self.task, &status).is_some();
        if let Some(asked) = made.files.strip_prefix("made of ").filter(|_| runs) {
            assert_eq!(Some(asked), status.input_digest.as_deref(), "made of another input: {}", told());
        }
        assert!(!runs || made.files != THEIRS, "another Task's files: {}", told());
    }

    /// A pull request that is to be opened: to the branch that its commit was made from, in the words of then.
    pub(super) fn check_publication(&self, status: &TaskStatus) {
        let sha = status.commit_sha.clone().unwrap_or_default();
        let publication = status.publication.as_ref().expect("fixed with the commit");
        assert_eq!(Some(&publication.base), status.base_branch.as_ref(), "to the branch it was made from");
        let base = status.base_sha.clone().unwrap_or_default();
        // A copy may be behind the base.
        let parent = status.parent_sha.clone().unwrap_or_default();
        let from = github::stands_on(&sha, &parent) && github::stands_on(&base, &parent);
        assert!(
            from || github::stands_on(&sha, &base),
            "{sha} is made neither from {base} nor from {parent}"
        );
        if let Some(tip) = self.github.branches.get(&publication.base) {
            assert!(github::stands_on(tip, &base), "{base} is not of {}: {tip}", publication.base);
        }
        if let Some(made) = self.github.commits.get(&sha) {
            assert_eq!((&publication.title, &publication.body), (&made.text.0, &made.text.1));
        }
    }

    /// A round on an open pull request is made from the branch that this goes to.
    pub(super) fn check_base(&self, branch: &str) {
        let status = self.status();
        let known = status.pull_request.as_ref().map(|pull| pull.number);
        let base = self.github.pulls.iter().find(|pull| Some(pull.number) == known).map(|pull| &pull.base);
        assert_eq!(base, status.base_branch.as_ref(), "{branch} goes elsewhere: {}", short(&status));
    }

    /// A run that is given up was really lost: one for nothing may be the last that is allowed.
    fn check_loss(&self, old: &TaskStatus, new: &TaskStatus) {
        let (Some(given_up), Some(run)) = (old.code_generations.last(), new.code_generations.last()) else {
            return;
        };
        let round =
            |run: &crate::api::CodeGeneration| run.id.rsplit_once('-').map(|(round, _)| round.to_owned());
        let walks = self.others.is_some();
        if !walks
            || given_up.id == run.id
            || round(given_up) != round(run)
            || given_up.sandbox_id != run.sandbox_id
        {
            return;
        }
        let process = self.processes.iter().find(|process| process.generation == given_up.id);
        let ended = process.is_none_or(|process| process.dead || process.signalled);
        let others = process.is_some_and(|process| self.times_others_began(&run.sandbox_id) > process.after);
        let older = self.sandboxes.iter().any(|view| view.rolled_back_at.is_some());
        assert!(ended || others || older, "nothing was lost: from {}\nto {}", short(old), short(new));
    }

    /// What a write of the operator's own changes.
    pub(super) fn check_change(&self, old: &TaskStatus, new: &TaskStatus) {
        let told = || format!("from {}\nto {}", short(old), short(new));
        let asked = |status: &TaskStatus| {
            (status.input_digest.clone(), status.publication_digest.clone(), status.observed_rerun.clone())
        };
        if let (Some(before), Some(now)) = (old.round, new.round) {
            assert!(now == before || now == before + 1, "rounds are counted: {}", told());
            assert!(now == before || asked(old) != asked(new), "a round that nobody asked for: {}", told());
            let begun = old.base_sha.is_some() || !scope::is_under_way(old);
            let acted = now > before || !begun || new.state == State::Done;
            assert!(acted || old.observed_rerun == new.observed_rerun, "a rerun is lost: {}", told());
        }
        if let (Some(before), Some(now)) = (&old.pull_request, &new.pull_request) {
            let back = before.number == now.number && now.updated_at < before.updated_at;
            // Whoever lags for longer than a minute is believed.
            assert!(
                !back || retry::has_looked(old.retry.as_ref(), "getPullRequest"),
                "older news: {}",
                told()
            );
        }
        self.check_loss(old, new);
        let under_way = new.phase.is_some_and(|phase| phase < Phase::Committed);
        let needed = under_way || round::live_run(&self.task, new).is_some();
        let gone = self.task.metadata.deletion_timestamp.is_some();
        assert!(needed || gone || new.sandbox_request.is_none(), "a request without a need: {}", told());
        if is_true(&new.conditions, names::READY)
            && self.reason() != "Suspended"
            && !gone
            && new.state != State::Done
        {
            match round::input(&self.task, new) {
                round::Input::Changed => panic!("a change waits unnoticed: {}", told()),
                round::Input::Publication => assert!(
                    self.message().contains("waits for the next round"),
                    "a change waits without a word: {}",
                    told()
                ),
                round::Input::New | round::Input::Same => {}
            }
        }
        if new.state == State::Done {
            self.check_done(new);
        }
    }

    /// Only the Task's own pull request ends it.
    fn check_done(&self, status: &TaskStatus) {
        let stored = status.pull_request.as_ref().expect("done by a pull request");
        let pull = self.github.pulls.iter().find(|pull| pull.number == stored.number).expect("at GitHub");
        let uid = self.task.uid().unwrap_or_default();
        let ours = (1..=status.round.unwrap_or(1)).any(|round| pull.body.ends_with(&marker(&uid, round)));
        assert!(ours, "done by another's pull request: {pull:?}");
    }

    /// After each pass: commands run only for the round that is on, in a sandbox that is the Task's to use.
    pub(super) fn check_commands(&self) {
        let status = self.status();
        let gone = self.task.metadata.deletion_timestamp.is_some();
        for process in self.commands() {
            let live = round::live_run(&self.task, &status);
            assert!(
                gone || live.is_some_and(|run| run.id == process.generation),
                "the command of a round that is over runs on: {process:?} {}",
                short(&status)
            );
            if self.others.is_some() {
                let turn = self.has_turn_in(&process.sandbox);
                assert!(
                    gone || turn,
                    "without the turn: {process:?} {} {:?}",
                    short(&status),
                    self.sandboxes
                );
            }
        }
        let moving = status.phase == Some(Phase::Collecting);
        assert!(moving || self.spool_is_tidy(), "room in the spool: {:?} {}", self.spool, short(&status));
    }

    fn spool_is_tidy(&self) -> bool {
        let mut again = self.clone();
        again.tidy_spool();
        again.spool.is_empty()
    }

    /// In the end every rerun was acted on, or refused with a word.
    pub(super) fn check_rerun(&self) {
        let asked = self.task.annotations().get(RERUN_ANNOTATION);
        assert_eq!(asked, asked.and(self.status().observed_rerun.as_ref()), "a rerun is lost");
    }
}
