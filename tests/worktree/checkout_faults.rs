//! What keeps a checkout from being made, and what breaks it off: each is named, and none leaves half a tree.
//! `checkout` has the ways that succeed.

use crate::{
    checkout::{assert_clean, checkout, names, work},
    support::{APP, World, sh},
};
use jiff::{SignedDuration, Timestamp};
use slipway::{
    controllers::task::{checkout::CheckingOut, files::Transfers},
    domain::{failure::Class, task::Checkout},
};
use slipway_simulator::core::{Action, Rule, When};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_the_way_is_named_and_left_alone() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let tip = repository.tip();
    let wanted = checkout(&world, &tip, "u-1-1");
    for script in ["echo mine > notes", "git init -q", "mkdir .git; echo 1 > .git/x", "ln -s /nowhere link"] {
        sh(&world.host("/home/user"), &format!("rm -rf app; mkdir app; cd app; {script}"));
        let before = names(&world.host(APP));
        let (class, reason, message) = repository.not_checked_out(&wanted).await;
        assert_eq!((class, reason), (Class::Invalid, "PathNotEmpty"), "{script}: {message}");
        assert!(message.contains(&before[0]) && message.contains("source.path"), "{message}");
        assert_eq!(names(&world.host(APP)), before);
    }
    sh(&world.host("/home/user"), "rm -rf app; echo 1 > app");
    let (class, reason, message) = repository.not_checked_out(&wanted).await;
    assert_eq!((class, reason), (Class::Invalid, "CheckoutFailed"), "{message}");
    assert_eq!(repository.fetches(), 0);
    sh(&world.host("/home/user"), "rm app; mkdir -p app/.git");
    repository.checked_out(&wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_roots_becomes_the_sandboxs_users() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let tip = repository.tip();
    world.sh("mkdir -m 755 /tmp/roots /tmp/parent").await;
    for (number, path) in ["/tmp/roots", "/tmp/parent/deep/er"].iter().enumerate() {
        let wanted =
            Checkout { path: (*path).to_owned(), ..checkout(&world, &tip, &format!("u-{number}-1")) };
        assert_eq!(repository.check_out(&wanted).await, Ok(None), "{path}");
        world.run(&format!("cd {path}; echo 2 > a; git add a; git commit -qm x"), None).await;
    }
    // And what it has left there as root.
    repository.checked_out(&checkout(&world, &tip, "u-2-1")).await;
    work(&world, "echo x > a; mkdir logs").await;
    world.sh(&format!("cd {APP}; echo 1 > logs/out; mkdir cache; echo 1 > cache/x; chmod 700 cache; chown root .git/index a")).await;
    repository.checked_out(&checkout(&world, &tip, "u-2-2")).await;
    assert_eq!(names(&world.host(APP)), [".git", "a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_without_git_says_so() {
    let world = World::with_path("/home/user/bin").await;
    sh(
        &world.host("/home/user"),
        "mkdir bin; for name in mkdir printf rm cut tr cksum cat ls; do ln -s /usr/bin/$name bin; done",
    );
    let repository = world.repository("app", "echo 1 > a");
    let (class, reason, message) =
        repository.not_checked_out(&checkout(&world, &repository.tip(), "u-1-1")).await;
    assert_eq!((class, reason), (Class::Invalid, "GitMissing"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_is_too_large_is_not_taken() {
    let world = World::new().await;
    let repository = world.repository("app", "head -c 3000000 /dev/urandom > a");
    let tip = repository.tip();
    let wanted = checkout(&world, &tip, "u-1-1");
    let World { client, envd, .. } = &world;
    let work = CheckingOut {
        envd,
        github: client,
        repository: &repository.name,
        checkout: &wanted,
        max_bytes: 1 << 20,
    };
    let failure = work.run(Transfers::new(2).try_acquire("n")).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Invalid, "CheckoutTooLarge"), "{failure:?}");
    assert!(failure.message.contains("SLIPWAY_MAX_CHECKOUT_BYTES"), "{failure:?}");
    assert_eq!(work.run(None).await, Ok(Some("WaitingForTransfer")));
    repository.checked_out(&wanted).await;
    assert_clean(&world, &tip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named() {
    let world = World::new().await;
    let repository = world.repository("app", "head -c 3000000 /dev/urandom > a");
    let wanted = Checkout { path: "/mnt/app".to_owned(), ..checkout(&world, &repository.tip(), "u-1-1") };
    // The pack has no room; then the pack has, and the files have not.
    for size in ["2m", "5m"] {
        world
            .sh(&format!("umount /mnt 2>/dev/null || :; mount -t tmpfs -o size={size},mode=1777 tmpfs /mnt"))
            .await;
        let (class, reason, message) = repository.not_checked_out(&wanted).await;
        assert_eq!((class, reason), (Class::Invalid, "SandboxDiskFull"), "{size}: {message}");
        assert!(message.contains("template"), "{message}");
    }
    world.sh("mount -o remount,size=100m /mnt").await;
    repository.checked_out(&wanted).await;
}

/// What GitHub answers instead, and what becomes of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_told_apart_and_none_leaves_half_a_tree() {
    let world = World::new().await;
    let repository = world.repository("app", "head -c 300000 /dev/urandom > a; echo 1 > b");
    let tip = repository.tip();
    let wanted = checkout(&world, &tip, "u-1-1");
    let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let packed = |pack: &str| packet("packfile\n") + &packet(&format!("\u{1}{pack}")) + "0000";
    let answer = |status, body: &str| Action::Status {
        status,
        headers: [("content-type".to_owned(), "text/plain".to_owned())].into(),
        body: body.to_owned(),
        after_effect: false,
    };
    let cases = [
        // Once: GitHub has taken the token before.
        (answer(401, "Bad credentials"), Class::Transient, "BadCredentials"),
        (answer(403, "Write access to repository not granted.\n"), Class::Denied, "PermissionMissing"),
        (answer(404, "Repository not found.\n"), Class::NotFound, "RepositoryNotFound"),
        (answer(500, ""), Class::Transient, "GitHubUnavailable"),
        (
            answer(200, &packet(&format!("ERR upload-pack: not our ref {tip}"))),
            Class::NotFound,
            "TreeMissing",
        ),
        (answer(200, &packet("ERR please wait")), Class::Transient, "GitHubUnavailable"),
        (answer(200, "<html>sign in</html>"), Class::Transient, "GitHubUnavailable"),
        (answer(200, ""), Class::Transient, "GitHubUnavailable"),
        (answer(200, &packed("certainly not a pack")), Class::Invalid, "CheckoutFailed"),
        // Whole by its lines, and yet too short.
        (answer(200, &packed("PACK\0\0\0\u{2}\0\0\0\u{1}")), Class::Invalid, "CheckoutFailed"),
        (Action::CutBefore, Class::Transient, "GitHubUnavailable"),
        (Action::CutAfter, Class::Transient, "GitHubUnavailable"),
        (Action::TruncateBody { after: 20 }, Class::Transient, "GitHubUnavailable"),
        (Action::TruncateBody { after: 100_000 }, Class::Transient, "GitHubUnavailable"),
    ];
    for (action, class, reason) in cases {
        let about = format!("{action:?}");
        let rule = world.simulator.faults.set(Rule::on("github", "git").when(When::Nth(1)).action(action));
        let failed = repository.not_checked_out(&wanted).await;
        assert_eq!((failed.0, failed.1), (class, reason), "{about}: {}", failed.2);
        assert_eq!(world.simulator.faults.remove(rule).unwrap().hits, 1, "{about}");
        assert_eq!(names(&world.host(APP)), [".git"], "{about}: no file is there before all are");
    }
    repository.checked_out(&wanted).await;
    assert_clean(&world, &tip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_the_sandbox_that_fails_is_made_again_and_changes_nothing() {
    let world = World::new().await;
    let repository = world.repository("app", "head -c 300000 /dev/urandom > a; echo 1 > b");
    let tip = repository.tip();
    let start = "POST /process.Process/Start";
    let upload = "POST /files";
    let lies = [
        (start, Action::CutBefore),
        (start, Action::CutAfter),
        (start, Action::TruncateBody { after: 30 }),
        // It has said which file it waits for.
        (start, Action::TruncateBody { after: 150 }),
        (upload, Action::CutBefore),
        (upload, Action::CutAfter),
    ];
    for (number, (endpoint, action)) in lies.into_iter().enumerate() {
        sh(&world.host("/home/user"), "rm -rf app");
        let about = format!("{endpoint} {action:?}");
        // Only an upload may turn out to have been needless: git has all, and the sandbox's answer is lost.
        let certain = !matches!((endpoint, &action), ("POST /files", Action::CutAfter));
        let wanted = checkout(&world, &tip, &format!("u-{number}-1"));
        let rule = Rule::on("envd", endpoint).when(When::Nth(1)).action(action);
        let rule = world.simulator.faults.set(rule);
        match repository.check_out(&wanted).await {
            Ok(_) => assert!(!certain, "{about}"),
            Err(failure) => assert_eq!(failure.class, Class::Transient, "{about}: {failure:?}"),
        }
        assert_eq!(world.simulator.faults.remove(rule).unwrap().hits, 1, "{about}");
        // What was left waiting for a pack makes way.
        repository.checked_out(&wanted).await;
        assert_clean(&world, &tip);
        nothing_is_left(&world).await;
    }
}

/// A run ends with its last process: its shell may be killed while git still works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_run_has_left_at_work_is_waited_for() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let tip = repository.tip();
    let leave = |run: String| {
        format!("SLIPWAY_CHECKOUT={run}:{APP} setsid sleep 600 >/dev/null 2>&1 & echo $! > /tmp/left")
    };
    let ago = |minutes| {
        let time = Timestamp::now() - SignedDuration::from_mins(minutes);
        format!("{}.0", time.as_nanosecond())
    };
    // Longer than a run may take, or none of ours.
    for run in [ago(16), "old".to_owned()] {
        world.run(&leave(run), None).await;
        let (class, reason, message) = repository.not_checked_out(&checkout(&world, &tip, "u-1-1")).await;
        assert_eq!((class, reason), (Class::Transient, "TransferInterrupted"), "{message}");
        world.run("kill $(cat /tmp/left)", None).await;
    }
    world.run(&leave(ago(1)), None).await;
    assert_eq!(repository.check_out(&checkout(&world, &tip, "u-1-1")).await, Ok(Some("CheckingOut")));
    let elsewhere = Checkout { path: "/home/user/other".to_owned(), ..checkout(&world, &tip, "u-1-1") };
    repository.checked_out(&elsewhere).await;
    world.run("kill $(cat /tmp/left)", None).await;
    repository.checked_out(&checkout(&world, &tip, "u-1-1")).await;
    assert_clean(&world, &tip);
}

/// No run of the script is at work, and none of its files is there.
async fn nothing_is_left(world: &World) {
    world.sh("! grep -l -F SLIPWAY_CHECKOUT= /proc/[0-9]*/environ 2>/dev/null").await;
    let files = names(&world.host(APP).join(".git"));
    assert!(!files.iter().any(|name| name.starts_with("slipway") && name != "slipway"), "{files:?}");
}

/// An operator that dies leaves a run that waits for its pack: it makes way for the next one, at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_its_pack_makes_way() {
    let world = World::new().await;
    let repository = world.repository("app", "head -c 3000000 /dev/urandom > a");
    let tip = repository.tip();
    let wanted = checkout(&world, &tip, "u-1-1");
    // It waits for the first piece, or for the rest of it.
    for (fault, packs) in [(Rule::on("github", "git"), 2), (Rule::on("envd", "POST /files"), 4)] {
        sh(&world.host("/home/user"), "rm -rf app");
        let rule =
            world.simulator.faults.set(fault.when(When::Nth(1)).action(Action::Hold { after_effect: false }));
        let held = async {
            while world.simulator.faults.held(rule) != Some(1) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        // The call is dropped with all that it does, as when a process dies.
        tokio::select! {
            said = repository.check_out(&wanted) => panic!("{said:?}"),
            () = held => {}
        }
        repository.checked_out(&wanted).await;
        assert_eq!(repository.fetches(), packs);
        world.simulator.faults.remove(rule);
        assert_clean(&world, &tip);
        nothing_is_left(&world).await;
    }
}

/// The whole pack is in the sandbox, and nobody is there to hear the rest: it is checked out all the same, and not fetched again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_has_its_pack_needs_no_operator() {
    let world = World::new().await;
    let repository = world.repository("app", "head -c 3000000 /dev/urandom > a");
    let tip = repository.tip();
    let wanted = checkout(&world, &tip, "u-1-1");
    let marker = world.host(APP).join(".git/slipway");
    let rule = Rule::on("envd", "POST /files").action(Action::Hold { after_effect: true });
    let rule = world.simulator.faults.set(rule);
    let held = async {
        while world.simulator.faults.held(rule) != Some(1) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        biased;
        // Git may be done with it before the answer is held.
        said = repository.check_out(&wanted) => assert_eq!(said, Ok(None)),
        () = held => {}
    }
    world.simulator.faults.remove(rule);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !std::fs::read_to_string(&marker).unwrap().starts_with("ready ") {
        assert!(std::time::Instant::now() < deadline, "it is not checked out");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    repository.checked_out(&wanted).await;
    assert_eq!(repository.fetches(), 1);
    assert_clean(&world, &tip);
}

/// More than one piece: git reads them one after the other, and none stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_pack_comes_in_pieces() {
    let world = World::new().await;
    let repository =
        world.repository("app", "for n in $(seq 36); do head -c 1000000 /dev/urandom > f$n; done");
    let tip = repository.tip();
    repository.checked_out(&checkout(&world, &tip, "u-1-1")).await;
    assert_eq!(world.simulator.calls.of("envd", "POST /files").len(), 2);
    assert_clean(&world, &tip);
    nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_others_stays_theirs() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let tip = repository.tip();
    world.sh("mkdir -m 700 /tmp/theirs; echo key > /tmp/theirs/key; chmod 600 /tmp/theirs/key").await;
    world.sh("mkdir /tmp/elsewhere; mkdir /tmp/linked; ln -s /tmp/elsewhere /tmp/linked/.git").await;
    for path in ["/tmp/theirs", "/tmp/linked"] {
        let wanted = Checkout { path: path.to_owned(), ..checkout(&world, &tip, "u-1-1") };
        let (class, reason, message) = repository.not_checked_out(&wanted).await;
        assert_eq!((class, reason), (Class::Invalid, "PathNotEmpty"), "{path}: {message}");
    }
    world.sh("test \"$(stat -c %u:%a /tmp/theirs/key)\" = 0:600; test -z \"$(ls -A /tmp/elsewhere)\"").await;
}

/// Two operators for a moment, or one that was killed and started again: only one of them changes the tree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_checkouts_at_a_time_leave_one_whole_tree() {
    let world = World::new().await;
    let repository = world.repository("app", "for n in $(seq 300); do echo $n > f$n; done");
    let tip = repository.tip();
    for round in 1..6 {
        let wanted = checkout(&world, &tip, &format!("u-{round}-1"));
        let both = tokio::join!(repository.check_out(&wanted), repository.check_out(&wanted));
        // Each may see the other, and none be done.
        for failed in [both.0, both.1].into_iter().filter_map(Result::err) {
            assert_eq!(failed.reason, "TransferInterrupted", "{failed:?}");
        }
        repository.checked_out(&wanted).await;
        assert_clean(&world, &tip);
    }
}
