#!/usr/bin/env bash
# Runs the octokit check against the GitHub stand-in: run.sh [path of slipway-simulator].
# Without a path the simulator is built and run by cargo. Fails when node or npm is missing.
set -euo pipefail
cd "$(dirname "$0")"

for tool in node npm; do
  if ! command -v "$tool" >/dev/null; then
    echo "tests/sdk/octokit: $tool is missing; install Node.js 20 or newer" >&2
    exit 1
  fi
done

# npm writes its own lock file last, so an interrupted installation is done again.
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  npm ci --no-progress --loglevel=error
fi

if [ $# -gt 0 ]; then
  simulator=$1
else
  cargo build --quiet --package slipway-simulator
  target=$(cargo metadata --format-version 1 --no-deps | node -e \
    'let s="";process.stdin.on("data",d=>s+=d).on("end",()=>console.log(JSON.parse(s).target_directory))')
  simulator=$target/debug/slipway-simulator
fi

# The simulator is the coprocess; it ends with this script, whatever happens.
coproc SIMULATOR { exec "$simulator" --die-with-parent; }
pid=$SIMULATOR_PID
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true' EXIT
if ! read -r -t 30 urls <&"${SIMULATOR[0]}"; then
  echo "tests/sdk/octokit: $simulator gave no URLs within 30 s" >&2
  exit 1
fi
SIMULATOR_URLS=$urls node check.mjs
