#!/usr/bin/env bash
# The chart on a whole cluster: `make e2e`.
#
#   E2E_CLUSTER=kind     a cluster in docker, removed at the end; the operator's image is that of deploy/Dockerfile
#   E2E_CLUSTER=node     a single node in namespaces of this machine (tests/node); needs root on Linux, and no docker
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

images="$(mktemp -d)"
trap 'rm -rf "$images"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

on_node() {
  # Before minutes of building: says what this machine lacks.
  tests/node/run.sh
  tests/controlplane/build.sh node helm
  say "building the operator, the stand-ins and their images"
  "$cargo" build --quiet --package slipway --bin slipway --example e2e
  "$cargo" build --quiet --package slipway-simulator
  tests/e2e/images.sh "$images" slipway slipway-simulator pause
  SLIPWAY_E2E_IMAGES="$images" tests/node/run.sh target/debug/examples/e2e
}

on_kind() {
  local program
  for program in docker kind kubectl helm; do
    command -v "$program" >/dev/null || { say "missing: $program"; exit 1; }
  done
  docker build --tag slipway:e2e --file deploy/Dockerfile .
  "$cargo" build --quiet --package slipway --example e2e
  "$cargo" build --quiet --package slipway-simulator
  tests/e2e/images.sh "$images" slipway-simulator
  kind_name="slipway-e2e-$$"
  trap 'kind delete cluster --name "$kind_name" --kubeconfig "$images/kubeconfig"; rm -rf "$images"' EXIT
  kind create cluster --name "$kind_name" --kubeconfig "$images/kubeconfig" --wait 2m
  kind load docker-image slipway:e2e --name "$kind_name"
  kind load image-archive "$images/slipway-simulator.tar" --name "$kind_name"
  SLIPWAY_E2E_KUBECONFIG="$images/kubeconfig" target/debug/examples/e2e
}

case "$cluster" in
  kind) on_kind ;;
  node) on_node ;;
  *) say "E2E_CLUSTER is $cluster: kind or node"; exit 2 ;;
esac
