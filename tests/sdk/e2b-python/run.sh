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

# shellcheck source=tests/sdk/simulator.sh
source tests/sdk/simulator.sh
"$environment/bin/python" "$here/check.py"
