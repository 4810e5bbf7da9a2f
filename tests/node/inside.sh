#!/usr/bin/env bash
# The first process of the namespaces that `run.sh` makes: sets them up, runs the command, reaps what is orphaned.
set -euo pipefail

# Everything a node writes goes to memory and is gone with this mount namespace.
mount -t tmpfs -o mode=0700 slipway-node "$SLIPWAY_NODE_DIR"
mount -t tmpfs -o mode=0755 slipway-run /run
for directory in /var/lib /var/log /usr/libexec; do
  [[ -d "$directory" ]] || continue
  layer="$SLIPWAY_NODE_DIR/layers$directory"
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" slipway-node "$directory"
done
mkdir "$SLIPWAY_NODE_DIR/tmp"
export TMPDIR="$SLIPWAY_NODE_DIR/tmp"

# kubelet sets these for the whole machine. Here it writes to files that lie over them.
for sysctl in kernel/panic kernel/panic_on_oops vm/overcommit_memory kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  file="$SLIPWAY_NODE_DIR/sysctl-${sysctl//\//-}"
  cat "/proc/sys/$sysctl" >"$file"
  mount --bind "$file" "/proc/sys/$sysctl"
done

# An address for the node, and a default route, without which nothing is sent to a Service's address. Nobody is there.
ip link set lo up
ip link add node0 type veth peer name nowhere0
ip address add "${SLIPWAY_NODE_ADDRESS:=10.199.0.1}/24" dev node0
ip link set node0 up
ip link set nowhere0 up
ip route add default via 10.199.0.254
export SLIPWAY_NODE_ADDRESS

# Not `exec`: the first process of a PID namespace must reap what is orphaned in it.
"$@" &
wait $!
