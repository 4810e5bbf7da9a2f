//! The processes of one sandbox: started, heard, signalled, remembered for 30 s after their end.
//! `process` is their API; `sandbox` is where they run.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::super::sandbox::Sandbox;
use super::super::sandbox::users::User;
use crate::core::Clock;

/// How long envd remembers the end of a process (`services/process/service.go`).
const RETENTION: SignedDuration = SignedDuration::from_secs(30);
/// The most that one data event carries, as envd reads it.
const CHUNK: usize = 32 * 1024;
/// Events a listener may lag behind before the process has to wait, as in envd.
const BACKLOG: usize = 64;

/// Tells its pid first, then becomes the command, as envd's own wrapper does with `nice`.
const WRAPPER: &str = "cd -- \"$1\" 2>/dev/null || { echo \"chdir $1: permission denied\" >&2; exit 1; }; \
    shift; unset OLDPWD; echo \"$$\" >&2; exec /usr/bin/nice -n 0 \"$@\"";

/// What to start, as the request says it.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub cmd: String,
    pub args: Vec<String>,
    /// As given in the request; shown by List.
    pub envs: HashMap<String, String>,
    /// As given in the request; shown by List.
    pub cwd: Option<String>,
    pub tag: Option<String>,
    /// Whether a pipe is kept for input; otherwise stdin is /dev/null.
    pub stdin: bool,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Event {
    Stdout(Bytes),
    Stderr(Bytes),
    End(End),
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// -1 when a signal ended it.
    pub exit_code: i32,
    pub exited: bool,
    /// In Go's words: `exit status 3`, `signal: killed`.
    pub status: String,
}

/// One process; it lives in its sandbox's table.
pub struct Process {
    /// As the sandbox sees it.
    pub pid: u32,
    pub config: Config,
    /// `nsenter`, as the host sees it.
    wrapper: u32,
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    phase: Mutex<Phase>,
    /// Output is no longer waited for: the process was told to end.
    silenced: CancellationToken,
}

enum Phase {
    Running(Vec<mpsc::Sender<Event>>),
    Ended(End, Timestamp),
}

/// All processes of one sandbox.
pub struct Processes {
    sandbox: Arc<Sandbox>,
    clock: Clock,
    table: Mutex<HashMap<u32, Arc<Process>>>,
    /// Whether the sandbox is frozen; lifetimes do not run out meanwhile.
    frozen: watch::Sender<bool>,
    /// Held for reading by starts, for writing while frozen: nothing starts in a frozen sandbox.
    starts: Arc<RwLock<()>>,
    no_starts: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
}

impl Process {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears everything from now on; of an ended process, its end.
    pub fn listen(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        match &mut *self.phase() {
            Phase::Running(listeners) => listeners.push(sender),
            // The channel is new and empty.
            Phase::Ended(end, _) => drop(sender.try_send(Event::End(end.clone()))),
        }
        receiver
    }

    pub fn is_running(&self) -> bool {
        matches!(*self.phase(), Phase::Running(_))
    }

    fn forgotten(&self, now: Timestamp) -> bool {
        matches!(*self.phase(), Phase::Ended(_, at) if now.duration_since(at) >= RETENTION)
    }

    async fn tell(&self, event: Event) {
        let listeners = match &*self.phase() {
            Phase::Running(listeners) => listeners.clone(),
            Phase::Ended(..) => Vec::new(),
        };
        for listener in listeners {
            // Gone listeners are dropped with the end.
            let _ = listener.send(event.clone()).await;
        }
        if let Phase::Running(listeners) = &mut *self.phase() {
            listeners.retain(|listener| !listener.is_closed());
        }
    }

    async fn ended(&self, end: End, at: Timestamp) {
        let before = std::mem::replace(&mut *self.phase(), Phase::Ended(end.clone(), at));
        if let Phase::Running(listeners) = before {
            for listener in listeners {
                let _ = listener.send(Event::End(end.clone())).await;
            }
        }
    }

    /// Writes to its stdin. The error is in envd's words.
    pub async fn write_stdin(&self, data: &[u8]) -> Result<(), String> {
        let mut stdin = self.stdin.lock().await;
        let Some(pipe) = stdin.as_mut() else { return Err("stdin not enabled or closed".to_owned()) };
        let written = pipe.write_all(data).await;
        written.map_err(|error| format!("error writing to stdin of process '{}': {error}", self.pid))
    }

    pub async fn close_stdin(&self) {
        *self.stdin.lock().await = None;
    }
}

