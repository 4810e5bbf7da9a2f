//! The sweep: of this installation's sandboxes at E2B those go that stand for no Sandbox, and nothing else does.
//! The clock is the test's: a look takes the time as an argument.

use crate::controlplane::{ControlPlane, Options};
use crate::operator::INSTALLATION;
use crate::world::{KILL, LIST, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use slipway::api::Sandbox;
use slipway::cluster::{KEPT_SANDBOXES, KeptSandbox};
use slipway::controllers::sandbox::Swept;
use slipway_simulator::core::{Rule, When};
use slipway_simulator::e2b::API_KEY;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_mins(1);

/// So long after a fixed time.
fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
}

impl World {
    /// With an operator whose record has begun.
    async fn looked_once(prefix: &str) -> Self {
        let mut world = Self::new(prefix).await;
        world.first_look().await;
        world
    }

    /// The look with which the record begins: later ones kill.
    async fn first_look(&mut self) {
        assert_eq!(self.sweep(at(-60)).await, Swept::default());
    }

    /// Takes the finalizer off and deletes the object: no operator ends its sandbox.
    async fn strip_and_delete(&self) {
        self.patch(json!({"metadata": {"finalizers": null}})).await.unwrap();
        self.delete().await;
        self.until_deleted(SOON).await;
    }

    fn live_ids(&self) -> Vec<String> {
        self.live().into_iter().map(|one| one.sandbox_id).collect()
    }

    /// A sandbox with this metadata; its id.
    async fn make(&self, metadata: Value) -> String {
        let request = reqwest::Client::new()
            .post(format!("{}/v2/sandboxes", self.sim.e2b_api_url()))
            .header("x-api-key", API_KEY)
            .json(&json!({"templateID": "base", "timeout": 86_400, "metadata": metadata}));
        let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        answer["sandboxID"].as_str().unwrap().to_owned()
    }

