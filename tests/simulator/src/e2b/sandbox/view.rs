//! A sandbox's files as its own processes see them, from outside: no link leads out of it.
//! Used by `envd`, whose real counterpart runs inside.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::Mode;

/// As many links as Go's `filepath.EvalSymlinks` follows, which is what envd resolves with.
const MAX_LINKS: usize = 255;

/// Why a path could not be resolved.
#[derive(Debug)]
pub enum ResolveError {
    /// The path of the component that failed, and why.
    Lstat(PathBuf, io::Error),
    TooManyLinks,
}

/// The root directory of a sandbox.
pub struct View {
    root: OwnedFd,
    privileged: bool,
}

impl View {
    pub fn new(root: OwnedFd, privileged: bool) -> Self {
        Self { root, privileged }
    }

    /// Opens `path`, resolved as inside the sandbox. A new file gets `mode`.
    pub fn open(&self, path: &Path, flags: OFlag, mode: u32) -> io::Result<OwnedFd> {
        let mode =
            if flags.contains(OFlag::O_CREAT) { Mode::from_bits_truncate(mode) } else { Mode::empty() };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        loop {
            match openat2(self.root.as_fd(), path, how) {
                // Something was renamed meanwhile; the kernel asks to try again.
                Err(nix::Error::EAGAIN) => {}
                other => return other.map_err(io::Error::from),
            }
        }
    }

    /// Opens a regular file or directory for reading; never blocks on a FIFO.
    pub fn read(&self, path: &Path) -> io::Result<File> {
        let open = || self.open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0).map(File::from);
        let refused = match open() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !self.privileged => error,
            other => return other,
        };
        // A real envd is root and reads everything. We own the file: we can let ourselves in for a moment.
        let file = self.open(path, OFlag::O_PATH, 0)?;
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        let permissions = std::fs::metadata(&name)?.permissions();
        let mut readable = permissions.clone();
        readable.set_mode(permissions.mode() | 0o400);
        std::fs::set_permissions(&name, readable).map_err(|_| refused)?;
        let opened = open();
        std::fs::set_permissions(&name, permissions)?;
        opened
    }

    /// What `path` is; a link is followed.
    pub fn stat(&self, path: &Path) -> io::Result<Metadata> {
        File::from(self.open(path, OFlag::O_PATH, 0)?).metadata()
    }

    /// What `path` is; a link is not followed.
    pub fn lstat(&self, path: &Path) -> io::Result<Metadata> {
        File::from(self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?).metadata()
    }

    /// Calls `with` with a name under which the host reaches `path`, whose last component is not followed.
    /// For calls that act on a name in a directory, like mkdir, rename and unlink.
    pub fn by_name<T>(&self, path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let parent = self.open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY, 0)?;
        with(&Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name))
    }

    /// The names in a directory, sorted as Go sorts them: by bytes.
    pub fn names(&self, path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        let directory = self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)?;
        let entries = std::fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
        let mut names =
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        Ok(names)
    }

    /// The absolute path without any link, like Go's `filepath.EvalSymlinks`.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, ResolveError> {
        let mut resolved = PathBuf::from("/");
        let mut rest: Vec<std::ffi::OsString> = components(path);
        let mut links = 0;
        while let Some(component) = rest.pop() {
            if component == ".." {
                resolved.pop();
                continue;
            }
            let at = resolved.join(&component);
            let fail = |error| ResolveError::Lstat(at.clone(), error);
            let fd = self.open(&at, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0).map_err(fail)?;
            let target = match readlinkat(fd.as_fd(), "") {
                Ok(target) => PathBuf::from(target),
                // Not a link.
                Err(nix::Error::EINVAL | nix::Error::ENOENT) => {
                    resolved = at;
                    continue;
                }
                Err(error) => return Err(fail(error.into())),
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(ResolveError::TooManyLinks);
            }
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            rest.extend(components(&target));
        }
        Ok(resolved)
    }

    /// A file's user and group as the sandbox sees them.
    pub fn ids(&self, metadata: &Metadata) -> (u32, u32) {
        if self.privileged {
            return (metadata.uid(), metadata.gid());
        }
        // One id is mapped: ours, to 0. All others show as nobody.
        let map = |id, own| if id == own { 0 } else { 65534 };
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        (map(metadata.uid(), uid), map(metadata.gid(), gid))
    }

    /// Gives `file` to a user of the sandbox; in a user namespace all files have the one owner already.
    pub fn give(&self, file: &OwnedFd, uid: u32, gid: u32) -> io::Result<()> {
        if !self.privileged {
            return Ok(());
        }
        // The name leads to the open file itself, also when that was opened as a mere path.
        std::os::unix::fs::chown(format!("/proc/self/fd/{}", file.as_raw_fd()), Some(uid), Some(gid))
    }
}

/// The components in reverse order, so that the next one is popped.
fn components(path: &Path) -> Vec<std::ffi::OsString> {
    use std::path::Component;
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    named.collect::<Vec<_>>().into_iter().rev().collect()
}
