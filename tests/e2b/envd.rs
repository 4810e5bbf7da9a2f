//! envd: commands, files, and the ways it can be out of reach.

use crate::support::{World, eventually};
use slipway::api::conditions::reason;
use slipway::domain::failure::Class;
use slipway::e2b::{Command, Event};
use slipway_simulator::core::{Action, Rule};
use slipway_simulator::e2b::{Template, Unreachable};
use std::pin::pin;
use std::time::Duration;
use tokio::time;

const START: &str = "POST /process.Process/Start";

#[tokio::test]
async fn commands_end_as_they_end() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let envd = &sandbox.envd;

    let mut command = Command::sh(
        "test",
        "printf '%s|' \"$@\" \"$A\"; pwd; echo e >&2; exit 3",
        ["it's".to_owned(), "$HOME\n\"".to_owned(), String::new()],
    );
    command.envs = vec![("A".to_owned(), "ä".into())];
    command.cwd = "/tmp".to_owned();
    let output = envd.run(command, 1000).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "it's|$HOME\n\"||ä|/tmp\n");
    assert_eq!((output.exit_code, output.stderr.as_slice(), output.truncated), (Some(3), &b"e\n"[..], false));

    let output = envd.run(Command::sh("test", "kill -KILL $$", []), 1000).await.unwrap();
    assert_eq!((output.exit_code, output.signal.as_deref()), (None, Some("killed")));

    let output = envd.run(Command::sh("test", "head -c 300000 /dev/zero", []), 1000).await.unwrap();
    assert_eq!((output.exit_code, output.stdout.len(), output.truncated), (Some(0), 1000, true));

    let mut slow = Command::sh("test", "sleep 60", []);
    slow.timeout = Some(Duration::from_millis(500));
    let error = envd.run(slow, 1000).await.unwrap_err();
    assert_eq!((error.class, error.reason), (Class::Transient, reason::COMMAND_TIMEOUT));

    let mut nowhere = Command::sh("test", "true", []);
    nowhere.cwd = "/no/such".to_owned();
    let error = envd.run(nowhere, 1000).await.unwrap_err();
    assert_eq!((error.class, error.reason), (Class::Invalid, reason::SANDBOX_AGENT_ERROR));
    assert!(error.message.contains("cwd '/no/such' does not exist"), "{error}");

    let mut nobody = Command::sh("test", "true", []);
    nobody.user = Some("nosuch");
    assert_eq!(envd.run(nobody, 1000).await.unwrap_err().class, Class::Denied);
}

/// Templates keep the envd of their build: before 0.4.0 it has no default user, and refuses what names none.
#[tokio::test]
async fn an_old_envd_is_told_whom_to_act_as() {
    let world = World::new();
    world.sim.e2b.set_template(Template { envd_version: "0.3.5".to_owned(), ..Template::new("old") });
    let sandbox = world.sandbox("old").await;
    let looked_up = world.account.get(sandbox.id()).await.unwrap().unwrap().access;
    for envd in [&sandbox.envd, &world.account.envd(&looked_up)] {
        let output = envd.run(Command::sh("test", "id -un", []), 1000).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "user\n");
        let content = futures::stream::once(async { Ok("content".into()) });
        envd.write_file("test", "/home/user/file", "b0undary", content).await.unwrap();
        let read = envd.read_small("/home/user/file", 100).await.unwrap();
        assert_eq!(read.as_deref(), Some(&b"content"[..]));
        assert_eq!(sandbox.sh("stat -c %U /home/user/file").await, "user\n");
    }
    // What the stand-in insists on.
    let silent = slipway::e2b::Access { envd_version: None, ..looked_up };
    let envd = world.account.envd(&silent);
    let error = envd.run(Command::sh("test", "true", []), 1000).await.unwrap_err();
    assert_eq!(error.class, Class::Denied);
    assert_eq!(envd.read_small("/home/user/file", 100).await.unwrap_err().class, Class::Invalid);
}

#[tokio::test]
async fn a_started_process_outlives_the_stream() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let mut command = Command::sh(
        "test",
        "trap 'echo term >/tmp/end; exit' TERM; : >/tmp/up; while :; do sleep 0.1; done",
        [],
    );
    command.tag = Some("job-1".to_owned());
    let pid = sandbox.envd.start(command).await.unwrap();
    eventually("the process is up", async || sandbox.envd.read_small("/tmp/up", 1).await.unwrap()).await;
    sandbox.sh(&format!("kill {pid}")).await;
    let end = eventually("it was signalled", async || {
        sandbox.envd.read_small("/tmp/end", 100).await.unwrap().filter(|text| !text.is_empty())
    });
    assert_eq!(end.await, b"term\n");
}

