//! Files out of a sandbox that does not hold still, and transfers that do not come to their end.

use crate::support::{Sandbox, World, caps, collect, eventually};
use crate::transfer::{PATH, ROOM, START, is_empty, source, spool, write};
use slipway::domain::failure::Class;
use slipway_simulator::core::{Action, Rule, When};
use std::fs;

#[tokio::test]
async fn a_transfer_that_is_cut_off_gives_its_room_back() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write(&sandbox, &[("a", "12345")]);
    let (dir, spool) = spool();
    let hold = Rule::on("envd", START).when(When::Nth(2)).action(Action::Hold { after_effect: false });
    let hold = world.sim.faults.set(hold);
    {
        let source = source();
        let collecting = collect(&sandbox.envd, &source, caps(), &spool, "u-1-1");
        let asked = eventually("the archive is asked for, its room is reserved", async || {
            world.sim.faults.hits(hold).filter(|hits| *hits == 1 && spool.reserve(ROOM).is_none())
        });
        tokio::select! {
            result = collecting => panic!("the archive is held: {result:?}"),
            _ = asked => {}
        }
    }
    world.sim.faults.remove(hold);
    eventually("all the room is free again", async || spool.reserve(ROOM).map(drop)).await;
    assert!(is_empty(&dir), "{PATH} left nothing");
}

/// Something in the sandbox that writes on to dev.log until it is ended. Reading that file takes longer than the writer
/// may have to wait for its turn.
async fn writer(sandbox: &Sandbox<'_>) {
    const LENGTH: usize = 4 << 20;
    write(sandbox, &[("dev.log", &"x".repeat(LENGTH))]);
    let line = format!(
        "(setsid sh -c 'while :; do echo; done >>{PATH}/dev.log' >/dev/null 2>&1 & echo $! >/root/writer)"
    );
    sandbox.sh(&line).await;
    let length = || fs::metadata(sandbox.host(PATH).join("dev.log")).map_or(0, |meta| meta.len());
    eventually("it writes", async || (length() > LENGTH as u64).then_some(())).await;
}

async fn end_writer(sandbox: &Sandbox<'_>) {
    let end = "read -r pid </root/writer; kill -s KILL \"$pid\"; while kill -0 \"$pid\" 2>/dev/null; do \
               read -r _ _ state _ <\"/proc/$pid/stat\" || break; [ \"$state\" != Z ] || break; done";
    sandbox.sh(end).await;
}

#[tokio::test]
async fn a_file_that_keeps_changing_is_named() {
    let world = World::new();
    for template in ["base", "no-tar"] {
        let sandbox = world.sandbox(template).await;
        write(&sandbox, &[("a", "1")]);
        let (dir, spool) = spool();
        writer(&sandbox).await;
        let error = collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap_err();
        assert_eq!(
            (error.class(), error.reason()),
            (Class::Invalid, "FileKeepsChanging"),
            "{template}: {error}"
        );
        assert!(
            error.to_string().contains("\"dev.log\" has changed") && !error.to_string().contains("\"a\""),
            "{error}"
        );
        assert!(is_empty(&dir), "{template}");
        end_writer(&sandbox).await;
        collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap();
    }
}

#[tokio::test]
async fn what_changed_while_it_was_read_is_read_again() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write(&sandbox, &[("a", "1")]);
    let (_dir, spool) = spool();
    writer(&sandbox).await;
    let before = world.sim.calls.of("envd", START).len();
    // After the list and two archives: what is read last is at rest.
    let hold = Rule::on("envd", START).when(When::Nth(4)).action(Action::Hold { after_effect: false });
    let hold = world.sim.faults.set(hold);
    let source = source();
    let collecting = collect(&sandbox.envd, &source, caps(), &spool, "u-1-1");
    let resting = async {
        eventually("a third time", async || world.sim.faults.hits(hold).filter(|hits| *hits == 1)).await;
        end_writer(&sandbox).await;
        world.sim.faults.remove(hold);
    };
    let collected = tokio::join!(collecting, resting).0.unwrap();
    assert_eq!(
        world.sim.calls.of("envd", START).len() - before,
        5,
        "a list, three archives, the writer's end"
    );
    let log = &collected.snapshot.files[1];
    let content = fs::read(sandbox.host(PATH).join("dev.log")).unwrap();
    assert!(log.path == "dev.log" && fs::read(&log.content).unwrap() == content, "as it is now");
    assert_eq!(collected.snapshot.files.len(), 2);
    drop(spool.reserve(ROOM - 1 - content.len() as u64).expect("only what is kept takes room"));
}
