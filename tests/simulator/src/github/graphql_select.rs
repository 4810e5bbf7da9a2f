//! Picks from what is there what a GraphQL document asks for; a field that a type does not have is refused, as GitHub does it.
//! Used by `graphql`; `graphql_pull` and `graphql_checks` say what there is.

use graphql_parser::query::{Field, Selection, SelectionSet, TypeCondition, Value as Given};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::graphql_checks::{context, is_required, rollup_state};
use super::graphql_pull::{commit, entry_view, queue_view, timeline, view};
use super::permissions::permit;
use super::request::Request;
use super::state::{Repository, State};

/// One root field that is answered.
pub(super) struct Selector<'a> {
    state: &'a State,
    request: &'a Request,
    variables: &'a Value,
    path: Vec<Value>,
    /// What is left out, beside the data.
    pub(super) errors: Vec<Value>,
    /// Pull requests (repository, position) that were looked at and may be mergeable or not.
    pub(super) unknown: Vec<(usize, usize)>,
}

/// Most records of a connection in one answer.
const MOST: u64 = 100;
/// Where a check run has the run of its workflow.
const RUN: &str = "/checkSuite/workflowRun";

/// The arguments of a field, with the variables' values.
pub(super) fn arguments(field: &Field<'_, String>, variables: &Value) -> Value {
    let given = field.arguments.iter().map(|(name, given)| (name.clone(), value(given, variables)));
    Value::Object(given.collect())
}

fn value(given: &Given<'_, String>, variables: &Value) -> Value {
    match given {
        Given::Variable(name) => variables.get(name).cloned().unwrap_or_default(),
        Given::Int(number) => json!(number.as_i64()),
        Given::Float(number) => json!(number),
        Given::String(text) | Given::Enum(text) => json!(text),
        Given::Boolean(is) => json!(is),
        Given::Null => Value::Null,
        Given::List(all) => all.iter().map(|one| value(one, variables)).collect(),
        Given::Object(fields) => {
            Value::Object(fields.iter().map(|(name, one)| (name.clone(), value(one, variables))).collect())
        }
    }
}

impl<'a> Selector<'a> {
    pub(super) fn new(state: &'a State, request: &'a Request, variables: &'a Value, root: Value) -> Self {
        Self { state, request, variables, path: vec![root], errors: Vec::new(), unknown: Vec::new() }
    }

    pub(super) fn select(&mut self, found: &Value, set: &SelectionSet<'_, String>) -> Result<Value, String> {
        match found {
            Value::Array(all) => {
                let mut picked = Vec::new();
                for (at, one) in all.iter().enumerate() {
                    self.path.push(json!(at));
                    picked.push(self.select(one, set)?);
                    self.path.pop();
                }
                Ok(Value::Array(picked))
            }
            Value::Object(fields) => self.pick(fields, set),
            other => Ok(other.clone()),
        }
    }

    fn pick(&mut self, fields: &Map<String, Value>, set: &SelectionSet<'_, String>) -> Result<Value, String> {
        let typename = fields.get("__typename").and_then(Value::as_str).unwrap_or_default();
        let mut picked = Map::new();
        for selection in &set.items {
            match selection {
                Selection::Field(field) => {
                    let given = arguments(field, self.variables);
                    let name = super::graphql::key(field);
                    self.path.push(json!(name));
                    let found = self.find(fields, typename, &field.name, &given)?;
                    shaped(&found, field)?;
                    let found = self.page(found, field, &given);
                    let found = self.select(&found, &field.selection_set)?;
                    self.path.pop();
                    picked.insert(name, found);
                }
                Selection::InlineFragment(fragment) => {
                    let fits =
                        fragment.type_condition.as_ref().is_none_or(|TypeCondition::On(on)| on == typename);
                    if fits && let Value::Object(more) = self.pick(fields, &fragment.selection_set)? {
                        picked.extend(more);
                    }
                }
                Selection::FragmentSpread(_) => {
                    return Err("stand-in: no named fragments are offered".to_owned());
                }
            }
        }
        Ok(Value::Object(picked))
    }

    /// A field of an object, or the refusal of one that its type does not have.
    fn find(
        &mut self,
        fields: &Map<String, Value>,
        typename: &str,
        name: &str,
        given: &Value,
    ) -> Result<Value, String> {
        if let Some(found) = self.computed(fields, typename, name, given)? {
            return Ok(found);
        }
        let found = fields.get(name).cloned();
        found.ok_or_else(|| format!("Field '{name}' doesn't exist on type '{typename}'"))
    }

