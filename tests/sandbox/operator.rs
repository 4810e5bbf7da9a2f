//! Runs the Sandbox controller of one namespace in this process, so that a test can end it at any point.
//! The wiring is the operator's own: one store of Tasks, one shell, events of Tasks wake their Sandbox.

use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::runtime::{Controller, WatchStreamExt as _, controller::Action, reflector::ObjectRef};
use slipway::{
    api::{Sandbox, Task},
    cluster::{Events, Secrets, watch},
    controllers::{
        brought::Brought,
        sandbox::{SandboxController, Sweep},
        shell::{MANAGER, Shell},
    },
    domain::demand,
    e2b::{E2b, Endpoints},
    telemetry::{self, Api, CallLayer, Metrics},
};
use slipway_simulator::Simulator;
use std::sync::Arc;
use std::time::Duration;

pub const INSTALLATION: &str = "test-installation";

pub struct Operator {
    passes: tokio::task::JoinHandle<()>,
    /// Looks only when the test says so, at the time that it says.
    pub sweep: Sweep,
}

impl Operator {
    /// Starts it; it works until it is dropped, which ends it like a SIGKILL: nothing is finished first.
    pub fn start(
        client: kube::Client,
        namespace: &str,
        sim: &Simulator,
        key: Option<&str>,
        installation: &str,
    ) -> Self {
        let metrics = Metrics::new();
        let http = reqwest::Client::builder().build().unwrap();
        let service = |api| telemetry::http_service(http.clone(), &CallLayer::new(api, metrics.clone()));
        let endpoints = Endpoints::new(None, Some(&sim.e2b_api_url()), Some(&sim.e2b_sandbox_url())).unwrap();
        let e2b = E2b::new(endpoints, service(Api::E2b), service(Api::Envd));
        let events = Events::new(client.clone(), MANAGER, "test");
        let (tasks, task_events) = watch::reflect::<Task>(&client, Some(namespace), &events);
        let (sandboxes, sandbox_events) = watch::reflect::<Sandbox>(&client, Some(namespace), &events);
        let controller = SandboxController::new(
            client.clone(),
            Secrets::new(client.clone()),
            e2b,
            key.map(Into::into),
            installation.into(),
            tasks,
            Brought::default(),
        );
        let sweep = controller.sweep(sandboxes.clone(), Some(namespace));
        let (task_events, listed) = watch::listed(task_events);
        let shell = Shell::new(controller, client, events, metrics);
        // Errors end up in the next pass; the Tasks' stream is polled by the controller.
        let concerned = task_events.touched_objects().filter_map(async |task| {
            let task = task.ok()?;
            Some(ObjectRef::new(&demand::sandbox_name(&task)).within(&task.namespace()?))
        });
        let passes =
            Controller::for_stream(sandbox_events.applied_objects(), sandboxes).reconcile_on(concerned).run(
                move |object, shell: Arc<Shell<SandboxController>>| {
                    let mut listed = listed.clone();
                    async move {
                        listed.wait_for(|listed| *listed).await.unwrap();
                        Box::pin(shell.reconcile(object)).await
                    }
                },
                |_, _, _| Action::requeue(Duration::from_secs(1)),
                Arc::new(shell),
            );
        Self { passes: tokio::spawn(passes.map_err(|_| ()).for_each(async |_| {})), sweep }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.passes.abort();
    }
}
