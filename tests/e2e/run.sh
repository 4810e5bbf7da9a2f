#!/usr/bin/env bash
# The chart on a whole cluster: `make e2e`.
#
#   E2E_CLUSTER=kind     a cluster in docker, removed at the end; the operator's image is that of deploy/Dockerfile
#   E2E_CLUSTER=node     a single node in namespaces of this machine (tests/node); needs root on Linux, and no docker
#   E2E_FROM=<commit>    the release that is upgraded from; default: the last one (base.sh)
#
# Unset: kind where docker answers and kind is installed, else a node. Either way the same program tells the story.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo="${CARGO:-cargo}"
say() { echo "e2e: $*" >&2; }

cluster="${E2E_CLUSTER:-}"
if [[ -z "$cluster" ]]; then
  if command -v kind >/dev/null && docker info >/dev/null 2>&1; then cluster=kind; else cluster=node; fi
fi

# Each step is a job with a process group of its own: the shell acts on a signal at once while it waits for a job, and ends
# the whole job. In the foreground it would act when the step has ended.
set -m
job=
step() {
  local status=0
  "$@" </dev/null &
  job=$!
  wait "$job" || status=$?
  job=
  return "$status"
}

images="$(mktemp -d)"
kind_name=
clean_up() {
  local status=$?
  trap '' INT TERM
  if [[ -n "$job" ]]; then
    kill -TERM -- "-$job" 2>/dev/null || true
    wait "$job" 2>/dev/null || true
  fi
  [[ -z "$kind_name" ]] || delete_cluster "$status"
  rm -rf "$images"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# kind deletes what is there at that moment. After an interruption docker may still be making a node that it was asked for.
delete_cluster() {
  local left try tries=1
  kind delete cluster --name "$kind_name" --kubeconfig "$images/kubeconfig" || true
  (($1 < 128)) || tries=5
  for ((try = 0; try < tries; try++)); do
    left="$(docker ps --all --quiet --filter "label=io.x-k8s.kind.cluster=$kind_name")"
    # shellcheck disable=SC2086 # a list of ids
    [[ -z "$left" ]] || docker rm --force --volumes $left >/dev/null || true
    ((try + 1 == tries)) || sleep 1
  done
}

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"

# The release to upgrade from: its name, and its sources from the history of this repository.
unpack_base() {
  base="$(tests/e2e/base.sh)"
  # By commit: a name may come to mean another one.
  sources="$target/baseline/$(git rev-parse --short=7 "$base^{commit}")"
  [[ ! -d "$sources" ]] || return 0
  mkdir -p "$images/base" "$target/baseline"
  git archive "$base" | tar -x -C "$images/base"
  mv "$images/base" "$sources"
}

on_node() {
  # Before minutes of building: says what this machine lacks.
  tests/node/run.sh
  step tests/controlplane/build.sh node helm
  unpack_base
  say "building the operator, the stand-ins, $base and their images"
  step "$cargo" build --quiet --package slipway --bin slipway --example e2e
  step "$cargo" build --quiet --package slipway-simulator
  step "$cargo" build --quiet --bin slipway --manifest-path "$sources/Cargo.toml" --target-dir "$target/baseline/target"
  tests/e2e/images.sh "$images" "$target/debug" e2e slipway slipway-simulator pause
  tests/e2e/images.sh "$images" "$target/baseline/target/debug" base slipway
  export SLIPWAY_E2E_IMAGES="$images" SLIPWAY_E2E_BASE="$sources"
  step tests/node/run.sh "$target/debug/examples/e2e"
}

on_kind() {
  local program kubectl
  for program in docker kind kubectl helm; do
    command -v "$program" >/dev/null || { say "missing: $program"; exit 1; }
  done
  unpack_base
  say "building the images of the operator and of $base"
  # Docker before 23 has BuildKit only when it is asked for.
  export DOCKER_BUILDKIT=1
  step docker build --tag slipway:e2e --file deploy/Dockerfile .
  step docker build --tag slipway:base --file "$sources/deploy/Dockerfile" "$sources"
  step "$cargo" build --quiet --package slipway --example e2e
  step "$cargo" build --quiet --package slipway-simulator
  tests/e2e/images.sh "$images" "$target/debug" e2e slipway-simulator
  kind_name="slipway-e2e-$$"
  step kind create cluster --name "$kind_name" --kubeconfig "$images/kubeconfig" --wait 2m
  # `--wait` is for the node. Until these run, no Service has an address that works.
  kubectl=(kubectl --kubeconfig "$images/kubeconfig" --namespace kube-system rollout status --timeout 2m)
  step "${kubectl[@]}" daemonset/kube-proxy
  step "${kubectl[@]}" deployment/coredns
  step kind load docker-image slipway:e2e slipway:base --name "$kind_name"
  step kind load image-archive "$images/slipway-simulator-e2e.tar" --name "$kind_name"
  export SLIPWAY_E2E_KUBECONFIG="$images/kubeconfig" SLIPWAY_E2E_BASE="$sources"
  step "$target/debug/examples/e2e"
}

case "$cluster" in
  kind) on_kind ;;
  node) on_node ;;
  *) say "E2E_CLUSTER is $cluster: kind or node"; exit 2 ;;
esac
