//! The steps of `domain::sandbox` as calls to E2B: one match, no policy.
//! Part of the Sandbox controller.

use super::{SandboxController, answer, memory::Prepared};
use crate::{
    api::{OnTimeout, Sandbox},
    domain::{
        failure::Failure,
        sandbox::{self, ConnectEnd, Ended, LookupResult, Step},
    },
    e2b::{Account, CreateRequest},
};

impl SandboxController {
    pub(super) async fn execute(&self, object: &Sandbox, step: &Step, prepared: &Prepared) -> Ended {
        let account = &prepared.account;
        let seconds = u32::try_from(object.spec.timeout_seconds).unwrap_or_default();
        match step {
            Step::Create { incarnation, key } => {
                let request = CreateRequest {
                    template: object.spec.template.clone(),
                    timeout_seconds: seconds,
                    auto_pause: object.spec.on_timeout == OnTimeout::Pause,
                    env: prepared.env.clone(),
                    metadata: sandbox::metadata(object, &self.installation, *incarnation),
                };
                match account.create(&request, key).await {
                    Ok(access) => Ended::Created { id: access.sandbox_id },
                    Err(error) => answer::not_created(error),
                }
            }
            Step::Connect { id } => {
                let result = match account.connect(id, seconds).await {
                    Ok(Some(was_paused)) => {
                        Ok(if was_paused { ConnectEnd::Resumed } else { ConnectEnd::Ran })
                    }
                    Ok(None) => Ok(ConnectEnd::NotFound(self.list(object, account).await)),
                    Err(error) => Err(answer::failure(error)),
                };
                Ended::Connected(result)
            }
            Step::Renew { id } => Ended::Renewed(self.renew(object, account, id, seconds).await),
            Step::Kill { id } => {
                let result = account.kill(id).await.map(answer::kill_end).map_err(answer::failure);
                Ended::Killed { id: id.clone(), result }
            }
            Step::Pause { id } => {
                let result = account.pause(id).await.map_err(answer::failure);
                Ended::Paused { id: id.clone(), result }
            }
        }
    }

    /// The time-out's own 404 is a paused sandbox's too: the look tells.
    async fn renew(
        &self,
        object: &Sandbox,
        account: &Account,
        id: &str,
        seconds: u32,
    ) -> Result<LookupResult, Failure> {
        account.set_timeout(id, seconds).await.map_err(answer::failure)?;
        self.lookup(object, account, id).await
    }
}
