//! The steps of `domain::sandbox` as calls to E2B: one match, no policy.
//! Part of the Sandbox controller.

use super::{SandboxController, answer, mark, memory::Prepared};
use crate::{
    api::{OnTimeout, Sandbox},
    domain::{
        failure::Failure,
        sandbox::{self, ConnectEnd, Ended, LookupResult, Marked, Step},
    },
    e2b::{Account, CreateRequest},
};

impl SandboxController {
    pub(super) async fn execute(
        &self,
        object: &Sandbox,
        step: &Step,
        prepared: &Prepared,
    ) -> (Ended, Option<Marked>) {
        let account = &prepared.account;
        let seconds = u32::try_from(object.spec.timeout_seconds).unwrap_or_default();
        let status = object.status.clone().unwrap_or_default();
        let ended = match step {
            Step::Create { incarnation, key } => {
                let request = CreateRequest {
                    template: object.spec.template.clone(),
                    timeout_seconds: seconds,
                    auto_pause: object.spec.on_timeout == OnTimeout::Pause,
                    env: prepared.env.clone(),
                    metadata: sandbox::metadata(object, &self.installation, *incarnation),
                };
                match account.create(&request, key).await {
                    Ok(access) => {
                        let text = sandbox::after_create(*incarnation, &status);
                        let marked = mark::write(account, &access, text).await;
                        return (Ended::Created { id: access.sandbox_id }, marked);
                    }
                    Err(error) => answer::not_created(error),
                }
            }
            Step::Connect { id, memory } => {
                let result = match account.connect(id, seconds, *memory).await {
                    Ok(Some(connected)) => {
                        let text = sandbox::after_resume(&status);
                        let marked = mark::write(account, &connected.access, text).await;
                        let end = if connected.was_paused { ConnectEnd::Resumed } else { ConnectEnd::Ran };
                        return (Ended::Connected(Ok(end)), marked);
                    }
                    Ok(None) => Ok(ConnectEnd::NotFound(self.list(object, account).await)),
                    Err(error) => Err(answer::failure(error)),
                };
                Ended::Connected(result)
            }
            Step::Mark { id } => {
                let detail = account.get(id).await.ok().flatten();
                let Some(detail) = detail else { return (Ended::Marked, None) };
                let text = sandbox::after_resume(&status);
                return (Ended::Marked, mark::write(account, &detail.access, text).await);
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
        };
        (ended, None)
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
