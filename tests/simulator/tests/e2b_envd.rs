//! envd of the E2B stand-in beyond what was recorded: isolation, links, signals, input, large files, routing.
//! The recordings are in `e2b_golden.rs`, lifetimes in `e2b_lifecycle.rs`.

mod e2b_support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2b_support::{Run, Sandbox, World, answer, eventually, files, frames, shell};
use reqwest::Method;
use serde_json::{Value, json};
use slipway_simulator::Options;

fn world() -> World {
    World::new(Options::default())
}

async fn read(world: &World, sandbox: &Sandbox, path: &str) -> (u16, Vec<u8>) {
    let request = world.envd(sandbox, Method::GET, &files(path));
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.bytes().await.expect("a body").to_vec())
}

async fn write(
    world: &World,
    sandbox: &Sandbox,
    path: &str,
    content: impl Into<reqwest::Body>,
) -> (u16, Value) {
    let request = world.envd(sandbox, Method::POST, &files(path));
    let request = request.header("Content-Type", "application/octet-stream").body(content);
    answer(request.send().await.expect("an answer")).await
}

/// Starts a process in the background and returns its pid once it runs.
async fn start(world: &World, sandbox: &Sandbox, message: &Value) -> u64 {
    let mut response = world.stream(sandbox, "Start", message).send().await.expect("an answer");
    let chunk = response.chunk().await.expect("a chunk").expect("a frame");
    Run::of(&frames(&chunk)).pid
}

/// Listens to a process to its end.
async fn rest(world: &World, sandbox: &Sandbox, selector: Value) -> Run {
    let request = world.stream(sandbox, "Connect", &json!({"process": selector}));
    Run::of(&frames(&request.send().await.expect("an answer").bytes().await.expect("a whole stream")))
}

#[tokio::test]
async fn each_sandbox_has_its_own_files() {
    let world = world();
    let (a, b) = (world.create(json!({})).await, world.create(json!({})).await);
    let marker = format!("slipway-{}", std::process::id());
    for directory in ["/home/user", "/tmp", "/var/tmp"] {
        let path = format!("{directory}/{marker}");
        world.sh(&a, &format!("mkdir -p {directory} && echo mine >{path}")).await;
        assert_eq!(read(&world, &a, &path).await, (200, b"mine\n".to_vec()));
        assert_eq!(read(&world, &b, &path).await.0, 404, "{path}");
        assert!(!std::path::Path::new(&path).exists(), "{path} on the host");
        let host = world.simulator.e2b.host_path(&a.id, &path).expect("a path");
        assert_eq!(std::fs::read_to_string(host).expect("the file"), "mine\n");
    }
    assert_eq!(world.sh(&a, "pwd; whoami; echo $HOME").await, "/home/user\nuser\n/home/user\n");
    // What is not its own can't be written, by nobody in it.
    let mut as_root = shell("echo x >/etc/slipway-was-here");
    as_root["process"]["cwd"] = json!("/");
    let request = world.stream(&a, "Start", &as_root).header("Authorization", "Basic cm9vdDo=");
    let body = request.send().await.expect("an answer").bytes().await.expect("a stream");
    assert_eq!(Run::of(&frames(&body)).end["exitCode"], 1);
    assert!(!std::path::Path::new("/etc/slipway-was-here").exists());
}

#[tokio::test]
async fn environments_are_those_of_the_sandbox_and_the_request() {
    let world = world();
    let sandbox = world.create(json!({"envVars": {"A": "sandbox", "B": "sandbox"}})).await;
    let mut message = shell("echo $A $B $E2B_SANDBOX $E2B_SANDBOX_ID; env");
    message["process"]["envs"] = json!({"B": "request"});
    let response = world.stream(&sandbox, "Start", &message).send().await.expect("an answer");
    let run = Run::of(&frames(&response.bytes().await.expect("a stream")));
    assert!(run.stdout.starts_with(&format!("sandbox request true {}\n", sandbox.id)), "{}", run.stdout);
    // Nothing of ours leaks in.
    assert!(!run.stdout.contains("CARGO"), "{}", run.stdout);
    let envs = world.envd(&sandbox, Method::GET, "/envs").send().await.expect("an answer");
    assert_eq!(answer(envs).await.1["A"], "sandbox");
}

