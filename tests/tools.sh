#!/usr/bin/env bash
# Says what the demo and the tests need and this machine lacks; silent when nothing is missing.
set -uo pipefail

missing=0
need() { # command, what it is for, how to get it
  command -v "$1" >/dev/null 2>&1 && return
  echo "missing: $1 ($2). $3" >&2
  missing=1
}

need cargo "builds the operator" "Install Rust with rustup; rust-toolchain.toml names the version."
need go "builds the pinned Kubernetes binaries" "Install Go 1.26 or newer."
need git "backs the GitHub stand-in" "Install it from your distribution."
need cc "links Rust crates" "Install a C compiler, for example gcc."
need node "runs the official E2B and GitHub SDKs against the stand-ins" "Install Node.js 20 or newer."
need npm "installs these SDKs" "It comes with Node.js."
need python3 "runs the official E2B SDK for Python" "Install Python 3.11 or newer."
need openssl "signs a delivery the way the handbook does" "Install it from your distribution."
need curl "posts that delivery" "Install it from your distribution."
need unshare "gives each stand-in sandbox its own file system" "It is part of util-linux."
exit "$missing"
