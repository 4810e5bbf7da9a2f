//! What a process has used, from `/proc`: CPU time, memory now, memory at its peak.
//! Sources: <https://man7.org/linux/man-pages/man5/proc.5.html>, <https://docs.kernel.org/scheduler/sched-stats.html>.

use anyhow::{Context as _, Result};

/// CPU seconds (user and system) of the threads that live, and resident memory in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu: f64,
    pub rss: f64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self> {
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between the listing and the look.
            let spent = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += spent.split_whitespace().next().unwrap_or("0").parse::<u64>()?;
        }
        let cpu = std::time::Duration::from_nanos(nanoseconds).as_secs_f64();
        Ok(Self { cpu, rss: kib(pid, "VmRSS:")? / 1024.0 })
    }

    /// CPU seconds between two looks.
    pub fn cpu_since(self, earlier: Self) -> f64 {
        self.cpu - earlier.cpu
    }
}

/// The highest resident memory in MiB since the start or since [`reset_peak`].
pub fn peak_rss(pid: u32) -> Result<f64> {
    Ok(kib(pid, "VmHWM:")? / 1024.0)
}

/// Forgets the peak (`clear_refs`, value 5).
pub fn reset_peak(pid: u32) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

fn kib(pid: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).context("the field is there")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}
