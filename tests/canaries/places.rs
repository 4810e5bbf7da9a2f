//! Every place that a secret could get to, as text: what the operator writes, shows, says and sends.
//! Used by all tests of this folder.

use crate::world::World;
use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::{fmt::Write as _, path::Path, process::Command};

/// What is looked for: forms of a value, by its name.
pub struct Canaries {
    names: Vec<String>,
    searcher: AhoCorasick,
}

impl Canaries {
    /// Of each value the value itself and its long lines, as they are, in base64 and URL-encoded.
    pub fn new(values: &[(&str, &str)]) -> Self {
        let (mut names, mut forms) = (Vec::new(), Vec::new());
        for (name, value) in values {
            let lines = value.lines().filter(|line| line.len() >= 24 && !line.starts_with("-----"));
            let value = value.trim_end();
            for part in std::iter::once(value).chain(lines) {
                let base64 = BASE64_STANDARD.encode(part);
                let url = part.bytes().fold(String::new(), |mut url, byte| {
                    let _ = write!(url, "%{byte:02x}");
                    url
                });
                // The last group of base64 depends on what follows.
                let base64 = base64[..base64.len() / 4 * 4 - 4].to_owned();
                names.extend([
                    (*name).to_owned(),
                    format!("{name} in base64"),
                    format!("{name}, URL-encoded"),
                ]);
                forms.extend([part.to_owned(), base64, url]);
            }
        }
        // Letters of either case: some write `%2F`, some `%2f`.
        let searcher = AhoCorasick::builder().ascii_case_insensitive(true).build(forms);
        Self { names, searcher: searcher.expect("a few short words") }
    }

    fn within(&self, place: &str, text: &[u8], found: &mut Vec<String>) {
        for hit in self.searcher.find_overlapping_iter(text) {
            let leak = format!("{} in {place}", self.names[hit.pattern().as_usize()]);
            if !found.contains(&leak) {
                found.push(leak);
            }
        }
    }
}

/// Where canaries are found; empty: nowhere.
pub async fn leaked(world: &World, canaries: &Canaries) -> Result<Vec<String>> {
    let mut found = Vec::new();
    // The logs of both processes and the spool.
    for (path, content) in files(world.dir())? {
        canaries.within("the name of a file of the operator", path.as_bytes(), &mut found);
        canaries.within(&path, &content, &mut found);
    }
    for (what, text) in shown(world).await? {
        canaries.within(what, text.as_bytes(), &mut found);
    }
    let git_dir =
        world.simulator.github.git_dir("acme/app").map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    canaries.within(
        "an object at GitHub",
        &git(&git_dir, &["cat-file", "--batch-all-objects", "--batch"])?,
        &mut found,
    );
    canaries.within("a reference at GitHub", &git(&git_dir, &["for-each-ref"])?, &mut found);
    let pulls = world.simulator.github.pulls("acme/app").map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    canaries.within("a pull request", serde_json::to_string(&pulls)?.as_bytes(), &mut found);
    let calls = serde_json::to_string(&world.simulator.calls.all())?;
    canaries.within("the line or a header of a call", calls.as_bytes(), &mut found);
    Ok(found)
}

/// What Kubernetes and the metrics show. Specs are the user's own words.
async fn shown(world: &World) -> Result<Vec<(&'static str, String)>> {
    let mut all = Vec::new();
    for kind in ["swtask", "swbox", "swrepo"] {
        let mut listed: Value = serde_json::from_str(&world.kubectl(&["get", kind, "-o", "json"]).await?)?;
        for object in listed["items"].as_array_mut().into_iter().flatten() {
            object.as_object_mut().context("an object")?.remove("spec");
        }
        all.push(("the status of an object", listed.to_string()));
    }
    all.push(("an event", world.kubectl(&["get", "events", "-o", "json"]).await?));
    all.push(("a metric", world.ops("/metrics").await.context("the controller's metrics")?));
    Ok(all)
}

fn files(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(content) = std::fs::read(&path) {
                // One that goes while it is looked for holds nothing any more.
                found.push((path.display().to_string(), content));
            }
        }
    }
    Ok(found)
}

fn git(directory: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("git").arg("--git-dir").arg(directory).args(arguments).output()?;
    anyhow::ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

#[test]
fn a_canary_is_found_in_every_form() {
    let canaries = Canaries::new(&[("it", "canary-1234 &\nwith a second line of some length")]);
    for (text, expected) in [
        ("x canary-1234 &\nwith a second line of some length y", "it in t"),
        ("  with a second line of some length", "it in t"),
        ("d2l0aCBhIHNlY29uZCBsaW5lIG9mIHNvbWUgbGVuZ3RoCg==", "it in base64 in t"),
        (
            "%77%69%74%68%20%61%20%73%65%63%6F%6E%64%20%6C%69%6E%65%20%6F%66%20%73%6F%6D%65%20%6C%65%6E%67%74%68",
            "it, URL-encoded in t",
        ),
    ] {
        let mut found = Vec::new();
        canaries.within("t", text.as_bytes(), &mut found);
        assert!(found.iter().any(|one| one == expected), "{text}: {found:?}");
    }
    let mut found = Vec::new();
    canaries.within("t", b"nothing of it", &mut found);
    assert!(found.is_empty());
}
