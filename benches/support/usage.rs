//! What a process has used, from `/proc`: CPU time, memory now, memory at its peak.
//! Source: <https://man7.org/linux/man-pages/man5/proc.5.html>.

use anyhow::{Context as _, Result};

/// CPU seconds (user and system) since the process started, and resident memory in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu: f64,
    pub rss: f64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field, in parentheses, may hold anything; utime and stime are the 14th and 15th.
        let rest = stat.rsplit_once(')').context("a command in parentheses")?.1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        // Linux counts in 1/100 s on every platform we know (`getconf CLK_TCK`).
        Ok(Self { cpu: ticks / 100.0, rss: kib(pid, "VmRSS:")? / 1024.0 })
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
