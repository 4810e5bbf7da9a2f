//! One sandbox as the machine it stands for: its own mounts and processes, which really run.
//! `init.sh` sets it up, `view` reads its files from outside, `users` knows who lives in it; `envd` serves it.

pub mod users;
pub mod view;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use users::{User, Users};
use view::View;

/// What a process of a sandbox finds on its PATH, as in E2B's templates.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a sandbox may take to set itself up, to stop or to continue.
const DEADLINE: Duration = Duration::from_secs(20);

const INIT: &str = include_str!("init.sh");

/// The programs that make and enter namespaces, and whether that needs a user namespace.
#[derive(Clone, Debug)]
pub struct Isolation {
    unshare: PathBuf,
    nsenter: PathBuf,
    /// Root: users are real. Otherwise: a user namespace, where everybody is the one who started us.
    privileged: bool,
}

impl Isolation {
    /// Finds the programs and sets up one sandbox for a try.
    /// Fails where neither root nor a user namespace allows that; there is no weaker way of running commands.
    pub async fn probe() -> anyhow::Result<Self> {
        let find = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
            std::env::split_paths(&path)
                .chain(std::env::split_paths(PATH))
                .map(|dir| dir.join(name))
                .find(|path| path.is_file())
                .with_context(|| {
                    format!("`{name}` (package util-linux) is needed to isolate sandboxes, and not on PATH")
                })
        };
        let isolation = Self {
            unshare: find("unshare")?,
            nsenter: find("nsenter")?,
            privileged: nix::unistd::geteuid().is_root(),
        };
        let dir = tempfile::tempdir().context("a directory for the first sandbox")?;
        let sandbox = Sandbox::start(&isolation, &dir.path().join("probe"), users::USER, &[]).await.context(
            "sandboxes need mount and PID namespaces: run as root, or allow unprivileged user namespaces \
             (kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0, no AppArmor restriction)",
        )?;
        sandbox.destroy().await;
        Ok(isolation)
    }
}

/// A machine that runs until `destroy`; dropping it ends its processes as well.
pub struct Sandbox {
    isolation: Isolation,
    dir: PathBuf,
    /// `unshare`, parent of the sandbox's init. Its stdin is the line that keeps the sandbox alive.
    init: Mutex<Child>,
    /// The init as the host sees it.
    init_pid: i32,
    /// The process inside that waits for us to go away; it must never be stopped.
    guard_pid: u32,
    pub users: Users,
    pub view: Arc<View>,
}

