#!/usr/bin/env bash
# Holds tests/integration.sh to what it promises, with a cargo whose tests pass, fail, die and hang as told, in seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/tests"
cp tests/integration.sh "$dir/tests/"
cp -r tests/runner "$dir/tests/"
"${CARGO:-cargo}" metadata --no-deps --format-version 1 >"$dir/metadata"

# $dir/<target>.<run>, `build` for the build, holds what the nth run of a target does; absent: green.
cat >"$dir/cargo" <<'FAKE'
#!/usr/bin/env bash
dir=$(dirname "$0")
case " $* " in
  *" metadata "*) exec cat "$dir/metadata" ;;
  *" --no-run "*) target=build ;;
  *) target=$(sed -E 's/^test --package [^ ]+ --[a-z]+ ?([^ ]*) ?--.*/\1/; s/^$/lib/' <<<"$*") ;;
esac
echo "$*" >>"$dir/calls"
echo x >>"$dir/runs.$target"
run="$dir/$target.$(wc -l <"$dir/runs.$target")"
if [ -e "$run" ]; then . "$run"; exit; fi
if [ "$target" = build ]; then exit; fi
passed=2
case " $* " in *" --exact "*) passed=1 ;; esac
echo "running $passed tests"
echo "test result: ok. $passed passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s"
FAKE
chmod +x "$dir/cargo"

# A run in which the named tests fail, and print what a careless reader would take for a list.
fails() {
  local name
  echo 'echo; echo "running 9 tests"; echo "test a::fine ... ok"'
  printf 'echo "test %s ... FAILED"\n' "$@"
  printf 'echo; echo failures:; echo\n'
  for name in "$@"; do
    echo "printf -- '---- $name stdout ----\\nfailures:\\n    no::test\\nwords of $name\\n\\n'"
  done
  printf 'echo; echo failures:\n'
  printf 'echo "    %s"\n' "$@"
  echo "echo; echo 'test result: FAILED. 1 passed; $# failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s'"
  echo "exit 101"
}

name=
begin() {
  name=$1
  rm -f "$dir"/*.[0-9] "$dir"/runs.* "$dir/calls"
  mkdir -p "$dir/target"
  echo 'of an earlier run' >"$dir/target/flaky"
}
flunk() {
  echo "tests/runner: $name: $1" >&2
  cat "$dir/out" >&2
  exit 1
}
# What it exits with, and the lines of target/flaky as patterns, in any order.
expect() {
  local status=0
  CARGO="$dir/cargo" SLIPWAY_TEST_LIMIT_SECONDS=3 "$dir/tests/integration.sh" >"$dir/out" 2>&1 || status=$?
  [ "$status" = "$1" ] || flunk "exit $status instead of $1"
  shift
  local lines=0
  if [ -e "$dir/target/flaky" ]; then lines=$(wc -l <"$dir/target/flaky"); fi
  [ "$lines" = "$#" ] || flunk "$lines flaky tests instead of $#"
  for pattern in "$@"; do
    grep -Eqx "$pattern" "$dir/target/flaky" || flunk "no line '$pattern' in target/flaky"
  done
  if [ "$#" != 0 ]; then
    diff <(tail -n "$(($# + 1))" "$dir/out") <(echo FLAKY; cat "$dir/target/flaky") || flunk "FLAKY is not last"
  fi
}
says() { grep -Fq -- "$1" "$dir/out" || flunk "'$1' is not in the output"; }
ran() { grep -Fqx -- "$1" "$dir/calls" || flunk "no call '$1'"; }

begin "all green"
expect 0
[ "$(grep -c 'test result: ok' "$dir/out")" = "$(($(wc -l <"$dir/calls") - 1))" ] || flunk "a closing line is missing"
ran "test --package slipway-simulator --test e2b_envd -- --test-threads 6"

begin "passes the second time"
fails a::chance b::chance >"$dir/flows.1"
fails c::chance >"$dir/e2b_envd.1"
expect 0 "flows a::chance: failed within [0-9]+ s, passed alone in [0-9]+ s" "flows b::chance: .*" \
  "simulator/e2b_envd c::chance: .*"
ran "test --package slipway --test flows -- --exact a::chance --test-threads 1"
diff <(tail -n 3 "$dir/calls" | grep -c -- --exact) <(echo 3) || flunk "not everything else had ended"

begin "fails twice"
fails a::broken b::chance >"$dir/flows.1"
fails a::broken >"$dir/flows.2"
expect 1 "flows b::chance: .*"
[ "$(grep -c 'words of a::broken' "$dir/out")" = 3 ] || flunk "not both runs were shown"
says "flows a::broken failed twice"

begin "no such test the second time"
fails a::broken >"$dir/flows.1"
echo 'echo "test result: ok. 0 passed; 0 failed; 0 ignored"' >"$dir/flows.2"
expect 1

begin "dies without a list"
echo 'echo "test a::one ... FAILED"; kill -SEGV $$' >"$dir/chart.1"
expect 0 "chart: failed after [0-9]+ s \(exit -11\) without a list, passed alone in [0-9]+ s"
ran "test --package slipway --test chart -- --test-threads 6"

begin "dies twice"
echo 'echo "first death"; exit 1' >"$dir/leader.1"
echo 'echo "second death"; exit 0' >"$dir/leader.2"
expect 1
says "first death"
says "second death"

begin "hangs"
echo 'sleep 600 & sleep 600' >"$dir/webhook.1"
expect 0 "webhook: failed after [0-9]+ s \(exit 124\) without a list, passed alone in [0-9]+ s"
says "webhook did not end within 3 s and was ended"

begin "compiles the second time"
echo 'exit 101' >"$dir/build.1"
expect 0 "build: .*"

begin "does not compile"
echo 'exit 101' | tee "$dir/build.1" >"$dir/build.2"
expect 1
[ "$(wc -l <"$dir/calls")" = 2 ] || flunk "more than the build was tried"

begin "too many to be chance"
fails $(seq -f 'a::n%g' 21) >"$dir/flows.1"
expect 1
grep -q -- --exact "$dir/calls" && flunk "something was run again"

echo "tests/runner: tests/integration.sh keeps its promises"
