//! Generation in a real sandbox: once, found again, ended, signalled as a group.

use crate::support::{Sandbox, World, eventually};
use secrecy::SecretString;
use slipway::api::conditions::reason;
use slipway::controllers::task::generate::{GenerationSpec, look, signal, start};
use slipway::domain::secrets::{Needles, SecretValue};
use slipway::domain::task::Look;
use slipway_simulator::core::{Action, Rule, When};
use slipway_simulator::e2b::Template;

fn spec(id: &str, command: &[&str]) -> GenerationSpec {
    GenerationSpec {
        id: id.to_owned(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        working_dir: "/home/user/work dir/new".to_owned(),
        env: vec![("TOKEN".to_owned(), SecretString::from("hunter2hunter2"))],
    }
}

/// What the look must not show.
fn hunter() -> Needles {
    let value = SecretString::from("hunter2hunter2");
    Needles::new([SecretValue { secret: "keys".to_owned(), key: "token".to_owned(), value }])
}

async fn seen(sandbox: &Sandbox<'_>, id: &str) -> Look {
    look(&sandbox.envd, id, &hunter()).await.unwrap()
}

async fn ended(sandbox: &Sandbox<'_>, id: &str) -> Look {
    eventually("the generation has ended", async || {
        Some(seen(sandbox, id).await).filter(|look| matches!(look, Look::Exited { .. }))
    })
    .await
}

fn ended_well() -> Look {
    Look::Exited { code: 0, tail: String::new(), signalled: false }
}

/// The process, once it runs.
async fn running(sandbox: &Sandbox<'_>, id: &str) -> String {
    let runs = async || (seen(sandbox, id).await == Look::Running).then_some(());
    eventually("the generation runs", runs).await;
    sandbox.sh(&format!("cat /var/tmp/slipway/{id}/pid")).await
}

#[tokio::test]
async fn runs_an_argument_vector_and_keeps_what_it_said() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    assert_eq!(seen(&sandbox, "u-1-1").await, Look::NotStarted);
    let script = "pwd; echo \"$1\"; echo \"token $TOKEN\"; cat; echo bad >&2; exit 7";
    start(&sandbox.envd, &spec("u-1-1", &["sh", "-c", script, "x", "it's $HOME\n*"])).await.unwrap();
    let tail = "/home/user/work dir/new\nit's $HOME\n*\ntoken ***\nbad".to_owned();
    assert_eq!(ended(&sandbox, "u-1-1").await, Look::Exited { code: 7, tail, signalled: false });
    assert!(!signal(&sandbox.envd, "u-1-1", false).await.unwrap());
    assert!(!signal(&sandbox.envd, "u-0-0", false).await.unwrap());
}

#[tokio::test]
async fn shows_the_last_twenty_lines_within_a_kibibyte() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    start(&sandbox.envd, &spec("u-1-1", &["seq", "5000"])).await.unwrap();
    let Look::Exited { code: 0, tail, signalled: false } = ended(&sandbox, "u-1-1").await else {
        panic!("exit code 0")
    };
    let expected: Vec<_> = (4981..=5000).map(|n| n.to_string()).collect();
    assert_eq!(tail, expected.join("\n"));
    start(&sandbox.envd, &spec("u-1-2", &["head", "-c", "100000", "/dev/zero"])).await.unwrap();
    let Look::Exited { code: 0, tail, signalled: false } = ended(&sandbox, "u-1-2").await else {
        panic!("exit code 0")
    };
    assert!(tail.len() <= 1024);
    start(&sandbox.envd, &spec("u-1-3", &["true"])).await.unwrap();
    assert_eq!(ended(&sandbox, "u-1-3").await, ended_well());
}

