//! The steps of `domain::sandbox` as calls to E2B: one match, no policy.
//! Part of the Sandbox controller.

use super::{SandboxController, answer, credential, mark, memory::Prepared, uid};
use crate::{
    api::{OnTimeout, Sandbox},
    cluster::KeptSandbox,
    domain::{
        failure::Failure,
        sandbox::{self, ConnectEnd, Ended, LookupResult, Marked, Step},
    },
    e2b::{Access, Account, CreateRequest},
};
use kube::ResourceExt;

/// The operation of the record, as `status.retry` names it.
const KEEP: &str = "keepSandbox";

impl SandboxController {
    pub(super) async fn execute(
        &self,
        object: &Sandbox,
        step: &Step,
        prepared: &Prepared,
    ) -> (Ended, Option<Marked>) {
        let Prepared { account, env } = prepared;
        let seconds = u32::try_from(object.spec.timeout_seconds).unwrap_or_default();
        let status = object.status.clone().unwrap_or_default();
        let ended = match step {
            Step::Create { incarnation, key } => {
                let request = CreateRequest {
                    template: object.spec.template.clone(),
                    timeout_seconds: seconds,
                    auto_pause: object.spec.on_timeout == OnTimeout::Pause,
                    env: env.variables.clone(),
                    metadata: sandbox::metadata(object, &self.installation, *incarnation),
                };
                self.brought.learn(&uid(object), *incarnation, &env.versions, env.values.clone());
                match account.create(&request, key).await {
                    Ok(access) => {
                        let text = sandbox::after_create(*incarnation, &status);
                        let marked = mark::write(account, &access, text, None, None).await;
                        return (Ended::Created { id: access.sandbox_id }, marked);
                    }
                    Err(error) => answer::not_created(error),
                }
            }
            Step::Connect { id, memory } => {
                let result = match account.connect(id, seconds, *memory).await {
                    Ok(Some(connected)) => {
                        let text = sandbox::after_resume(&status);
                        let marked = self.mark_running(object, account, &connected.access, text).await;
                        let end = if connected.was_paused { ConnectEnd::Resumed } else { ConnectEnd::Ran };
                        return (Ended::Connected(Ok(end)), marked);
                    }
                    Ok(None) => Ok(ConnectEnd::NotFound(self.list(object, account).await)),
                    Err(error) => Err(answer::failure(error)),
                };
                Ended::Connected(result)
            }
            Step::Mark { id, text } => {
                let detail = account.get(id).await.ok().flatten();
                let Some(detail) = detail else { return (Ended::Marked, None) };
                let marked = self.mark_running(object, account, &detail.access, text.clone()).await;
                return (Ended::Marked, marked);
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
            Step::Keep => Ended::Kept(self.keep(object).await),
        };
        (ended, None)
    }

    /// Marks a sandbox that may have been paused, and sees whether it has come back as it was.
    async fn mark_running(
        &self,
        object: &Sandbox,
        account: &Account,
        access: &Access,
        text: String,
    ) -> Option<Marked> {
        let expected = object.status.as_ref().and_then(|status| status.mark.clone());
        mark::write(account, access, text, expected, self.newest_run(object)).await
    }

    /// Puts on record that what was made for the object stays at E2B. It takes no key.
    pub(super) async fn keep(&self, object: &Sandbox) -> Result<(), Failure> {
        let id = object.status.as_ref().and_then(|status| status.sandbox_id.clone());
        let entry = KeptSandbox {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            sandbox_id: id.unwrap_or_default(),
            deletion_policy: object.spec.deletion_policy,
            credential: credential(object),
        };
        self.kept.keep(&uid(object), &entry).await.map_err(|error| error.during(KEEP))
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
