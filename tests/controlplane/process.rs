//! A server process that can't outlive this one: its log, its signals, its end.
//! Neighbours: `servers` says what to run; `ControlPlane` in `mod` owns the results.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Lines of a log that are shown when something fails.
const TAIL: usize = 25;

/// A running server. Dropping it kills and reaps it.
pub struct Process {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `program`; both its outputs are appended to `<directory>/<name>.log`.
    pub fn start(
        name: &'static str,
        program: &Path,
        arguments: Vec<String>,
        directory: &Path,
    ) -> Result<Self> {
        Self::start_in(name, program, arguments, Vec::new(), directory)
    }

    /// The same with further environment variables.
    pub fn start_in(
        name: &'static str,
        program: &Path,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        directory: &Path,
    ) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let child = Mutex::new(spawn(program, &arguments, &environment, &log)?);
        Ok(Self { name, program: program.to_owned(), arguments, environment, log, child })
    }

    /// The log as it is now.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Kills the process and starts it again with the same arguments.
    pub fn restart(&self) -> Result<()> {
        let mut child = self.child();
        end(&mut child);
        *child = spawn(&self.program, &self.arguments, &self.environment, &self.log)?;
        Ok(())
    }

    /// Kills the process; [`Process::restart`] starts it again.
    pub fn kill(&self) {
        end(&mut self.child());
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Sends `signal`; fails if the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        // A child that was reaped has given its pid back: it could be anybody's by now.
        anyhow::ensure!(child.try_wait()?.is_none(), "{} has ended\n{}", self.name, self.log_tail());
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        Ok(())
    }

    /// Sends SIGSTOP and waits until every thread has taken it: one that has not may still answer.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let (threads, end) = (format!("/proc/{}/task", self.pid()), Instant::now() + Duration::from_secs(10));
        loop {
            let moving = std::fs::read_dir(&threads)?.flatten().any(|thread| {
                let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                // The state follows the name, which is in parentheses and may hold anything (proc(5)).
                stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('T'))
            });
            if !moving {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < end, "{} does not stop", self.name);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// None while it runs.
    pub fn exit_status(&self) -> io::Result<Option<ExitStatus>> {
        self.child().try_wait()
    }

    /// The end of the log, headed by its path.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  ");
        format!("{}:\n  {tail}\n", self.log.display())
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child());
    }
}

/// SIGKILL, because it also ends a stopped process and the data is thrown away. Both calls fail only if it has ended
/// already.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn spawn(
    program: &Path,
    arguments: &[String],
    environment: &[(String, String)],
    log: &Path,
) -> Result<Child> {
    let output = OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    // A group of its own: Ctrl-C in a terminal reaches us only, and we end the servers in order.
    command.process_group(0);
    die_with_parent(&mut command);
    on_spawner_thread(command).with_context(|| format!("{} could not be run", program.display()))
}

/// Has the kernel kill the child when the thread that spawned it ends (`PR_SET_PDEATHSIG`), however that comes about.
#[allow(
    unsafe_code,
    reason = "pre_exec is unsafe by its type; there is no other place to run code in the child"
)]
fn die_with_parent(command: &mut Command) {
    let parent = Pid::this();
    let in_child = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // If we died before the line above took effect, the signal will never come.
        if nix::unistd::getppid() != parent {
            return Err(nix::errno::Errno::ESRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two plain system calls
    // (prctl, getppid), allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(in_child);
    }
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Spawns on one thread that lives as long as this process. The parent-death signal is tied to the spawning *thread*, and
/// the threads of tests and of their runtimes end long before the process does.
fn on_spawner_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The other side waits for this answer; if it is gone, dropping the child would leave it running.
                if let Err(mpsc::SendError(Ok(mut child))) = answer.send(command.spawn()) {
                    end(&mut child);
                }
            }
        });
        orders
    });
    let (answer, result) = mpsc::channel();
    spawner.send((command, answer)).map_err(io::Error::other)?;
    result.recv().map_err(io::Error::other)?
}