#[tokio::test]
async fn starting_twice_starts_once() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let spec = spec("u-1-1", &["sh", "-c", "echo run >>/tmp/runs; sleep 60"]);
    // The first start takes effect, but nobody hears of it.
    let cut = Rule::on("envd", "POST /process.Process/Start").when(When::Nth(1)).action(Action::CutAfter);
    world.sim.faults.set(cut);
    assert!(start(&sandbox.envd, &spec).await.unwrap_err().reason == reason::SANDBOX_UNREACHABLE);
    let pid = running(&sandbox, "u-1-1").await;
    let (a, b) = tokio::join!(start(&sandbox.envd, &spec), start(&sandbox.envd, &spec));
    a.unwrap();
    b.unwrap();
    eventually("the command has begun", async || sandbox.envd.read_small("/tmp/runs", 100).await.unwrap())
        .await;
    assert_eq!(running(&sandbox, "u-1-1").await, pid);
    assert_eq!(sandbox.sh("cat /tmp/runs").await, "run\n");
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let script = "echo $$ >>/tmp/pids; sh -c 'echo $$ >>/tmp/pids; sleep 60' & sleep 60";
    start(&sandbox.envd, &spec("u-1-1", &["sh", "-c", script])).await.unwrap();
    let pids = eventually("both run", async || {
        let pids = sandbox.envd.read_small("/tmp/pids", 100).await.unwrap()?;
        Some(String::from_utf8(pids).unwrap()).filter(|pids| pids.lines().count() == 2)
    })
    .await;
    running(&sandbox, "u-1-1").await;
    assert!(signal(&sandbox.envd, "u-1-1", false).await.unwrap());
    assert_eq!(
        ended(&sandbox, "u-1-1").await,
        Look::Exited { code: 143, tail: String::new(), signalled: true }
    );
    for pid in pids.lines() {
        let state = format!("sed 's/.*) //' /proc/{pid}/stat 2>/dev/null | cut -c1 | grep -v Z || true");
        eventually("the group is gone", async || sandbox.sh(&state).await.is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn one_that_ends_well_on_our_signal_says_whose_the_end_was() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let script = "trap 'exit 0' TERM; : >/tmp/up; while :; do sleep 0.1; done";
    start(&sandbox.envd, &spec("u-1-1", &["sh", "-c", script])).await.unwrap();
    eventually("it traps", async || sandbox.envd.read_small("/tmp/up", 100).await.unwrap()).await;
    running(&sandbox, "u-1-1").await;
    assert!(signal(&sandbox.envd, "u-1-1", false).await.unwrap());
    let end = ended(&sandbox, "u-1-1").await;
    assert!(matches!(end, Look::Exited { code: 0, signalled: true, .. }), "{end:?}");
    // One that has ended before is its own doing still.
    start(&sandbox.envd, &spec("u-1-2", &["true"])).await.unwrap();
    assert_eq!(ended(&sandbox, "u-1-2").await, ended_well());
    assert!(!signal(&sandbox.envd, "u-1-2", false).await.unwrap());
    assert_eq!(seen(&sandbox, "u-1-2").await, ended_well());
}

#[tokio::test]
async fn one_that_has_ended_is_not_signalled_while_what_it_left_is_ended() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let left = "sh -c \"trap '' TERM; : >/tmp/up; while :; do sleep 0.1; done\" &";
    let script = format!("{left} while [ ! -e /tmp/up ]; do sleep 0.1; done");
    start(&sandbox.envd, &spec("u-1-1", &["sh", "-c", &script])).await.unwrap();
    let file = "/var/tmp/slipway/u-1-1/ended";
    eventually("its end", async || sandbox.envd.read_small(file, 100).await.unwrap()).await;
    assert!(!signal(&sandbox.envd, "u-1-1", false).await.unwrap());
    assert_eq!(ended(&sandbox, "u-1-1").await, ended_well());
}

