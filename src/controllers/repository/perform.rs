//! The steps of `domain::repository`: one match, no policy.
//! Creates at GitHub; `apply_sync` writes the Tasks.

use super::{RepositoryController, name_in_spec, of_github};
use crate::{
    api::{CreateRepository, Repository, conditions::reason},
    cluster::Age,
    domain::{
        failure::{Class, Failure, operation},
        repository::{Base, Found, Outcome, Step},
    },
    github,
};
use kube::ResourceExt;

impl RepositoryController {
    pub(super) async fn execute(&self, object: &Repository, step: &Step) -> Outcome {
        match step {
            Step::Create(create) => Outcome::Created(self.create(object, create).await),
            Step::Move(moves) => {
                let all = self.apply_sync(object, moves).await;
                if all {
                    self.memory.applied(&object.uid().unwrap_or_default());
                }
                Outcome::Moved { all }
            }
            Step::Hook(step) => Outcome::Hook(self.change_hook(object, step).await),
        }
    }

    async fn create(&self, object: &Repository, create: &CreateRepository) -> Result<Found, Failure> {
        let github = self.client(object, Age::Cached).await.map_err(changed)?;
        let wanted = github::CreateRepository {
            private: create.private,
            description: create.description.clone(),
            auto_init: create.auto_init,
        };
        let created = github.create_repository(&name_in_spec(object), &wanted).await?;
        tracing::info!(repository = created.full_name, id = created.id, "repository created at GitHub");
        Ok(of_github(&github, &created, Base::Unknown))
    }
}

/// The Secret was there when the pass began: the next one says what has become of it.
fn changed(failure: Failure) -> Failure {
    if ![Class::NotFound, Class::Invalid].contains(&failure.class) {
        return failure;
    }
    Failure {
        operation: operation::GET_SECRET,
        class: Class::Transient,
        reason: reason::SECRET_NOT_FOUND,
        message: "the Secret with the credentials has just changed".to_owned(),
    }
}
