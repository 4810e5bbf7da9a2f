//! Log output: one subscriber per process, text for people or JSON for collectors.
//! Called by `app` once, before anything logs.

use jiff::Timestamp;
use std::{
    cell::RefCell,
    fmt,
    io::{self, BufWriter, Stderr, Write},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime, writer::EitherWriter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Format of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Reason why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the log filter {filter:?} is not valid: {source}; write it like info,slipway=debug")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("a log subscriber is already installed")]
    Installed(#[source] tracing_subscriber::util::TryInitError),
}

/// Libraries that log every request or connection at info; a filter that names one of them still wins.
/// `kube_client` logs whole answers at warn when it can't decode them, Secrets included: its errors come back to us anyway.
const QUIET: &str =
    "warp::server=warn,hyper=warn,hyper_util=warn,h2=warn,rustls=warn,tower=warn,kube_client=error";

/// Bytes of lines that wait for [`flush`]: when there are more, they are written.
const WAITING: usize = 16 << 10;

/// The lines of a process that calls [`flush`]: one call of the system writes all that a burst of requests has left.
static LINES: LazyLock<Mutex<BufWriter<Stderr>>> =
    LazyLock::new(|| Mutex::new(BufWriter::with_capacity(WAITING, io::stderr())));

/// When a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// At once.
    Line,
    /// When [`flush`] is called: by a runtime of one thread before it sleeps, and at the end of the process.
    Flushed,
}

/// Writes the lines that wait.
pub fn flush() {
    // Nobody could be told of a failure.
    let _ = LINES.lock().unwrap_or_else(PoisonError::into_inner).flush();
}

/// A line on its way to [`LINES`].
struct Waiting(MutexGuard<'static, BufWriter<Stderr>>);

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writer(writing: Writing) -> impl Fn() -> EitherWriter<Stderr, Waiting> {
    move || match writing {
        Writing::Line => EitherWriter::A(io::stderr()),
        Writing::Flushed => EitherWriter::B(Waiting(LINES.lock().unwrap_or_else(PoisonError::into_inner))),
    }
}

/// The time of a line: RFC 3339 in microseconds, as tracing writes it itself.
struct Clock;

thread_local! {
    /// The second of this thread's last line, and how it is written: that takes a quarter of a line's time, and of many
    /// lines in a second only the fraction differs.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        write_time(line, Timestamp::now())
    }
}

fn write_time(line: &mut impl fmt::Write, now: Timestamp) -> fmt::Result {
    SECOND.with_borrow_mut(|(second, written)| {
        if *second != now.as_second() {
            (*second, *written) = (now.as_second(), now.strftime("%FT%T").to_string());
        }
        write!(line, "{written}.{:06}Z", now.subsec_nanosecond() / 1000)
    })
}

/// Installs the subscriber. `filter` is what `RUST_LOG` holds (`info`, `info,slipway::github=debug`).
pub fn init(filter: &str, format: Format, writing: Writing) -> Result<(), Error> {
    let parsed = parse(filter)?;
    let registry = tracing_subscriber::registry().with(parsed);
    let layer = tracing_subscriber::fmt::layer().with_timer(Clock).with_writer(writer(writing));
    match format {
        Format::Text => registry.with(layer.with_ansi(use_colour())).try_init(),
        Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
    .map_err(Error::Installed)
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    // A later directive for the same target replaces the earlier one, so the user's come last.
    EnvFilter::try_new(filter)
        .and_then(|_| EnvFilter::try_new(format!("{QUIET},{filter}")))
        .map_err(|source| Error::Filter { filter: filter.to_owned(), source })
}

fn use_colour() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named_in_the_error() {
        let error = parse("slipway=loud").unwrap_err().to_string();
        assert!(error.contains("slipway=loud"), "{error}");
    }

    #[test]
    fn the_time_is_written_as_tracing_writes_it() {
        let written = |now: &str| {
            let mut line = String::new();
            write_time(&mut line, now.parse().expect("a time")).expect("written");
            line
        };
        for now in
            ["2026-12-01T00:59:59.000001Z", "2026-12-01T00:59:59.999999Z", "2026-12-01T01:00:00.000000Z"]
        {
            assert_eq!(written(now), now);
        }
        // To the microsecond, and a clock that was set back.
        assert_eq!(written("1999-12-31T23:59:59.5000009Z"), "1999-12-31T23:59:59.500000Z");
    }

    #[test]
    fn the_users_directive_beats_the_quiet_ones() {
        let filter = parse("info,hyper=debug").unwrap().to_string();
        assert!(filter.contains("hyper=debug") && !filter.contains("hyper=warn"), "{filter}");
    }
}
