//! envd, the daemon inside every sandbox: files, directories, signals.
//! Called by the Task controller through `controllers::task`; processes are in `e2b::process`.

use super::{Access, Command, Download, E2b, Output, Process, Result};

/// The envd of one sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Envd {
    pub(super) e2b: E2b,
    pub(super) access: Access,
}

/// What a directory entry is. A link shows its target's kind, so [`Entry::is_symlink`] comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryType {
    File,
    Directory,
    /// Pipe, socket, device, or a link whose target is none of the two or is missing.
    Other,
}

/// One entry as envd lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub entry_type: EntryType,
    /// A link. envd's word about where it leads is not to be trusted (a broken link names itself).
    pub is_symlink: bool,
    /// Bytes; of a link: of the link itself.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// The signals envd can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Term,
    Kill,
}

impl Envd {
    pub(super) fn new(e2b: E2b, access: Access) -> Self {
        Self { e2b, access }
    }

    pub fn sandbox_id(&self) -> &str {
        &self.access.sandbox_id
    }

    /// Runs `command` to its end. `max_output` bounds what is kept of stdout and of stderr, each (bytes).
    pub async fn run(&self, command: Command, max_output: usize) -> Result<Output> {
        let _ = (command, max_output);
        todo!()
    }

    /// Starts `command`, waits for its pid and lets go of the stream: the process goes on.
    pub async fn start(&self, command: Command) -> Result<u32> {
        let _ = command;
        todo!()
    }

    /// Starts `command` and hands out its events as they come.
    pub async fn open(&self, command: Command) -> Result<Process> {
        let _ = command;
        todo!()
    }

    /// The file's bytes as they come; links are followed. `None`: no such file.
    pub async fn read_file(&self, path: &str) -> Result<Option<Download>> {
        let _ = path;
        todo!()
    }

    /// The whole file, if it is no longer than `max` bytes; a longer one is an error. `None`: no such file.
    pub async fn read_small(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>> {
        let _ = (path, max);
        todo!()
    }

    /// What is below `path`, flat, `depth` levels deep; links are not descended. `None`: no such directory.
    pub async fn list_dir(&self, path: &str, depth: u32) -> Result<Option<Vec<Entry>>> {
        let _ = (path, depth);
        todo!()
    }

    /// One entry. `None`: no such file.
    pub async fn stat(&self, path: &str) -> Result<Option<Entry>> {
        let _ = path;
        todo!()
    }

    /// Signals one process that envd started. `false`: envd knows no such process.
    pub async fn signal(&self, pid: u32, signal: Signal) -> Result<bool> {
        let _ = (pid, signal);
        todo!()
    }
}
