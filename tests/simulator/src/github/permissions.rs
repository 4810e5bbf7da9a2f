//! What an installation's token must be allowed for a call, in the notation of `x-accepted-github-permissions`:
//! `contents=write; contents=write,workflows=write`. `routes` has it per route, `State::repository` asks.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::auth::Caller;
use super::state::Repository;

/// Names of permissions and the levels that were granted: `read`, `write`, `admin`.
pub type Permissions = BTreeMap<String, String>;

/// For routes that take an App's JWT and nothing else.
pub(super) const JWT: &str = "jwt";

pub(super) const HEADER: &str = "x-accepted-github-permissions";

/// What everybody has who knows of a repository.
const METADATA: &str = "metadata=read";

/// Reads of these need no permission where the repository is public.
const PUBLIC: [&str; 6] = ["checks", "contents", "issues", "metadata", "pull_requests", "statuses"];

fn rank(level: &str) -> u8 {
    match level {
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => u8::MAX,
    }
}

/// Whether `granted` has the permission at this level or above.
pub(super) fn has(granted: &Permissions, name: &str, level: &str) -> bool {
    granted.get(name).is_some_and(|has| rank(has) <= 3 && rank(has) >= rank(level))
}

/// Sets of (name, level), one of which has to be covered.
fn alternatives(needs: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
    needs.split(';').map(|all| all.split(',').filter_map(|one| one.trim().split_once('=')).collect())
}

/// Whether `granted` has all of one of the alternatives.
pub(super) fn covers(granted: &Permissions, needs: &str) -> bool {
    alternatives(needs).any(|all| all.iter().all(|(name, level)| has(granted, name, level)))
}

fn is_public(needs: &str) -> bool {
    alternatives(needs).any(|all| all.iter().all(|(name, level)| *level == "read" && PUBLIC.contains(name)))
}

/// The refusal of a call for want of a permission, which GitHub names in a header.
pub(super) fn missing(caller: &Caller, needs: &str) -> Answer {
    caller.not_accessible().with_header(HEADER, needs)
}

/// Whether the token of an installation, or a fine-grained one, is good enough for what a call needs of a repository that its
/// caller may know of. Other callers' rights are no business of this module.
pub(super) fn permit(caller: &Caller, repository: &Repository, needs: &str) -> Result<(), Answer> {
    let Some(granted) = caller.granted() else { return Ok(()) };
    let covered = caller.reaches_repository(repository) && (needs == METADATA || covers(granted, needs));
    if covered || !repository.private && is_public(needs) { Ok(()) } else { Err(missing(caller, needs)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(pairs: &[(&str, &str)]) -> Permissions {
        pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
    }

    #[test]
    fn one_alternative_has_to_be_covered_as_a_whole() {
        let needs = "contents=write,workflows=write; issues=read";
        for (has, enough) in [
            (granted(&[("contents", "write")]), false),
            (granted(&[("contents", "write"), ("workflows", "read")]), false),
            (granted(&[("contents", "write"), ("workflows", "write")]), true),
            (granted(&[("issues", "write")]), true),
            (granted(&[("issues", "admin")]), true),
            (granted(&[("issues", "none")]), false),
        ] {
            assert_eq!(covers(&has, needs), enough, "{has:?}");
        }
        // A route that needs nothing is open, one that takes JWTs only is for the caller's kind to tell.
        assert!(covers(&granted(&[]), ""));
    }
}
