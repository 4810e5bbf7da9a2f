//! GraphQL: what REST does not have. A document is parsed and answered field by field; a field that GitHub does not have is refused.
//! `graphql_select` picks what was asked for; `graphql_draft`, `graphql_queue` and `graphql_refs` are the mutations.

use graphql_parser::query::{Definition, Document, Field, OperationDefinition, Selection, SelectionSet};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome};
use super::auth::{Access, Caller, authorize};
use super::graphql_select::{Selector, arguments};
use super::permissions::permit;
use super::request::Request;
use super::state::{Mergeability, State};
use super::{graphql_draft, graphql_pull, graphql_queue, graphql_refs, graphql_variables, merge};

/// An entry of `errors`: its type and what it says.
pub(super) type Refused = (&'static str, String);

pub(super) fn graphql(state: &mut State, request: &Request) -> Outcome {
    if matches!(request.caller, Caller::Anonymous) {
        let message = "This endpoint requires you to be authenticated.";
        return Err(Answer::refused(StatusCode::UNAUTHORIZED, message));
    }
    let text = request.required("query")?;
    let document: Document<'_, String> = match graphql_parser::parse_query(text) {
        Ok(document) => document,
        Err(error) => return Ok(invalid("parseError", &format!("Parse error: {error}"))),
    };
    let (kind, set, declared) = match document.definitions.as_slice() {
        [Definition::Operation(OperationDefinition::Query(query))] => {
            ("Query", &query.selection_set, query.variable_definitions.as_slice())
        }
        [Definition::Operation(OperationDefinition::Mutation(mutation))] => {
            ("Mutation", &mutation.selection_set, mutation.variable_definitions.as_slice())
        }
        [Definition::Operation(OperationDefinition::SelectionSet(set))] => ("Query", set, &[][..]),
        _ => return Ok(invalid("operationName", "stand-in: one operation and no fragments are offered")),
    };
    let empty = json!({});
    let variables = request.body.get("variables").filter(|given| given.is_object()).unwrap_or(&empty);
    if let Err(message) = graphql_variables::fit(declared, set, variables) {
        return Ok(invalid("variableMismatch", &message));
    }
    match answer(state, request, kind, set, variables) {
        Ok((data, errors)) if errors.is_empty() => Ok(Answer::ok(json!({ "data": data }))),
        Ok((data, errors)) => Ok(Answer::ok(json!({ "data": data, "errors": errors }))),
        Err(message) => Ok(invalid("undefinedField", &message)),
    }
}

/// A document that does not fit the schema is not run at all.
fn invalid(code: &str, message: &str) -> Answer {
    Answer::ok(json!({ "errors": [{ "message": message, "extensions": { "code": code } }] }))
}

fn answer(
    state: &mut State,
    request: &Request,
    kind: &str,
    set: &SelectionSet<'_, String>,
    variables: &Value,
) -> Result<(Value, Vec<Value>), String> {
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for selection in &set.items {
        let Selection::Field(field) = selection else {
            return Err("stand-in: fragments are offered below the root only".to_owned());
        };
        let given = arguments(field, variables);
        let found = match (kind, field.name.as_str()) {
            ("Query", "repository") => repository(state, request, &given),
            ("Query", "node") => node(state, request, &given),
            ("Mutation", "updateRefs") => graphql_refs::update(state, request, &given["input"]),
            ("Mutation", graphql_draft::READY) => graphql_draft::set(state, request, &given["input"], false),
            ("Mutation", graphql_draft::DRAFT) => graphql_draft::set(state, request, &given["input"], true),
            ("Mutation", name @ (graphql_queue::ENQUEUE | graphql_queue::DEQUEUE)) => {
                graphql_queue::fits(name, &given["input"])?;
                let change = if name == graphql_queue::ENQUEUE {
                    graphql_queue::enqueue
                } else {
                    graphql_queue::dequeue
                };
                change(state, request, &given["input"])
            }
            (_, name) => return Err(format!("Field '{name}' doesn't exist on type '{kind}'")),
        };
        let name = key(field);
        let value = match found {
            Ok(found) => {
                let mut selector = Selector::new(state, request, variables, json!(name));
                let value = selector.select(&found, &field.selection_set)?;
                errors.append(&mut selector.errors);
                let unknown = std::mem::take(&mut selector.unknown);
                compute(state, &unknown);
                value
            }
            Err((kind, message)) => {
                errors.push(json!({ "type": kind, "path": [name], "message": message }));
                Value::Null
            }
        };
        data.insert(name, value);
    }
    Ok((Value::Object(data), errors))
}

pub(super) fn key(field: &Field<'_, String>) -> String {
    field.alias.as_ref().unwrap_or(&field.name).clone()
}

fn repository(state: &State, request: &Request, given: &Value) -> Result<Value, Refused> {
    let word = |name: &str| given[name].as_str().unwrap_or_default();
    let full = format!("{}/{}", word("owner"), word("name"));
    let unresolved = || ("NOT_FOUND", format!("Could not resolve to a Repository with the name '{full}'."));
    let called =
        |full: &str| state.repositories.iter().position(|one| one.full_name().eq_ignore_ascii_case(full));
    // `followRenames` is true unless a query says otherwise.
    let renamed = || called(&state.renamed(word("owner"), word("name"))?.full_name());
    let at = called(&full).or_else(renamed).ok_or_else(unresolved)?;
    let repository = &state.repositories[at];
    authorize(&request.caller, repository, Access::Read).map_err(|_| unresolved())?;
    Ok(json!({
        "__typename": "Repository",
        "id": super::objects::node_id("R", repository.id),
        "databaseId": repository.id,
        "nameWithOwner": repository.full_name(),
        "@at": at,
    }))
}

/// The next read knows whether these can be merged.
fn compute(state: &mut State, unknown: &[(usize, usize)]) {
    for (at, index) in unknown {
        let pull = &state.repositories[*at].pulls[*index];
        if pull.open && !matches!(pull.mergeability, Mergeability::Known(_)) {
            // What git can't do stays unknown.
            let _ = merge::test_merge(state, *at, *index);
        }
    }
}

/// Of all that has an id, pull requests.
fn node(state: &State, request: &Request, given: &Value) -> Result<Value, Refused> {
    let id = given["id"].as_str().unwrap_or_default();
    let unresolved = || ("NOT_FOUND", format!("Could not resolve to a node with the global id of '{id}'"));
    let (at, index) = graphql_pull::find(state, id).ok_or_else(unresolved)?;
    let repository = &state.repositories[at];
    authorize(&request.caller, repository, Access::Read).map_err(|_| unresolved())?;
    permit(&request.caller, repository, "pull_requests=read")
        .map_err(|refusal| ("FORBIDDEN", refusal.message().to_owned()))?;
    Ok(graphql_pull::view(state, at, index))
}
