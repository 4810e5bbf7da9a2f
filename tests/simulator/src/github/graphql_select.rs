//! Picks from what is there what a GraphQL document asks for; a field that a type does not have is refused, as GitHub does it.
//! Used by `graphql`; `refs` and `talk` answer the same questions for REST.

use graphql_parser::query::{Field, Selection, SelectionSet, TypeCondition, Value as Given};
use serde_json::{Map, Value, json};

use super::checks::Check;
use super::permissions::permit;
use super::request::Request;
use super::state::State;

/// One root field that is answered.
pub(super) struct Selector<'a> {
    pub(super) state: &'a State,
    pub(super) request: &'a Request,
    pub(super) variables: &'a Value,
    pub(super) path: Vec<Value>,
    /// What is left out, beside the data.
    pub(super) errors: Vec<Value>,
}

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

impl Selector<'_> {
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
                    let found = match self.computed(fields, &field.name, &given) {
                        Some(found) => found,
                        None => fields.get(&field.name).cloned().ok_or_else(|| {
                            format!("Field '{}' doesn't exist on type '{typename}'", field.name)
                        })?,
                    };
                    let name = super::graphql::key(field);
                    self.path.push(json!(name));
                    let found = self.select(&first(found, &given), &field.selection_set)?;
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

    /// What depends on arguments, or on what the caller may see.
    fn computed(&mut self, of: &Map<String, Value>, name: &str, given: &Value) -> Option<Value> {
        let repository = &self.state.repositories[usize::try_from(of.get("at")?.as_u64()?).ok()?];
        let word = |name: &str| given[name].as_str().unwrap_or_default();
        Some(match (of["__typename"].as_str()?, name) {
            ("Repository", "ref") => {
                let tip =
                    word("qualifiedName").strip_prefix("refs/heads/").and_then(|name| repository.tip(name));
                tip.map_or(Value::Null, |tip| {
                    let target = json!({ "__typename": "Commit", "oid": tip.to_string(), "at": of["at"] });
                    json!({ "__typename": "Ref", "name": word("qualifiedName"), "target": target })
                })
            }
            ("Repository", "object") => {
                let id = git2::Oid::from_str(word("oid")).ok();
                let commit = id.and_then(|id| repository.git.find_commit(id).ok());
                commit.map_or(Value::Null, |commit| {
                    json!({ "__typename": "Commit", "oid": commit.id().to_string(), "at": of["at"] })
                })
            }
            ("Commit", "statusCheckRollup") => {
                let checks = repository.checks_of(of["oid"].as_str()?, self.request.now);
                if checks.is_empty() {
                    return Some(Value::Null);
                }
                let nodes: Vec<Value> = checks.iter().map(|shown| context(shown.check, shown.id)).collect();
                let nodes = self.visible(repository, nodes);
                json!({ "__typename": "StatusCheckRollup", "contexts": connection("StatusCheckRollupContext", &nodes) })
            }
            _ => return None,
        })
    }

    /// Without the rights a check is null, and an error says so.
    fn visible(&mut self, repository: &super::state::Repository, nodes: Vec<Value>) -> Vec<Value> {
        let hidden = |node: &Value| {
            let needs = if node["__typename"] == "CheckRun" { "checks=read" } else { "statuses=read" };
            permit(&self.request.caller, repository, needs).err()
        };
        let mut errors = Vec::new();
        let nodes = nodes.into_iter().map(|node| match hidden(&node) {
            Some(refusal) => {
                errors.push(json!({ "type": "FORBIDDEN", "path": self.path, "message": refusal.message() }));
                Value::Null
            }
            None => node,
        });
        let nodes = nodes.collect();
        self.errors.append(&mut errors);
        nodes
    }
}

fn context(check: &Check, id: u64) -> Value {
    let conclusion = check.conclusion.as_ref().map(|word| word.to_uppercase());
    if check.commit_status {
        return json!({
            "__typename": "StatusContext",
            "context": check.name,
            "state": conclusion.unwrap_or_else(|| "PENDING".to_owned()),
            "description": check.output.title,
        });
    }
    let annotations = check.output.annotations.iter().map(|annotation| {
        let position =
            |line: u64| json!({ "__typename": "CheckAnnotationPosition", "line": line, "column": null });
        json!({
            "__typename": "CheckAnnotation",
            "path": annotation.path,
            "location": {
                "__typename": "CheckAnnotationSpan",
                "start": position(annotation.line),
                "end": position(annotation.line),
            },
            "annotationLevel": "FAILURE",
            "message": annotation.message,
        })
    });
    json!({
        "__typename": "CheckRun",
        "databaseId": id,
        "checkSuite": {
            "__typename": "CheckSuite",
            "app": { "__typename": "App", "databaseId": 15368 },
            "workflowRun": {
                "__typename": "WorkflowRun",
                "event": "push",
                "workflow": { "__typename": "Workflow", "databaseId": 1 },
            },
        },
        "name": check.name,
        "status": if conclusion.is_some() { "COMPLETED" } else { "IN_PROGRESS" },
        "conclusion": conclusion,
        "title": check.output.title,
        "summary": check.output.summary,
        "annotations": connection("CheckAnnotation", &annotations.collect::<Vec<_>>()),
    })
}

fn connection(of: &str, nodes: &[Value]) -> Value {
    json!({
        "__typename": format!("{of}Connection"),
        "totalCount": nodes.len(),
        "pageInfo": { "__typename": "PageInfo", "hasNextPage": false },
        "nodes": nodes,
    })
}

/// The beginning of a connection, as many as are asked for.
fn first(mut connection: Value, given: &Value) -> Value {
    let most = given["first"].as_u64().and_then(|most| usize::try_from(most).ok());
    if let (Some(most), Some(nodes)) = (most, connection.get_mut("nodes").and_then(Value::as_array_mut)) {
        let more = nodes.len() > most;
        nodes.truncate(most);
        connection["pageInfo"]["hasNextPage"] = json!(more);
    }
    connection
}