#[tokio::test]
async fn files_are_read() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let envd = &sandbox.envd;
    sandbox.sh("mkdir -p '/tmp/t/ä b/c'; printf 'hello' >'/tmp/t/ä b/x&y?z'; : >/tmp/t/empty").await;

    assert_eq!(envd.read_small("/tmp/t/ä b/x&y?z", 100).await.unwrap().unwrap(), b"hello");
    assert_eq!(envd.read_small("/tmp/t/empty", 100).await.unwrap().unwrap(), b"");
    assert!(envd.read_small("/tmp/t/none", 100).await.unwrap().is_none());
    assert_eq!(envd.read_small("/tmp/t/ä b/x&y?z", 4).await.unwrap_err().class, Class::Invalid);
    assert_eq!(envd.read_file("/tmp/t").await.err().unwrap().class, Class::Invalid, "a directory");
}

#[tokio::test]
async fn out_of_reach_has_one_reason() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let run = async || sandbox.envd.run(Command::sh("test", "echo hi", []), 100).await;
    for unreachable in [Unreachable::NotFound, Unreachable::PortClosed] {
        world.sim.e2b.set_unreachable(sandbox.id(), Some(unreachable));
        let error = run().await.unwrap_err();
        assert!(
            error.reason == reason::SANDBOX_UNREACHABLE && error.class == Class::Transient,
            "{unreachable:?}: {error:?}"
        );
        assert!(
            sandbox.envd.read_small("/etc/passwd", 9999).await.unwrap_err().reason
                == reason::SANDBOX_UNREACHABLE
        );
        world.sim.e2b.set_unreachable(sandbox.id(), None);
    }
    for action in [Action::CutBefore, Action::CutAfter, Action::TruncateBody { after: 60 }] {
        let rule = world.sim.faults.set(Rule::on("envd", START).action(action.clone()));
        let error = run().await.unwrap_err();
        assert!(error.reason == reason::SANDBOX_UNREACHABLE && !error.answered(), "{action:?}: {error:?}");
        world.sim.faults.remove(rule);
    }
    let rule =
        world.sim.faults.set(Rule::on("envd", "GET /files").action(Action::TruncateBody { after: 20 }));
    assert!(
        sandbox.envd.read_small("/etc/passwd", 9999).await.unwrap_err().reason == reason::SANDBOX_UNREACHABLE
    );
    world.sim.faults.remove(rule);
    assert_eq!(run().await.unwrap().stdout, b"hi\n");

    world.account.pause(sandbox.id()).await.unwrap();
    assert!(run().await.unwrap_err().reason == reason::SANDBOX_UNREACHABLE, "a paused one");
    world.account.kill(sandbox.id()).await.unwrap();
    assert!(run().await.unwrap_err().reason == reason::SANDBOX_UNREACHABLE, "a killed one");
}

#[tokio::test]
async fn a_wrong_token_is_denied() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let access = slipway::e2b::Access { token: Some("wrong".into()), ..sandbox.access.clone() };
    let envd = world.account.envd(&access);
    let error = envd.run(Command::sh("test", "true", []), 100).await.unwrap_err();
    assert_eq!((error.class, error.reason), (Class::Denied, reason::SANDBOX_AGENT_ERROR), "{error}");
    assert_eq!(envd.read_small("/etc/passwd", 100).await.unwrap_err().class, Class::Denied);
}

#[tokio::test]
async fn a_stream_broken_half_way_is_lost() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let mut process = sandbox.envd.open(Command::sh("test", "echo up; sleep 60", [])).await.unwrap();
    assert!(matches!(process.next().await.unwrap(), Some(Event::Started { .. })));
    assert_eq!(process.next().await.unwrap(), Some(Event::Stdout("up\n".into())));
    world.sim.e2b.set_unreachable(sandbox.id(), Some(Unreachable::NotFound));
    let error = process.next().await.unwrap_err();
    assert!(error.reason == reason::SANDBOX_UNREACHABLE && !error.answered(), "{error:?}");
}

#[tokio::test]
async fn a_stream_may_be_silent_for_30_seconds_each_time() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo up; sleep 60";
    let mut process = sandbox.envd.open(Command::sh("test", script, [])).await.unwrap();
    assert!(matches!(process.next().await.unwrap(), Some(Event::Started { .. })));
    {
        let mut next = pin!(process.next());
        assert!(futures::poll!(&mut next).is_pending());
        time::pause();
        time::advance(Duration::from_secs(20)).await;
        assert!(futures::poll!(&mut next).is_pending());
        time::resume();
        std::fs::write(sandbox.host("/tmp/go"), "").unwrap();
        assert_eq!(next.await.unwrap(), Some(Event::Stdout("up\n".into())));
    }

    // The paused clock jumps to the next timer, which is the limit: no keep-alive comes in between.
    time::pause();
    let silent = time::Instant::now();
    let error = process.next().await.unwrap_err();
    assert_eq!(silent.elapsed().as_secs(), 30);
    assert_eq!((error.class, error.reason), (Class::Transient, reason::SANDBOX_UNREACHABLE));
    assert!(error.message.contains("silent for 30 s"), "{error}");
}
