//! The repository into the sandbox: the operator fetches the pack and passes it on as it comes, the sandbox's own git takes it
//! in meanwhile. Part of the Task controller, asked before an attempt starts; `github` sends the pack, envd takes it.
//!
//! No credential enters the sandbox. A marker in `.git/slipway` names what is checked out for which attempt: doing it again
//! does it once.

mod failures;
mod pieces;
mod said;

use super::{
    TaskController,
    files::{FilesError, Permit, SANDBOX_USER, cut, git_command, is_full},
};
use crate::{
    api::{Clean, RERUN_ANNOTATION, Task, conditions::reason},
    domain::{failure::Failure, task::Checkout},
    e2b::{Command, Envd},
    github::{Client, RepositoryName, WantedPack},
};
use failures::{OPERATION, interrupted, invalid, too_large};
use jiff::Timestamp;
use kube::ResourceExt;
use pieces::Pieces;
use said::{Run, Said};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const CHECKOUT: &str = include_str!("checkout/checkout.sh");
const OWN: &str = include_str!("checkout/own.sh");
/// Bytes of the answer of the other commands.
const MAX_OUTPUT: usize = 16 << 10;
/// Time limit of a run, the pack's way included: a pass takes no longer.
const RUN_TIMEOUT: Duration = Duration::from_mins(15);
/// Time limit of making files belong to the sandbox's user, and of removing what has come.
const OWN_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that envd gets to say that it has a pack with which git has done all by then.
const SETTLE: Duration = Duration::from_secs(5);
/// Time after which a run that has all that came of a pack is told that this was all.
const PATIENCE: Duration = Duration::from_secs(2);

/// Exit code of own.sh where the directory is not the checkout's.
const NOT_OURS: i32 = 3;
/// Counts the runs of the script in this process.
static RUNS: AtomicU64 = AtomicU64::new(0);

impl TaskController {
    /// Checks the commit out, once for each attempt. `None`: it is there; otherwise why it waits.
    pub(super) async fn check_out(
        &self,
        task: &Task,
        checkout: &Checkout,
    ) -> Result<Option<&'static str>, Failure> {
        let envd = self.envd(task, &checkout.sandbox).await?;
        let at = self.at_github(task).await?;
        let namespace = task.namespace().unwrap_or_default();
        let max_bytes = self.caps.max_checkout_bytes;
        if self.memory().is_too_large(checkout, Timestamp::now()) {
            return Err(too_large(max_bytes));
        }
        let work = CheckingOut { envd: &envd, github: &at.client, repository: &at.name, checkout, max_bytes };
        let done = work.run(self.transfers.try_acquire(&namespace)).await;
        if done.as_ref().is_err_and(|failure| failure.reason == reason::CHECKOUT_TOO_LARGE) {
            self.memory().remember_too_large(checkout, Timestamp::now());
        }
        done
    }
}

/// Whether a run that began then may still be at work: after its time something is wrong with it.
fn is_in_time(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since).unsigned_abs() < RUN_TIMEOUT
}

/// One checkout, and what it needs.
#[derive(Clone, Copy)]
pub struct CheckingOut<'a> {
    pub envd: &'a Envd,
    pub github: &'a Client,
    pub repository: &'a RepositoryName,
    pub checkout: &'a Checkout,
    /// Most that the pack may take.
    pub max_bytes: u64,
}