impl Sandbox {
    /// Sets a sandbox up in `dir`, which must not exist. `hidden` names commands that are not in it.
    pub async fn start(
        isolation: &Isolation,
        dir: &Path,
        default_user: &str,
        hidden: &[String],
    ) -> anyhow::Result<Self> {
        let users = Users::of_host(isolation.privileged, default_user).context("reading the host's users")?;
        prepare(dir, &users, isolation.privileged).with_context(|| format!("preparing {}", dir.display()))?;
        let mut command = Command::new(&isolation.unshare);
        if !isolation.privileged {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "/bin/sh"])
            .arg(dir.join("init.sh"))
            .arg(dir)
            .arg(hidden.join(" "))
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut init = command.spawn().context("starting unshare")?;
        let (init_pid, guard_pid) = tokio::time::timeout(DEADLINE, ready(&mut init))
            .await
            .context("the sandbox did not come up in time")??;
        let root =
            std::fs::File::open(format!("/proc/{init_pid}/root")).context("opening the sandbox's root")?;
        let view = Arc::new(View::new(root.into(), isolation.privileged));
        Ok(Self {
            isolation: isolation.clone(),
            dir: dir.to_owned(),
            init: Mutex::new(init),
            init_pid,
            guard_pid,
            users,
            view,
        })
    }

    /// A command that enters the sandbox, as root or as `user`; its environment is empty but for PATH.
    pub fn enter(&self, user: Option<&User>) -> Command {
        let mut command = Command::new(&self.isolation.nsenter);
        command.arg("--target").arg(self.init_pid.to_string()).args(["--mount", "--pid"]);
        if !self.isolation.privileged {
            command.args(["--user", "--preserve-credentials"]);
        } else if let Some(user) = user {
            command.arg("--setuid").arg(user.uid.to_string()).arg("--setgid").arg(user.gid.to_string());
        }
        // A group of its own: `kill 0` inside must reach neither us nor the sandbox's init.
        command.arg("--").env_clear().env("PATH", PATH).process_group(0).kill_on_drop(true);
        command
    }

    /// Sends `signal` (a name without SIG) to `pid`, both as the sandbox sees them.
    pub async fn signal(&self, pid: u32, signal: &str) -> anyhow::Result<()> {
        self.script("kill -s \"$1\" -- \"$2\"", &[signal, &pid.to_string()]).await
    }

    /// Stops every process. `wrappers` are the host's pids of the commands that entered; they stop with their child.
    pub async fn freeze(&self, wrappers: &[u32]) -> anyhow::Result<()> {
        self.script("kill -STOP -1; kill -CONT \"$1\"", &[&self.guard_pid.to_string()]).await?;
        // A wrapper that stops late would miss the SIGCONT of a quick resume and never continue.
        wait_for(wrappers, &['T', 't']).await.context("the sandbox's processes do not stop")
    }

    /// Lets every process continue.
    pub async fn thaw(&self, wrappers: &[u32]) -> anyhow::Result<()> {
        self.script("kill -CONT -1", &[]).await?;
        for wrapper in wrappers.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
            // ESRCH: it ended meanwhile.
            let _ = kill(Pid::from_raw(wrapper), Signal::SIGCONT);
        }
        // A wrapper that continues sends its child a SIGCONT of its own; late, that would undo the next freeze.
        wait_for(wrappers, &['S']).await.context("the sandbox's processes do not continue")
    }

    /// Ends every process but the sandbox's own two, as a machine that starts anew from its disk.
    pub async fn end_processes(&self, wrappers: &[u32]) -> anyhow::Result<()> {
        let guard = self.guard_pid.to_string();
        self.script(
            "for p in /proc/[0-9]*; do p=${p#/proc/}; case $p in 1|$1|$$) ;; *) kill -KILL $p 2>/dev/null;; esac; done; :",
            &[&guard],
        )
        .await?;
        for wrapper in wrappers.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
            // ESRCH: it ended with its child.
            let _ = kill(Pid::from_raw(wrapper), Signal::SIGCONT);
        }
        Ok(())
    }

    /// Ends every process and removes every file.
    pub async fn destroy(&self) {
        let mut init = self.init.lock().await;
        if matches!(init.try_wait(), Ok(None)) {
            // The kernel ends all of a PID namespace with its init, and the init after all of them.
            let _ = kill(Pid::from_raw(self.init_pid), Signal::SIGKILL);
            if tokio::time::timeout(DEADLINE, init.wait()).await.is_err() {
                tracing::warn!(dir = %self.dir.display(), "a sandbox does not end");
            }
        }
        let removed = tokio::fs::remove_dir_all(&self.dir).await;
        // Destroyed before.
        if let Err(error) = removed.or_else(gone) {
            tracing::warn!(dir = %self.dir.display(), %error, "a sandbox's files were not removed");
        }
    }

    /// Where the host finds a path below one of the sandbox's private directories; `None` for others.
    pub fn host_path(&self, path: &str) -> Option<PathBuf> {
        [("/home", "home"), ("/root", "root"), ("/tmp", "tmp"), ("/var/tmp", "var-tmp")].iter().find_map(
            |(at, dir)| {
                let rest = Path::new(path).strip_prefix(at).ok()?;
                Some(self.dir.join(dir).join(rest))
            },
        )
    }

    async fn script(&self, script: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = self.enter(None);
        command.args(["/bin/sh", "-c", script, "sh"]).args(arguments).stdin(Stdio::null());
        let output = tokio::time::timeout(DEADLINE, command.output()).await.context("timed out")??;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// The private directories and files that `init.sh` mounts.
fn prepare(dir: &Path, users: &Users, privileged: bool) -> anyhow::Result<()> {
    std::fs::create_dir(dir)?;
    for (name, mode) in
        [("home", 0o755), ("home/user", 0o755), ("root", 0o700), ("tmp", 0o1777), ("var-tmp", 0o1777)]
    {
        let path = dir.join(name);
        std::fs::create_dir(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    std::fs::write(dir.join("init.sh"), INIT)?;
    std::fs::write(dir.join("passwd"), users.passwd())?;
    std::fs::write(dir.join("group"), users.group())?;
    if privileged {
        let user = users.by_name(users::USER).context("the sandbox's own user is missing")?;
        std::os::unix::fs::chown(dir.join("home/user"), Some(user.uid), Some(user.gid)).context(
            "giving /home/user to its user: root must be able to use other user ids, here it has one only",
        )?;
    }
    Ok(())
}

/// Waits for the line that `init.sh` prints when all is mounted: its pid on the host, the guard's pid inside.
async fn ready(init: &mut Child) -> anyhow::Result<(i32, u32)> {
    let stdout = init.stdout.take().context("no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    let mut words = line.split_whitespace().map(str::parse::<i32>);
    if let (Some(Ok(init_pid)), Some(Ok(guard_pid))) = (words.next(), words.next()) {
        return Ok((init_pid, u32::try_from(guard_pid)?));
    }
    let mut message = String::new();
    if let Some(mut stderr) = init.stderr.take() {
        stderr.read_to_string(&mut message).await?;
    }
    bail!("setting up a sandbox failed: {}", message.trim());
}

fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Waits until each of the processes is in one of these states of `/proc`, or gone.
async fn wait_for(pids: &[u32], states: &[char]) -> anyhow::Result<()> {
    let there =
        |pid: &u32| state(*pid).is_none_or(|state| states.contains(&state) || matches!(state, 'Z' | 'X'));
    let waited = async {
        while !pids.iter().all(there) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    Ok(tokio::time::timeout(DEADLINE, waited).await?)
}

/// The state of a process; `None` when there is none.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // It follows the command, which is in brackets and may hold anything.
    stat.rsplit_once(") ")?.1.chars().next()
}