    /// Kills a sandbox behind the operator's back.
    async fn end(&self, id: &str) {
        let url = format!("{}/sandboxes/{id}", self.sim.e2b_api_url());
        let request = reqwest::Client::new().delete(url).header("x-api-key", API_KEY);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    async fn uid(&self) -> String {
        self.sandboxes().get("box").await.unwrap().metadata.uid.unwrap()
    }

    /// E2B's id of a Sandbox of this name, once it has one.
    async fn id_of(&self, name: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let status = self.sandboxes().get(name).await.unwrap().status.unwrap_or_default();
            if let Some(id) = status.sandbox_id {
                return id;
            }
            assert!(Instant::now() < deadline, "{name} has no sandbox: {status:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ids on the record of what stays, by the uid of the Sandbox.
    async fn kept(&self) -> BTreeMap<String, String> {
        let records: Api<ConfigMap> = Api::default_namespaced(self.client());
        let data = records.get_opt(KEPT_SANDBOXES).await.unwrap().and_then(|record| record.data);
        let id = |entry: &str| serde_json::from_str::<KeptSandbox>(entry).unwrap().sandbox_id;
        data.unwrap_or_default().into_iter().map(|(uid, entry)| (uid, id(&entry))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lost_its_object_without_a_finalizer_goes_after_two_looks_an_hour_apart() {
    let mut world = World::looked_once("stripped").await;
    world.apply(json!({})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    assert_eq!(world.sweep(at(0)).await.killed, [""; 0], "it has its object");
    world.crash();
    world.strip_and_delete().await;
    world.start_operator();
    for minutes in [60, 90, 119] {
        assert_eq!(world.sweep(at(minutes)).await.killed, [""; 0], "{minutes}");
    }
    assert_eq!(world.sweep(at(120)).await.killed, [id]);
    assert!(world.live().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_does_not_show_it_begins_the_hour_anew_and_one_that_fails_does_not() {
    let mut world = World::looked_once("looks").await;
    let orphan = json!({
        "slipway/installation": INSTALLATION, "slipway/namespace": world.namespace, "slipway/uid": "gone",
        "slipway/incarnation": "1",
    });
    let id = world.make(orphan).await;
    assert_eq!(world.sweep(at(0)).await.killed, [""; 0]);
    // A sandbox that is just being snapshotted is missing from the list.
    assert!(world.sim.e2b.hide_from_lists(&id, Duration::from_mins(1)));
    assert_eq!(world.sweep(at(30)).await.killed, [""; 0]);
    world.sim.clock.advance(Duration::from_mins(2));
    assert_eq!(world.sweep(at(60)).await.killed, [""; 0], "the hour begins anew");
    let lists = u64::try_from(world.count(LIST)).unwrap();
    world.sim.faults.set(Rule::on("e2b", LIST).when(When::Nth(lists + 1)).status(500, "Internal error"));
    assert_eq!(world.sweep(at(90)).await.killed, [""; 0]);
    world.sim.faults.set(Rule::on("e2b", KILL).when(When::Nth(1)).status(500, "Internal error"));
    let swept = world.sweep(at(120)).await;
    assert_eq!((swept.killed.as_slice(), swept.failed.as_slice()), ([].as_slice(), [id.clone()].as_slice()));
    assert_eq!(world.sweep(at(150)).await.killed, [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_goes_while_no_operator_runs_leaves_nothing() {
    let mut world = World::looked_once("namespacegone").await;
    world.apply(json!({})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    world.crash();
    let namespaces: Api<Namespace> = Api::all(world.client());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    // What somebody does to a namespace that stays `Terminating`.
    world.patch(json!({"metadata": {"finalizers": null}})).await.unwrap();
    let deadline = Instant::now() + SOON;
    while namespaces.get_opt(&world.namespace).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "the namespace does not go");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.start_operator();
    assert_eq!(world.sweep(at(0)).await.killed, [""; 0]);
    assert_eq!(world.sweep(at(60)).await.killed, [id]);
    assert!(world.live().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restored_cluster_does_not_know_goes_and_what_it_knows_stays() {
    let crds = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")];
    let options = Options { crds, controller_manager: false, ..Options::default() };
    let server = ControlPlane::start(options).await.unwrap();
    let mut world = World::on(&server, "restored").await;
    world.start_operator();
    world.first_look().await;
    world.apply(json!({"operatingMode": "Running"})).await;
    let known = world.until_running().await.sandbox_id.unwrap();
    world.crash();
    let backup = server.back_up().await.unwrap();
    world.start_operator();
    let later = Sandbox::new("later", world.sandboxes().get("box").await.unwrap().spec);
    world.sandboxes().create(&PostParams::default(), &later).await.unwrap();
    let unknown = world.id_of("later").await;
    world.crash();
    server.restore(&backup).await.unwrap();
    world.start_operator();
    world.until_running().await;
    assert_eq!(world.sweep(at(0)).await.killed, [""; 0]);
    assert_eq!(world.sweep(at(60)).await.killed, [unknown]);
    assert_eq!(world.live_ids(), [known]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_others_is_touched() {
    let mut world = World::looked_once("others").await;
    world.apply(json!({})).await;
    let own = world.until_running().await.sandbox_id.unwrap();
    let namespace = world.namespace.clone();
    let marks = |installation: &str, namespace: &str, uid: &str| {
        json!({
            "slipway/installation": installation, "slipway/namespace": namespace, "slipway/uid": uid,
            "slipway/incarnation": "1",
        })
    };
    let uid = world.uid().await;
    let mut stay = vec![
        own,
        // Another installation on the same key, somebody without one, a namespace that this operator does not serve, a sandbox
        // that is marked in part, and a second one of an object that is there.
        world.make(marks("another", &namespace, "gone")).await,
        world.make(json!({})).await,
        world.make(marks(INSTALLATION, "elsewhere", "gone")).await,
        world.make(json!({"slipway/installation": INSTALLATION, "slipway/namespace": namespace})).await,
        world.make(marks(INSTALLATION, &namespace, &uid)).await,
    ];
    let goes = world.make(marks(INSTALLATION, &namespace, "gone")).await;
    assert_eq!(world.sweep(at(0)).await.killed, [""; 0]);
    assert_eq!(world.sweep(at(60)).await.killed, [goes]);
    let mut live = world.live_ids();
    live.sort();
    stay.sort();
    assert_eq!(live, stay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_deletion_policy_keeps_is_on_record_and_stays() {
    for policy in ["Pause", "Retain"] {
        let mut world = World::looked_once("kept").await;
        world.apply(json!({})).await;
        let id = world.until_running().await.sandbox_id.unwrap();
        let uid = world.uid().await;
        world.patch(json!({"spec": {"deletionPolicy": policy}})).await.unwrap();
        world.delete().await;
        world.until_deleted(SOON).await;
        assert_eq!(world.kept().await.get(&uid), Some(&id), "{policy}");
        for minutes in [0, 60, 120] {
            assert_eq!(world.sweep(at(minutes)).await.killed, [""; 0], "{policy}");
        }
        assert_eq!(world.live_ids(), std::slice::from_ref(&id));
        // Somebody has ended it: the record forgets it.
        world.end(&id).await;
        world.sweep(at(180)).await;
        assert!(world.kept().await.contains_key(&uid));
        world.sweep(at(240)).await;
        assert!(!world.kept().await.contains_key(&uid), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_existing_sandboxes_are_looked_under_too() {
    let mut world = World::without_operator("keys").await;
    world.start_operator_with(None);
    world.first_look().await;
    world.put_key(API_KEY).await;
    world.apply(json!({"credentialsSecretRef": {"name": "key"}})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    world.crash();
    world.strip_and_delete().await;
    world.start_operator_with(None);
    assert_eq!(world.sweep(at(0)).await.killed, [""; 0]);
    assert_eq!(world.sweep(at(60)).await.killed, [""; 0], "no key is at hand");
    // Whoever brings the key back brings back the look under it.
    world.apply(json!({"credentialsSecretRef": {"name": "key"}, "suspend": true})).await;
    let deadline = Instant::now() + SOON;
    let mut minutes = 120;
    let swept = loop {
        let swept = world.sweep(at(minutes)).await;
        if !swept.killed.is_empty() {
            break swept;
        }
        assert!(Instant::now() < deadline, "the store does not show the new Sandbox");
        minutes += 60;
    };
    assert_eq!(swept.killed, [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_very_first_look_finds_stays_until_somebody_takes_it_off_the_record() {
    let mut world = World::new("firstlook").await;
    let marks = json!({
        "slipway/installation": INSTALLATION, "slipway/namespace": world.namespace, "slipway/uid": "before",
        "slipway/incarnation": "1",
    });
    let id = world.make(marks).await;
    let found = Swept { found: vec![id.clone()], ..Swept::default() };
    assert_eq!(world.sweep(at(0)).await, found);
    for minutes in [60, 120, 180] {
        assert_eq!(world.sweep(at(minutes)).await, Swept::default());
    }
    assert_eq!(world.kept().await.get("before"), Some(&id));
    let records: Api<ConfigMap> = Api::default_namespaced(world.client());
    let without = Patch::Merge(json!({"data": {"before": null}}));
    records.patch(KEPT_SANDBOXES, &PatchParams::default(), &without).await.unwrap();
    assert_eq!(world.sweep(at(240)).await.killed, [""; 0]);
    assert_eq!(world.sweep(at(300)).await.killed, [id]);
}
