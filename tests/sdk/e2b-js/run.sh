#!/usr/bin/env bash
# Checks the E2B stand-in with the official JavaScript SDK (the version in package-lock.json).
# Needs cargo and Node.js 20 or 22 and newer with npm; installs into a cache, so that a second run is quick.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../../.."

fail() {
    echo "e2b-js: $*" >&2
    exit 1
}
command -v cargo >/dev/null || fail "cargo is missing: install Rust (https://rustup.rs)"
command -v node >/dev/null || fail "node is missing: install Node.js 20.18.1 or newer"
command -v npm >/dev/null || fail "npm is missing: it comes with Node.js"

# One directory per lock file: a changed lock never meets old packages.
version=$( (node --version && cat "$here/package-lock.json") | sha256sum | cut -c1-16)
environment="${XDG_CACHE_HOME:-$HOME/.cache}/slipway/sdk/e2b-js-$version"
if [ ! -e "$environment/complete" ]; then
    echo "e2b-js: installing the SDK into $environment"
    rm -rf "$environment"
    mkdir -p "$environment"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$environment/"
    npm ci --prefix "$environment" --silent || fail "installing the SDK failed"
    touch "$environment/complete"
fi
# Modules are looked up from where the script is.
cp "$here/check.mjs" "$environment/check.mjs"

# shellcheck source=tests/sdk/simulator.sh
source tests/sdk/simulator.sh
node "$environment/check.mjs"
