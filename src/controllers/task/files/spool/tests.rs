//! What is kept, what is counted and what is on the disk agree, whatever ends how.
//! Beside `files::spool`.

#![allow(clippy::unwrap_used)] // A test may panic.

use super::*;
use crate::domain::files::Mode;
use tempfile::TempDir;

const ROOM: u64 = 100;

fn spool() -> (TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::new(dir.path().to_owned(), ROOM).unwrap();
    (dir, spool)
}

fn begun(spool: &Spool, id: &str, content: &str) -> Staging {
    let staging = spool.begin(id, spool.reserve(content.len() as u64).unwrap()).unwrap();
    fs::write(staging.dir().join("0"), content).unwrap();
    staging
}

fn end(staging: Staging) -> Option<Collected> {
    let size = fs::metadata(staging.dir().join("0")).unwrap().len();
    let file = File {
        path: "a".into(),
        mode: Mode::Regular,
        size,
        blob: "b".repeat(40),
        content: PathBuf::from("0"),
        replaces: None,
        object: None,
    };
    staging.keep(Snapshot { files: vec![file], ..Snapshot::default() }, "digest".into()).unwrap()
}

fn kept(spool: &Spool, id: &str, content: &str) -> Collected {
    end(begun(spool, id, content)).unwrap()
}

fn names(dir: &TempDir) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(name).collect();
    names.sort();
    names
}

fn owned(ids: &[&str]) -> HashSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn a_snapshot_outlives_the_process() {
    let (dir, spool) = spool();
    assert!(spool.open("u-1-1").unwrap().is_none() && !spool.complete("u-1-1"));
    let collected = kept(&spool, "u-1-1", "12345");
    assert_eq!(fs::read_to_string(&collected.snapshot.files[0].content).unwrap(), "12345");
    let spool = Spool::new(dir.path().to_owned(), ROOM).unwrap();
    let opened = spool.open("u-1-1").unwrap().unwrap();
    assert_eq!((&opened.snapshot, &opened.digest), (&collected.snapshot, &collected.digest));
    let replaced = kept(&spool, "u-1-1", "123");
    assert_eq!(spool.open("u-1-1").unwrap().unwrap().snapshot, replaced.snapshot);
    assert!(spool.reserve(98).is_none() && spool.reserve(97).is_some());
    assert!(spool.complete("u-1-1"));
}

#[test]
fn a_snapshot_that_lacks_something_is_none() {
    let damages: [(&str, fn(&Path)); 3] = [
        ("another length", |dir| fs::write(dir.join("0"), "1234").unwrap()),
        ("no content", |dir| fs::remove_file(dir.join("0")).unwrap()),
        ("no record", |dir| fs::write(dir.join(SNAPSHOT), "{").unwrap()),
    ];
    for (what, damage) in damages {
        let (dir, spool) = spool();
        kept(&spool, "u-1-1", "12345");
        damage(&dir.path().join("u-1-1"));
        assert!(spool.open("u-1-1").unwrap().is_none(), "{what}");
        assert!(!spool.complete("u-1-1") && spool.reserve(ROOM).is_some(), "{what}: its room is back");
        assert!(names(&dir).is_empty(), "{what}");
        spool.remove("u-1-1").unwrap();
    }
}

/// What ends a round, an attempt, a Task or a process gives its room back: at once, and on the disk.
#[test]
fn every_end_gives_the_room_back() {
    type End = fn(&Spool, Staging);
    let ends: [(&str, End); 10] = [
        ("the transfer failed or its pass was cut off", |_, staging| drop(staging)),
        ("committed", |spool, staging| {
            end(staging).unwrap();
            spool.remove("u-1-1-aa").unwrap();
        }),
        ("the next attempt", |spool, staging| {
            end(staging).unwrap();
            spool.retain("u", Some("u-1-2-aa")).unwrap();
        }),
        ("another publication", |spool, staging| {
            end(staging).unwrap();
            spool.retain("u", Some("u-1-1-ab")).unwrap();
        }),
        ("the next round", |spool, staging| {
            end(staging).unwrap();
            spool.retain("u", Some("u-2-1-aa")).unwrap();
        }),
        ("the Task is over or deleted", |spool, staging| {
            end(staging).unwrap();
            spool.retain("u", None).unwrap();
        }),
        ("removed while its transfer is under way", |spool, staging| {
            spool.remove("u-1-1-aa").unwrap();
            assert!(end(staging).is_none(), "what was removed does not come back");
        }),
        ("deleted while its transfer is under way", |spool, staging| {
            spool.retain("u", None).unwrap();
            assert!(end(staging).is_none(), "what was removed does not come back");
        }),
        ("another replica has led meanwhile", |spool, staging| {
            end(staging).unwrap();
            spool.sweep(&HashSet::new()).unwrap();
        }),
        ("another replica has led meanwhile, and a transfer winds down", |spool, staging| {
            spool.sweep(&HashSet::new()).unwrap();
            assert!(staging.dir().exists(), "a directory in use is left to its transfer");
            assert!(end(staging).is_none());
        }),
    ];
    for (what, end) in ends {
        let (dir, spool) = spool();
        end(&spool, begun(&spool, "u-1-1-aa", "12345"));
        assert!(names(&dir).is_empty(), "{what}: {:?}", names(&dir));
        assert_eq!(spool.room().used(), 0, "{what}");
    }
}

