//! The repository into the sandbox: the operator fetches the pack and passes it on as it comes, the sandbox's own git unpacks
//! it. Part of the Task controller, asked before an attempt starts; `github` sends the pack, envd takes it.
//!
//! No credential enters the sandbox. A marker in `.git/slipway` names what is checked out for which attempt: doing it again
//! does it once.

use super::{
    TaskController,
    files::{FilesError, Permit, SANDBOX_USER, cut, git_command},
};
use crate::{
    api::{Clean, RERUN_ANNOTATION, Task, conditions::reason},
    domain::{
        failure::{Class, Failure},
        task::Checkout,
    },
    e2b::{Command, Envd, WRITE_PACK},
    github::{Client, Pack, RepositoryName, WantedPack},
};
use bytes::Bytes;
use jiff::Timestamp;
use kube::ResourceExt;
use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::sync::mpsc;

const CHECKOUT: &str = include_str!("checkout/checkout.sh");
const OWN: &str = include_str!("checkout/own.sh");
const OPERATION: &str = "checkOut";
/// Bytes of the script's answer.
const MAX_OUTPUT: usize = 16 << 10;
/// Pieces of a pack between GitHub and the sandbox; each is at most 64 KiB.
const PIECES: usize = 16;
/// Longest time for which the sandbox may take nothing.
const IDLE: Duration = Duration::from_secs(60);
/// Time limit of making files belong to the sandbox's user.
const OWN_TIMEOUT: Duration = Duration::from_secs(60);

/// What a disk without room is told by; the last are git's words, which leave the cause out.
const FULL: [&str; 4] =
    ["No space left on device", "Disk quota exceeded", "unable to write file", "write error"];

/// What the script in the sandbox says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Ready,
    /// The pack is to be brought to this file of `.git`.
    Fetch(String),
    Busy,
    GitMissing,
    Occupied(String),
    /// Files belong to somebody else than this user and group.
    Denied {
        owner: String,
        words: String,
    },
    Failed(String),
}

