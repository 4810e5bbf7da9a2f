//! Our rules of git's names and ids, held against git itself.

use crate::support::git;
use slipway::domain::git::{blob_id, default_branch_name};
use std::{io::Write as _, process::Command, process::Stdio};

/// A small generator, so that a failure is repeatable.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn git_takes(name: &str) -> bool {
    let status = Command::new("git")
        .args(["check-ref-format", "--branch", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("git must be installed");
    status.success()
}

#[test]
fn a_default_branch_is_one_git_takes() {
    let titles = ["Add a login page", "...", "-x.lock", "数据", "a/b\\c", "@{", "HEAD", &"long ".repeat(60)];
    // The cut may be unlucky.
    let cuts = (96..=101).flat_map(|cut| ["a.lock", ".a", "-a.b"].map(|tail| "n".repeat(cut) + tail));
    for task in ["t", "my.lock", "a.lock.lock"].map(str::to_owned).into_iter().chain(cuts) {
        for title in titles {
            let name = default_branch_name(&task, title);
            assert!(git_takes(&name), "{name}");
        }
    }
}

#[test]
fn blob_ids_are_those_of_git_hash_object() {
    let directory = tempfile::tempdir().unwrap();
    let mut dice = Dice(5);
    for size in [0_usize, 1, 63, 64, 65, 1000, 100_000] {
        let content: Vec<u8> = (0..size).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect();
        std::fs::File::create(directory.path().join("f")).unwrap().write_all(&content).unwrap();
        assert_eq!(blob_id(&content), git(directory.path(), &["hash-object", "--no-filters", "f"]));
    }
}
