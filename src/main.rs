//! The binary: one allocator, one TLS provider, arguments, then `app`.
//! Imports `app` and `config` of the library.

use clap::Parser;
use slipway::{app, config::Arguments};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all: building any client without a provider panics. It fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match app::run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slipway: {error:#}");
            ExitCode::FAILURE
        }
    }
}
