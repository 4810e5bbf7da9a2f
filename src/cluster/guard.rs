//! Decodes objects one by one, so that one which this release can't read hides no other.
//! Used by `watch`; like kube's own guard, without the generic tree that it makes and copies of every object.

use kube::{
    Resource,
    api::ObjectMeta,
    core::{PartialObjectMeta, error_boundary::InvalidObject},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An object, or what can be told of one that is no `K`.
#[derive(Debug, Clone)]
pub struct Guarded<K>(pub Result<K, InvalidObject>);

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The text is kept until the object is read: what fails leaves a deserializer in the middle.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let error = match serde_json::from_str(text.get()) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => error.to_string(),
        };
        let named: PartialObjectMeta<K> = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self(Err(InvalidObject { error, metadata: named.metadata })))
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(kind: &K::DynamicType) -> Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &K::DynamicType) -> Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &K::DynamicType) -> Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &K::DynamicType) -> Cow<'_, str> {
        K::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|invalid| &invalid.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|invalid| &mut invalid.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Task;
    use kube::{ResourceExt, core::WatchEvent};
    use serde_json::{Value, json};

    fn task(path: &Value) -> Value {
        json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Task",
            "metadata": {"namespace": "n", "name": "t", "uid": "u", "resourceVersion": "7"},
            "spec": {"title": "t", "repositoryRef": {"name": "r"}, "sandboxRef": {"name": "s"}, "source": {"path": path}},
        })
    }

    /// As the API server sends it, in one line.
    fn event(object: &Value) -> Guarded<Task> {
        let line = format!(r#"{{"type":"MODIFIED","object":{object}}}"#);
        match serde_json::from_str(&line).expect("an event") {
            WatchEvent::Modified(object) => object,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_object_is_read_whole() {
        let read = event(&task(&json!("/w"))).0.expect("a Task");
        assert_eq!((read.spec.source.path.as_str(), read.name_any()), ("/w", "t".to_owned()));
    }

    #[test]
    fn of_a_bad_one_the_metadata_is_told_and_why() {
        let guarded = event(&task(&json!(["no", "path"])));
        assert_eq!(guarded.meta().name.as_deref(), Some("t"));
        let invalid = guarded.0.expect_err("no Task");
        assert!(invalid.error.contains("expected a string"), "{}", invalid.error);
        assert_eq!(invalid.metadata.resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn what_has_no_metadata_is_no_object() {
        assert!(serde_json::from_str::<Guarded<Task>>(r#"["a list"]"#).is_err());
    }
}
