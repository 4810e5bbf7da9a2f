//! Our rules of git's names and ids, held against git itself.

use crate::support::git;
use slipway::domain::git::{blob_id, default_branch_name, is_valid_branch};
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
fn a_branch_is_valid_when_git_takes_it() {
    let plain = ["a", "B-", "0.1", "ö", "lock", "x_y"];
    let odd = [
        ".", "..", ".lock", "@", "@{", "-", "~", "^", ":", "?", "*", "[", "\\", " ", "\u{7f}", "HEAD", "//",
        "\n",
    ];
    let mut dice = Dice(11);
    let (mut valid, mut invalid) = (0, 0);
    for _ in 0..400 {
        let mut name = String::new();
        for part in 0..=dice.roll(3) {
            let separator = if part > 0 { "/" } else { "" };
            let odd = if dice.roll(3) == 0 { odd[usize::try_from(dice.roll(18)).unwrap()] } else { "" };
            let plain = if dice.roll(8) == 0 { "" } else { plain[usize::try_from(dice.roll(6)).unwrap()] };
            name += &if dice.roll(2) == 0 {
                [separator, plain, odd].concat()
            } else {
                [separator, odd, plain].concat()
            };
        }
        // GitHub has no use for a branch of these two names.
        assert_eq!(is_valid_branch(&name), git_takes(&name) && name != "HEAD" && name != "@", "{name:?}");
        if is_valid_branch(&name) { valid += 1 } else { invalid += 1 }
    }
    assert!(valid > 40 && invalid > 40, "both kinds were tried: {valid} and {invalid}");
}

#[test]
fn a_default_branch_is_one_git_takes() {
    let titles = ["Add a login page", "...", "-x.lock", "数据", "a/b\\c", &"long ".repeat(60)];
    for task in ["t", "my.lock", "a.lock.lock", &"n".repeat(253), &format!("{}.b", "n".repeat(98))] {
        for title in titles {
            let name = default_branch_name(task, title);
            assert!(git_takes(&name) && is_valid_branch(&name), "{name}");
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