impl CheckingOut<'_> {
    /// Checks the commit out, once for each attempt. `None`: it is there; otherwise why it waits. A pack is fetched only with
    /// a permit.
    pub async fn run(self, permit: Option<Permit>) -> Result<Option<&'static str>, Failure> {
        let mut said = self.attempt(permit.is_some()).await?;
        if let Said::Denied { owner, .. } = &said {
            self.own(owner).await?;
            said = self.attempt(permit.is_some()).await?;
        }
        match said {
            Said::Ready => Ok(None),
            Said::Fetch(_) => Ok(Some(FilesError::WaitingForTransfer.reason())),
            // An operator that was stopped has left it: nothing has failed, and its end may be near.
            Said::Busy { since: Some(since) } if is_in_time(since, Timestamp::now()) => {
                Ok(Some(reason::CHECKING_OUT))
            }
            Said::Busy { .. } => Err(interrupted("another checkout is still at work in the sandbox")),
            Said::GitMissing => Err(invalid(
                reason::GIT_MISSING,
                "the sandbox has no git, which a checkout needs: take a template with git".to_owned(),
            )),
            Said::Occupied(names) => Err(self.occupied(&names)),
            Said::Denied { words, .. } | Said::Failed(words) => Err(self.failed(&words)),
        }
    }

    /// Lets the sandbox check out, and brings the pack if it needs one, and may have it.
    async fn attempt(&self, brings: bool) -> Result<Said, Failure> {
        let mut run = Run::start(self.envd, self.script(brings)).await?;
        let file = match run.said().await? {
            Said::Fetch(file) if brings => file,
            said => return Ok(said),
        };
        let said = self.fed(&mut run, &file).await;
        if said != Ok(Said::Ready) {
            self.drop_part(&file).await;
        }
        said
    }

    /// Brings the pack to a run that waits for it; what the run says in the end. One that ends early knows why.
    async fn fed(&self, run: &mut Run, file: &str) -> Result<Said, Failure> {
        let bring = self.bring(file);
        tokio::pin!(bring);
        let said = tokio::select! {
            biased;
            said = run.said() => said?,
            brought = &mut bring => {
                brought?;
                return self.verdict(run, file).await;
            }
        };
        if said == Said::Ready {
            // Git knows the end of a pack when it sees it: the answer to the upload is on its way.
            let _ = tokio::time::timeout(SETTLE, bring).await;
        }
        Ok(said)
    }

    /// What a run says that has all of its pack. Git sees by itself where a pack ends, and waits for the rest of half a pack.
    async fn verdict(&self, run: &mut Run, file: &str) -> Result<Said, Failure> {
        if let Ok(said) = tokio::time::timeout(PATIENCE, run.said()).await {
            return said;
        }
        if let Err(failure) = self.command(r#"[ ! -e "$1" ] || : >"$1.end""#, file).await {
            // For a whole pack it does not matter.
            tracing::debug!(failure.message, "the checkout was not told that it has all of its pack");
        }
        run.said().await
    }

    fn script(&self, brings: bool) -> Command {
        let Checkout { how, path, commit, branch, generation, turn, .. } = self.checkout;
        let clean = match how.clean {
            Clean::KeepIgnored => "-ffd",
            Clean::All => "-ffdx",
        };
        let arguments = [
            path.clone(),
            commit.clone(),
            format!("{generation}/{turn}"),
            branch.clone(),
            how.depth.to_string(),
            clean.to_owned(),
            self.github.git_url(self.repository),
            if brings { "yes" } else { "" }.to_owned(),
        ];
        let mut command = git_command(OPERATION, CHECKOUT, arguments);
        command.write = true;
        command.timeout = Some(RUN_TIMEOUT);
        // The user that the command runs as: the files are its own.
        command.user = None;
        let run = format!("{}.{}", Timestamp::now().as_nanosecond(), RUNS.fetch_add(1, Ordering::Relaxed));
        command.envs.push(("SLIPWAY_CHECKOUT".to_owned(), format!("{run}:{path}").into()));
        command
    }

    /// Gives what others have made in the tree, or the directory itself, to the sandbox's user.
    async fn own(&self, owner: &str) -> Result<(), Failure> {
        let mut command = Command::sh(OPERATION, OWN, [self.checkout.path.clone(), owner.to_owned()]);
        command.write = true;
        command.timeout = Some(OWN_TIMEOUT);
        command.user = Some(SANDBOX_USER);
        let output = self.envd.run(command, MAX_OUTPUT).await?;
        match output.exit_code {
            Some(0) => Ok(()),
            Some(NOT_OURS) => Err(self.occupied("it belongs to another user")),
            _ => Err(self.failed(&String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn occupied(&self, names: &str) -> Failure {
        let path = &self.checkout.path;
        invalid(
            reason::PATH_NOT_EMPTY,
            format!(
                "{path} holds files that the operator has not checked out there ({names}): empty it, or set source.path to another \
                 directory, then set the annotation {RERUN_ANNOTATION} to a new value"
            ),
        )
    }

    /// Where a file of `.git` is.
    fn place(&self, file: &str) -> String {
        format!("{}/.git/{file}", self.checkout.path.trim_end_matches('/'))
    }

    /// Streams the pack from GitHub beside the file of `.git`.
    async fn bring(&self, file: &str) -> Result<(), Failure> {
        let Checkout { how, commit, generation, .. } = self.checkout;
        let wanted = WantedPack { commit, depth: u32::try_from(how.depth).unwrap_or(1) };
        let pack = self.github.fetch_pack(self.repository, wanted).await?;
        let boundary = format!("slipway-{generation}-{file}");
        Pieces::new(pack, self.max_bytes).bring(self.envd, &self.place(file), &boundary).await
    }

    /// Removes what has come of a pack that broke off: it may be what fills the disk. The run that waits for more ends.
    async fn drop_part(&self, file: &str) {
        if let Err(failure) = self.command(r#"rm -f -- "$1" "$1".*"#, file).await {
            tracing::debug!(failure.message, "a part of a pack stays in the sandbox until the next checkout");
        }
    }

    /// Runs a script about a file of `.git`.
    async fn command(&self, script: &str, file: &str) -> Result<(), Failure> {
        let mut command = Command::sh(OPERATION, script, [self.place(file)]);
        command.timeout = Some(OWN_TIMEOUT);
        self.envd.run(command, MAX_OUTPUT).await?;
        Ok(())
    }

    /// Words what the sandbox's git, or its disk, said.
    fn failed(&self, words: &str) -> Failure {
        let path = &self.checkout.path;
        let words = cut(words);
        if is_full(&words) {
            return invalid(
                reason::SANDBOX_DISK_FULL,
                format!(
                    "the sandbox's disk has no room for the repository in {path}: take a template with a larger disk, or free \
                     room in the sandbox ({words})"
                ),
            );
        }
        invalid(
            reason::CHECKOUT_FAILED,
            format!("the repository can't be checked out in {path}; the sandbox says: {words}"),
        )
    }
}
