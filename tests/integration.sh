#!/usr/bin/env bash
# Runs every integration test binary, two at a time, six tests each: most of their time is waiting for real time to pass.
# `leader` measures how long nobody acts, so it runs alone.
# What a binary prints is shown as one piece when it ends. A test that fails is run once more, alone on the machine, when all
# else has ended: chance ends up under FLAKY, here and in target/flaky, and only what fails again makes this fail.
set -uo pipefail
cd "$(dirname "$0")/.."

# Longest first. `upgrade` and `architecture` need no server, the simulator's own tests are quick.
tests="flows worktree canaries chart sandbox repository outage webhook controlplane github github_app e2b upgrade architecture"
# shellcheck disable=SC2086 # a list of words
exec python3 tests/runner/run.py leader -- $tests
