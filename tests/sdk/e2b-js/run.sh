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

# Built first: what follows is a fresh process that prints its URLs when it is ready.
cargo build --quiet --package slipway-simulator
ready=$(mktemp)
# `cargo run` becomes the simulator: its pid is the one to end.
cargo run --quiet --package slipway-simulator >"$ready" &
simulator=$!
trap 'kill "$simulator" 2>/dev/null; wait "$simulator" 2>/dev/null; rm -f "$ready"' EXIT
for _ in $(seq 300); do
    if [ -s "$ready" ]; then break; fi
    kill -0 "$simulator" 2>/dev/null || fail "the simulator did not start"
    sleep 0.1
done
url() {
    node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"))[process.argv[2]]' "$ready" "$1"
}
E2B_API_KEY=e2b_0000000000000000000000000000000000000000
E2B_API_URL=$(url e2bApi)
E2B_SANDBOX_URL=$(url e2bSandbox)
CONTROL_URL=$(url control)
# Without them the SDK would turn to E2B itself.
[[ $E2B_API_URL == http://127.0.0.1:* && $E2B_SANDBOX_URL == http://127.0.0.1:* ]] || fail "the simulator named no URLs"
export E2B_API_KEY E2B_API_URL E2B_SANDBOX_URL CONTROL_URL
node "$environment/check.mjs"