    /// What depends on arguments, or on what the caller may see.
    fn computed(
        &mut self,
        of: &Map<String, Value>,
        typename: &str,
        name: &str,
        given: &Value,
    ) -> Result<Option<Value>, String> {
        let position =
            |name: &str| of.get(name).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
        let Some(at) = position("@at") else { return Ok(None) };
        let state = self.state;
        let repository = &state.repositories[at];
        let word = |name: &str| given[name].as_str().unwrap_or_default();
        let own = |name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default();
        let pull = position("@index").filter(|index| *index < repository.pulls.len());
        Ok(Some(match (typename, name) {
            ("Repository", "ref") => reference(repository, at, word("qualifiedName")),
            ("Repository", "object") => object(repository, at, word("oid")),
            ("Repository", "pullRequest") => self.pull(at, &given["number"]),
            ("Repository", "mergeQueue") => {
                let branch = given["branch"].as_str().unwrap_or(&repository.default_branch);
                queue_view(state, at, branch)
            }
            ("Commit", "statusCheckRollup") => self.rollup(at, own("oid")),
            ("PullRequest", "statusCheckRollup") => self.rollup(at, own("headRefOid")),
            ("CheckRun" | "StatusContext", "isRequired") => {
                is_required(repository, &Value::Object(of.clone()), given)?
            }
            ("PullRequest", "mergeable" | "mergeStateStatus") => {
                self.unknown.extend(pull.map(|index| (at, index)));
                return Ok(None);
            }
            ("PullRequest", "mergeQueueEntry") => {
                let entry =
                    of.get("number").and_then(Value::as_u64).and_then(|number| repository.entry(number));
                entry.map_or(Value::Null, |entry| entry_view(state, at, entry))
            }
            ("PullRequest", "mergeQueue") => queue_view(state, at, own("baseRefName")),
            ("PullRequest", "timelineItems") => {
                pull.map_or(Value::Null, |index| timeline(state, at, index, given))
            }
            ("MergeQueueEntry", "pullRequest") => pull.map_or(Value::Null, |index| view(state, at, index)),
            ("MergeQueueEntry", "mergeQueue") => queue_view(state, at, own("@branch")),
            _ => return Ok(None),
        }))
    }

    fn refuse(&mut self, kind: &str, message: &str) -> Value {
        self.errors.push(json!({ "type": kind, "path": self.path, "message": message }));
        Value::Null
    }

    fn pull(&mut self, at: usize, number: &Value) -> Value {
        let repository = &self.state.repositories[at];
        if let Err(refusal) = permit(&self.request.caller, repository, "pull_requests=read") {
            return self.refuse("FORBIDDEN", refusal.message());
        }
        if let Some(index) = repository.pulls.iter().position(|pull| *number == pull.number) {
            return view(self.state, at, index);
        }
        let message = format!("Could not resolve to a PullRequest with the number of {number}.");
        self.refuse("NOT_FOUND", &message)
    }

    /// The checks of a commit; null where it has none.
    fn rollup(&mut self, at: usize, sha: &str) -> Value {
        let repository = &self.state.repositories[at];
        let checks = repository.checks_of(sha, self.request.now);
        if checks.is_empty() {
            return Value::Null;
        }
        let state = rollup_state(&repository.latest_checks_of(sha, self.request.now));
        let nodes: Vec<Value> = checks.iter().map(|shown| context(shown, &json!(at))).collect();
        let nodes = self.visible(repository, nodes);
        json!({
            "__typename": "StatusCheckRollup",
            "state": state,
            "contexts": connection("StatusCheckRollupContext", &nodes),
        })
    }

