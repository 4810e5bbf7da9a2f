//! The CustomResourceDefinitions as an API server should get them; `slipway crds` prints them.
//! Imports the kinds of this folder.

use super::{Repository, Sandbox, Task, schema};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

/// All three, as JSON values in the order they are printed.
pub fn all() -> Vec<Value> {
    let unobserved = json!({"observedGeneration": -1});
    let new_task =
        json!({"observedGeneration": -1, "state": "todo", "column": "research", "buildStatus": "pending"});
    vec![
        finished(&Repository::crd(), &unobserved),
        finished(&Sandbox::crd(), &unobserved),
        finished(&Task::crd(), &new_task),
    ]
}

/// All three as one YAML stream.
///
/// # Errors
/// Only if serialisation itself fails.
pub fn yaml() -> Result<String, serde_saphyr::ser_error::Error> {
    let mut out = String::new();
    for crd in all() {
        out.push_str("---\n");
        out.push_str(&serde_saphyr::to_string(&crd)?);
    }
    Ok(out)
}

fn finished(crd: &CustomResourceDefinition, status_default: &Value) -> Value {
    let mut value = serde_json::to_value(crd).expect("a CustomResourceDefinition has string keys only");
    schema::finish(&mut value, status_default);
    value
}