#[test]
fn retain_spares_what_is_named_and_what_is_others() {
    let (dir, spool) = spool();
    for id in ["u-1-1-aa", "u-1-2-aa", "u-2-1-aa", "u", "u1-1-1-aa", "t-1-1-aa"] {
        kept(&spool, id, "1");
    }
    let under_way = begun(&spool, "u-1-2-aa", "12");
    spool.retain("u", Some("u-1-2-aa")).unwrap();
    assert_eq!(spool.room().used(), 6);
    assert!(end(under_way).is_some());
    assert_eq!(names(&dir), ["t-1-1-aa", "u", "u-1-2-aa", "u1-1-1-aa"]);
    assert_eq!(spool.room().used(), 5);
}

#[test]
fn the_newest_transfer_of_an_id_wins() {
    let (dir, spool) = spool();
    let (first, second) = (begun(&spool, "u-1-1", "1"), begun(&spool, "u-1-1", "12"));
    assert!(end(first).is_none());
    assert_eq!(end(second).unwrap().snapshot.files[0].size, 2);
    assert_eq!((names(&dir), spool.room().used()), (vec!["u-1-1".to_owned()], 2));
}

#[test]
fn the_sweep_keeps_what_is_owned_and_whole() {
    let (dir, spool) = spool();
    for id in ["owned", "others", "broken"] {
        kept(&spool, id, "1");
    }
    fs::remove_file(dir.path().join("broken").join("0")).unwrap();
    fs::create_dir(dir.path().join("owned.1.partial")).unwrap();
    fs::create_dir(dir.path().join("owned.1.leaving")).unwrap();
    fs::write(dir.path().join("stray"), "").unwrap();
    let owned = owned(&["owned", "broken"]);
    for spool in [Spool::new(dir.path().to_owned(), ROOM).unwrap(), spool] {
        spool.sweep(&owned).unwrap();
        assert_eq!(names(&dir), ["owned"]);
        assert_eq!(spool.room().used(), 1);
    }
}

#[test]
fn the_sweep_gives_back_what_somebody_else_has_deleted() {
    let (dir, spool) = spool();
    kept(&spool, "owned", "1");
    fs::remove_dir_all(dir.path().join("owned")).unwrap();
    spool.sweep(&owned(&["owned"])).unwrap();
    assert!(spool.room().used() == 0 && !spool.complete("owned"));
}

#[test]
fn ids_reach_nothing_else() {
    let (_dir, spool) = spool();
    for id in ["", "..", "a/b", "/etc", ".hidden", "u-1-1.1.partial"] {
        assert!(spool.open(id).is_err() && spool.remove(id).is_err(), "{id:?}");
        assert!(spool.begin(id, spool.reserve(0).unwrap()).is_err(), "{id:?}");
        assert!(spool.retain(id, None).is_err(), "{id:?}");
    }
}

#[test]
fn removing_while_others_keep_and_read_loses_no_room() {
    let (dir, spool) = spool();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let Some(reservation) = spool.reserve(1) else { continue };
                    let staging = spool.begin("u-1-1", reservation).unwrap();
                    fs::write(staging.dir().join("0"), "1").unwrap();
                    end(staging);
                }
            });
            scope.spawn(|| {
                for _ in 0..200 {
                    spool.retain("u", None).unwrap();
                    spool.open("u-1-1").unwrap();
                }
            });
        }
    });
    spool.retain("u", None).unwrap();
    assert_eq!((names(&dir), spool.room().used()), (Vec::new(), 0));
}

/// Bytes of whole snapshots on the disk.
fn on_disk(dir: &TempDir) -> u64 {
    let size = |name: &String| fs::metadata(dir.path().join(name).join("0")).unwrap().len();
    names(dir).iter().filter(|name| !name.contains('.')).map(size).sum()
}

#[test]
fn after_any_sequence_the_room_is_what_is_kept_and_reserved() {
    const IDS: [&str; 4] = ["u-1-1", "u-1-2", "u-2-1", "t-1-1"];
    for seed in 0..60_u64 {
        let (dir, mut spool) = spool();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut under_way: Vec<Staging> = Vec::new();
        for step in 0..60 {
            let id = IDS[random(IDS.len())];
            match random(8) {
                0 | 1 => {
                    let content = "x".repeat(random(20));
                    let free = ROOM - spool.room().used();
                    if content.len() as u64 <= free {
                        under_way.push(begun(&spool, id, &content));
                    } else {
                        assert!(spool.reserve(content.len() as u64).is_none());
                    }
                }
                2 | 3 if !under_way.is_empty() => {
                    end(under_way.swap_remove(random(under_way.len())));
                }
                4 if !under_way.is_empty() => drop(under_way.swap_remove(random(under_way.len()))),
                5 => spool.remove(id).unwrap(),
                6 => spool.retain("u", (random(2) == 0).then_some(id)).unwrap(),
                7 if random(2) == 0 => spool.sweep(&owned(&[IDS[random(4)], IDS[random(4)]])).unwrap(),
                7 => {
                    // The process ends: what was under way stays on the disk as it is.
                    under_way.drain(..).for_each(std::mem::forget);
                    spool = Spool::new(dir.path().to_owned(), ROOM).unwrap();
                    spool.sweep(&owned(&IDS)).unwrap();
                }
                _ => {}
            }
            let reserved: u64 = under_way.iter().map(|staging| staging.reservation.bytes).sum();
            assert_eq!(spool.room().used(), on_disk(&dir) + reserved, "seed {seed}, step {step}");
        }
        under_way.clear();
        spool.sweep(&HashSet::new()).unwrap();
        assert_eq!((names(&dir), spool.room().used()), (Vec::new(), 0), "seed {seed}");
    }
}
