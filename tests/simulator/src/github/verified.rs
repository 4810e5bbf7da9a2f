//! Commits that GitHub makes itself and signs: those of an App that names no author, merges and squashes.
//! `objects` shows what `verification` says; `rules` asks whether a branch takes a commit.

use git2::{Commit, Oid, Signature, Tree};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::answer::Answer;
use super::objects::git_time;
use super::request::stamp;
use super::state::Repository;
use super::{GitHub, Refused};

/// What is written into the commit as its `gpgsig`: armour around a digest, which nobody but the stand-in takes for a signature.
fn signature(payload: &str) -> String {
    use base64::Engine as _;
    let digest = sha2::Sha512::digest(payload);
    let text = base64::engine::general_purpose::STANDARD.encode(digest);
    let (one, two) = text.split_at(64);
    format!("-----BEGIN PGP SIGNATURE-----\n\n{one}\n{two}\n-----END PGP SIGNATURE-----\n")
}

impl Repository {
    /// Writes a commit that GitHub signs; no branch has it yet.
    pub(super) fn signed_commit(
        &self,
        author: &Signature<'_>,
        committer: &Signature<'_>,
        message: &str,
        tree: &Tree<'_>,
        parents: &[&Commit<'_>],
        now: Timestamp,
    ) -> Result<Oid, Answer> {
        let buffer = self.git.commit_create_buffer(author, committer, message, tree, parents)?;
        let payload = String::from_utf8_lossy(&buffer).into_owned();
        let id = self.git.commit_signed(&payload, &signature(&payload), None)?;
        self.verified.borrow_mut().entry(id).or_insert(now);
        Ok(id)
    }

    pub(super) fn is_verified(&self, id: Oid) -> bool {
        self.verified.borrow().contains_key(&id)
    }

    /// `verification` of a commit.
    pub(super) fn verification(&self, id: Oid) -> Value {
        let known = self.verified.borrow().get(&id).copied();
        let signed = known.zip(self.git.extract_signature(&id, None).ok());
        let Some((at, (signature, payload))) = signed else {
            return json!({
                "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null,
            });
        };
        json!({
            "verified": true,
            "reason": "valid",
            "signature": String::from_utf8_lossy(&signature),
            "payload": String::from_utf8_lossy(&payload),
            "verified_at": stamp(at),
        })
    }
}

impl GitHub {
    /// A commit of this tree on these parents that GitHub signs, as when somebody merges at its pages; no branch has it.
    pub fn signed_commit(&self, full_name: &str, tree: &str, parents: &[&str]) -> Result<String, Refused> {
        let made = self.with_repository(full_name, |state, at| -> Result<String, Answer> {
            let repository = &state.repositories[at];
            let git = &repository.git;
            let now = state.clock.now();
            let github = Signature::new("GitHub", "noreply@github.com", &git_time(now, 0))?;
            let tree = git.find_tree(Oid::from_str(tree)?)?;
            let parents: Result<Vec<Commit<'_>>, Answer> =
                parents.iter().map(|sha| Ok(git.find_commit(Oid::from_str(sha)?)?)).collect();
            let parents = parents?;
            let parents: Vec<&Commit<'_>> = parents.iter().collect();
            let id = repository.signed_commit(&github, &github, "By hand", &tree, &parents, now)?;
            Ok(id.to_string())
        })?;
        made.map_err(Refused::from)
    }
}