impl Processes {
    pub fn new(sandbox: Arc<Sandbox>, clock: Clock) -> Self {
        Self {
            sandbox,
            clock,
            table: Mutex::default(),
            frozen: watch::Sender::new(false),
            starts: Arc::default(),
            no_starts: Mutex::default(),
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u32, Arc<Process>>> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        table.retain(|_, process| !process.forgotten(now));
        table
    }

    /// Those that run, in order of their pids.
    pub fn running(&self) -> Vec<Arc<Process>> {
        let mut running: Vec<_> =
            self.table().values().filter(|process| process.is_running()).cloned().collect();
        running.sort_by_key(|process| process.pid);
        running
    }

    pub fn by_pid(&self, pid: u32) -> Option<Arc<Process>> {
        self.table().get(&pid).cloned()
    }

    /// The one with this tag; a running one wins over those that have ended, then the latest.
    pub fn by_tag(&self, tag: &str) -> Option<Arc<Process>> {
        let table = self.table();
        let tagged = table.values().filter(|process| process.config.tag.as_deref() == Some(tag));
        tagged.max_by_key(|process| (process.is_running(), process.pid)).cloned()
    }

    /// Starts a process and gives its first listener. `lifetime` ends it with SIGKILL.
    pub async fn start(
        self: &Arc<Self>,
        config: Config,
        user: &User,
        directory: &str,
        environment: &HashMap<String, String>,
        lifetime: Option<Duration>,
    ) -> anyhow::Result<(Arc<Process>, mpsc::Receiver<Event>)> {
        // A start that comes too late for a pause goes on after the resume, as in a real machine.
        let _start = self.starts.read().await;
        let mut command = self.sandbox.enter(Some(user));
        command
            .args(["/bin/sh", "-c", WRAPPER, "sh", directory, &config.cmd])
            .args(&config.args)
            .env("HOME", &user.home)
            .env("USER", &user.name)
            .env("LOGNAME", &user.name)
            .envs(environment)
            .envs(&config.envs)
            .stdin(if config.stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let wrapper = child.id().context("no pid")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut stderr = child.stderr.take().context("no stderr")?;
        let pid = first_line(&mut stderr).await?.trim().parse::<u32>();
        let Ok(pid) = pid.as_ref() else {
            anyhow::bail!("fork/exec /bin/sh: permission denied");
        };
        let process = Arc::new(Process {
            pid: *pid,
            config,
            wrapper,
            stdin: tokio::sync::Mutex::new(child.stdin.take()),
            phase: Mutex::new(Phase::Running(Vec::new())),
            silenced: CancellationToken::new(),
        });
        let listener = process.listen();
        self.table().insert(process.pid, Arc::clone(&process));
        tokio::spawn(run(Arc::clone(&process), child, stdout, stderr, self.clock.clone()));
        if let Some(lifetime) = lifetime {
            tokio::spawn(expire(Arc::clone(self), Arc::clone(&process), lifetime));
        }
        Ok((process, listener))
    }

    /// Sends a signal (`KILL` or `TERM`); output is not waited for afterwards.
    pub async fn signal(&self, process: &Process, signal: &str) -> anyhow::Result<()> {
        if !process.is_running() {
            anyhow::bail!("os: process already finished");
        }
        process.silenced.cancel();
        self.sandbox.signal(process.pid, signal).await
    }

    /// Stops everything in the sandbox.
    pub async fn freeze(&self) -> anyhow::Result<()> {
        let no_starts = Arc::clone(&self.starts).write_owned().await;
        *self.no_starts.lock().unwrap_or_else(PoisonError::into_inner) = Some(no_starts);
        self.frozen.send_replace(true);
        self.sandbox.freeze(&self.wrappers()).await
    }

    /// Lets everything in the sandbox continue.
    pub async fn thaw(&self) -> anyhow::Result<()> {
        self.sandbox.thaw(&self.wrappers()).await?;
        self.release();
        Ok(())
    }

    /// Ends everything that ran when the sandbox stopped, and lets new processes start.
    pub async fn restart(&self) -> anyhow::Result<()> {
        let running = self.running();
        for process in &running {
            process.silenced.cancel();
        }
        self.sandbox.end_processes(&self.wrappers()).await?;
        self.release();
        Ok(())
    }

    /// Lets go of everything that waits for the sandbox to continue: it does, or never will.
    pub fn release(&self) {
        self.no_starts.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.frozen.send_replace(false);
    }

    fn wrappers(&self) -> Vec<u32> {
        self.running().iter().map(|process| process.wrapper).collect()
    }
}

async fn run(
    process: Arc<Process>,
    mut child: Child,
    stdout: impl AsyncRead + Unpin + Send + 'static,
    stderr: impl AsyncRead + Unpin + Send + 'static,
    clock: Clock,
) {
    let out = read(Arc::clone(&process), stdout, Event::Stdout);
    let err = read(Arc::clone(&process), stderr, Event::Stderr);
    // Like envd: the end comes after all output, also that of children which hold the pipes.
    let reading = tokio::spawn(async { tokio::join!(out, err) });
    let abort = reading.abort_handle();
    tokio::select! {
        _ = reading => {}
        () = process.silenced.cancelled() => {}
    }
    let status = child.wait().await;
    abort.abort();
    let end = status
        .map_or_else(|error| End { exit_code: -1, exited: false, status: error.to_string() }, End::from);
    process.ended(end, clock.now()).await;
}

async fn read(process: Arc<Process>, mut pipe: impl AsyncRead + Unpin, event: fn(Bytes) -> Event) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length) = pipe.read(&mut chunk).await {
        if length == 0 {
            return;
        }
        process.tell(event(Bytes::copy_from_slice(&chunk[..length]))).await;
    }
}

async fn expire(processes: Arc<Processes>, process: Arc<Process>, lifetime: Duration) {
    tokio::time::sleep(lifetime).await;
    let mut frozen = processes.frozen.subscribe();
    // The sender lives in `processes`, so this cannot fail.
    let _ = frozen.wait_for(|frozen| !frozen).await;
    if process.is_running() {
        // ESRCH: it ended meanwhile.
        let _ = processes.signal(&process, "KILL").await;
    }
}

/// Reads to the first newline and not a byte further: what follows is the process's own.
async fn first_line(pipe: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut line = Vec::new();
    loop {
        match pipe.read_u8().await {
            Ok(b'\n') => break,
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(code) = status.code() {
            return Self { exit_code: code, exited: true, status: format!("exit status {code}") };
        }
        let signal = status.signal().map_or_else(|| "unknown".to_owned(), signal_text);
        Self { exit_code: -1, exited: false, status: format!("signal: {signal}") }
    }
}

/// The texts of Go's `syscall.Signal`.
fn signal_text(signal: i32) -> String {
    let text = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    text.to_owned()
}
