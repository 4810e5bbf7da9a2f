//! The E2B adapter, generation and file transfer against the E2B stand-in: real HTTP, real commands, real files.

// A test may panic.
#![allow(clippy::unwrap_used)]

mod answers;
mod envd;
mod generation;
mod large;
mod lifecycle;
mod prompt;
mod restless;
mod support;
mod transfer;
