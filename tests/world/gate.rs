//! A command in the sandbox that waits until the test lets it go on.
//! Part of `world`.

use super::{PATIENCE, World, within};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// A generation that stands at its gate.
pub struct Gate {
    /// The sandbox's home, as the host sees it.
    home: PathBuf,
    /// Stands in the command line of the process, and nowhere else.
    mark: String,
}

impl Gate {
    /// `script`, run in `/home/user/app` once the gate is open.
    pub fn script(world: &World, script: &str) -> String {
        let mark = mark(world);
        format!(
            ": {mark}; echo $$ > /home/user/waits; until [ -e /home/user/open ]; do sleep 0.1; done; {script}"
        )
    }

    /// Waits until the command stands at the gate in the only sandbox.
    pub async fn reached(world: &World) -> Result<Self> {
        let gate = within(PATIENCE, "a command at its gate", || async {
            let sandbox = world.simulator.e2b.sandboxes().pop()?.sandbox_id;
            let home = world.simulator.e2b.host_path(&sandbox, "/home/user")?;
            let waits = std::fs::read_to_string(home.join("waits")).is_ok_and(|pid| pid.ends_with('\n'));
            waits.then_some(Self { home, mark: mark(world) })
        });
        gate.await.with_context(|| world.logs())
    }

    /// Lets the command go on.
    pub fn open(&self) -> Result<()> {
        Ok(std::fs::write(self.home.join("open"), "")?)
    }

    /// What the command has made so far.
    pub fn file(&self, name: &str) -> Result<String> {
        let path = self.home.join("app").join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Whether the command still runs, as the host sees it.
    pub fn runs(&self) -> bool {
        let Ok(processes) = std::fs::read_dir("/proc") else { return false };
        processes.flatten().any(|process| {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&self.mark)
        })
    }
}

fn mark(world: &World) -> String {
    format!("gate-of-{}", world.namespace)
}
