//! The steps of `domain::sandbox` as calls to E2B: one match, no policy.
//! Part of the Sandbox controller.

use super::{SandboxController, answer, memory::Prepared};
use crate::{
    api::{OnTimeout, Sandbox},
    domain::sandbox::{self, Ended, LookupResult, Step},
    e2b::{Account, CreateRequest, Error},
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
                let result =
                    account.connect(id, seconds).await.map(answer::connect_end).map_err(answer::failure);
                Ended::Connected(result)
            }
            Step::Renew { id } => Ended::Renewed(renew(account, id, seconds).await.map_err(answer::failure)),
            Step::Kill { id } => {
                // Not there any more is as good.
                let result = account.kill(id).await.map(drop).map_err(answer::failure);
                Ended::Killed { id: id.clone(), result }
            }
            Step::Pause { id } => {
                let result = account.pause(id).await.map_err(answer::failure);
                Ended::Paused { id: id.clone(), result }
            }
        }
    }
}

/// The time-out's own 404 is a paused sandbox's too: the look tells.
async fn renew(account: &Account, id: &str, seconds: u32) -> Result<LookupResult, Error> {
    account.set_timeout(id, seconds).await?;
    Ok(answer::lookup(account.get(id).await?.map(|detail| detail.seen)))
}