    /// The part of a connection that is asked for. GitHub wants to be asked for a part.
    fn page(&mut self, found: Value, field: &Field<'_, String>, given: &Value) -> Value {
        let name = &field.name;
        let Some(nodes) = found.get("nodes").and_then(Value::as_array) else { return found };
        let (first, last) = (given["first"].as_u64(), given["last"].as_u64());
        let wants = |one: &Selection<'_, String>| matches!(one, Selection::Field(one) if one.name == "nodes");
        let Some(most) = first.or(last) else {
            // Who only counts needs no part.
            if !field.selection_set.items.iter().any(wants) {
                return found;
            }
            let message = format!(
                "You must provide a `first` or `last` value to properly paginate the `{name}` connection."
            );
            return self.refuse("MISSING_PAGINATION_BOUNDARIES", &message);
        };
        if most > MOST {
            let which = if first.is_some() { "first" } else { "last" };
            let message = format!(
                "Requesting {most} records on the `{name}` connection exceeds the `{which}` limit of {MOST} records."
            );
            return self.refuse("EXCESSIVE_PAGINATION", &message);
        }
        let count = usize::try_from(most).unwrap_or(usize::MAX);
        let after =
            given["after"].as_str().and_then(|cursor| cursor.strip_prefix("Y3Vyc29yOn")?.parse().ok());
        let begin = match first {
            Some(_) => usize::min(after.unwrap_or(0), nodes.len()),
            None => nodes.len().saturating_sub(count),
        };
        let end = usize::min(begin + count, nodes.len());
        let mut page = found.clone();
        page["nodes"] = Value::Array(nodes[begin..end].to_vec());
        page["pageInfo"] = json!({
            "__typename": "PageInfo",
            "hasNextPage": end < nodes.len(),
            "hasPreviousPage": begin > 0,
            "endCursor": (end > begin).then(|| format!("Y3Vyc29yOn{end}")),
        });
        page
    }

    /// Without the rights a check is null, or the run of its workflow, and an error says so.
    fn visible(&mut self, repository: &Repository, nodes: Vec<Value>) -> Vec<Value> {
        let hidden = |node: &Value| {
            let needs = if node["__typename"] == "CheckRun" { "checks=read" } else { "statuses=read" };
            permit(&self.request.caller, repository, needs).err()
        };
        let mut errors = Vec::new();
        let no_runs = permit(&self.request.caller, repository, "actions=read").err();
        let mut refuse = |at: usize, below: &[&str], refusal: &Answer| {
            let mut path = self.path.clone();
            path.extend([json!("contexts"), json!("nodes"), json!(at)]);
            path.extend(below.iter().map(|name| json!(name)));
            errors.push(json!({ "type": "FORBIDDEN", "path": path, "message": refusal.message() }));
            Value::Null
        };
        let nodes = nodes.into_iter().enumerate().map(|(at, mut node)| {
            if let Some(refusal) = hidden(&node) {
                return refuse(at, &[], &refusal);
            }
            if let (Some(refusal), Some(true)) = (&no_runs, node.pointer(RUN).map(Value::is_object)) {
                node["checkSuite"]["workflowRun"] = refuse(at, &["checkSuite", "workflowRun"], refusal);
            }
            node
        });
        let nodes = nodes.collect();
        self.errors.append(&mut errors);
        nodes
    }
}

/// A branch by its full name.
fn reference(repository: &Repository, at: usize, name: &str) -> Value {
    let tip = name.strip_prefix("refs/heads/").and_then(|name| repository.tip(name));
    tip.map_or(
        Value::Null,
        |tip| json!({ "__typename": "Ref", "name": name, "target": commit(at, &tip.to_string()) }),
    )
}

fn object(repository: &Repository, at: usize, oid: &str) -> Value {
    let id = git2::Oid::from_str(oid).ok();
    let found = id.and_then(|id| repository.git.find_commit(id).ok());
    found.map_or(Value::Null, |found| commit(at, &found.id().to_string()))
}

pub(super) fn connection(of: &str, nodes: &[Value]) -> Value {
    json!({
        "__typename": format!("{of}Connection"),
        "totalCount": nodes.len(),
        "pageInfo": { "__typename": "PageInfo", "hasNextPage": false },
        "nodes": nodes,
    })
}

/// Whether parts are asked for where there are some, and only there.
fn shaped(found: &Value, field: &Field<'_, String>) -> Result<(), String> {
    let one = found.as_array().map_or(Some(found), |all| all.first());
    let (name, parts) = (&field.name, !field.selection_set.items.is_empty());
    match one {
        Some(Value::Object(_)) if !parts => Err(format!(
            "Field must have selections (field '{name}' returns an object but has no selections. Did you mean '{name} {{ ... }}'?)"
        )),
        Some(Value::String(_) | Value::Number(_) | Value::Bool(_)) if parts => {
            Err(format!("Selections can't be made on scalars (field '{name}')"))
        }
        _ => Ok(()),
    }
}
