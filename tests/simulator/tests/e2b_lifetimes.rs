//! Lifetimes of the E2B stand-in's sandboxes, by the simulated clock: expiry, pause, resume, kill.
//! The rest of the lifecycle API is in `e2b_lifecycle.rs`.

mod e2b_support;

use std::time::Duration;

use e2b_support::{World, eventually};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use slipway_simulator::Options;
use slipway_simulator::e2b::{API_KEY, TEAM, Team};

fn world() -> World {
    World::new(Options::default())
}

const HOUR: Duration = Duration::from_hours(1);

fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}

#[tokio::test]
async fn connecting_only_ever_extends_and_setting_also_shortens() {
    let world = world();
    let sandbox = world.create(json!({"timeout": 600})).await;
    let connect = format!("/v2/sandboxes/{}/connect", sandbox.id);
    let (status, body) = world.post(&connect, json!({"timeout": 60})).await;
    assert_eq!(
        (status, &body["sandboxID"], &body["envdAccessToken"]),
        (200, &json!(sandbox.id), &json!(sandbox.token))
    );
    assert_eq!(world.life(&sandbox).await, 600);
    world.post(&connect, json!({"timeout": 900})).await;
    assert_eq!(world.life(&sandbox).await, 900);
    let without_body = world.api(Method::POST, &connect).send().await.expect("an answer");
    assert_eq!(without_body.status(), 200);
    assert_eq!(world.post(&connect, json!({"timeout": 0})).await.0, 400);
    let set = format!("/sandboxes/{}/timeout", sandbox.id);
    assert_eq!(world.post(&set, json!({"timeout": 30})).await.0, 204);
    assert_eq!(world.life(&sandbox).await, 30);
    let refresh = format!("/sandboxes/{}/refreshes", sandbox.id);
    assert_eq!(world.post(&refresh, json!({"duration": 1})).await.0, 204);
    assert_eq!(world.life(&sandbox).await, 30);
    assert_eq!(world.post(&refresh, json!({"duration": 120})).await.0, 204);
    assert_eq!(world.life(&sandbox).await, 120);
    assert_eq!(world.post(&refresh, json!({"duration": 3601})).await.0, 400);
    // The plan's longest run counts from the start of the run.
    world.simulator.e2b.set_team(Team { max_hours: 1, ..Team::new(TEAM, API_KEY) });
    world.simulator.clock.advance(Duration::from_mins(1));
    world.post(&set, json!({"timeout": 86_400})).await;
    let left = world.life(&sandbox).await;
    assert!((3500..=3540).contains(&left), "{left}");
}

#[tokio::test]
async fn when_its_time_is_over_a_sandbox_is_gone_for_good() {
    let world = world();
    let sandbox = world.create(json!({"timeout": 60})).await;
    let files = world.simulator.e2b.host_path(&sandbox.id, "/home/user").expect("a directory");
    assert!(files.is_dir());
    world.simulator.clock.advance(Duration::from_secs(59));
    assert_eq!(world.detail(&sandbox).await["state"], "running");
    world.simulator.clock.advance(Duration::from_secs(2));
    assert_eq!(world.get(&format!("/sandboxes/{}", sandbox.id)).await.0, 404);
    assert_eq!(world.post(&format!("/v2/sandboxes/{}/connect", sandbox.id), json!({})).await.0, 404);
    let health = world.gateway(&sandbox.id, Method::GET, "/health").send().await.expect("an answer");
    assert_eq!(health.status(), 502);
    let expected = json!({"sandboxId": sandbox.id, "message": "The sandbox was not found", "code": 502});
    assert_eq!(health.json::<Value>().await.expect("JSON"), expected);
    eventually("the files are removed", async || !files.exists()).await;
    assert_eq!(world.simulator.e2b.counters().expired, 1);
}

#[tokio::test]
async fn nobody_has_to_look_for_a_lifetime_to_end() {
    let world = world();
    world.create(json!({"timeout": 60})).await;
    world.create(json!({"timeout": 120, "autoPause": true})).await;
    world.simulator.clock.advance(Duration::from_secs(90));
    eventually("one is gone", async || world.simulator.e2b.counters().expired == 1).await;
    world.simulator.clock.advance(Duration::from_secs(90));
    eventually("one is paused", async || world.simulator.e2b.counters().pauses == 1).await;
}

