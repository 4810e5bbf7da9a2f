#!/usr/bin/env bash
# Runs every integration test binary, two at a time, six tests each: most of their time is waiting for real time to pass.
# `leader` measures how long nobody acts, so it runs alone.
# What a binary prints is shown as one piece when it ends. Fails if any of them fails.
set -uo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

"$cargo" test --workspace --tests --no-run || exit 1

# Longest first. `architecture` needs no server, the simulator's own tests are quick.
tests="flows canaries chart sandbox repository webhook controlplane github e2b architecture"
known=$("$cargo" metadata --no-deps --format-version 1 |
  python3 -c 'import json,sys; print(*sorted({t["name"] for p in json.load(sys.stdin)["packages"] if p["name"] == "slipway" for t in p["targets"] if "test" in t["kind"]}))')
if [ "$known" != "$(printf '%s\n' leader $tests | sort | paste -sd' ')" ]; then
  echo "tests/integration.sh runs [leader $tests], Cargo.toml has [$known]" >&2
  exit 1
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export cargo logs
one() {
  local started=$SECONDS status=0
  "$cargo" test --package slipway --test "$1" -- --test-threads 6 >"$logs/$1" 2>&1 || status=$?
  { echo "=== $1 ($((SECONDS - started)) s, exit $status)"; cat "$logs/$1"; }
  return "$status"
}
export -f one
status=0
one leader || status=1
printf '%s\n' $tests | xargs -P 2 -I{} bash -c 'one {}' || status=1
"$cargo" test --package slipway-simulator --tests || status=1
exit "$status"
