//! Where the control plane's binaries are: `KUBEBUILDER_ASSETS` first, then the cache that `build.sh` fills.
//! Neighbours: `build.sh` decides by the same rules what to build; `servers` runs what is found here.

use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The Go module that pins the tools; `build.sh` reads the version from the same place.
pub const VERSION_FILE: &str = include_str!("kubernetes/go.mod");

/// The pinned Kubernetes version, such as `v1.37.1`.
pub fn version() -> Result<&'static str> {
    let mut words = VERSION_FILE.lines().map(|line| line.split_whitespace());
    words
        .find_map(|mut line| (line.next() == Some("k8s.io/kubernetes")).then(|| line.next()).flatten())
        .context("tests/controlplane/kubernetes/go.mod requires no k8s.io/kubernetes")
}

/// Where `build.sh` puts what it builds.
fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("slipway/kubernetes").join(version()?))
}

/// A tool of the group `node`.
pub fn of_node(name: &str) -> Result<PathBuf> {
    let cache = cache()?;
    let missing = || format!("{name} is not in {}: run `tests/controlplane/build.sh node`", cache.display());
    executable(&cache, name).with_context(missing)
}

/// Paths of the four tools, all checked to be there.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub etcd: PathBuf,
    pub kube_apiserver: PathBuf,
    pub kube_controller_manager: PathBuf,
    pub kubectl: PathBuf,
}

impl Binaries {
    /// Looks where the environment says. A missing tool is an error that says how to get it, never a reason to skip.
    pub fn find() -> Result<Self> {
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from);
        Self::find_in(assets.as_deref(), &cache()?)
    }

    /// `assets` replaces the cache for all but kube-controller-manager, which those archives don't contain.
    pub fn find_in(assets: Option<&Path>, cache: &Path) -> Result<Self> {
        let asset = |name: &str| {
            match assets {
            None => cached(cache, name),
            Some(directory) => executable(directory, name).with_context(|| {
                let directory = directory.display();
                format!(
                    "KUBEBUILDER_ASSETS={directory} holds no {name}. Put it there, or unset KUBEBUILDER_ASSETS and run `make controlplane`."
                )
            }),
        }
        };
        Ok(Self {
            etcd: asset("etcd")?,
            kube_apiserver: asset("kube-apiserver")?,
            kube_controller_manager: cached(cache, "kube-controller-manager")?,
            kubectl: asset("kubectl")?,
        })
    }
}

fn cached(cache: &Path, name: &str) -> Result<PathBuf> {
    if let Some(path) = executable(cache, name) {
        return Ok(path);
    }
    bail!(
        "{name} is not in {}. Build the control plane once with `make controlplane` (about 9 minutes on 2 cores).",
        cache.display()
    )
}

fn executable(directory: &Path, name: &str) -> Option<PathBuf> {
    let path = directory.join(name);
    let metadata = path.metadata().ok()?;
    (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(path)
}
