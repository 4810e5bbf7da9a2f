//! The variables of a GraphQL operation: each that is used is declared, each that must be given is given.
//! Asked by `graphql` before anything is run; `graphql_select` puts the values in.

use graphql_parser::query::{Field, Selection, SelectionSet, Type, Value as Given, VariableDefinition};
use serde_json::Value;

/// Refuses an operation whose variables do not fit, in GitHub's words.
pub(super) fn fit(
    declared: &[VariableDefinition<'_, String>],
    set: &SelectionSet<'_, String>,
    given: &Value,
) -> Result<(), String> {
    let mut used = Vec::new();
    in_set(set, &mut used);
    for name in &used {
        if declared.iter().all(|one| one.name != *name) {
            return Err(format!("Variable ${name} is used by anonymous query but not declared"));
        }
    }
    for one in declared {
        if !used.contains(&one.name) {
            return Err(format!("Variable ${} is declared by anonymous query but not used", one.name));
        }
        let missing = given.get(&one.name).is_none_or(Value::is_null) && one.default_value.is_none();
        if missing && matches!(one.var_type, Type::NonNullType(_)) {
            return Err(format!(
                "Variable ${} of type {} was provided invalid value",
                one.name, one.var_type
            ));
        }
    }
    Ok(())
}

fn in_set(set: &SelectionSet<'_, String>, used: &mut Vec<String>) {
    for selection in &set.items {
        match selection {
            Selection::Field(field) => in_field(field, used),
            Selection::InlineFragment(fragment) => in_set(&fragment.selection_set, used),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn in_field(field: &Field<'_, String>, used: &mut Vec<String>) {
    for (_, value) in &field.arguments {
        in_value(value, used);
    }
    in_set(&field.selection_set, used);
}

fn in_value(value: &Given<'_, String>, used: &mut Vec<String>) {
    match value {
        Given::Variable(name) => used.push(name.clone()),
        Given::List(all) => all.iter().for_each(|one| in_value(one, used)),
        Given::Object(fields) => fields.values().for_each(|one| in_value(one, used)),
        _ => {}
    }
}
