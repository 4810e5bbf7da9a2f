#!/usr/bin/env bash
# Checks the E2B stand-in with the official Python SDK (the version in requirements.txt).
# Needs cargo and Python 3.11 or newer with venv and pip; installs into a cache, so that a second run is quick.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../../.."

fail() {
    echo "e2b-python: $*" >&2
    exit 1
}
command -v cargo >/dev/null || fail "cargo is missing: install Rust (https://rustup.rs)"
command -v python3 >/dev/null || fail "python3 is missing: install Python 3.11 or newer"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, this is $(python3 --version)"

# One environment per list of packages and Python: a changed list never meets old packages.
version=$( (python3 --version && cat "$here/requirements.txt") | sha256sum | cut -c1-16)
environment="${XDG_CACHE_HOME:-$HOME/.cache}/slipway/sdk/e2b-python-$version"
if [ ! -e "$environment/complete" ]; then
    echo "e2b-python: installing the SDK into $environment"
    rm -rf "$environment"
    python3 -m venv "$environment" || fail "python3 cannot make a virtual environment (package python3-venv)"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt" ||
        fail "installing the SDK failed"
    touch "$environment/complete"
fi

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
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$ready" "$1"
}
E2B_API_KEY=e2b_0000000000000000000000000000000000000000
E2B_API_URL=$(url e2bApi)
E2B_SANDBOX_URL=$(url e2bSandbox)
CONTROL_URL=$(url control)
# Without them the SDK would turn to E2B itself.
[[ $E2B_API_URL == http://127.0.0.1:* && $E2B_SANDBOX_URL == http://127.0.0.1:* ]] || fail "the simulator named no URLs"
export E2B_API_KEY E2B_API_URL E2B_SANDBOX_URL CONTROL_URL
"$environment/bin/python" "$here/check.py"
