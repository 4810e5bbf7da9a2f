#!/usr/bin/env bash
# Builds the pinned control plane (etcd, kube-apiserver, kube-controller-manager, kubectl) from Go modules into a cache
# by version. kubernetes/go.mod is the one place that holds the versions; helm/go.mod, helm3/go.mod and kubeconform/go.mod hold theirs. After
# a change of one of these or of etcd alone, remove the cached one. The Rust harness beside this file runs the results.
#
#   tests/controlplane/build.sh          build what is missing; a no-op when all is there
#   tests/controlplane/build.sh node     the same, with what else a whole node runs
#   tests/controlplane/build.sh helm     the same, with helm 4 and 3
#   tests/controlplane/build.sh lint     the same, with kubeconform
#   KUBEBUILDER_ASSETS=<dir>             take etcd, kube-apiserver and kubectl from there (as setup-envtest fills it);
#                                        kube-controller-manager is not part of those and is still built
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
module="$here/kubernetes"
version="$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$module/go.mod")"
[[ "$version" =~ ^v([0-9]+)\.([0-9]+)\.[0-9]+$ ]] || { echo "controlplane: no k8s.io/kubernetes version in $module/go.mod" >&2; exit 1; }
major="${BASH_REMATCH[1]}" minor="${BASH_REMATCH[2]}"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/slipway/kubernetes/$version"

say() { echo "controlplane: $*" >&2; }

# Without the version stamp /version says v0.0.0-master, and clients that ask for a minimum version refuse the server.
stamp="k8s.io/component-base/version"
ldflags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor -X $stamp.gitTreeState=clean"

package_of() {
  case "$1" in
    etcd) echo slipway.dev/tests/controlplane/kubernetes/etcd ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    helm3) echo helm.sh/helm/v3/cmd/helm ;;
    kubeconform) echo github.com/yannh/kubeconform/cmd/kubeconform ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
  esac
}

# These are tested with older Kubernetes modules than ours: each has a module of its own.
module_of() { if [[ -d "$here/$1" ]]; then echo "$here/$1"; else echo "$module"; fi; }

is_there() { [[ -f "$1" && -x "$1" ]]; }

# Sets `wanted` to the tools that must come from the cache. Arguments name groups of further ones.
choose_tools() {
  choose_control_plane
  local group
  for group in "$@"; do
    case "$group" in
      node) wanted+=(kube-scheduler kube-proxy kubelet) ;;
      helm) wanted+=(helm helm3) ;;
      lint) wanted+=(kubeconform) ;;
      *) say "no group of tools is called $group"; exit 2 ;;
    esac
  done
}

choose_control_plane() {
  wanted=(etcd kube-apiserver kube-controller-manager kubectl)
  [[ -n "${KUBEBUILDER_ASSETS:-}" ]] || return 0
  local tool
  for tool in etcd kube-apiserver kubectl; do
    is_there "$KUBEBUILDER_ASSETS/$tool" || {
      say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no $tool. Put it there, or unset KUBEBUILDER_ASSETS to have it built."
      exit 1
    }
  done
  wanted=(kube-controller-manager)
}

# Sets `missing` to the wanted tools that the cache lacks.
choose_missing() {
  missing=()
  local tool
  for tool in "${wanted[@]}"; do is_there "$cache/$tool" || missing+=("$tool"); done
}

require_toolchain() {
  local absent=()
  command -v go >/dev/null || absent+=("go (1.26 or newer: https://go.dev/dl/)")
  command -v git >/dev/null || absent+=("git")
  command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || absent+=("a C compiler (cc, gcc or clang)")
  command -v flock >/dev/null || absent+=("flock (util-linux)")
  ((${#absent[@]} == 0)) && return 0
  say "these are missing on this machine:"
  printf 'controlplane:   %s\n' "${absent[@]}" >&2
  exit 1
}

# Two calls at once: the second waits, then finds everything there. The lock goes with the process, however it ends.
take_lock() {
  exec 9>"$cache/.lock"
  flock -n 9 && return 0
  say "another build is running; waiting for it"
  flock 9
}

# While process $1 lives, says every 15 seconds how far the build of $2 is: `go build -v` logs one line a package to $3.
show_progress() {
  local started=$SECONDS tick=0
  while kill -0 "$1" 2>/dev/null; do
    sleep 0.2
    tick=$((tick + 1))
    ((tick % 75 == 0)) || continue
    say "  $2: $((SECONDS - started)) s, $(wc -l <"$3") packages so far, at $(tail -n 1 "$3" | cut -c -70)"
  done
}

# Builds tool $1 in the temporary directory and renames it into place, so that the cache holds whole binaries only.
build_tool() {
  local tool="$1" started=$SECONDS log="$temporary/$1.log"
  say "building $tool ..."
  : >"$log"
  (cd "$(module_of "$tool")" && CGO_ENABLED=0 GOWORK=off exec go build -v -trimpath -buildvcs=false -ldflags "$ldflags" \
    -o "$temporary/$tool" "$(package_of "$tool")") >"$log" 2>&1 9>&- &
  build_pid=$!
  show_progress "$build_pid" "$tool" "$log"
  if ! wait "$build_pid"; then
    say "building $tool failed after $((SECONDS - started)) s:"
    tail -n 30 "$log" >&2
    exit 1
  fi
  build_pid=
  mv -f "$temporary/$tool" "$cache/$tool"
  say "built $tool in $((SECONDS - started)) s ($(du -h "$cache/$tool" | cut -f 1))"
}

clean_up() {
  [[ -z "${build_pid:-}" ]] || kill "$build_pid" 2>/dev/null || true
  [[ -z "${temporary:-}" ]] || rm -rf "$temporary"
}

choose_tools "$@"
choose_missing
if ((${#missing[@]} == 0)); then
  say "Kubernetes $version is in $cache"
  exit 0
fi
require_toolchain
mkdir -p "$cache"
take_lock
choose_missing
((${#missing[@]} > 0)) || { say "Kubernetes $version is in $cache"; exit 0; }

# An interrupted build may have left its directory; the lock says that nobody uses it.
rm -rf "$cache"/.building.*
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
temporary="$(mktemp -d "$cache/.building.XXXXXX")"
say "building ${missing[*]} $version into $cache"
say "this is done once: about 9 minutes on 2 cores when nothing is cached, and about 4 GB of Go caches"
all_started=$SECONDS
for tool in "${missing[@]}"; do build_tool "$tool"; done
say "done in $((SECONDS - all_started)) s"