#[tokio::test]
async fn no_link_leads_out_of_the_sandbox() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    // On the host, in a directory that the sandbox has for itself.
    let secret = tempfile::Builder::new().prefix("secret").tempfile_in("/tmp").expect("a file");
    std::fs::write(secret.path(), "secret").expect("written");
    let path = secret.path().display();
    world
        .sh(
            &sandbox,
            &format!("ln -s {path} up; ln -s /tmp dir; ln -s ../../../../.. root; ln -s /etc/passwd p"),
        )
        .await;
    for link in ["up".to_owned(), format!("dir{}", &path.to_string()[4..]), format!("root{path}")] {
        assert_eq!(read(&world, &sandbox, &link).await.0, 404, "{link}");
    }
    let (status, _) = write(&world, &sandbox, "up", "mine").await;
    assert_eq!(status, 200);
    assert_eq!(std::fs::read_to_string(secret.path()).expect("the file"), "secret");
    assert_eq!(read(&world, &sandbox, &path.to_string()).await, (200, b"mine".to_vec()));
    // A link to a file of the sandbox's view works.
    let passwd = read(&world, &sandbox, "p").await.1;
    assert!(passwd.starts_with(b"user:"), "{}", String::from_utf8_lossy(&passwd));
    let (_, removed) = world.call(&sandbox, "filesystem.Filesystem/Remove", json!({"path": "up"})).await;
    assert_eq!(removed, json!({}));
    assert!(secret.path().exists());
    assert_eq!(read(&world, &sandbox, &path.to_string()).await.0, 200);
}

#[tokio::test]
async fn directories_are_made_moved_listed_and_removed() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let call = async |procedure: &str, message: Value| {
        world.call(&sandbox, &format!("filesystem.Filesystem/{procedure}"), message).await
    };
    let (status, made) = call("MakeDir", json!({"path": "a/b"})).await;
    assert_eq!(
        (status, &made["entry"]["path"], &made["entry"]["owner"]),
        (200, &json!("/home/user/a/b"), &json!("user"))
    );
    let (status, again) = call("MakeDir", json!({"path": "/home/user/a/b"})).await;
    assert_eq!((status, &again["code"]), (409, &json!("already_exists")));
    write(&world, &sandbox, "a/empty", "").await;
    let (_, stat) = call("Stat", json!({"path": "a/empty"})).await;
    assert!(stat["entry"].get("size").is_none(), "{stat}");
    assert_eq!(call("MakeDir", json!({"path": "a/empty"})).await.0, 400);
    let (status, moved) = call("Move", json!({"source": "a", "destination": "c/d"})).await;
    assert_eq!((status, &moved["entry"]["path"]), (200, &json!("/home/user/c/d")));
    let (status, missing) = call("Move", json!({"source": "a", "destination": "e"})).await;
    assert_eq!((status, &missing["code"]), (404, &json!("not_found")));
    let (_, listed) = call("ListDir", json!({"path": "~", "depth": 10, "unknown": true})).await;
    let paths: Vec<&str> =
        listed["entries"].as_array().expect("entries").iter().filter_map(|e| e["path"].as_str()).collect();
    assert_eq!(paths, ["/home/user/c", "/home/user/c/d", "/home/user/c/d/b", "/home/user/c/d/empty"]);
    assert_eq!(call("ListDir", json!({"path": "c/d/b"})).await, (200, json!({})));
    world.sh(&sandbox, "ln -s loop loop; ln -s c/d short; ln -s .. c/up").await;
    let (status, cyclic) = call("ListDir", json!({"path": "loop"})).await;
    assert_eq!((status, &cyclic["code"]), (400, &json!("failed_precondition")));
    let (_, through) = call("ListDir", json!({"path": "short"})).await;
    assert_eq!(through["entries"][0]["path"], "/home/user/short/b");
    let (_, all) = call("ListDir", json!({"path": "", "depth": 1000})).await;
    let up =
        all["entries"].as_array().expect("entries").iter().find(|entry| entry["name"] == "up").expect("up");
    assert_eq!((&up["type"], &up["symlinkTarget"]), (&json!("FILE_TYPE_DIRECTORY"), &json!("/home/user")));
    assert_eq!(call("Remove", json!({"path": "c"})).await, (200, json!({})));
    assert_eq!(call("Remove", json!({"path": "c"})).await, (200, json!({})));
    assert_eq!(call("Stat", json!({"path": "c"})).await.0, 404);
    let unknown = call("WatchDir", json!({})).await;
    assert_eq!(unknown.0, 404);
}

#[tokio::test]
async fn pids_and_groups_mean_the_same_inside_and_outside() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    // A session of its own that leaves its pid behind, as an operator would start long work.
    let script = "exec setsid sh -c 'echo $$ >/var/tmp/pid; trap \"echo term >/var/tmp/term; exit 9\" TERM; \
        sleep 1000 & wait'";
    let mut message = shell(script);
    message["tag"] = json!("work");
    let pid = start(&world, &sandbox, &message).await;
    // `setsid` need not fork: as in a real envd, no process leads a group from the start.
    let expected = (200, format!("{pid}\n").into_bytes());
    eventually("the pid is written", async || read(&world, &sandbox, "/var/tmp/pid").await == expected).await;
    world.sh(&sandbox, &format!("kill -0 {pid} && kill -0 -- -{pid} && kill -TERM -- -{pid}")).await;
    let run = rest(&world, &sandbox, json!({"tag": "work"})).await;
    assert_eq!((run.pid, &run.end["exitCode"]), (pid, &json!(9)));
    assert_eq!(read(&world, &sandbox, "/var/tmp/term").await.1, b"term\n");
    let gone = world.run(&sandbox, &format!("kill -0 {pid}")).await;
    assert_eq!(gone.end["exitCode"], 1, "reaped");
    // A script that kills its own group reaches nobody else.
    let own = world.run(&sandbox, "trap '' TERM; kill -TERM 0; echo still here").await;
    assert_eq!(own.stdout, "still here\n", "{own:?}");
    assert_eq!(world.sh(&sandbox, "echo alive").await, "alive\n");
}