#[tokio::test]
async fn a_sandbox_that_pauses_keeps_its_files_and_its_processes() {
    let world = world();
    let sandbox = world.create(json!({"timeout": 60, "autoPause": true})).await;
    let script = "echo kept >a.txt; (while :; do date +%s%N >tick; sleep .05; done) >/dev/null 2>&1 &";
    world.sh(&sandbox, script).await;
    let ticks = world.simulator.e2b.host_path(&sandbox.id, "/home/user/tick").expect("a path");
    let tick = async || tokio::fs::read_to_string(&ticks).await.unwrap_or_default();
    let before = world.detail(&sandbox).await;
    world.simulator.clock.advance(HOUR);
    let paused = world.detail(&sandbox).await;
    assert_eq!(paused["state"], "paused");
    assert_eq!(paused["endAt"], before["endAt"], "the time of the pause");
    assert_eq!(paused["envdAccessToken"], json!(sandbox.token));
    assert_eq!(
        world.gateway(&sandbox.id, Method::GET, "/health").send().await.expect("an answer").status(),
        502
    );
    // Nothing but a pause can end the ticking: two equal ones, half a second apart.
    eventually("the processes stop", async || {
        let before = tick().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        before == tick().await
    })
    .await;
    assert_eq!(world.post(&format!("/sandboxes/{}/timeout", sandbox.id), json!({"timeout": 9})).await.0, 404);
    let (status, body) = world.post(&format!("/sandboxes/{}/pause", sandbox.id), json!({})).await;
    assert_eq!((status, &body["code"]), (409, &json!(409)));
    // Its clock stands still for as long as it likes.
    world.simulator.clock.advance(100 * HOUR);
    let (status, _) =
        world.post(&format!("/v2/sandboxes/{}/connect", sandbox.id), json!({"timeout": 600})).await;
    assert_eq!(status, 201);
    assert_eq!(world.life(&sandbox).await, 600);
    let resumed = world.detail(&sandbox).await;
    assert!(time(&resumed["startedAt"]) > time(&before["startedAt"]) + SignedDuration::from_hours(100));
    assert_eq!(resumed["lifecycle"]["onTimeout"], "pause");
    assert_eq!(world.sh(&sandbox, "cat a.txt").await, "kept\n");
    let last = tick().await;
    eventually("the processes continue", async || tick().await != last).await;
    let (status, _) = world.post(&format!("/sandboxes/{}/resume", sandbox.id), json!({})).await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn pausing_again_and_again_loses_no_process() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let start = world.stream(&sandbox, "Start", &{
        let mut message =
            e2b_support::shell("for i in $(seq 60); do sleep .03; done; echo done >result; exit 7");
        message["tag"] = json!("long");
        message
    });
    let mut start = start.send().await.expect("an answer");
    start.chunk().await.expect("a start frame");
    for _ in 0..20 {
        assert_eq!(world.post(&format!("/sandboxes/{}/pause", sandbox.id), json!({})).await.0, 204);
        let (status, _) = world.post(&format!("/v2/sandboxes/{}/connect", sandbox.id), json!({})).await;
        assert_eq!(status, 201);
    }
    // The stream broke with the first pause, without a last frame.
    while let Ok(Some(chunk)) = start.chunk().await {
        assert!(!chunk.starts_with(&[2]), "{chunk:?}");
    }
    let connect = world.stream(&sandbox, "Connect", &json!({"process": {"tag": "long"}}));
    let frames = connect.send().await.expect("an answer").bytes().await.expect("a whole stream");
    let run = e2b_support::Run::of(&e2b_support::frames(&frames));
    assert_eq!(run.end["exitCode"], 7);
}

