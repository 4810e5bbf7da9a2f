//! What every benchmark needs: the world of the flows, what processes have used, many settled Tasks, a table.
//! Included by path; builds on `tests/world` and `tests/controlplane`.
#![allow(dead_code, unused_imports, reason = "each benchmark uses its own part of it")]

mod builds;
#[path = "../../tests/controlplane/mod.rs"]
pub mod controlplane;
mod filled;
mod settled;
mod usage;
#[path = "../../tests/world/mod.rs"]
pub mod world;

pub use builds::{released, released_at};
pub use filled::{filled_repository, sh};
pub use settled::settled_tasks;
pub use usage::{Usage, peak_rss, reset_peak};

use anyhow::Result;
use controlplane::{ControlPlane, Options};
use std::path::Path;
use world::World;

/// The operator, built with the profile of the benchmarks.
pub fn operator() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_slipway"))
}

/// A control plane that lives as long as the process.
pub async fn plane() -> Result<&'static ControlPlane> {
    let crds = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")];
    Ok(Box::leak(Box::new(ControlPlane::start(Options { crds, ..Options::default() }).await?)))
}

/// A world whose processes log what users see, and nothing of single calls.
pub fn options(namespace: &'static str) -> world::Options {
    world::Options {
        namespace,
        operator: false,
        write_interval: "0s",
        environment: vec![("RUST_LOG".into(), "info".into())],
        ..world::Options::default()
    }
}

/// Sizes from the environment (`SIZES=100,300`), else the given ones.
pub fn sizes(default: &[usize]) -> Vec<usize> {
    let given = std::env::var("SIZES").unwrap_or_default();
    let given: Vec<usize> = given.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    if given.is_empty() { default.to_vec() } else { given }
}

/// The sum of all samples of a metric whose labels contain `labels`.
pub fn metric(text: &str, name: &str, labels: &str) -> f64 {
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(labels));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// A Markdown table with the widths it needs.
pub fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let line = |cells: Vec<&str>| {
        let cells: Vec<_> =
            cells.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", width(at))).collect();
        format!("| {} |", cells.join(" | "))
    };
    println!("\n{title}\n\n{}", line(head.to_vec()));
    println!("|{}|", (0..head.len()).map(|at| "-".repeat(width(at) + 2)).collect::<Vec<_>>().join("|"));
    for row in rows {
        println!("{}", line(row.iter().map(String::as_str).collect()));
    }
}