#[tokio::test]
async fn processes_are_listed_signalled_and_remembered_for_a_while() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let mut message =
        json!({"process": {"cmd": "sleep", "args": ["1000"], "envs": {"A": "1"}}, "stdin": false});
    message["tag"] = json!("t");
    let pid = start(&world, &sandbox, &message).await;
    let (_, list) = world.call(&sandbox, "process.Process/List", json!({})).await;
    let config = json!({"cmd": "sleep", "args": ["1000"], "envs": {"A": "1"}});
    assert_eq!(list, json!({"processes": [{"config": config, "pid": pid, "tag": "t"}]}));
    let signal = json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"});
    assert_eq!(world.call(&sandbox, "process.Process/SendSignal", signal.clone()).await, (200, json!({})));
    let run = rest(&world, &sandbox, json!({"pid": pid})).await;
    let killed = json!({"exitCode": -1, "status": "signal: terminated", "error": "signal: terminated"});
    assert_eq!(run.end, killed);
    assert_eq!(world.call(&sandbox, "process.Process/List", json!({})).await.1, json!({}));
    world.simulator.clock.advance(Duration::from_secs(29));
    assert_eq!(rest(&world, &sandbox, json!({"pid": pid})).await.end, killed);
    world.simulator.clock.advance(Duration::from_secs(1));
    let forgotten = rest(&world, &sandbox, json!({"pid": pid})).await;
    assert_eq!(forgotten.last["error"]["code"], "not_found");
    assert_eq!(world.call(&sandbox, "process.Process/SendSignal", signal).await.0, 404);
}

#[tokio::test]
async fn a_process_reads_what_it_is_sent() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let pid = start(&world, &sandbox, &json!({"process": {"cmd": "sh", "args": ["-c", "cat >got"]}})).await;
    let input = |text: &str| json!({"process": {"pid": pid}, "input": {"stdin": STANDARD.encode(text)}});
    for text in ["one\n", "two\n"] {
        assert_eq!(world.call(&sandbox, "process.Process/SendInput", input(text)).await, (200, json!({})));
    }
    let close = json!({"process": {"pid": pid}});
    assert_eq!(world.call(&sandbox, "process.Process/CloseStdin", close).await, (200, json!({})));
    assert_eq!(rest(&world, &sandbox, json!({"pid": pid})).await.end["exited"], true);
    assert_eq!(read(&world, &sandbox, "got").await.1, b"one\ntwo\n");
    let (status, closed) = world.call(&sandbox, "process.Process/SendInput", input("x")).await;
    assert_eq!((status, &closed["code"]), (500, &json!("internal")));
}

#[tokio::test]
async fn a_lost_stream_does_not_end_its_process_and_its_lifetime_does() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let request = world.stream(&sandbox, "Start", &shell("sleep .5; echo survived >result; sleep 1000"));
    let mut response = request.header("Connect-Timeout-Ms", "3000").send().await.expect("an answer");
    let chunk = response.chunk().await.expect("a chunk").expect("a frame");
    let pid = Run::of(&frames(&chunk)).pid;
    drop(response);
    eventually("it goes on", async || read(&world, &sandbox, "result").await.1 == b"survived\n").await;
    let run = rest(&world, &sandbox, json!({"pid": pid})).await;
    assert_eq!(run.end["status"], "signal: killed");
    let bounded = world.stream(&sandbox, "Start", &shell("sleep 1000"));
    let pid = {
        let mut response = bounded.send().await.expect("an answer");
        Run::of(&frames(&response.chunk().await.expect("a chunk").expect("a frame"))).pid
    };
    // A deadline of Connect ends the stream, not the process.
    let request = world.stream(&sandbox, "Connect", &json!({"process": {"pid": pid}}));
    let body = request.header("Connect-Timeout-Ms", "200").send().await.expect("an answer").bytes().await;
    assert_eq!(Run::of(&frames(&body.expect("a stream"))).last["error"]["code"], "deadline_exceeded");
    world.sh(&sandbox, &format!("kill -0 {pid}")).await;
}