#[tokio::test]
async fn a_signal_is_remembered_on_a_full_disk_and_in_a_run_of_an_older_release() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let mount = "mkdir /var/tmp/slipway; mount -t tmpfs -o size=64k,mode=1777 tmpfs /var/tmp/slipway";
    sandbox.sh(mount).await;
    let script = "trap 'exit 0' TERM; : >/tmp/up; while :; do sleep 0.1; done";
    for (id, before) in [
        ("u-1-1", "dd if=/dev/zero of=/var/tmp/slipway/big bs=1k 2>/dev/null || true"),
        ("u-1-2", "rm /var/tmp/slipway/u-1-2/signalled.part"),
    ] {
        sandbox.sh("rm -f /tmp/up /var/tmp/slipway/big").await;
        start(&sandbox.envd, &spec(id, &["sh", "-c", script])).await.unwrap();
        eventually("it traps", async || sandbox.envd.read_small("/tmp/up", 100).await.unwrap()).await;
        running(&sandbox, id).await;
        sandbox.sh(before).await;
        assert!(signal(&sandbox.envd, id, false).await.unwrap());
        eventually("its end", async || {
            let Look::Exited { code: 0, signalled: true, .. } = seen(&sandbox, id).await else { return None };
            Some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_stubborn_one_is_killed() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let script = "trap '' TERM; : >/tmp/up; while :; do sleep 0.1; done";
    start(&sandbox.envd, &spec("u-1-1", &["sh", "-c", script])).await.unwrap();
    eventually("it ignores", async || sandbox.envd.read_small("/tmp/up", 100).await.unwrap()).await;
    running(&sandbox, "u-1-1").await;
    assert!(signal(&sandbox.envd, "u-1-1", false).await.unwrap());
    assert_eq!(seen(&sandbox, "u-1-1").await, Look::Running);
    assert!(signal(&sandbox.envd, "u-1-1", true).await.unwrap());
    eventually("it is dead", async || (seen(&sandbox, "u-1-1").await == Look::PidDead).then_some(())).await;
}

#[tokio::test]
async fn another_process_of_the_same_pid_is_not_ours() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let forge = |pid: &str| {
        format!(
            "mkdir -p -m 1777 /var/tmp/slipway; mkdir -p /var/tmp/slipway/u-1-1; echo {pid} >/var/tmp/slipway/u-1-1/pid"
        )
    };
    let other = sandbox.sh("setsid sleep 60 >/dev/null 2>&1 & echo $!").await;
    for pid in [&format!("{} 1", other.trim()), "1 0", "0 0", "", "-1", "x y"] {
        sandbox.sh(&forge(pid)).await;
        assert_eq!(seen(&sandbox, "u-1-1").await, Look::PidDead, "{pid:?}");
        assert!(!signal(&sandbox.envd, "u-1-1", true).await.unwrap(), "{pid:?}");
    }
    sandbox.sh(&format!("kill -0 {other}")).await;
}

#[tokio::test]
async fn a_directory_that_can_not_be_made_says_why() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    sandbox.sh("touch /var/tmp/slipway").await;
    start(&sandbox.envd, &spec("u-1-1", &["true"])).await.unwrap();
    let Look::DirectoryFailed(message) = seen(&sandbox, "u-1-1").await else { panic!("it failed") };
    assert!(message.contains("/var/tmp/slipway") && message.contains("File exists"), "{message}");
}

#[tokio::test]
async fn commands_that_can_not_run_exit() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    start(&sandbox.envd, &spec("u-1-1", &["no-such-command", "x"])).await.unwrap();
    let Look::Exited { code: 127, tail, .. } = ended(&sandbox, "u-1-1").await else { panic!("not found") };
    assert!(tail.contains("no-such-command"), "{tail}");
    let elsewhere = GenerationSpec { working_dir: "/proc/x".to_owned(), ..spec("u-1-2", &["true"]) };
    start(&sandbox.envd, &elsewhere).await.unwrap();
    let Look::Exited { code, tail, .. } = ended(&sandbox, "u-1-2").await else { panic!("no directory") };
    assert!(code != 0 && tail.contains("/proc/x"), "{code} {tail}");
}

#[tokio::test]
async fn without_setsid_it_says_what_is_missing() {
    let world = World::new();
    let hidden_commands = vec!["setsid".to_owned(), "busybox".to_owned()];
    world.sim.e2b.set_template(Template { hidden_commands, ..Template::new("no-setsid") });
    let sandbox = world.sandbox("no-setsid").await;
    start(&sandbox.envd, &spec("u-1-1", &["touch", "/tmp/ran"])).await.unwrap();
    // A shell whose job control works without a terminal runs it all the same.
    match ended(&sandbox, "u-1-1").await {
        Look::Exited { code: 126, tail, .. } => {
            assert!(tail.contains("no setsid: install util-linux or busybox"), "{tail}");
            assert!(sandbox.envd.read_small("/tmp/ran", 100).await.unwrap().is_none());
        }
        other => assert_eq!(other, ended_well()),
    }
}

/// The pids that a command has written to /home/user/pids, once there are `count`.
async fn pids(sandbox: &Sandbox<'_>, count: usize) -> Vec<String> {
    eventually("all of them run", async || {
        let pids = sandbox.envd.read_small("/home/user/pids", 1000).await.unwrap()?;
        let pids: Vec<_> = String::from_utf8(pids).unwrap().lines().map(str::to_owned).collect();
        (pids.len() == count).then_some(pids)
    })
    .await
}

async fn lives(sandbox: &Sandbox<'_>, pid: &str) -> bool {
    let state = format!("sed 's/.*) //' /proc/{pid}/stat 2>/dev/null | cut -c1 | grep -v Z || true");
    !sandbox.sh(&state).await.is_empty()
}