/// Exit code of own.sh where the directory is not the checkout's.
const NOT_OURS: i32 = 3;
/// Counts the runs of the script in this process.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// What the second run of the script is given.
#[derive(Debug, Clone, Default)]
struct Brought {
    file: String,
    shallow: String,
}

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
        let done = work.run(|| self.transfers.try_acquire(&namespace)).await;
        if done.as_ref().is_err_and(|failure| failure.reason == reason::CHECKOUT_TOO_LARGE) {
            self.memory().remember_too_large(checkout, Timestamp::now());
        }
        done
    }
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
    pub async fn run(self, permit: impl FnOnce() -> Option<Permit>) -> Result<Option<&'static str>, Failure> {
        let Some(file) = self.take(&Brought::default()).await? else { return Ok(None) };
        let Some(_permit) = permit() else {
            return Ok(Some(FilesError::WaitingForTransfer.reason()));
        };
        let brought = match self.bring(file.clone()).await {
            Ok(brought) => brought,
            Err(failure) => {
                self.drop_part(&file).await;
                return Err(failure);
            }
        };
        match self.take(&brought).await? {
            None => Ok(None),
            Some(_) => Err(interrupted("the pack that was brought into the sandbox is not there")),
        }
    }

    /// Lets the sandbox check out what it has; returns the file that a pack is to be brought to, if it needs one.
    async fn take(&self, brought: &Brought) -> Result<Option<String>, Failure> {
        let mut said = self.script(brought).await?;
        if let Said::Denied { owner, .. } = &said {
            self.own(owner).await?;
            said = self.script(brought).await?;
        }
        match said {
            Said::Ready => Ok(None),
            Said::Fetch(file) => Ok(Some(file)),
            Said::Busy => Err(interrupted("another checkout is still at work in the sandbox")),
            Said::GitMissing => Err(invalid(
                reason::GIT_MISSING,
                "the sandbox has no git, which a checkout needs: take a template with git".to_owned(),
            )),
            Said::Occupied(names) => Err(self.occupied(&names)),
            Said::Denied { words, .. } | Said::Failed(words) => Err(self.failed(&words)),
        }
    }

    async fn script(&self, brought: &Brought) -> Result<Said, Failure> {
        let Checkout { how, path, commit, branch, generation, turn, .. } = self.checkout;
        let clean = match how.clean {
            Clean::KeepIgnored => "-ffd",
            Clean::All => "-ffdx",
        };
        let origin = self.github.git_url(self.repository);
        let arguments = [
            path.clone(),
            commit.clone(),
            format!("{generation}/{turn}"),
            branch.clone(),
            how.depth.to_string(),
            clean.to_owned(),
            origin,
            brought.file.clone(),
            brought.shallow.clone(),
        ];
        let mut command = git_command(OPERATION, CHECKOUT, arguments);
        command.write = true;
        // The user that the command runs as: the files are its own.
        command.user = None;
        let run = format!("{}.{}", Timestamp::now().as_nanosecond(), RUNS.fetch_add(1, Ordering::Relaxed));
        command.envs.push(("SLIPWAY_CHECKOUT".to_owned(), format!("{run}:{path}").into()));
        let output = self.envd.run(command.clone(), MAX_OUTPUT).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text).ok_or_else(|| command.unexpected_output(&output).into())
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

    /// Streams the pack from GitHub into the file of `.git`.
    async fn bring(&self, file: String) -> Result<Brought, Failure> {
        let Checkout { how, path, commit, generation, .. } = self.checkout;
        let wanted = WantedPack { commit, depth: u32::try_from(how.depth).unwrap_or(1) };
        let pack = self.github.fetch_pack(self.repository, wanted).await?;
        let shallow = pack.shallow().join("\n");
        let place = format!("{}/.git/{file}", path.trim_end_matches('/'));
        let (sender, receiver) = mpsc::channel(PIECES);
        let content = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let boundary = format!("slipway-{generation}-{file}");
        let upload = self.envd.write_file(WRITE_PACK, &place, &boundary, content);
        tokio::pin!(upload);
        let pump = pump(pack, sender, self.max_bytes);
        tokio::pin!(pump);
        // What breaks off first is why: each ends the other.
        tokio::select! {
            biased;
            pumped = &mut pump => { pumped?; upload.await?; }
            uploaded = &mut upload => {
                uploaded?;
                return Err(interrupted("the sandbox answered before it had the whole pack"));
            }
        }
        Ok(Brought { file, shallow })
    }

    /// Removes what has come of a pack that broke off: it may be what fills the disk.
    async fn drop_part(&self, file: &str) {
        let place = format!("{}/.git/{file}", self.checkout.path.trim_end_matches('/'));
        let mut command = Command::sh(OPERATION, r#"rm -f -- "$1""#, [place]);
        command.timeout = Some(OWN_TIMEOUT);
        if let Err(error) = self.envd.run(command, MAX_OUTPUT).await {
            tracing::debug!(%error, "a part of a pack stays in the sandbox until the next checkout");
        }
    }

    /// Words what the sandbox's git, or its disk, said.
    fn failed(&self, words: &str) -> Failure {
        let path = &self.checkout.path;
        let words = cut(words);
        if FULL.iter().any(|full| words.contains(full)) {
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

/// From GitHub to the sandbox, at the pace of the slower. An error here breaks the upload off.
async fn pump(mut pack: Pack, sender: mpsc::Sender<io::Result<Bytes>>, max: u64) -> Result<(), Failure> {
    let mut left = max;
    let failure = loop {
        let piece = match pack.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(()),
            Err(error) => break error.into(),
        };
        let Some(rest) = left.checked_sub(piece.len() as u64) else { break too_large(max) };
        left = rest;
        match tokio::time::timeout(IDLE, sender.send(Ok(piece))).await {
            Ok(Ok(())) => {}
            // The upload has ended, and knows why.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return Err(interrupted("the sandbox takes no more of the pack")),
        }
    };
    // Whoever takes it must not hold what has come for the whole.
    let broken = sender.send(Err(io::Error::other("the pack broke off")));
    let _ = tokio::time::timeout(IDLE, broken).await;
    Err(failure)
}

fn parse(text: &str) -> Option<Said> {
    let (verdict, rest) = text.split_once('\n')?;
    let words = rest.trim_end();
    Some(match verdict.split_once(' ').unwrap_or((verdict, "")) {
        ("ready", "") => Said::Ready,
        ("fetch", "") => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
            let plain = words.starts_with("slipway-") && words.len() < 100 && words.chars().all(fits);
            Said::Fetch(Some(words.to_owned()).filter(|_| plain)?)
        }
        ("busy", "") => Said::Busy,
        ("missing", "") => Said::GitMissing,
        ("occupied", "") => Said::Occupied(words.lines().collect::<Vec<_>>().join(", ")),
        ("denied", owner) if is_owner(owner) => {
            Said::Denied { owner: owner.to_owned(), words: words.to_owned() }
        }
        ("failed", "") => Said::Failed(words.to_owned()),
        _ => return None,
    })
}

/// `user:group`, by numbers: it goes to a command of root's.
fn is_owner(owner: &str) -> bool {
    let number =
        |text: &str| !text.is_empty() && text.len() < 11 && text.bytes().all(|byte| byte.is_ascii_digit());
    owner.split_once(':').is_some_and(|(user, group)| number(user) && number(group))
}

fn too_large(max: u64) -> Failure {
    invalid(
        reason::CHECKOUT_TOO_LARGE,
        format!(
            "what GitHub sends of the repository is more than {max} bytes, as SLIPWAY_MAX_CHECKOUT_BYTES allows (in the chart \
             files.maxCheckoutSize): raise it, or lower source.checkout.depth"
        ),
    )
}

fn invalid(reason: &'static str, message: String) -> Failure {
    Failure { operation: OPERATION, class: Class::Invalid, reason, message }
}

fn interrupted(what: &str) -> Failure {
    Failure {
        operation: OPERATION,
        class: Class::Transient,
        reason: reason::TRANSFER_INTERRUPTED,
        message: what.to_owned(),
    }
}
