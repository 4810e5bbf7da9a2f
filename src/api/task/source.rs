//! Which files of a sandbox are a Task's result, and whether the repository is there before they are made.
//! Part of the kind Task; imports `bounds`.

use super::super::bounds;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What git takes for a directory of a repository.
const DESTINATION_RULE: &str =
    "self.split('/').all(p, p != '.' && p != '..' && !p.lowerAscii().startsWith('.git') || p == '.github')";

/// Selects the files of the sandbox that are the result. Of a git work tree (`path` has a `.git`) the result is what git says
/// has changed, with deletions and renames, since the commit of the base branch that it is a copy of. A plain directory is laid
/// over the base branch: its files are added and changed, and nothing is deleted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.checkout) || !has(self.destination)")
        .message("destination must not be set together with checkout: what is checked out is the whole repository")
)]
pub struct Source {
    /// Directory in the sandbox, absolute, whose content becomes the root of the repository, or goes to `destination`.
    #[schemars(length(min = 1, max = bounds::PATH), regex(pattern = r"^/[^\x00\n]*$"))]
    pub path: String,
    /// Checks the repository out into `path` as a git work tree before the command runs, with a remote `origin` and without
    /// credentials: the base branch, or in a further round on an open pull request its branch. The operator fetches it, the
    /// sandbox's own git unpacks it. `path` must be empty or missing at first. The result is what git says has changed since.
    /// Submodules and the objects of git LFS are not fetched. Absent: nothing is put into the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<Checkout>,
    /// gitignore patterns, relative to `path`: only files that match one are taken. Absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::PATTERNS), inner(length(min = 1, max = bounds::PATTERN)))]
    pub include: Vec<String>,
    /// gitignore patterns, relative to `path`: files that match one are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::PATTERNS), inner(length(min = 1, max = bounds::PATTERN)))]
    pub exclude: Vec<String>,
    /// Take files that a `.gitignore` below `path` ignores. What the repository has already is taken in any case, and `.git`
    /// itself never travels.
    #[serde(default)]
    pub include_ignored: bool,
    /// Directory of the repository that the content of `path` goes to, taken as a plain directory even where it has a `.git`.
    /// Relative to the root, without a slash at either end. Default: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = bounds::PATH), regex(pattern = r"^[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*$"))]
    #[x_kube(validation = Rule::new(DESTINATION_RULE).message("destination must be a path below the repository's root, without ., .. and .git"))]
    pub destination: Option<String>,
}

/// A git work tree for the command to work in.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Checkout {
    /// Number of commits of the branch's history that are fetched, as `git clone --depth` counts. Default: 1.
    #[serde(default = "default_depth")]
    #[schemars(range(min = 1, max = 1000))]
    pub depth: i32,
    /// Files of an earlier round or attempt that are removed before the command runs again, beside all changes to the
    /// repository's files. `KeepIgnored`: those that no `.gitignore` names, so that dependencies and caches stay (`git clean
    /// -ffd`). `All`: these too (`git clean -ffdx`). Default: `KeepIgnored`.
    #[serde(default)]
    pub clean: Clean,
}

impl Default for Checkout {
    fn default() -> Self {
        Self { depth: default_depth(), clean: Clean::default() }
    }
}

fn default_depth() -> i32 {
    1
}

/// Files that a work tree is cleaned of.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clean {
    #[default]
    KeepIgnored,
    All,
}