#[tokio::test]
async fn what_the_command_left_running_ends_before_it_counts_as_ended() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    sandbox.sh("touch /home/user/pids; chmod 666 /home/user/pids").await;
    // Another run whose id begins alike, and somebody's own process.
    let other = ["sh", "-c", "echo $$ >>/home/user/pids; sleep 60"];
    start(&sandbox.envd, &spec("u-1-10", &other)).await.unwrap();
    sandbox.sh("(setsid sleep 60 >/dev/null 2>&1 & echo $! >>/home/user/pids)").await;
    let spared = pids(&sandbox, 2).await;
    let script = "note='echo $$ >>/home/user/pids'
        sh -c \"$note; sleep 60\" &
        sh -c \"trap '' TERM; $note; while :; do sleep 0.1; done\" &
        setsid sh -c \"$note; sleep 60\" &
        setsid sh -c \"trap '' TERM; $note; while :; do sleep 0.1; done\" &
        while [ \"$(wc -l </home/user/pids)\" -lt 6 ]; do sleep 0.1; done; exit 3";
    start(&sandbox.envd, &spec("u-1-1", &["sh", "-c", script])).await.unwrap();
    let all = pids(&sandbox, 6).await;
    let end = ended(&sandbox, "u-1-1").await;
    assert!(matches!(end, Look::Exited { code: 3, .. }), "{end:?}");
    for pid in &all {
        assert_eq!(lives(&sandbox, pid).await, spared.contains(pid), "{pid} of {all:?}, spared {spared:?}");
    }
    assert_eq!(seen(&sandbox, "u-1-10").await, Look::Running);
}

#[tokio::test]
async fn probes_that_are_left_over_or_concurrent_are_no_failure() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    sandbox.sh("mkdir -p -m 1777 /var/tmp/slipway; chmod 1777 /var/tmp/slipway").await;
    let leftovers = "cd /var/tmp/slipway; mkdir u-1-1.probe; i=0; while [ $i -lt 3000 ]; do mkdir u-1-1.probe.$i; i=$((i+1)); done";
    sandbox.sh(leftovers).await;
    let looks = (0..8).map(|_| seen(&sandbox, "u-1-1"));
    for look in futures::future::join_all(looks).await {
        assert_eq!(look, Look::NotStarted);
    }
    start(&sandbox.envd, &spec("u-1-1", &["true"])).await.unwrap();
    assert_eq!(ended(&sandbox, "u-1-1").await, ended_well());
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let mount = "mkdir /var/tmp/slipway; mount -t tmpfs -o size=64k,mode=1777 tmpfs /var/tmp/slipway";
    sandbox.sh(mount).await;
    let fill = "dd if=/dev/zero of=/var/tmp/slipway/big bs=1k 2>/dev/null; exit 7";
    start(&sandbox.envd, &spec("u-1-1", &["sh", "-c", fill])).await.unwrap();
    let Look::Exited { code: 7, tail, .. } = ended(&sandbox, "u-1-1").await else { panic!("exit code 7") };
    assert!(tail.contains("No space left on device"), "{tail}");
    // Nothing of this one can be written.
    start(&sandbox.envd, &spec("u-1-2", &["true"])).await.unwrap();
    let failed = eventually("it has failed", async || match seen(&sandbox, "u-1-2").await {
        Look::DirectoryFailed(message) => Some(message),
        _ => None,
    })
    .await;
    assert!(failed.contains("No space left on device"), "{failed}");
    sandbox.sh("rm /var/tmp/slipway/big").await;
    assert_eq!(seen(&sandbox, "u-1-2").await, Look::PidDead, "with room again it can be tried again");
}

#[tokio::test]
async fn a_checkout_at_work_keeps_it_from_starting_and_one_that_is_only_spoken_of_does_not() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let left = "SLIPWAY_CHECKOUT=old:/home/user/app setsid sleep 600 >/dev/null 2>&1 & echo $!";
    // As the checkout and the start themselves: by the sandbox's own user.
    let output = sandbox.envd.run(slipway::e2b::Command::sh("test", left, []), 1 << 10).await.unwrap();
    let pid = String::from_utf8(output.stdout).unwrap();
    let mut spec = spec("u-1-1", &["true"]);
    start(&sandbox.envd, &spec).await.unwrap();
    eventually("the start has ended", async || {
        let starts = "if grep -q '[_]slipway_runner' /proc/[0-9]*/cmdline 2>/dev/null; then echo yes; fi";
        sandbox.sh(starts).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(seen(&sandbox, "u-1-1").await, Look::NotStarted);
    sandbox.sh(&format!("kill {pid}")).await;
    let description = "what does\nSLIPWAY_CHECKOUT=x:/home/user/app do, and SLIPWAY_CHECKOUT=y?";
    spec.env.push(("SLIPWAY_TASK_DESCRIPTION".to_owned(), SecretString::from(description)));
    start(&sandbox.envd, &spec).await.unwrap();
    assert_eq!(ended(&sandbox, "u-1-1").await, ended_well());
}
