//! Names the objects that ask for turns at GitHub, in words that outlive a pass.
//! Made by the controllers, kept by an account's line, read again where its turn comes.

use kube::{Resource, ResourceExt};

/// An object of a kind whose work writes at GitHub. Its name does: one of the same name that is made anew takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Asker {
    /// This object.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            kind: K::kind(&()).into_owned(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }

    /// `Kind/namespace/name`: none of them has a slash.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    /// The reverse of [`Self::id`].
    pub fn parse(id: &str) -> Option<Self> {
        let mut parts = id.splitn(3, '/').map(str::to_owned);
        Some(Self { kind: parts.next()?, namespace: parts.next()?, name: parts.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Task;

    #[test]
    fn an_id_names_its_object() {
        let mut task = Task::new("fix-login", Default::default());
        task.metadata.namespace = Some("team-a".into());
        let asker = Asker::of(&task);
        assert_eq!(asker.id(), "Task/team-a/fix-login");
        assert_eq!(Asker::parse(&asker.id()), Some(asker));
        assert_eq!(Asker::parse("Task/fix-login"), None);
    }
}