#[tokio::test]
async fn a_kill_leaves_nothing_behind() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    // A daemon of its own session, with a name to look for.
    let marker = format!("1000.{}", std::process::id());
    world.sh(&sandbox, &format!("setsid sleep {marker} >/dev/null 2>&1 </dev/null &")).await;
    asleep(&marker).await;
    let files = world.simulator.e2b.host_path(&sandbox.id, "/home/user").expect("a directory");
    assert_eq!(world.delete(&format!("/sandboxes/{}", sandbox.id)).await.0, 204);
    assert_eq!((sleeping(&marker), files.exists()), (0, false));
    assert_eq!(world.delete(&format!("/sandboxes/{}", sandbox.id)).await.0, 404);
    let counters = world.simulator.e2b.counters();
    assert_eq!((counters.creates, counters.deletes, world.simulator.e2b.sandboxes().len()), (1, 1, 0));
    let paused = world.create(json!({})).await;
    assert_eq!(world.post(&format!("/sandboxes/{}/pause", paused.id), json!({})).await.0, 204);
    assert_eq!(world.delete(&format!("/sandboxes/{}", paused.id)).await.0, 204);
}

#[tokio::test]
async fn dropping_the_simulator_ends_every_process() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let marker = format!("2000.{}", std::process::id());
    world.sh(&sandbox, &format!("setsid sleep {marker} >/dev/null 2>&1 </dev/null &")).await;
    asleep(&marker).await;
    assert_eq!(world.post(&format!("/sandboxes/{}/pause", sandbox.id), json!({})).await.0, 204);
    drop(world);
    assert_eq!(sleeping(&marker), 0);
}

#[tokio::test]
async fn a_sandbox_that_resumes_by_itself_does_so_for_its_token() {
    let world = world();
    let body = json!({"timeout": 60, "autoPause": true, "autoResume": {"enabled": true}});
    let sandbox = world.create(body).await;
    world.simulator.clock.advance(Duration::from_secs(61));
    let stranger = world.gateway(&sandbox.id, Method::GET, "/health").send().await.expect("an answer");
    assert_eq!(stranger.status(), 502);
    let owner = world.envd(&sandbox, Method::GET, "/health").send().await.expect("an answer");
    assert_eq!(owner.status(), 204);
    assert_eq!(world.life(&sandbox).await, 300);
}

#[tokio::test]
async fn killing_the_simulator_ends_every_process_of_its_sandboxes() {
    use std::io::BufRead as _;
    let binary = env!("CARGO_BIN_EXE_slipway-simulator");
    // What it leaves behind when it is killed like this is removed here.
    let directory = tempfile::tempdir().expect("a directory");
    let mut simulator = std::process::Command::new(binary)
        .env("TMPDIR", directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut ready = String::new();
    let stdout = simulator.stdout.take().expect("its output");
    std::io::BufReader::new(stdout).read_line(&mut ready).expect("a line");
    let ready: Value = serde_json::from_str(&ready).expect("JSON");
    let url = |name: &str, path: &str| format!("{}{path}", ready[name].as_str().expect("a URL"));
    let http = reqwest::Client::new();
    let api = |path: &str, body: Value| {
        http.post(url("e2bApi", path)).header("X-API-Key", API_KEY).json(&body).send()
    };
    let created = api("/v2/sandboxes", json!({"templateID": "base"})).await.expect("an answer");
    let created: Value = created.json().await.expect("a sandbox");
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    let marker = format!("3000.{}", std::process::id());
    let script = format!("setsid sleep {marker} >/dev/null 2>&1 </dev/null &");
    let started = http
        .post(url("e2bSandbox", "/process.Process/Start"))
        .header("E2b-Sandbox-Id", text("sandboxID"))
        .header("E2b-Sandbox-Port", "49983")
        .header("X-Access-Token", text("envdAccessToken"))
        .header("Content-Type", "application/connect+json")
        .body(e2b_support::envelope(&e2b_support::shell(&script)))
        .send();
    started.await.expect("an answer").bytes().await.expect("a stream");
    asleep(&marker).await;
    // Paused processes cannot end by themselves.
    let paused = api(&format!("/sandboxes/{}/pause", text("sandboxID")), json!({})).await.expect("an answer");
    assert_eq!((paused.status().as_u16(), sleeping(&marker)), (204, 1));
    simulator.kill().expect("SIGKILL");
    simulator.wait().expect("its end");
    eventually("all processes are gone", async || sleeping(&marker) == 0).await;
}

async fn asleep(marker: &str) {
    eventually("the daemon sleeps", async || sleeping(marker) == 1).await;
}

/// How many processes of this machine are `sleep` with this argument.
fn sleeping(marker: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).starts_with(&format!("sleep\0{marker}"))).count()
}
