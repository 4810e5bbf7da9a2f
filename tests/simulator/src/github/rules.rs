//! What a branch asks of the commits that come to it: signatures that can be verified, and a token that may change workflows.
//! `refs` asks before a branch moves, `merge` before it merges, `trees` before it writes.

use std::collections::HashSet;

use git2::Oid;
use http::StatusCode;

use super::answer::Answer;
use super::auth::Caller;
use super::branch_rules::RuleKind;
use super::permissions::{covers, missing};
use super::state::{Pull, Repository};
use super::{GitHub, Refused};

const WORKFLOWS: &str = ".github/workflows";
const UNSIGNED: &str = "Repository rule violations found\n\nCommits must have verified signatures.\n\n";
const RESTRICTED: &str = "You're not authorized to push to this branch. Visit https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/about-protected-branches for more information.";
const NEEDS: &str = "contents=write; contents=write,workflows=write";

/// Whether the caller may change workflow files; only installations are asked.
fn may_change_workflows(caller: &Caller) -> bool {
    match caller {
        Caller::Installation(acting) => covers(&acting.permissions, "workflows=write"),
        _ => true,
    }
}

/// Refuses a tree with such a path: GitHub does not wait for the commit.
pub(super) fn takes_path(caller: &Caller, path: &str) -> Result<(), Answer> {
    if path.starts_with(&format!("{WORKFLOWS}/")) && !may_change_workflows(caller) {
        return Err(missing(caller, NEEDS));
    }
    Ok(())
}

impl Repository {
    /// Names and contents of the workflow files of a commit.
    fn workflows(&self, commit: Oid) -> HashSet<(String, Oid)> {
        let tree = self.git.find_commit(commit).and_then(|commit| commit.tree());
        let entry = tree.and_then(|tree| tree.get_path(std::path::Path::new(WORKFLOWS)));
        let Ok(tree) = entry.and_then(|entry| self.git.find_tree(entry.id())) else { return HashSet::new() };
        tree.iter().map(|file| (String::from_utf8_lossy(file.name_bytes()).into_owned(), file.id())).collect()
    }

    /// A workflow file of `new` that none of the others has.
    fn new_workflow(&self, new: Oid, others: &[Oid]) -> Option<String> {
        let mut files = self.workflows(new);
        for other in others {
            let known = self.workflows(*other);
            files.retain(|file| !known.contains(file));
        }
        files.into_iter().map(|(name, _)| format!("{WORKFLOWS}/{name}")).min()
    }

    pub(super) fn wants_signatures(&self, branch: &str) -> bool {
        let ruled = self.has_rule(branch, RuleKind::RequiredSignatures);
        ruled || self.signed.contains(branch) || self.manners.signed_commits && branch == self.default_branch
    }

    /// Whether all that `new` has and `old` has not is verified.
    fn all_verified(&self, new: Oid, old: Option<Oid>) -> Result<bool, Answer> {
        let mut walk = self.git.revwalk()?;
        walk.push(new)?;
        if let Some(old) = old {
            walk.hide(old)?;
        }
        for id in walk {
            if !self.is_verified(id?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a branch may be made at, or moved to, this commit. People sign, and may all.
    pub(super) fn takes_commit(&self, branch: &str, new: Oid, caller: &Caller) -> Result<(), Answer> {
        if matches!(caller, Caller::Person(_)) {
            return Ok(());
        }
        let old = self.tip(branch).or_else(|| self.tip(&self.default_branch));
        if self.wants_signatures(branch) && !self.all_verified(new, old)? {
            return Err(Answer::unprocessable(UNSIGNED));
        }
        if may_change_workflows(caller) {
            return Ok(());
        }
        // A file that another branch has in the same form is no change (docs, "Scopes for OAuth apps", `workflow`).
        let mut tips = Vec::new();
        for reference in self.git.references_glob("refs/heads/*")? {
            tips.extend(reference?.target());
        }
        match self.new_workflow(new, &tips) {
            Some(_) => Err(missing(caller, NEEDS)),
            None => Ok(()),
        }
    }

    /// Whether a pull request may be merged by this method, as far as signatures and workflows go.
    pub(super) fn takes_merge(&self, pull: &Pull, method: &str, caller: &Caller) -> Result<(), Answer> {
        let (Some(base), Ok(head)) = (self.tip(&pull.base_ref), Oid::from_str(&pull.head_sha)) else {
            return Ok(());
        };
        if matches!(caller, Caller::Person(_)) {
            return Ok(());
        }
        if self.manners.restricts_pushes && pull.base_ref == self.default_branch {
            return Err(Answer::not_allowed(RESTRICTED));
        }
        // GitHub signs a squash and a merge commit, and can't sign what it rebases.
        let signed = match method {
            "squash" => true,
            "rebase" => false,
            _ => !self.wants_signatures(&pull.base_ref) || self.all_verified(head, Some(base))?,
        };
        if self.wants_signatures(&pull.base_ref) && !signed {
            return Err(Answer::not_allowed(UNSIGNED));
        }
        // What the base itself has changed since is not of this pull request.
        let old = self.git.merge_base(base, head).unwrap_or(base);
        match self.new_workflow(head, &[base, old]) {
            Some(path) if !may_change_workflows(caller) => {
                let message = format!(
                    "refusing to allow a GitHub App to create or update workflow `{path}` without `workflows` permission"
                );
                Err(Answer::refused(StatusCode::FORBIDDEN, message))
            }
            _ => Ok(()),
        }
    }
}

impl GitHub {
    /// Lets a branch, which need not be there yet, take only commits with signatures that can be verified, or any again.
    pub fn require_signatures(&self, full_name: &str, branch: &str, require: bool) -> Result<(), Refused> {
        self.with_repository(full_name, |state, at| {
            let signed = &mut state.repositories[at].signed;
            if require {
                signed.insert(branch.to_owned())
            } else {
                signed.remove(branch)
            };
        })
    }
}
