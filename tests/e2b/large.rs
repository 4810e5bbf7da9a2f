//! Trees that are too large to list at once: the same files travel, and what stays behind costs nothing.

use crate::support::{Sandbox, World, caps, collect};
use crate::transfer::{PATH, START, is_empty, odd_files, source, spool, write};
use slipway::api::Source;
use slipway::domain::failure::Class;
use slipway::domain::files::Caps;
use std::fs;

/// More than one listing may hold, by far not more than all may.
const MANY: usize = 24_000;

fn write_many(sandbox: &Sandbox<'_>, directory: &str) {
    let directory = sandbox.host(PATH).join(directory);
    for package in 0..MANY / 1000 {
        let package = directory.join(package.to_string());
        fs::create_dir_all(&package).unwrap();
        for file in 0..1000 {
            fs::write(package.join(file.to_string()), "").unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_ignored_does_not_count() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    fs::create_dir_all(sandbox.host(PATH)).unwrap();
    odd_files(&sandbox.host(PATH));
    write(
        &sandbox,
        &[
            (".gitignore", "node_modules/\n*.log\n"),
            ("a.log", ""),
            ("keep/.gitignore", "!*.log\n"),
            ("keep/b.log", ""),
            ("app/.gitignore", "!node_modules/\n"),
            ("app/node_modules/ours.js", ""),
            ("node_modules/.gitignore", "!*\n"),
            (".git/config", ""),
            ("vendor/lib/.git/HEAD", ""),
            ("vendor/lib/x.c", ""),
            ("target/debug/x", ""),
        ],
    );
    let source = Source { exclude: vec!["/target".into()], ..source() };
    let (_dir, spool) = spool();
    let commands = || world.sim.calls.of("envd", START).len();
    let small = collect(&sandbox.envd, &source, caps(), &spool, "u-1-1").await.unwrap();
    let few = commands();
    for left_out in ["node_modules", "target"] {
        write_many(&sandbox, left_out);
    }
    let large = collect(&sandbox.envd, &source, caps(), &spool, "u-1-2").await.unwrap();
    let names = |collected: &slipway::controllers::task::files::Collected| {
        collected.snapshot.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&large), names(&small));
    assert_eq!(large.digest, small.digest);
    assert!(commands() - few > few + 20, "level by level, one command each");
    assert!(names(&large).iter().any(|name| name == "app/node_modules/ours.js"), "let in again from below");
}

#[tokio::test]
async fn too_many_files_are_not_read_to_their_end() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write_many(&sandbox, "data");
    let (dir, spool) = spool();
    let caps = Caps { max_files: 500, ..caps() };
    for (include_ignored, commands) in [(true, 1), (false, 4)] {
        let before = world.sim.calls.of("envd", START).len();
        let source = Source { include_ignored, ..source() };
        let error = collect(&sandbox.envd, &source, caps, &spool, "u-1-1").await.unwrap_err();
        assert_eq!((error.class(), error.reason()), (Class::Invalid, "TooLarge"));
        assert!(error.to_string().contains("SLIPWAY_MAX_FILES"), "{error}");
        assert_eq!(world.sim.calls.of("envd", START).len() - before, commands, "{include_ignored}");
    }
    assert!(is_empty(&dir));
}
