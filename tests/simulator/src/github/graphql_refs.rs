//! The mutation `updateRefs`: branches are made, moved and deleted together, each only while it stands where it should.
//! Part of `graphql`; `refs` does the same for REST, where nothing can be asked of the branch.

use git2::Oid;
use serde_json::{Value, json};

use super::auth::{Access, authorize};
use super::graphql::Refused;
use super::permissions::permit;
use super::refs;
use super::request::Request;
use super::state::State;

/// What it needs of an installation's token.
const NEEDS: &str = "contents=write; contents=write,workflows=write";

pub(super) fn update(state: &mut State, request: &Request, input: &Value) -> Result<Value, Refused> {
    let id = input["repositoryId"].as_str().unwrap_or_default();
    let unresolved = || ("NOT_FOUND", format!("Could not resolve to a node with the global id of '{id}'"));
    let at = state.repositories.iter().position(|one| super::objects::node_id("R", one.id) == id);
    let at = at.ok_or_else(unresolved)?;
    let (caller, repository) = (&request.caller, &state.repositories[at]);
    authorize(caller, repository, Access::Read).map_err(|_| unresolved())?;
    authorize(caller, repository, Access::Write)
        .and_then(|()| permit(caller, repository, NEEDS))
        .map_err(|refusal| ("FORBIDDEN", refusal.message().to_owned()))?;
    let updates = input["refUpdates"].as_array().filter(|updates| !updates.is_empty());
    let updates = updates.ok_or(("UNPROCESSABLE", "refUpdates is empty".to_owned()))?;
    let mut moves = Vec::new();
    for update in updates {
        moves.push(checked(state, at, update)?);
    }
    for (branch, after) in moves {
        let done = if after.is_zero() {
            refs::delete_branch(state, at, &branch, request)
        } else {
            refs::set_branch(state, at, &branch, after, request)
        };
        done.map_err(|refusal| ("UNPROCESSABLE", refusal.message().to_owned()))?;
    }
    Ok(json!({ "__typename": "UpdateRefsPayload", "clientMutationId": input["clientMutationId"] }))
}

/// The branch and where it goes. Nothing is done before all of them are found right.
fn checked(state: &State, at: usize, update: &Value) -> Result<(String, Oid), Refused> {
    let repository = &state.repositories[at];
    let word = |name: &str| update[name].as_str();
    let name = word("name").unwrap_or_default();
    let refused = |what: &str| ("UNPROCESSABLE", format!("A ref update failed: {name}: {what}"));
    let branch = name.strip_prefix("refs/heads/").ok_or_else(|| refused("stand-in: only branches"))?;
    let oid =
        |text: Option<&str>| text.map(Oid::from_str).transpose().map_err(|_| refused("not an object id"));
    let after = oid(word("afterOid"))?.ok_or_else(|| refused("afterOid is missing"))?;
    let tip = repository.tip(branch);
    if oid(word("beforeOid"))?.is_some_and(|before| before != tip.unwrap_or(Oid::ZERO_SHA1)) {
        return Err(refused("the ref does not point to beforeOid"));
    }
    if let Some(tip) = tip.filter(|tip| !after.is_zero() && update["force"] != true && *tip != after) {
        let forward = repository.git.graph_descendant_of(after, tip);
        if !forward.unwrap_or(false) {
            return Err(refused("not a fast forward"));
        }
    }
    Ok((branch.to_owned(), after))
}