#[tokio::test]
async fn large_files_and_outputs_pass_unchanged() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let megabytes = 200;
    world.sh(&sandbox, &format!("head -c {} /dev/urandom >big; sha256sum big >sum", megabytes << 20)).await;
    let before = peak_memory();
    let mut response = world.envd(&sandbox, Method::GET, &files("big")).send().await.expect("an answer");
    assert_eq!(response.content_length(), Some(megabytes << 20));
    let mut digest = <sha2::Sha256 as sha2::Digest>::new();
    while let Some(chunk) = response.chunk().await.expect("a chunk") {
        sha2::Digest::update(&mut digest, &chunk);
    }
    let sum = read(&world, &sandbox, "sum").await.1;
    assert!(sum.starts_with(hex::encode(sha2::Digest::finalize(digest)).as_bytes()));
    // Other tests of this binary run at the same time, none of them with anything large.
    let grown = peak_memory() - before;
    assert!(grown < 100 << 10, "{grown} KiB for a download of {megabytes} MiB");
    let content: Vec<u8> = (0..=255).cycle().take(5 << 20).collect();
    let (status, entries) = write(&world, &sandbox, "up/loaded.bin", content.clone()).await;
    assert_eq!((status, &entries[0]["path"]), (200, &json!("/home/user/up/loaded.bin")));
    assert_eq!(read(&world, &sandbox, "up/loaded.bin").await, (200, content));
    let output = world.sh(&sandbox, "seq 300000").await;
    assert_eq!((output.lines().count(), output.lines().last()), (300_000, Some("300000")));
}

/// The most memory this process ever had (KiB).
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn odd_names_and_modes_survive() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    world
        .sh(
            &sandbox,
            "printf x >'a\tb'; printf x >'ü \"q\" %41+&'; printf '#!' >run; chmod 755 run; chmod 000 'a\tb'",
        )
        .await;
    let (_, listed) = world.call(&sandbox, "filesystem.Filesystem/ListDir", json!({"path": ""})).await;
    let entries = listed["entries"].as_array().expect("entries");
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names, ["a\tb", "run", "ü \"q\" %41+&"]);
    assert!(entries[0].get("mode").is_none());
    assert_eq!((&entries[1]["mode"], &entries[1]["permissions"]), (&json!(0o755), &json!("-rwxr-xr-x")));
    for name in names {
        assert_eq!(read(&world, &sandbox, name).await.0, 200, "{name:?}");
    }
}

#[tokio::test]
async fn requests_are_routed_by_their_headers() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let url = format!("{}/health", world.simulator.e2b_sandbox_url());
    for (name, value) in [("E2b-Sandbox-Id", sandbox.id.as_str()), ("E2b-Sandbox-Port", "49983")] {
        let response = world.http.get(&url).header(name, value).send().await.expect("an answer");
        assert_eq!(response.status(), 400, "only {name}");
    }
    let to = async |id: &str, port: &str| {
        let request = world.http.get(&url).header("E2b-Sandbox-Id", id).header("E2b-Sandbox-Port", port);
        answer(request.send().await.expect("an answer")).await
    };
    assert_eq!(to(&sandbox.id, "49983").await.0, 204);
    let (status, body) = to(&sandbox.id, "3000").await;
    assert_eq!(status, 502);
    assert_eq!(
        (&body["message"], &body["port"]),
        (&json!("The sandbox is running but port is not open"), &json!(3000))
    );
    let (status, body) = to("inever0was", "49983").await;
    assert_eq!((status, &body["message"]), (502, &json!("The sandbox was not found")));
    // The two faces are two servers.
    let wrong = world.api(Method::GET, "/health").send().await.expect("an answer");
    assert_eq!(wrong.status(), 404);
    let post = world.envd(&sandbox, Method::GET, "/process.Process/List").send().await.expect("an answer");
    assert_eq!(post.status(), 405);
    // The calls are in the log, by their stable names and without their secrets.
    let calls = world.simulator.calls.of("envd", "GET /health");
    assert!(calls.len() >= 5, "{calls:?}");
    let create = &world.simulator.calls.of("e2b", "POST /v2/sandboxes")[0];
    assert_eq!(create.headers["x-api-key"], "REDACTED");
}

#[tokio::test]
async fn a_template_can_lack_a_command() {
    let world = world();
    let with = world.create(json!({})).await;
    let without = world.create(json!({"templateID": "no-tar"})).await;
    assert_eq!(world.run(&with, "command -v tar").await.end["exitCode"], Value::Null);
    for script in ["command -v tar", "tar --version", "/bin/tar --version", "env tar --version"] {
        let code = if script.starts_with("command") { 1 } else { 127 };
        assert_eq!(world.run(&without, script).await.end["exitCode"], code, "{script}");
    }
    assert_eq!(world.sh(&without, "ls / >/dev/null && echo works").await, "works\n");
}
