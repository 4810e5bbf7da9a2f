#!/usr/bin/env bash
# Runs a command where it may start a whole Kubernetes node (`mod.rs` does that) and leave nothing behind:
#
#   tests/node/run.sh COMMAND [ARGUMENT...]      as root, on Linux
#   tests/node/run.sh                            says what is missing, and runs nothing
#
# The command gets network, mount and PID namespaces of its own. What it changes there (interfaces, iptables, mounts,
# processes, files below /var/lib, /var/log and /run, sysctls) ends with it, however it ends. Only cgroups outlive it: all of
# them are below one of ours, which is removed here. The exit status is the command's, or 1 if something was left.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
say() { echo "node: $*" >&2; }

require() {
  local missing=() program plugin
  [[ "$(uname -s)" == Linux ]] || { say "a node needs Linux"; exit 1; }
  ((EUID == 0)) || { say "a node needs root: run this with sudo, or use kind"; exit 1; }
  for program in containerd containerd-shim-runc-v2 ctr runc iptables ip mount unshare setpriv; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  SLIPWAY_NODE_CNI=
  for plugin in /usr/lib/cni /opt/cni/bin /usr/libexec/cni; do
    if [[ -x "$plugin/bridge" && -x "$plugin/host-local" && -x "$plugin/portmap" && -x "$plugin/loopback" ]]; then
      SLIPWAY_NODE_CNI="$plugin"
      break
    fi
  done
  [[ -n "$SLIPWAY_NODE_CNI" ]] || missing+=("the CNI plugins bridge, host-local, portmap and loopback")
  export SLIPWAY_NODE_CNI
  if ((${#missing[@]} > 0)); then
    say "these are missing on this machine:"
    printf 'node:   %s\n' "${missing[@]}" >&2
    say "on Debian and Ubuntu: apt-get install containerd runc containernetworking-plugins iptables iproute2 util-linux"
    exit 1
  fi
  # Built in, or loaded by whoever owns the machine: a module that we load would stay.
  [[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]] || { say "the kernel module br_netfilter is missing: modprobe br_netfilter"; exit 1; }
}

# The hierarchies of cgroup v1, or the one of v2.
cgroup_roots() {
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then echo /sys/fs/cgroup; else find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d; fi
}

# Removes the cgroup `$1` of every hierarchy. The kernel may need a moment after the last process.
remove_cgroups() {
  local root try
  for root in $(cgroup_roots); do
    for try in {1..100}; do
      [[ -d "$root/$1" ]] || break
      find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
  done
}

# What a run killed with SIGKILL could not remove: its name says whose it was.
remove_abandoned() {
  local path name
  for path in $(cgroup_roots | sed 's|$|/slipway-node-*|') /tmp/slipway-node-*; do
    [[ -d "$path" ]] || continue
    name="${path##*/}"
    [[ -d "/proc/${name#slipway-node-}" ]] && continue
    remove_cgroups "$name"
    if [[ "$path" == /tmp/* ]]; then rmdir "$path" 2>/dev/null || true; fi
  done
}

# What a node might leave on this machine. Other runs of this script are none of our business.
state_of_machine() {
  local root file
  echo "network namespaces:"; ip netns list
  echo "mounts:"; cut -d ' ' -f 5 /proc/self/mountinfo
  echo "cgroups:"
  for root in $(cgroup_roots); do
    find "$root" -type d | sed "s|/$name|/ours|" | grep -v /slipway-node- | grep -E '/ours|kubepods|cri-containerd' || true
  done
  echo "sysctls:"
  for file in kernel/panic kernel/panic_on_oops vm/overcommit_memory kernel/keys/root_maxkeys kernel/keys/root_maxbytes net/ipv4/ip_forward; do
    echo "$file $(cat "/proc/sys/$file")"
  done
  echo "files:"; find /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers /etc/cni /opt/containerd /run/netns /run/containerd \
    /usr/libexec/kubernetes "/tmp/$name" -maxdepth 1 2>/dev/null || true
}

clean_up() {
  local status=$? left
  trap '' INT TERM
  # Returns when every process of the namespace is gone.
  if [[ -n "$unshare_pid" ]]; then
    kill -KILL "$unshare_pid" 2>/dev/null || true
    wait "$unshare_pid" 2>/dev/null || true
  fi
  remove_cgroups "$name"
  rmdir "$SLIPWAY_NODE_DIR" || status=1
  if left="$(diff <(printf '%s\n' "$before") <(state_of_machine))"; then
    say "the machine is as it was: network, mounts, cgroups, sysctls"
  else
    say "the machine is not as it was (< before, > now):"
    printf '%s\n' "$left" >&2
    status=1
  fi
  exit "$status"
}

require
(($# > 0)) || exit 0
remove_abandoned
name="slipway-node-$$"
before="$(state_of_machine)"
unshare_pid=
export SLIPWAY_NODE_DIR="/tmp/$name" SLIPWAY_NODE_CGROUP="/$name"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -m 0700 "$SLIPWAY_NODE_DIR"
for root in $(cgroup_roots); do mkdir "$root/$name"; done

# `setpriv` and `--kill-child`: also the SIGKILL of this script ends all of it.
setpriv --pdeathsig KILL \
  unshare --net --mount --pid --fork --kill-child --mount-proc "$here/inside.sh" "$@" &
unshare_pid=$!
status=0
wait "$unshare_pid" || status=$?
unshare_pid=
exit "$status"
