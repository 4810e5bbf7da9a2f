#!/usr/bin/env bash
# Installs checkov (the version in requirements.txt) into a cache, so that a second call is quick, and prints its path.
# Needs Python 3.11 or newer with venv and pip.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fail() { echo "checkov: $*" >&2; exit 1; }

# One environment per list of packages and Python: a changed list never meets old packages.
version=$( (python3 --version && cat "$here/requirements.txt") | sha256sum | cut -c1-16)
environment="${XDG_CACHE_HOME:-$HOME/.cache}/slipway/checkov-$version"
if [[ ! -e "$environment/complete" ]]; then
  echo "checkov: installing it into $environment" >&2
  rm -rf "$environment"
  python3 -m venv "$environment" || fail "python3 cannot make a virtual environment (package python3-venv)"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt" >&2 ||
    fail "installing it failed"
  touch "$environment/complete"
fi
echo "$environment/bin/checkov"
