//! What a process has used: CPU time from its clock; memory now and at its peak from `/proc`.
//! Sources: <https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html>, <https://man7.org/linux/man-pages/man5/proc.5.html>.

use anyhow::{Context as _, Result};
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use std::time::Duration;

/// CPU seconds (user and system) since the start, and resident memory in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu: f64,
    pub rss: f64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self> {
        // Of the process, not the sum of its threads': what an ended thread has used stays counted.
        let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into()?))?;
        let cpu = Duration::from(clock_gettime(clock)?).as_secs_f64();
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
